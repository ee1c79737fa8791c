"""`Pipeline`: the graph's validation, and where an event goes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import attrs
import pytest

from orchestrator_core import (
    DuplicateNameError,
    Edge,
    Event,
    FilterError,
    Link,
    Operation,
    Pipeline,
    PipelineError,
    Plan,
    ProcessOptions,
    Step,
    Where,
)

_OUTPUT_OK = {"field": "output.ok", "exact": True}


def pipeline(*links: Link, inputs: Iterable[str] = ("in",), **options: ProcessOptions) -> Pipeline:
    """Make a pipeline of these links; processes are what the links name and the options describe."""
    names = dict.fromkeys(name for link in links for name in (link.source, link.target) if name not in set(inputs))
    return Pipeline(inputs=inputs, processes={**dict.fromkeys(names, ProcessOptions()), **options}, links=links)


def event(trigger: str = "in", **fields: Any) -> Event:
    """Make an event of an input."""
    return Event(**{"location": "t", "operation": "create", "id": "1", "trigger": trigger, **fields})


def names(plan: Plan) -> list[str]:
    """Return the processes of a plan in its order."""
    return [step.process for step in plan.steps]


def test_fan_out() -> None:
    """Every process that the input is linked to gets one delivery, and none waits."""
    plan = pipeline(Link("in", "a"), Link("in", "b"), Link("in", "c")).plan(event())
    assert (["a", "b", "c"], (0, 1, 2)) == (sorted(names(plan)), plan.roots)


def test_chain() -> None:
    """A process behind a process waits for it."""
    plan = pipeline(Link("in", "a"), Link("a", "b"), Link("b", "c", on="settled")).plan(event())
    assert Plan((Step("a"), Step("b", (Edge(0),)), Step("c", (Edge(1, "settled"),)))) == plan


def test_diamond() -> None:
    """Two ways to one process are one delivery that waits for both."""
    plan = pipeline(Link("in", "a"), Link("a", "b"), Link("a", "c"), Link("b", "d"), Link("c", "d")).plan(event())
    last = plan.steps[-1]
    assert ("d", {"b", "c"}) == (last.process, {plan.steps[edge.upstream].process for edge in last.after})


def test_links_are_given_in_any_order() -> None:
    """The plan is topological however the links were written. Catches: an upstream that is not there yet."""
    links = [Link("in", "a"), Link("a", "b"), Link("b", "c"), Link("a", "c")]
    expected = {tuple(names(pipeline(*links).plan(event())))}
    assert expected == {tuple(names(pipeline(*links[turn:], *links[:turn]).plan(event()))) for turn in range(4)}


def test_an_input_and_a_process_before_it() -> None:
    """With `join = "all"` a process that the input feeds directly still waits for its upstream process."""
    plan = pipeline(Link("in", "a"), Link("in", "b"), Link("a", "b")).plan(event())
    assert Plan((Step("a"), Step("b", (Edge(0),)))) == plan


def test_join_any_behind_an_input() -> None:
    """With `join = "any"` the input is the first to let it through."""
    options = ProcessOptions(join="any")
    plan = pipeline(Link("in", "a"), Link("in", "b"), Link("a", "b"), b=options).plan(event())
    assert Plan((Step("a"), Step("b", (), "any"))) == plan


def test_options_are_in_the_plan() -> None:
    """What a journal has to know stands in each step."""
    options = ProcessOptions(ordered_by="key", on_dead="hold", join="any")
    assert Plan((Step("a", (), "any", True, "hold"),)) == pipeline(Link("in", "a"), a=options).plan(event())


def test_an_event_that_matches_nothing() -> None:
    """Its plan has no steps."""
    assert Plan() == pipeline(Link("in", "a", operations=["delete"])).plan(event())


def test_a_trigger_that_is_not_in_the_pipeline() -> None:
    """It leads nowhere, and is no error."""
    assert Plan() == pipeline(Link("in", "a")).plan(event("gone"))


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (Link("in", "a"), True),
        (Link("in", "a", operations=["create", "delete"]), True),
        (Link("in", "a", operations=["INSERT"]), True),
        (Link("in", "a", operations={Operation.UPDATE}), False),
        (Link("in", "a", operations=[]), False),
        (Link("in", "a", locations=["t"]), True),
        (Link("in", "a", locations=["u", "?"]), True),
        (Link("in", "a", locations=["T"]), False),
        (Link("in", "a", locations=[]), False),
        (Link("in", "a", where={"field": "data.rain", "gt": 2}), True),
        (Link("in", "a", where=[{"field": "data.rain", "gt": 2}, {"field": "before", "exact": None}]), True),
        (Link("in", "a", where={"field": "data.rain", "gt": 3}), False),
        (Link("in", "a", operations=["create"], locations=["t"], where={"field": "data.rain", "gt": 3}), False),
    ],
    ids=[
        "no filter",
        "one of two operations",
        "an operation's other name",
        "another operation",
        "no operation",
        "the location",
        "a glob",
        "another case",
        "no location",
        "a condition",
        "two conditions",
        "a condition that fails",
        "one filter of three that fails",
    ],
)
def test_filters(link: Link, expected: bool) -> None:
    """All filters of a link must let an event through."""
    assert expected is bool(pipeline(link).plan(event(data={"rain": 3})).steps)


def test_a_filter_inside_prunes_what_is_behind_it() -> None:
    """A process that is reached only through a closed link is not in the plan, and neither is what follows."""
    links = [Link("in", "a"), Link("a", "b", operations=["delete"]), Link("b", "c"), Link("a", "d")]
    assert ["a", "d"] == sorted(names(pipeline(*links).plan(event())))


def test_a_closed_side_of_a_join_is_not_waited_for() -> None:
    """`all` means all upstream processes that are in the plan. Catches: a join that waits for what never comes."""
    links = [Link("in", "a"), Link("in", "b", operations=["delete"]), Link("a", "c"), Link("b", "c")]
    assert Plan((Step("a"), Step("c", (Edge(0),)))) == pipeline(*links).plan(event())


def test_a_condition_over_the_output_waits() -> None:
    """It is kept on the edge, to be decided when the output is there."""
    plan = pipeline(Link("in", "a"), Link("a", "b", where=_OUTPUT_OK)).plan(event())
    assert Plan((Step("a"), Step("b", (Edge(0, "success", Where.parse(_OUTPUT_OK)),)))) == plan


def test_derived_events_follow_the_links_on_event() -> None:
    """What a process emits goes where `on = "event"` leads, and only there."""
    graph = pipeline(Link("in", "a"), Link("a", "b"), Link("a", "c", on="event"), Link("c", "d"))
    assert (["a", "b"], ["c", "d"]) == (names(graph.plan(event())), names(graph.plan(event("a"))))


def test_plans_of_different_events_do_not_mix() -> None:
    """Each event is routed by its own fields. Catches: a plan remembered by trigger alone."""
    graph = pipeline(Link("in", "a", operations=["create"]), Link("in", "b", operations=["delete"]))
    found = [names(graph.plan(event(operation=operation))) for operation in ("create", "delete", "read", "create")]
    assert [["a"], ["b"], [], ["a"]] == found


def test_a_thousand_way_fan_out_is_planned() -> None:
    """The largest graph that is allowed works."""
    graph = pipeline(*(Link("in", f"p{number}") for number in range(999)))
    assert 999 == len(graph.plan(event()).steps)


@pytest.mark.parametrize(
    ("links", "path"),
    [
        ([Link("a", "a")], "a → a"),
        ([Link("in", "a"), Link("a", "b"), Link("b", "a")], None),
        ([Link("in", "a"), Link("a", "b"), Link("b", "c"), Link("c", "a", on="dead")], None),
        ([Link("in", "a"), Link("a", "a", on="event")], "a → a"),
    ],
)
def test_cycles_are_refused(links: list[Link], path: str | None) -> None:
    """The error names the path, in the direction of the links; derived events count too."""
    with pytest.raises(PipelineError) as caught:
        pipeline(*links)
    found = str(caught.value).removeprefix("the links form a cycle: ").split(" → ")
    assert path is None or path.split(" → ") == found
    assert found[0] == found[-1]
    assert {(link.source, link.target) for link in links} >= set(pairwise(found))


@pytest.mark.parametrize(
    ("links", "message"),
    [
        ([Link("nowhere", "a")], 'the link "nowhere" → "a" starts at a node that is not in the pipeline'),
        ([Link("in", "nowhere")], 'the link "in" → "nowhere" leads to a node that is not in the pipeline'),
        ([Link("a", "in")], 'the link "a" → "in" leads to a node that is an input; it must be a process'),
        ([Link("in", "a", on="dead")], 'the link "in" → "a" has on = "dead", which only a process can have'),
        ([Link("in", "a", on="event")], 'the link "in" → "a" has on = "event", which only a process can have'),
        ([Link("in", "a", where=_OUTPUT_OK)], 'the link "in" → "a" reads output, which an input does not have'),
    ],
)
def test_links_that_make_no_sense_are_refused(links: list[Link], message: str) -> None:
    """The error names the link and what is wrong with it."""
    with pytest.raises(PipelineError, match=re.escape(message)):
        Pipeline(inputs=["in"], processes={"a": ProcessOptions()}, links=links)


def test_every_problem_at_once() -> None:
    """All problems are told, not only the first."""
    with pytest.raises(PipelineError) as caught:
        Pipeline(inputs=["in", "IN"], processes={"a/b": ProcessOptions()}, links=[Link("in", "x"), Link("y", "a/b")])
    assert 4 == len(caught.value.problems)


def test_inputs_and_processes_share_one_name_space() -> None:
    """A name stands for one node."""
    with pytest.raises(DuplicateNameError, match='the name "a" is taken already'):
        Pipeline(inputs=["a"], processes={"a": ProcessOptions()})


@pytest.mark.parametrize(
    "name", ["", "A", "a b", "a.b", "a/b", "..", "a\0", "a\n", "-a", "é", "a" * 64, "\uff41"], ids=ascii
)
def test_names_are_refused(name: str) -> None:
    """Names are 1 to 63 of a-z, 0-9, _ and -, without a - in front."""
    with pytest.raises(PipelineError, match="is not 1 to 63 of a-z"):
        Pipeline(inputs=[name])


@pytest.mark.parametrize("name", ["a", "0", "_", "a-b", "a_b", "a" * 63])
def test_names_are_accepted(name: str) -> None:
    """Whatever the rule allows is a name; `a-b` and `a_b` are two."""
    assert {name} == Pipeline(inputs=[name]).inputs


def test_size_is_limited() -> None:
    """Ten thousand nodes are refused with a sentence."""
    with pytest.raises(PipelineError, match="10,000 nodes, over the limit of 1,000"):
        Pipeline(processes={f"p{number}": ProcessOptions() for number in range(10_000)})


def test_orphans() -> None:
    """Inputs that nothing hears and processes that nothing feeds."""
    graph = pipeline(Link("in", "a"), Link("b", "c"), inputs=("in", "silent"), lonely=ProcessOptions())
    assert ["b", "lonely", "silent"] == sorted(graph.orphans())


def test_unknown_on_is_refused() -> None:
    """The error lists what there is."""
    with pytest.raises(FilterError, match="expected one of success, dead, settled, event, found 'failure'"):
        Link("a", "b", on="failure")  # type: ignore[arg-type]


def test_a_changed_copy_is_validated_and_routes_anew() -> None:
    """Adding a link makes another pipeline. Catches: plans remembered across the copy."""
    before = pipeline(Link("in", "a"), b=ProcessOptions())
    before.plan(event())
    after = attrs.evolve(before, links=(*before.links, Link("in", "b")))
    assert (["a"], ["a", "b"]) == (names(before.plan(event())), sorted(names(after.plan(event()))))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout": timedelta()}, "timeout must be more than zero"),
        ({"timeout": timedelta(seconds=-1)}, "timeout must be more than zero"),
        ({"concurrency": 0}, "concurrency must be 1 or more, found 0"),
        ({"rate": 0.0}, "rate must be more than zero"),
        ({"rate": float("inf")}, "rate must be more than zero"),
        ({"rate": float("nan")}, "rate must be more than zero"),
        ({"ordered_by": "id"}, "ordered_by must be one of (None, 'key'), found 'id'"),
        ({"on_dead": "stop"}, "on_dead must be one of ('skip', 'hold'), found 'stop'"),
        ({"join": "first"}, "join must be one of ('all', 'any'), found 'first'"),
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    """The error names the option and what it may be."""
    with pytest.raises(PipelineError, match=re.escape(message)):
        ProcessOptions(**options)


def test_defaults_of_options() -> None:
    """An hour, five attempts, no limits, no order, all upstream processes."""
    options = ProcessOptions()
    found = (
        options.timeout,
        options.retry.attempts,
        options.concurrency,
        options.rate,
        options.ordered_by,
        options.join,
    )
    assert (timedelta(hours=1), 5, None, None, None, "all") == found
