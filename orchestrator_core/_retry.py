"""`RetryPolicy`: frozen numbers and one pure function from the attempts so far to a delay."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from random import Random


def _positive(_: object, field: attrs.Attribute[Any], value: timedelta | float) -> None:
    zero = timedelta() if isinstance(value, timedelta) else 0
    if not value > zero:  # type: ignore[operator]
        raise ValueError(f"{field.name} must be more than zero, found {value}")


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """When a delivery that did not succeed is tried again, and when it becomes a dead letter.

    Delays double from `initial` to `max`; each is then stretched by up to its own length at random ("full jitter
    upward"), so that a crowd that failed together does not return together and nobody returns early.

    >>> RetryPolicy(attempts=3).delay(1)
    1.0
    >>> RetryPolicy(attempts=3).delay(3) is None
    True

    Attributes:
        attempts: how many failures make a dead letter; 1 never tries again.
        initial: delay after the first failure.
        max: the longest delay before jitter.
        max_age: how long after it was accepted a delivery may still be tried again; without limit if not given.
        interruptions: how many interruptions (crash, lost lease, cut off at a stop) make a dead letter.
    """

    attempts: int = attrs.field(default=5, validator=_positive)
    initial: timedelta = attrs.field(default=timedelta(seconds=1), validator=_positive)
    max: timedelta = attrs.field(default=timedelta(minutes=5), validator=_positive)
    max_age: timedelta | None = attrs.field(default=None, validator=attrs.validators.optional(_positive))
    interruptions: int = attrs.field(default=20, validator=_positive)

    def delay(self, failures: int, *, age: float = 0.0, rng: Random | None = None) -> float | None:
        """Return the seconds to wait after that many failures, or ``None`` to give up.

        Args:
            failures: failures so far, this one included; 1 or more.
            age: seconds since the delivery was accepted.
            rng: source of the jitter; without it the delay is exact.
        """
        if failures >= self.attempts:
            return None
        delay = _backoff(self, failures, rng)
        if self.max_age is not None and age + delay > self.max_age.total_seconds():
            return None
        return delay

    def delay_after_interruption(self, interruptions: int, *, rng: Random | None = None) -> float | None:
        """Return the seconds to wait after that many interruptions, or ``None`` to give up.

        The first costs nothing: it was hardly the delivery's fault.
        """
        if interruptions >= self.interruptions:
            return None
        return 0.0 if interruptions <= 1 else _backoff(self, interruptions - 1, rng)


def _backoff(policy: RetryPolicy, times: int, rng: Random | None) -> float:
    doublings = min(times - 1, 64)
    exact = min(policy.initial.total_seconds() * 2.0**doublings, policy.max.total_seconds())
    return exact if rng is None else exact * (1.0 + rng.random())
