"""One event for one process: `Delivery`, what an attempt may come to, and the pure function between the two."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, TypeAlias

import attrs

if TYPE_CHECKING:
    from random import Random

    from orchestrator_core._json import JSON
    from orchestrator_core._retry import RetryPolicy


class DeliveryState(enum.StrEnum):
    """Where a delivery is in its life.

    ``waiting → ready → running → done | ready (retry) | dead``, and ``skipped``, ``cancelled``, ``parked``.
    """

    WAITING = "waiting"
    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    PARKED = "parked"


FINISHED = frozenset({DeliveryState.DONE, DeliveryState.DEAD, DeliveryState.SKIPPED, DeliveryState.CANCELLED})
"""The states in which nothing happens any more by itself."""


@attrs.define(kw_only=True, eq=False)
class Delivery:
    """The ledger row: one event for one process. Read it; only the journal changes it.

    Attributes:
        id: stable over attempts, unique over journals; a process uses it as its idempotency key.
        event_uid: the event's uid.
        trigger: the event's input.
        process: the name of the process.
        state: where it is in its life.
        attempt: number of the newest attempt, 0 before the first; it only grows.
        failures: attempts that failed.
        interruptions: attempts that a crash, a lost lease or a stop cut off.
        interrupted: the newest attempt was cut off, so its effect is not known.
        accepted_at: when the event was accepted, in seconds since 1970 UTC.
        due_at: not before this moment, in seconds since 1970 UTC.
        settled_at: when it got its outcome; ``None`` while it is unfinished.
        reason: why it is dead, parked, skipped or cancelled, or why the last attempt failed.
        output: what the process returned.
    """

    id: str
    event_uid: str
    trigger: str
    process: str
    state: DeliveryState
    attempt: int
    failures: int = 0
    interruptions: int = 0
    interrupted: bool = False
    accepted_at: float = 0.0
    due_at: float = 0.0
    settled_at: float | None = None
    reason: str | None = None
    output: JSON = None


@attrs.frozen
class Succeeded:
    """The attempt did its work.

    Attributes:
        output: what the process returned, for the processes downstream.
    """

    output: JSON = None


@attrs.frozen
class Failed:
    """The attempt raised, returned a failure or ran out of time; retried by policy."""

    reason: str


@attrs.frozen
class Rejected:
    """The process says that this event will never succeed."""

    reason: str


@attrs.frozen
class Postponed:
    """The process says: not now. Counts as no failure.

    Attributes:
        after: seconds to wait at the least.
        reason: why, for the history.
        interrupted: keep asking `reconcile` before the next run.
    """

    after: float
    reason: str
    interrupted: bool = False


@attrs.frozen
class Interrupted:
    """The attempt was cut off from outside; what it did is not known."""

    reason: str


Outcome: TypeAlias = Succeeded | Failed | Rejected | Postponed | Interrupted


@attrs.frozen
class Transition:
    """What one outcome makes of a delivery.

    Attributes:
        state: the next state: ``done``, ``ready`` or ``dead``.
        due_at: when it is due again, in seconds since 1970 UTC; only with ``ready``.
        failures: the new count.
        interruptions: the new count.
        interrupted: whether the effect of this attempt is unknown.
        reason: why, unless it succeeded.
        output: what the process returned.
    """

    state: DeliveryState
    due_at: float
    failures: int
    interruptions: int
    interrupted: bool = False
    reason: str | None = None
    output: JSON = None


_PLAIN_SUCCESS = Transition(DeliveryState.DONE, 0.0, 0, 0)


def transition(
    delivery: Delivery, outcome: Outcome, policy: RetryPolicy, now: float, rng: Random | None = None
) -> Transition:
    """Decide what an outcome makes of a running delivery. Pure and total; called once for each attempt.

    Args:
        delivery: the delivery as it was claimed.
        outcome: what the attempt came to.
        policy: the retry policy of its process.
        now: seconds since 1970 UTC.
        rng: source of the retry jitter.
    """
    failures, interruptions = delivery.failures, delivery.interruptions
    if type(outcome) is Succeeded and outcome.output is None and not (failures or interruptions):
        return _PLAIN_SUCCESS  # nearly all of them: made once, and found before the patterns are tried
    match outcome:
        case Succeeded(output):
            return Transition(DeliveryState.DONE, 0.0, failures, interruptions, output=output)
        case Rejected(reason):
            return Transition(DeliveryState.DEAD, now, failures + 1, interruptions, reason=reason)
        case Postponed(after, reason, interrupted):
            return Transition(DeliveryState.READY, now + after, failures, interruptions, interrupted, reason)
        case Failed(reason):
            failures += 1
            delay = policy.delay(failures, age=now - delivery.accepted_at, rng=rng)
            state = DeliveryState.DEAD if delay is None else DeliveryState.READY
            return Transition(state, now + (delay or 0.0), failures, interruptions, reason=reason)
        case Interrupted(reason):
            interruptions += 1
            delay = policy.delay_after_interruption(interruptions, rng=rng)
            state = DeliveryState.DEAD if delay is None else DeliveryState.READY
            return Transition(state, now + (delay or 0.0), failures, interruptions, delay is not None, reason)
