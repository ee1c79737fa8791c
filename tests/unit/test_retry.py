"""`RetryPolicy`: how long to wait, and when to give up."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest

from orchestrator_core import RetryPolicy


def test_delays_double_up_to_the_longest() -> None:
    """1 s, 2 s, 4 s … and never more than `max`."""
    policy = RetryPolicy(attempts=8, initial=timedelta(seconds=1), max=timedelta(seconds=20))
    assert [1, 2, 4, 8, 16, 20, 20, None] == [policy.delay(failures) for failures in range(1, 9)]


def test_defaults() -> None:
    """Five attempts, a second at first, five minutes at most, no limit of age."""
    policy = RetryPolicy()
    assert [1, 2, 4, 8, None] == [policy.delay(failures) for failures in range(1, 6)]
    assert 300 == RetryPolicy(attempts=100).delay(50)


def test_one_attempt_never_tries_again() -> None:
    """`attempts = 1` is no retry at all."""
    assert RetryPolicy(attempts=1).delay(1) is None


def test_huge_counts_do_not_overflow() -> None:
    """Two to the power of a million is still the longest delay."""
    assert 300 == RetryPolicy(attempts=2_000_000).delay(1_000_000)


def test_jitter_only_stretches() -> None:
    """A delay is between its length and twice that. Catches: jitter downward, which lets a crowd return early."""
    policy = RetryPolicy(attempts=99, initial=timedelta(seconds=8))
    delays = [policy.delay(1, rng=Random(seed)) or 0.0 for seed in range(200)]
    assert (True, True) == (min(delays) >= 8, max(delays) <= 16)
    assert max(delays) - min(delays) > 4


def test_jitter_comes_from_the_generator_given() -> None:
    """The same generator gives the same delays. Catches: hidden randomness."""
    first, second = ([RetryPolicy().delay(1, rng=rng) for _ in range(3)] for rng in (Random(7), Random(7)))
    assert first == second


@pytest.mark.parametrize(("age", "expected"), [(0, 1), (59, 1), (59.5, None), (61, None)])
def test_too_old_to_try_again(age: float, expected: float | None) -> None:
    """A delivery that would be older than `max_age` when its turn comes is given up."""
    assert expected == RetryPolicy(max_age=timedelta(minutes=1)).delay(1, age=age)


def test_the_first_interruption_costs_nothing() -> None:
    """Then the delays double as for failures, and the limit is a limit."""
    policy = RetryPolicy(interruptions=5)
    assert [0, 1, 2, 4, None] == [policy.delay_after_interruption(count) for count in range(1, 6)]


def test_interruptions_do_not_count_as_attempts() -> None:
    """A delivery that is allowed one failure survives many crashes."""
    assert 0 == RetryPolicy(attempts=1).delay_after_interruption(1)


@pytest.mark.parametrize(
    "fields",
    [
        {"attempts": 0},
        {"attempts": -1},
        {"initial": timedelta()},
        {"initial": timedelta(seconds=-1)},
        {"max": timedelta()},
        {"max_age": timedelta()},
        {"interruptions": 0},
    ],
    ids=repr,
)
def test_numbers_that_make_no_sense_are_refused(fields: dict[str, Any]) -> None:
    """Each must be more than zero, and the error names it."""
    with pytest.raises(ValueError, match=f"^{next(iter(fields))} must be more than zero"):
        RetryPolicy(**fields)
