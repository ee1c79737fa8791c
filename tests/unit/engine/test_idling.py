"""Run until idle: it ends when nothing is left to do, and not a moment before."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import attrs
import pytest
from anyio import wait_all_tasks_blocked

from orchestrator_core import (
    AttemptContext,
    DeliveryState,
    Event,
    InputContext,
    Journal,
    MemoryJournal,
    Orchestrator,
    Reject,
    RetryPolicy,
    SqliteJournal,
)
from orchestrator_core._summary import ProcessSummary
from orchestrator_core.testing import Gate, RecordingProcess, ScriptedInput, ScriptedProcess, SimulatedClock
from tests.unit.engine.pipelines import (
    PATIENCE,
    Running,
    deliveries,
    event,
    events,
    finish,
    finish_simulated,
    single,
    states,
)

pytestmark = pytest.mark.anyio


async def test_an_ended_pipeline_ends() -> None:
    """With inputs that have ended and everything done, the run returns its counts. Catches: a run without end."""
    orchestrator = single(ScriptedProcess([None]), events(3))
    orchestrator.add_input("unheard", ScriptedInput([event("1")]))
    summary = await finish(orchestrator)
    assert (4, 1, 3, 0) == (summary.accepted, summary.unrouted, summary.done, summary.dead)
    assert {"work": ProcessSummary(done=3)} == summary.processes


async def test_dead_letters_are_nothing_to_wait_for() -> None:
    """Catches: a run that waits for a dead letter."""
    summary = await finish(single(ScriptedProcess([Reject("no")]), events(3)))
    assert (0, 3) == (summary.done, summary.dead)


async def test_retries_are_waited_for() -> None:
    """What is due in a minute is unfinished. Catches: only what is due now counted."""
    clock = SimulatedClock()
    retry = RetryPolicy(attempts=2, initial=timedelta(minutes=1))
    process = ScriptedProcess([OSError("no route"), None])
    async with single(process, clock=clock, options={"retry": retry}) as orchestrator:
        began = clock.monotonic()
        summary = await finish_simulated(orchestrator, clock)
    assert (1, True) == (summary.done, clock.monotonic() - began >= 60)


async def test_running_attempts_are_waited_for() -> None:
    """Catches: an end while a job is at work."""
    gate, run = Gate(), Running()
    process = ScriptedProcess([gate])
    async with single(process) as orchestrator:
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: run.of(orchestrator, until_idle=True))
                await wait_all_tasks_blocked()
                assert run.summary is None
                gate.open()
    assert run.summary is not None


@attrs.define
class Table:
    """A table that an input watches and a process writes into; a look takes a moment, in which rows may come."""

    rows: list[Event] = attrs.field(factory=list)
    taken: int = 0
    looks: int = 0
    pause: Gate | None = None

    async def run(self, context: InputContext) -> None:
        context.ready()
        while True:
            self.looks += 1
            found = self.rows[self.taken :]
            if self.pause is not None:
                await self.pause()
            if found:
                await context.emit_many(found)
                self.taken += len(found)
            else:
                context.caught_up()
                await context.sleep(3_600)


def _watched(table: Table, first: Any, **settings: Any) -> tuple[Orchestrator, RecordingProcess]:
    """Make a pipeline whose first process feeds the table that the second one's input watches."""
    second = RecordingProcess()
    orchestrator = single(first, **settings)
    orchestrator.add_input("table", table)
    orchestrator.add_process("second", second)
    orchestrator.add_link("table", "second")
    return orchestrator, second


async def test_a_row_that_a_process_has_just_written_is_still_seen() -> None:
    """The watched source is looked at again after the write. Catches: an input asked once whether it is empty."""
    table = Table()

    async def write(event: Event, context: AttemptContext) -> None:
        table.rows.append(event)

    orchestrator, second = _watched(table, ScriptedProcess([write]))
    await finish(orchestrator)
    assert ["1"] == [run.event.id for run in second.runs]


async def test_a_look_that_was_under_way_does_not_count() -> None:
    """A look that began before the write may have missed it, however late it ends. Catches: counting when it ended."""
    table, written = Table(pause=Gate()), Gate()

    async def write(event: Event, context: AttemptContext) -> None:
        table.rows.append(event)
        written.open()

    orchestrator, second = _watched(table, ScriptedProcess([write]))
    with anyio.fail_after(PATIENCE):
        async with orchestrator, anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: orchestrator.run(until_idle=True))
            await written()
            await wait_all_tasks_blocked()  # the outcome is in the journal; the look has still not ended
            assert table.pause is not None
            table.pause.open()
    assert ["1"] == [run.event.id for run in second.runs]


async def test_a_chain_through_a_table_runs_to_its_end() -> None:
    """Rows that lead to rows are all seen, in no more looks than there are steps and one. Catches: polling by time."""
    table = Table()

    async def write(event: Event, context: AttemptContext) -> None:
        if int(event.id) < 5:
            table.rows.append(event_after(event))

    def event_after(before: Event) -> Event:
        return event(str(int(before.id) + 1))

    orchestrator = single(ScriptedProcess([write]))
    orchestrator.add_input("table", table)
    orchestrator.add_link("table", "work")
    summary = await finish(orchestrator)
    assert (5, 5) == (summary.done, summary.accepted)


async def test_an_input_that_does_not_say_so_is_not_idle() -> None:
    """An endless source that never says `caught_up` keeps the run going. Catches: silence taken for an end."""

    class Silent:
        async def run(self, context: InputContext) -> None:
            context.ready()
            await anyio.sleep_forever()

    run, clock = Running(), SimulatedClock()
    orchestrator = single(RecordingProcess(), clock=clock)
    orchestrator.add_input("silent", Silent())
    with anyio.fail_after(PATIENCE):
        async with orchestrator, anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: run.of(orchestrator, until_idle=True))
            await clock.advance(60)
            assert run.summary is None
            orchestrator.stop()


async def test_a_failing_input_is_not_idle() -> None:
    """One that is to be started again may have more. Catches: a failed source taken for an ended one."""
    clock, process = SimulatedClock(), RecordingProcess()
    source = ScriptedInput([OSError("away"), OSError("away"), event("1")])
    async with single(process, source, clock=clock) as orchestrator:
        await finish_simulated(orchestrator, clock)
    assert 1 == len(process.runs)


async def test_a_backlog_from_before_is_worked_off() -> None:
    """Catches: a run that looks only at what comes in."""
    journal, process = MemoryJournal(), RecordingProcess()
    async with single(process, ScriptedInput([]), journal=journal, concurrency=3) as orchestrator:
        for each in events(50, trigger="in"):
            await orchestrator.emit(each)
        with anyio.fail_after(PATIENCE):
            summary = await orchestrator.run(until_idle=True)
    assert (50, 50) == (summary.done, len(process.runs))


@pytest.fixture(params=["memory", "sqlite"])
def journal(request: pytest.FixtureRequest, tmp_path: Any) -> Journal:
    """Give each of the core's journals."""
    return MemoryJournal() if request.param == "memory" else SqliteJournal(tmp_path / "journal.db")


async def test_what_waits_behind_a_parked_delivery_is_nothing_to_wait_for(journal: Journal) -> None:
    """A chain whose first process is gone does not hold up the end. Catches: waiting deliveries that count for ever."""
    orchestrator = single(RecordingProcess(), ScriptedInput([]), journal=journal)
    orchestrator.add_process("last", RecordingProcess())
    orchestrator.add_link("work", "last")
    async with orchestrator:
        await orchestrator.emit(event("1", trigger="in"))
        orchestrator.remove_process("work")
        orchestrator.add_link("in", "last")
        with anyio.fail_after(PATIENCE):
            summary = await orchestrator.run(until_idle=True)
        found = await states(journal)
    assert {"work": [DeliveryState.PARKED], "last": [DeliveryState.WAITING]} == found
    assert 1 == summary.parked


async def test_what_a_dead_letter_holds_back_is_nothing_to_wait_for(journal: Journal) -> None:
    """A key that is held back until somebody redrives holds up no end. Catches: a run that waits for people."""
    options = {"ordered_by": "key", "on_dead": "hold"}
    process = ScriptedProcess([_reject_the_first])
    orchestrator = single(process, events(3, key="k"), journal=journal, options=options)
    with anyio.fail_after(PATIENCE):
        async with orchestrator:
            await orchestrator.run(until_idle=True)
            found = [each.state for each in await deliveries(journal)]
    assert [DeliveryState.DEAD, DeliveryState.READY, DeliveryState.READY] == found


async def _reject_the_first(event: Event, context: AttemptContext) -> None:
    if event.id == "0":
        raise Reject("no")
