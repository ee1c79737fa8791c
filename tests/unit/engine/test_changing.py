"""A pipeline that changes while it runs: nodes come and go, and what is in flight finishes under the plan it has."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Self

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from orchestrator_core import (
    AttemptContext,
    DeliveryState,
    DuplicateNameError,
    Event,
    InputContext,
    MemoryJournal,
    Orchestrator,
    PipelineError,
    RetryPolicy,
)
from orchestrator_core.testing import Gate, RecordingProcess, ScriptedInput, ScriptedProcess, SimulatedClock
from tests.unit.engine.journals import Hold, meddled
from tests.unit.engine.pipelines import (
    PATIENCE,
    Running,
    at_work,
    event,
    events,
    finish,
    only,
    running,
    single,
    states,
    until_run,
    until_running,
)

pytestmark = pytest.mark.anyio

SOON: dict[str, Any] = {"retry": RetryPolicy(attempts=3, initial=timedelta(seconds=1))}


async def test_an_input_added_while_running_starts() -> None:
    """Catches: inputs started at the begin of a run only."""
    process = RecordingProcess()
    async with at_work(process, ScriptedInput([])) as orchestrator:
        orchestrator.add_input("late", ScriptedInput([event("7")]))
        orchestrator.add_link("late", "work")
        await until_run(process, 1)
    assert ["late"] == [run.event.trigger for run in process.runs]


async def test_an_input_removed_while_running_has_let_go() -> None:
    """`remove_input` returns once its `run` is over. Catches: a source that is read on."""

    class Listening:
        over = False

        async def run(self, context: InputContext) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                self.over = True

    source = Listening()
    async with at_work(RecordingProcess(), source) as orchestrator:
        await orchestrator.remove_input("in")
        assert source.over
        assert "in" not in orchestrator.pipeline.inputs


async def test_an_input_removed_while_its_events_are_accepted() -> None:
    """What the journal has accepted runs. Catches: deliveries handed to a task that was cancelled."""
    hold, process, journal = Hold("append"), RecordingProcess(), MemoryJournal()
    hold.engage()
    async with (
        at_work(process, events(3), journal=meddled(journal, before=hold)) as orchestrator,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(orchestrator.remove_input, "in")
        await wait_all_tasks_blocked()
        hold.release()
        await wait_all_tasks_blocked()
        accepted = (await journal.counts()).events
        assert accepted == len(process.runs)


async def test_a_process_added_while_running_gets_events() -> None:
    """Catches: processes taken up at the begin of a run only."""
    late = RecordingProcess()
    async with at_work(RecordingProcess(), ScriptedInput([])) as orchestrator:
        orchestrator.add_process("late", late)
        orchestrator.add_link("in", "late")
        await orchestrator.emit(event("1", trigger="in"))
        await until_run(late, 1)


async def test_what_has_begun_finishes_under_the_plan_it_has() -> None:
    """A link that is removed still leads on the events accepted before. Catches: plans looked up at each step."""
    gate, second = Gate(), RecordingProcess()
    first = ScriptedProcess([gate])
    orchestrator = single(first)
    orchestrator.add_process("second", second)
    orchestrator.add_link("work", "second")
    async with orchestrator, running(orchestrator):
        await until_running(first)
        orchestrator.remove_link("work", "second")
        gate.open()
        await until_run(second, 1)
        await orchestrator.emit(event("2", trigger="in"))
        await until_run(first, 2)
        await wait_all_tasks_blocked()
    assert ["1"] == [run.event.id for run in second.runs]


async def test_a_removed_process_finishes_what_has_begun() -> None:
    """What runs runs on, what waits is parked. Catches: removal that cancels, or that loses its queue."""
    gate, journal = Gate(), MemoryJournal()
    process = ScriptedProcess([gate])
    options = {"concurrency": 1}
    async with at_work(process, events(3), journal=journal, options=options) as orchestrator:
        await until_running(process)
        orchestrator.remove_process("work")
        await wait_all_tasks_blocked()
        before = await states(journal)
        gate.open()
        await wait_all_tasks_blocked()
        after = await states(journal)
    assert [DeliveryState.RUNNING, DeliveryState.PARKED, DeliveryState.PARKED] == before["work"]
    assert [DeliveryState.DONE, DeliveryState.PARKED, DeliveryState.PARKED] == after["work"]


async def test_a_parked_delivery_says_why() -> None:
    """Catches: deliveries that wait without anybody seeing what for."""
    journal = MemoryJournal()
    async with single(RecordingProcess(), ScriptedInput([]), journal=journal) as orchestrator:
        await orchestrator.emit(event("1", trigger="in"))
        orchestrator.remove_process("work")
        await orchestrator.run(until_idle=True)
    assert 'input "in" has a delivery for process "work", which is not in the pipeline' == (await only(journal)).reason


async def test_parked_deliveries_go_on_when_the_process_is_back() -> None:
    """Catches: parked for ever."""
    journal, back = MemoryJournal(), RecordingProcess()
    async with single(RecordingProcess(), ScriptedInput([]), journal=journal) as orchestrator:
        await orchestrator.emit(event("1", trigger="in"))
        orchestrator.remove_process("work")
        async with running(orchestrator):
            await wait_all_tasks_blocked()
            assert DeliveryState.PARKED == (await only(journal)).state
            orchestrator.add_process("work", back)
            await until_run(back, 1)


async def test_a_process_removed_right_after_it_was_added() -> None:
    """Catches: a removal that trips over a process whose component is just being entered."""
    gate = Gate()

    class Slow(RecordingProcess):
        async def __aenter__(self) -> Self:
            await gate()
            return await super().__aenter__()

    slow = Slow()
    async with at_work(RecordingProcess(), ScriptedInput([])) as orchestrator:
        orchestrator.add_process("slow", slow)
        await wait_all_tasks_blocked()
        orchestrator.remove_process("slow")
        await wait_all_tasks_blocked()
        gate.open()
        await wait_all_tasks_blocked()
        assert (1, 1) == (slow.entered, slow.left)


@pytest.mark.parametrize("call", ["register", "reap", "park"])
async def test_a_pipeline_that_changes_while_the_run_begins(call: str) -> None:
    """Nodes that come and go before everything has started are there, once, or gone. Catches: two owners of a node."""
    hold, first, second = Hold(call), RecordingProcess(), RecordingProcess()
    hold.engage()
    orchestrator = single(first, ScriptedInput([]), journal=meddled(before=hold))
    orchestrator.add_input("gone", ScriptedInput([event("9")]))
    orchestrator.add_link("gone", "work")
    async with orchestrator:
        run = Running()
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: run.of(orchestrator, until_idle=True))
                await wait_all_tasks_blocked()
                orchestrator.remove_process("work")
                orchestrator.add_process("new", second)
                tasks.start_soon(orchestrator.remove_input, "gone")
                orchestrator.add_input("late", ScriptedInput([event("7")]))
                orchestrator.add_link("late", "new")
                await wait_all_tasks_blocked()
                hold.release()
    assert (["7"], 1, 1) == ([each.event.id for each in second.runs], second.entered, second.left)
    assert [] == first.runs


async def test_a_replaced_process_retries_what_its_predecessor_began() -> None:
    """A failure of the old component is tried again by the new one. Catches: a retry noted where nobody looks."""
    gate, clock, journal = Gate(), SimulatedClock(), MemoryJournal()

    async def fail(event: Event, context: AttemptContext) -> None:
        await gate()
        raise OSError("old")

    old, new = ScriptedProcess([fail]), RecordingProcess()
    async with at_work(old, journal=journal, clock=clock, options=SOON) as orchestrator:
        await until_running(old)
        orchestrator.remove_process("work")
        orchestrator.add_process("work", new, **SOON)
        orchestrator.add_link("in", "work")
        await clock.advance(1)
        gate.open()
        await clock.advance(5)
    assert ([1], [2]) == ([run.attempt for run in old.runs], [run.attempt for run in new.runs])


async def test_a_replaced_process_runs_what_its_predecessor_had_not_begun() -> None:
    """Deliveries handed over while it was replaced are not forgotten. Catches: handed back to nobody."""
    hold, old, new = Hold("append"), RecordingProcess(), RecordingProcess()
    async with (
        at_work(old, [event("1")], journal=meddled(before=hold)) as orchestrator,
        anyio.create_task_group() as tasks,
    ):
        await until_run(old, 1)
        hold.engage()
        tasks.start_soon(_emit, orchestrator, event("2", trigger="in"))
        await wait_all_tasks_blocked()
        orchestrator.remove_process("work")
        orchestrator.add_process("work", new)
        orchestrator.add_link("in", "work")
        await wait_all_tasks_blocked()
        hold.release()
        await until_run(new, 1)
    assert ["2"] == [run.event.id for run in new.runs]


async def _emit(orchestrator: Orchestrator, event: Event) -> None:
    await orchestrator.emit(event)


async def test_the_limit_holds_while_a_process_is_replaced() -> None:
    """Old and new runs together are no more than one process may have. Catches: a fresh limit for each object."""
    gate = Gate()
    process = ScriptedProcess([gate])
    options = {"concurrency": 2}
    async with at_work(process, events(6), options=options) as orchestrator:
        await until_running(process, 2)
        orchestrator.remove_process("work")
        orchestrator.add_process("work", process, concurrency=2)
        await wait_all_tasks_blocked()
        assert 2 == process.most
        gate.open()
        await until_run(process, 6)
    assert 2 == process.most


async def test_names_are_taken_once_while_running_too() -> None:
    """A second node of a name is refused, and the first works on. Catches: overwriting before refusing."""
    process = RecordingProcess()
    async with at_work(process, ScriptedInput([])) as orchestrator:
        for name in ("in", "work"):
            with pytest.raises(DuplicateNameError):
                orchestrator.add_process(name, RecordingProcess())
            with pytest.raises(DuplicateNameError):
                orchestrator.add_input(name, ScriptedInput([]))
        await orchestrator.emit(event("1", trigger="in"))
        await until_run(process, 1)


async def test_a_run_needs_links_to_its_processes() -> None:
    """A process without a link is refused before anything runs. Catches: a job that silently never runs."""
    orchestrator = single(RecordingProcess())
    orchestrator.add_process("alone", RecordingProcess())
    with pytest.raises(PipelineError, match='no link leads to the process "alone"'):
        await finish(orchestrator)
