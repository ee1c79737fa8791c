"""`transition`: what each outcome makes of a running delivery."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest

from orchestrator_core import FINISHED, Delivery, DeliveryState, RetryPolicy, Transition
from orchestrator_core._delivery import Failed, Interrupted, Outcome, Postponed, Rejected, Succeeded, transition

NOW = 1_700_000_000.0
POLICY = RetryPolicy(attempts=3, interruptions=3)


def running(**fields: Any) -> Delivery:
    """Make a delivery in its first attempt."""
    given = {"id": "d", "event_uid": "u", "trigger": "in", "process": "a", "state": DeliveryState.RUNNING, "attempt": 1}
    return Delivery(**{**given, "accepted_at": NOW, **fields})


@pytest.mark.parametrize(
    ("before", "outcome", "expected"),
    [
        pytest.param({}, Succeeded(), Transition(DeliveryState.DONE, 0.0, 0, 0), id="success"),
        pytest.param({}, Succeeded(0), Transition(DeliveryState.DONE, 0.0, 0, 0, output=0), id="success with output"),
        pytest.param(
            {"failures": 2, "interruptions": 1},
            Succeeded(),
            Transition(DeliveryState.DONE, 0.0, 2, 1),
            id="success keeps the counts",
        ),
        pytest.param({}, Failed("x"), Transition(DeliveryState.READY, NOW + 1, 1, 0, reason="x"), id="first failure"),
        pytest.param(
            {"failures": 1}, Failed("x"), Transition(DeliveryState.READY, NOW + 2, 2, 0, reason="x"), id="next failure"
        ),
        pytest.param(
            {"failures": 2}, Failed("x"), Transition(DeliveryState.DEAD, NOW, 3, 0, reason="x"), id="last failure"
        ),
        pytest.param({}, Rejected("x"), Transition(DeliveryState.DEAD, NOW, 1, 0, reason="x"), id="rejected"),
        pytest.param(
            {"failures": 2},
            Postponed(60, "x"),
            Transition(DeliveryState.READY, NOW + 60, 2, 0, reason="x"),
            id="postponed is no failure",
        ),
        pytest.param(
            {},
            Postponed(60, "x", interrupted=True),
            Transition(DeliveryState.READY, NOW + 60, 0, 0, interrupted=True, reason="x"),
            id="postponed because still running",
        ),
        pytest.param(
            {"failures": 2},
            Interrupted("x"),
            Transition(DeliveryState.READY, NOW, 2, 1, interrupted=True, reason="x"),
            id="interruptions count apart",
        ),
        pytest.param(
            {"interruptions": 1},
            Interrupted("x"),
            Transition(DeliveryState.READY, NOW + 1, 0, 2, interrupted=True, reason="x"),
            id="next interruption",
        ),
        pytest.param(
            {"interruptions": 2},
            Interrupted("x"),
            Transition(DeliveryState.DEAD, NOW, 0, 3, reason="x"),
            id="last interruption",
        ),
    ],
)
def test_transition(before: dict[str, Any], outcome: Outcome, expected: Transition) -> None:
    """Every outcome leads to one next state, with its counts and its moment."""
    assert expected == transition(running(**before), outcome, POLICY, NOW)


def test_an_interruption_that_was_known_before_is_over() -> None:
    """A failure whose effect is known clears the mark of an earlier interruption."""
    assert transition(running(interrupted=True), Failed("x"), POLICY, NOW).interrupted is False


def test_age_counts_from_acceptance() -> None:
    """`max_age` is measured from when the event was accepted, not from the first attempt."""
    policy = RetryPolicy(max_age=timedelta(minutes=1))
    old = transition(running(accepted_at=NOW - 60), Failed("x"), policy, NOW)
    young = transition(running(accepted_at=NOW - 30), Failed("x"), policy, NOW)
    assert (DeliveryState.DEAD, DeliveryState.READY) == (old.state, young.state)


def test_jitter_is_the_callers() -> None:
    """The same generator leads to the same moment."""
    moments = {transition(running(), Failed("x"), POLICY, NOW, Random(7)).due_at for _ in range(3)}
    assert 1 == len(moments)


def test_the_delivery_itself_is_not_changed() -> None:
    """The decision is pure: only the journal changes a delivery."""
    delivery = running()
    transition(delivery, Failed("x"), POLICY, NOW)
    assert (DeliveryState.RUNNING, 0, None) == (delivery.state, delivery.failures, delivery.reason)


def test_finished_states() -> None:
    """Nothing happens any more to what is done, dead, skipped or cancelled."""
    unfinished = {"waiting", "ready", "running", "parked"}
    assert unfinished == {state.value for state in DeliveryState} - {state.value for state in FINISHED}
