"""Routing over random graphs: `Pipeline.plan` and `resolve` against the rules said plainly."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core import (
    FINISHED,
    DeliveryState,
    Event,
    Link,
    Operation,
    Pipeline,
    Plan,
    ProcessOptions,
    Upstream,
    resolve,
)
from orchestrator_core._plan import Join, On

_SIZE = 6
_operations = st.none() | st.frozensets(st.sampled_from(Operation), min_size=1, max_size=2)


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    """Draw a graph; links lead from lower to higher numbers, so there is no cycle."""
    names = [f"p{number}" for number in range(draw(st.integers(1, _SIZE)))]
    joins: st.SearchStrategy[Join] = st.sampled_from(["all", "any"])
    conditions: st.SearchStrategy[On] = st.sampled_from(["success", "dead", "settled", "event"])
    links = [Link("in", name, operations=draw(_operations)) for name in names if draw(st.booleans())]
    for index, target in enumerate(names):
        for source in names[:index]:
            if draw(st.booleans()):
                on = draw(conditions)
                links.append(Link(source, target, on=on, operations=draw(_operations)))
    options = {name: ProcessOptions(join=draw(joins)) for name in names}
    return Pipeline(inputs=["in"], processes=options, links=draw(st.permutations(links)))


_events = st.builds(
    Event,
    location=st.just("t"),
    operation=st.sampled_from(Operation),
    id=st.just("1"),
    trigger=st.sampled_from(["in", *(f"p{number}" for number in range(_SIZE))]),
)


def reachable(pipeline: Pipeline, event: Event) -> set[str]:
    """Say plainly which processes an event may get to: those that open links lead to, step by step."""
    start = "success" if event.trigger in pipeline.inputs else "event"
    found: set[str] = set()
    while True:
        more = {
            link.target
            for link in pipeline.links
            if (link.operations is None or event.operation in link.operations)
            and ((link.source == event.trigger and link.on == start) or (link.source in found and link.on != "event"))
        }
        if more <= found:
            return found
        found |= more


@given(pipelines(), _events)
def test_every_reachable_process_gets_one_delivery(pipeline: Pipeline, event: Event) -> None:
    """Exactly those that open links lead to, each once."""
    names = [step.process for step in pipeline.plan(event).steps]
    assert sorted(reachable(pipeline, event)) == sorted(names)


@given(pipelines(), _events)
def test_plans_are_topological(pipeline: Pipeline, event: Event) -> None:
    """A step waits only for steps before it, along links that there are."""
    steps = pipeline.plan(event).steps
    links = {(link.source, link.target, link.on) for link in pipeline.links}
    for index, step in enumerate(steps):
        for edge in step.after:
            assert edge.upstream < index
            assert (steps[edge.upstream].process, step.process, edge.on) in links


@given(pipelines(), _events)
def test_plans_are_pure(pipeline: Pipeline, event: Event) -> None:
    """Asked again, or of an equal pipeline, the answer is the same; and it survives being written down."""
    plan = pipeline.plan(event)
    again = Pipeline(inputs=pipeline.inputs, processes=pipeline.processes, links=pipeline.links)
    assert plan == pipeline.plan(event) == again.plan(event) == Plan.from_json(plan.text)


_ENDS = st.sampled_from([DeliveryState.DONE, DeliveryState.DEAD, DeliveryState.CANCELLED])


@given(pipelines(), _events, st.data())
def test_every_event_comes_to_an_end(pipeline: Pipeline, event: Event, data: st.DataObject) -> None:
    """However its deliveries end, nothing waits for ever: each is finished at last, and nothing ran before its turn."""
    plan = pipeline.plan(event)
    states = [DeliveryState.WAITING if step.after else DeliveryState.READY for step in plan.steps]
    while ready := [index for index, state in enumerate(states) if state is DeliveryState.READY]:
        states[data.draw(st.sampled_from(ready))] = data.draw(_ENDS)
        changes = resolve(plan, [Upstream(state) for state in states], lambda: event)
        assert set(changes.values()) <= {DeliveryState.READY, DeliveryState.SKIPPED}
        for index, state in changes.items():
            assert states[index] is DeliveryState.WAITING
            states[index] = state
            assert state is DeliveryState.SKIPPED or opened(plan, index, states)
    assert FINISHED.issuperset(states)


def opened(plan: Plan, index: int, states: list[DeliveryState]) -> bool:
    """Say plainly whether a step's links let it start."""
    lets: Mapping[str, set[DeliveryState]] = {
        "success": {DeliveryState.DONE},
        "dead": {DeliveryState.DEAD},
        "settled": {DeliveryState.DONE, DeliveryState.DEAD, DeliveryState.CANCELLED},
    }
    step = plan.steps[index]
    return (all if step.join == "all" else any)(states[edge.upstream] in lets[edge.on] for edge in step.after)
