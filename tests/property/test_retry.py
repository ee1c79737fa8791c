"""`RetryPolicy` and `transition` over all policies and histories."""

from __future__ import annotations

from datetime import timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core import Delivery, DeliveryState, RetryPolicy
from orchestrator_core._delivery import Failed, Interrupted, Outcome, Postponed, Rejected, Succeeded, transition

_spans = st.timedeltas(timedelta(milliseconds=1), timedelta(days=400))
_policies = st.builds(
    RetryPolicy,
    attempts=st.integers(1, 50),
    initial=_spans,
    max=_spans,
    max_age=st.none() | _spans,
    interruptions=st.integers(1, 50),
)
_outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.just(Succeeded()),
    st.just(Failed("failed")),
    st.just(Rejected("hopeless")),
    st.builds(Postponed, st.floats(0, 1e6), st.just("not now"), st.booleans()),
    st.just(Interrupted("cut off")),
)


@given(_policies, st.integers(1, 100), st.floats(0, 1e9), st.none() | st.integers())
def test_a_delay_is_within_its_bounds(policy: RetryPolicy, failures: int, age: float, seed: int | None) -> None:
    """Never less than the exact delay, never more than twice that, and given up exactly when the policy says so."""
    exact = min(policy.initial.total_seconds() * 2.0 ** (failures - 1), policy.max.total_seconds())
    found = policy.delay(failures, age=age, rng=None if seed is None else Random(seed))
    if failures >= policy.attempts:
        assert found is None
    elif policy.max_age is None:
        assert found is not None
    if found is not None:
        assert exact <= found <= 2 * exact
        assert policy.max_age is None or age + found <= policy.max_age.total_seconds()


@given(_policies, st.integers(1, 100))
def test_delays_never_shrink(policy: RetryPolicy, failures: int) -> None:
    """The next delay is at least as long, until there is none."""
    first, second = policy.delay(failures), policy.delay(failures + 1)
    assert second is None or (first is not None and first <= second)


@given(_policies, st.integers(1, 100))
def test_interruptions_end(policy: RetryPolicy, interruptions: int) -> None:
    """A delivery that is cut off for ever is a dead letter at last."""
    found = policy.delay_after_interruption(interruptions)
    assert (found is None) == (interruptions >= policy.interruptions)


@given(_policies, st.lists(_outcomes, min_size=1, max_size=120), st.integers())
def test_every_history_is_sound(policy: RetryPolicy, outcomes: list[Outcome], seed: int) -> None:
    """Whatever happens to a delivery, its counts only grow, and it ends done or dead within its limits."""
    rng, now = Random(seed), 0.0
    delivery = Delivery(id="d", event_uid="u", trigger="in", process="a", state=DeliveryState.RUNNING, attempt=1)
    for outcome in outcomes:
        change = transition(delivery, outcome, policy, now, rng)
        assert change.state in {DeliveryState.DONE, DeliveryState.DEAD, DeliveryState.READY}
        assert (change.failures >= delivery.failures, change.interruptions >= delivery.interruptions) == (True, True)
        assert (change.reason is None) == (change.state is DeliveryState.DONE)
        assert change.state is DeliveryState.READY or not change.interrupted
        if change.state is not DeliveryState.READY:
            return
        assert change.due_at >= now
        assert change.failures < policy.attempts
        assert change.interruptions < policy.interruptions
        delivery.failures, delivery.interruptions = change.failures, change.interruptions
        now = change.due_at
