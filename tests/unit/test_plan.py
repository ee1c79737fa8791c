"""`Plan` and `resolve`: what waits for what, and what goes on when something is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from orchestrator_core import JSON, DeliveryState, Edge, Event, Plan, Step, Upstream, Where, resolve

EVENT = Event(location="t", operation="create", id="1", trigger="in", data={"rain": 3})


def decide(plan: Plan, states: Mapping[str, str], outputs: Mapping[str, JSON] | None = None) -> dict[str, str]:
    """Resolve a plan from states by process name; those not named wait."""
    known = [
        Upstream(DeliveryState(states.get(step.process, "waiting")), (outputs or {}).get(step.process))
        for step in plan.steps
    ]
    return {plan.steps[index].process: state.value for index, state in resolve(plan, known, lambda: EVENT).items()}


def chain(*on: str) -> Plan:
    """Make ``a`` and behind it ``b``, ``c``, … with these conditions."""
    steps = [Step("a"), *(Step("bcdef"[index], (Edge(index, each),)) for index, each in enumerate(on))]  # type: ignore[arg-type]
    return Plan(tuple(steps))


def join(kind: str) -> Plan:
    """Make ``c`` behind ``a`` and ``b``."""
    return Plan((Step("a"), Step("b"), Step("c", (Edge(0), Edge(1)), kind)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("on", "upstream", "expected"),
    [
        ("success", "done", {"b": "ready"}),
        ("success", "dead", {"b": "skipped"}),
        ("success", "skipped", {"b": "skipped"}),
        ("success", "cancelled", {"b": "skipped"}),
        ("dead", "done", {"b": "skipped"}),
        ("dead", "dead", {"b": "ready"}),
        ("dead", "cancelled", {"b": "skipped"}),
        ("settled", "done", {"b": "ready"}),
        ("settled", "dead", {"b": "ready"}),
        ("settled", "cancelled", {"b": "ready"}),
        ("settled", "skipped", {"b": "skipped"}),
        *(("settled", state, {}) for state in ("waiting", "ready", "running", "parked")),
    ],
)
def test_what_lets_through(on: str, upstream: str, expected: dict[str, str]) -> None:
    """A condition is decided by the upstream's end, and not before."""
    assert expected == decide(chain(on), {"a": upstream})


@pytest.mark.parametrize(
    ("kind", "states", "expected"),
    [
        ("all", {"a": "done"}, {}),
        ("all", {"a": "done", "b": "done"}, {"c": "ready"}),
        ("all", {"a": "done", "b": "dead"}, {"c": "skipped"}),
        ("all", {"b": "dead"}, {"c": "skipped"}),
        ("any", {"a": "done"}, {"c": "ready"}),
        ("any", {"a": "dead"}, {}),
        ("any", {"a": "dead", "b": "done"}, {"c": "ready"}),
        ("any", {"a": "dead", "b": "dead"}, {"c": "skipped"}),
    ],
)
def test_joins(kind: str, states: dict[str, str], expected: dict[str, str]) -> None:
    """`all` waits for every side and `any` for the first; either ends as soon as it is clear that it can't be."""
    assert expected == decide(join(kind), states)


def test_skips_cascade_in_one_call() -> None:
    """One death decides the whole chain behind it."""
    assert {"b": "skipped", "c": "skipped", "d": "skipped"} == decide(
        chain("success", "success", "success"), {"a": "dead"}
    )


def test_a_skip_is_no_death() -> None:
    """Nothing starts because something was skipped, whatever it waited for."""
    assert {"b": "skipped", "c": "skipped", "d": "skipped"} == decide(chain("dead", "dead", "settled"), {"a": "done"})


@pytest.mark.parametrize("state", ["ready", "running", "done", "dead", "cancelled", "parked"])
def test_what_has_begun_is_not_decided_again(state: str) -> None:
    """Only what waits or was skipped changes. Catches: a redrive that resets everything downstream."""
    assert {} == decide(chain("success"), {"a": "dead", "b": state})


def test_a_redrive_lets_skipped_steps_wait_again() -> None:
    """What the death had skipped is undecided once the upstream is ready again."""
    states = {"a": "ready", "b": "skipped", "c": "skipped"}
    assert {"b": "waiting", "c": "waiting"} == decide(chain("success", "success"), states)


def test_what_another_death_has_skipped_stays_skipped() -> None:
    """A redrive of one side does not help a join whose other side is dead too."""
    assert {} == decide(join("all"), {"a": "ready", "b": "dead", "c": "skipped"})


def test_a_decision_is_stable() -> None:
    """Resolving once more changes nothing."""
    assert {} == decide(chain("success", "success"), {"a": "dead", "b": "skipped", "c": "skipped"})


@pytest.mark.parametrize(
    ("output", "expected"), [({"ok": True}, "ready"), ({"ok": False}, "skipped"), (None, "skipped")]
)
def test_conditions_read_the_output(output: JSON, expected: str) -> None:
    """The upstream's output decides, once it is there."""
    where = Where.parse({"field": "output.ok", "exact": True})
    plan = Plan((Step("a"), Step("b", (Edge(0, "success", where),))))
    assert {"b": expected} == decide(plan, {"a": "done"}, {"a": output})


def test_conditions_read_the_event() -> None:
    """Data and before stand beside the output."""
    where = Where.parse([{"field": "data.rain", "gt": 2}, {"field": "output", "exact": 7}])
    plan = Plan((Step("a"), Step("b", (Edge(0, "success", where),))))
    assert {"b": "ready"} == decide(plan, {"a": "done"}, {"a": 7})


def test_the_event_is_read_only_when_needed() -> None:
    """Without a condition nobody asks for it. Catches: a read of the store for each settle."""
    known = [Upstream(DeliveryState.DONE), Upstream(DeliveryState.WAITING)]
    assert {1: DeliveryState.READY} == resolve(chain("success"), known, _no_event)


def _no_event() -> Event:
    pytest.fail("the event was read")


_PLANS: Sequence[Plan] = (
    Plan(),
    Plan((Step("a"),)),
    chain("success", "dead", "settled"),
    join("any"),
    Plan((Step("a", ordered=True, on_dead="hold"),)),
    Plan((Step("a"), Step("b", (Edge(0, "success", Where.parse({"field": "output.☃", "in": [1, None]})),)))),
)


@pytest.mark.parametrize("plan", _PLANS, ids=lambda plan: plan.text)
def test_text_round_trips(plan: Plan) -> None:
    """A plan is what its text says, whoever reads it."""
    again = Plan.from_json(plan.text)
    assert (plan, plan.text, plan.steps, plan.dependents) == (again, again.text, again.steps, again.dependents)


def test_different_plans_are_different() -> None:
    """No two of these share a text, so none is taken for another in a store."""
    assert len(_PLANS) == len({plan.text for plan in _PLANS}) == len(set(_PLANS))


def test_roots_and_dependents() -> None:
    """Who waits for nothing, and who waits for whom."""
    plan = Plan((Step("a"), Step("b", (Edge(0),)), Step("c", (Edge(0),)), Step("d", (Edge(1), Edge(2))), Step("e")))
    assert ((0, 4), ((1, 2), (3,), (3,), (), ())) == (plan.roots, plan.dependents)
