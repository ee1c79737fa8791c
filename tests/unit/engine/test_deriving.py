"""Events that a process emits: accepted with its success, and followed like any other."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import pytest

from orchestrator_core import (
    AttemptContext,
    DeliveryState,
    Event,
    EventsAccepted,
    EventTooLargeError,
    MemoryJournal,
    Operation,
    Orchestrator,
    Process,
    Reconciliation,
    RetryPolicy,
)
from orchestrator_core._attempt import DERIVED_LIMIT
from orchestrator_core._event import HOP_LIMIT
from orchestrator_core.testing import Gate, RecordingProcess, ScriptedInput, ScriptedProcess, SimulatedClock
from tests.unit.engine.pipelines import Notices, at_work, event, finish, finish_simulated, only, single, states

pytestmark = pytest.mark.anyio

TWICE: dict[str, Any] = {"retry": RetryPolicy(attempts=2, initial=timedelta(milliseconds=1))}


def _followed(first: Process, *, options: dict[str, Any] | None = None, **settings: Any) -> tuple[Any, Any]:
    """Make a pipeline whose second process hears what the first one emits."""
    second = RecordingProcess()
    orchestrator = single(first, options=options, **settings)
    orchestrator.add_process("second", second)
    orchestrator.add_link("work", "second", on="event")
    return orchestrator, second


async def _emit_two(event: Event, context: AttemptContext) -> None:
    for id_ in ("a", "b"):
        context.emit(event.derive(id=id_, operation="update", data={"of": event.id}))


async def test_each_event_is_followed() -> None:
    """The link `on = "event"` brings each of them. Catches: only the outcome followed, or only the last event."""
    orchestrator, second = _followed(ScriptedProcess([_emit_two]))
    summary = await finish(orchestrator)
    assert [("a", {"of": "1"}), ("b", {"of": "1"})] == [(run.event.id, run.event.data) for run in second.runs]
    assert 3 == summary.accepted


async def test_it_is_stamped_as_the_processes() -> None:
    """The trigger is the process, and it counts a hop. Catches: an event that seems to come from the input."""
    orchestrator, second = _followed(ScriptedProcess([_emit_two]))
    await finish(orchestrator)
    assert [("work", 1)] * 2 == [(run.event.trigger, run.event.hops) for run in second.runs]


async def test_an_event_made_by_hand_counts_a_hop_too() -> None:
    """Who does not use `derive` can't hide a loop. Catches: hops trusted as they come."""

    async def play(event: Event, context: AttemptContext) -> None:
        context.emit(Event(location="elsewhere", operation="create", id="new"))

    orchestrator, second = _followed(ScriptedProcess([play]))
    await finish(orchestrator)
    assert [1] == [run.event.hops for run in second.runs]


async def test_links_by_success_do_not_bring_it() -> None:
    """The process behind the success runs once, for the event that came. Catches: derived events on every link."""
    orchestrator, second = _followed(ScriptedProcess([_emit_two]))
    after = RecordingProcess()
    orchestrator.add_process("after", after)
    orchestrator.add_link("work", "after")
    await finish(orchestrator)
    assert (["1"], 2) == ([run.event.id for run in after.runs], len(second.runs))


async def test_filters_apply() -> None:
    """A link of derived events filters like any. Catches: filters read for inputs only."""
    orchestrator = single(ScriptedProcess([_emit_two]))
    process = RecordingProcess()
    orchestrator.add_process("second", process)
    orchestrator.add_link("work", "second", on="event", operations={Operation.DELETE})
    summary = await finish(orchestrator)
    assert ([], 2) == (process.runs, summary.unrouted)


async def test_a_failed_attempt_emits_nothing() -> None:
    """What it emitted goes with its failure; the retry's events are accepted once. Catches: accepted as emitted."""

    async def play(event: Event, context: AttemptContext) -> None:
        context.emit(event.derive(id=f"by attempt {context.attempt}"))
        if context.attempt == 1:
            raise OSError("no route")

    orchestrator, second = _followed(ScriptedProcess([play]), options=TWICE)
    await finish(orchestrator)
    assert ["by attempt 2"] == [run.event.id for run in second.runs]


async def test_a_cut_off_attempt_emits_nothing() -> None:
    """Catches: events of an attempt whose effect is not known."""
    journal = MemoryJournal()

    async def play(event: Event, context: AttemptContext) -> None:
        context.emit(event.derive(id="half"))
        await anyio.sleep_forever()

    async with at_work(ScriptedProcess([play]), journal=journal):
        pass
    assert 1 == (await journal.counts()).events


async def test_what_reconcile_emits_counts() -> None:
    """An adopted attempt brings its events. Catches: a context that nobody reads."""
    journal = MemoryJournal()

    class Adopts(RecordingProcess):
        async def reconcile(self, event: Event, context: AttemptContext) -> Reconciliation:
            context.emit(event.derive(id="late"))
            return Reconciliation.SUCCEEDED

    async with at_work(ScriptedProcess([Gate()]), journal=journal):
        pass
    orchestrator, second = _followed(Adopts(), source=ScriptedInput([]), journal=journal)
    await finish(orchestrator)
    assert ["late"] == [run.event.id for run in second.runs]


async def test_a_uid_of_its_own_is_accepted_once() -> None:
    """Two events that derive the same fact with one uid make one. Catches: identity forgotten for derived events."""

    async def play(event: Event, context: AttemptContext) -> None:
        context.emit(event.derive(id="sum", uid="the day's sum"))

    orchestrator, second = _followed(ScriptedProcess([play]), source=[event("1"), event("2")])
    await finish(orchestrator)
    assert ["sum"] == [run.event.id for run in second.runs]


async def test_the_journal_knows_where_it_came_from() -> None:
    """`derived` leads from the cause to its events. Catches: a tree that can't be read back."""
    journal = MemoryJournal()
    orchestrator, _ = _followed(ScriptedProcess([_emit_two]), journal=journal)
    await finish(orchestrator)
    (cause,) = await journal.events(trigger="in")
    assert ["a", "b"] == [record.event.id for record in await journal.derived(cause.event.uid)]


async def test_the_trace_goes_on() -> None:
    """Catches: a trace that ends at the first process."""
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    orchestrator, second = _followed(ScriptedProcess([_emit_two]), source=[event("1", traceparent=trace)])
    await finish(orchestrator)
    assert {trace} == {run.event.traceparent for run in second.runs}


async def test_one_too_large_fails_the_attempt() -> None:
    """The process is told, and nothing else of it is accepted. Catches: an error after the outcome."""
    journal = MemoryJournal()

    async def play(event: Event, context: AttemptContext) -> None:
        context.emit(event.derive(id="small"))
        context.emit(event.derive(id="large", data="x" * 2_000))

    options = {"retry": RetryPolicy(attempts=1)}
    orchestrator = single(ScriptedProcess([play]), journal=journal, options=options, max_event_bytes=1_000)
    await finish(orchestrator)
    delivery = await only(journal)
    assert (DeliveryState.DEAD, True) == (delivery.state, EventTooLargeError.__name__ in str(delivery.reason))
    assert 1 == (await journal.counts()).events


async def test_as_many_as_the_limit() -> None:
    """The limit itself is allowed. Catches: off by one."""
    journal = MemoryJournal()

    async def play(event: Event, context: AttemptContext) -> None:
        for number in range(DERIVED_LIMIT):
            context.emit(event.derive(id=str(number)))

    await finish(single(ScriptedProcess([play]), journal=journal))
    assert DERIVED_LIMIT + 1 == (await journal.counts()).events


async def test_hops_are_counted_over_tables() -> None:
    """A loop through an input ends too, if the input keeps the hops. Catches: a limit for links alone."""
    journal, clock = MemoryJournal(), SimulatedClock()
    rows: list[Event] = []

    class Table:
        async def run(self, context: Any) -> None:
            context.ready()
            while True:
                while rows:
                    await context.emit(rows.pop())
                context.caught_up()
                await context.sleep(60)

    async def write(event: Event, context: AttemptContext) -> None:
        rows.append(event.derive())

    orchestrator = Orchestrator(journal=journal, clock=clock)
    orchestrator.add_input("table", Table())
    orchestrator.add_process("work", ScriptedProcess([write]))
    orchestrator.add_link("table", "work")
    async with orchestrator:
        await orchestrator.emit(event("1", trigger="table"))
        await finish_simulated(orchestrator, clock)
    assert HOP_LIMIT + 1 == (await journal.counts()).events


async def test_they_are_announced() -> None:
    """Observers hear of derived events, under the process that emitted them. Catches: accepted in silence."""
    notices = Notices()
    orchestrator, _ = _followed(ScriptedProcess([_emit_two]), observers=[notices])
    await finish(orchestrator)
    told = [(notice.trigger, [each.id for each in notice.events]) for notice in notices.of(EventsAccepted)]
    assert [("in", ["1"]), ("work", ["a", "b"])] == told


async def test_a_fan_out_of_derived_events_keeps_the_limits() -> None:
    """A thousand children run no more at once than allowed, and all are done. Catches: a flood in memory."""
    journal = MemoryJournal()

    async def play(event: Event, context: AttemptContext) -> None:
        for number in range(1_000):
            context.emit(event.derive(id=str(number)))

    orchestrator, second = _followed(ScriptedProcess([play]), journal=journal, concurrency=4)
    await finish(orchestrator)
    assert {"work": [DeliveryState.DONE], "second": [DeliveryState.DONE] * 1_000} == await states(journal)
    assert second.most <= 4
