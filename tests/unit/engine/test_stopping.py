"""Ends of a run: the first stop drains, the second stops now, and a cancellation from outside loses nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from orchestrator_core import (
    AttemptContext,
    DeliverySettled,
    DeliveryState,
    Event,
    InputContext,
    MemoryJournal,
    Orchestrator,
    RetryPolicy,
)
from orchestrator_core.testing import Gate, RecordingProcess, ScriptedInput, ScriptedProcess, SimulatedClock
from tests.unit.engine.journals import Hold, meddled
from tests.unit.engine.pipelines import (
    PATIENCE,
    Notices,
    Running,
    at_work,
    deliveries,
    event,
    events,
    history,
    only,
    single,
    states,
    until_run,
    until_running,
)

pytestmark = pytest.mark.anyio

GRACE = timedelta(seconds=30)


class Endless:
    """An input that goes on emitting until it is stopped, and says so."""

    def __init__(self) -> None:
        self.stopped = False

    async def run(self, context: InputContext) -> None:
        context.ready()
        try:
            await context.emit(event("1"))
            await anyio.sleep_forever()
        finally:
            self.stopped = True


async def _hang(event: Event, context: AttemptContext) -> None:
    context.log("begun")
    await anyio.sleep_forever()


async def test_a_stop_lets_running_attempts_finish() -> None:
    """What runs is done and recorded, what has not begun stays. Catches: a stop that cancels."""
    gate, source, run = Gate(), Endless(), Running()
    process = ScriptedProcess([gate])
    journal = MemoryJournal()
    async with single(process, source, journal=journal, options={"concurrency": 1}) as orchestrator:
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run.of, orchestrator)
                await until_running(process)
                await orchestrator.emit(event("2", trigger="in"))
                orchestrator.stop()
                await wait_all_tasks_blocked()
                assert (True, None) == (source.stopped, run.summary)
                gate.open()
    assert {"work": [DeliveryState.DONE, DeliveryState.READY]} == await states(journal)
    assert run.summary is not None
    assert (1, ["1"]) == (run.summary.done, [each.event.id for each in process.runs])


async def test_retries_are_left_to_the_next_run() -> None:
    """A stop does not wait for what is due later. Catches: a drain that ends when nothing is left."""
    journal, clock, run = MemoryJournal(), SimulatedClock(), Running()
    options = {"retry": RetryPolicy(initial=timedelta(hours=1), max=timedelta(hours=1))}
    process = ScriptedProcess([OSError("no route")])
    async with single(process, journal=journal, clock=clock, options=options) as orchestrator:
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run.of, orchestrator)
                await clock.advance(1)
                orchestrator.stop()
    assert DeliveryState.READY == (await only(journal)).state


async def test_the_grace_ends() -> None:
    """After the grace what still runs is cut off, as interrupted and not as failed. Catches: a drain without end."""
    journal, clock, run = MemoryJournal(), SimulatedClock(), Running()
    process = ScriptedProcess([_hang])
    async with single(process, journal=journal, clock=clock, grace=GRACE) as orchestrator:
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run.of, orchestrator)
                await clock.advance(1)
                orchestrator.stop()
                await clock.advance(29)
                before = (process.running, run.summary)
                await clock.advance(2)
    assert ((1, None), 0) == (before, process.running)
    delivery = await only(journal)
    found = (delivery.state, delivery.failures, delivery.interruptions, delivery.interrupted)
    assert (DeliveryState.READY, 0, 1, True) == found


async def test_what_the_cut_off_attempt_logged_is_kept() -> None:
    """Catches: logs dropped with an interruption."""
    journal = MemoryJournal()
    async with at_work(ScriptedProcess([_hang]), journal=journal):
        pass
    assert [("begun",)] == [attempt.logs for attempt in await history(journal)]


async def test_a_cancellation_beside_a_look_keeps_what_was_logged() -> None:
    """Lines on their way to a journal that is not asked any more come with the interruption. Catches: lines dropped."""
    hold, journal, clock = Hold("log"), MemoryJournal(), SimulatedClock()
    hold.engage()
    async with at_work(ScriptedProcess([_hang]), journal=meddled(journal, before=hold), clock=clock):
        await clock.advance(1)
        assert 1 == hold.waiting
        hold.forget()
    assert [("begun",)] == [attempt.logs for attempt in await history(journal)]


async def test_a_second_stop_stops_now() -> None:
    """It cuts off what runs, which counts as interrupted, and the run still returns. Catches: grace kept to."""
    journal, run = MemoryJournal(), Running()
    process = ScriptedProcess([_hang])
    async with single(process, Endless(), journal=journal, grace=GRACE) as orchestrator:
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run.of, orchestrator)
                await until_running(process)
                orchestrator.stop()
                await wait_all_tasks_blocked()
                orchestrator.stop()
    delivery = await only(journal)
    assert (DeliveryState.READY, True) == (delivery.state, delivery.interrupted)
    assert run.summary is not None


async def test_cancellation_settles_what_it_cut_off() -> None:
    """Cancelled from outside, a run still hands its deliveries back. Catches: rows left running for a dead worker."""
    journal = MemoryJournal()
    process = ScriptedProcess([_hang])
    async with at_work(process, events(5), journal=journal, concurrency=2):
        assert 2 == process.running
    found = [(each.state, each.interrupted) for each in await deliveries(journal)]
    assert [(DeliveryState.READY, True)] * 2 + [(DeliveryState.READY, False)] * 3 == found


async def test_cancellation_settles_what_was_on_its_way() -> None:
    """A success that the journal had not confirmed yet is kept. Catches: outcomes dropped with the bookkeeper."""
    hold, journal = Hold("settle"), MemoryJournal()
    hold.engage()
    process = RecordingProcess()
    async with at_work(process, journal=meddled(journal, before=hold)):
        assert (1, 1) == (len(process.runs), hold.waiting)
        hold.forget()
    assert DeliveryState.DONE == (await only(journal)).state


class _Angry(RecordingProcess):
    """Answers its cancellation with an exception of its own."""

    async def play(self, event: Event, context: AttemptContext) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise OSError("connection lost while closing")


async def test_an_exception_that_answers_the_stop_is_an_interruption() -> None:
    """Whoever is cut off has not failed. Catches: a dead letter made by a restart."""
    journal = MemoryJournal()
    options = {"retry": RetryPolicy(attempts=1)}
    async with at_work(_Angry(), journal=journal, options=options):
        pass
    delivery = await only(journal)
    found = (delivery.state, delivery.failures, delivery.interruptions)
    assert (DeliveryState.READY, 0, 1) == found


async def test_the_next_run_goes_on() -> None:
    """What was interrupted runs again, first of all. Catches: deliveries that stay with the worker of the last run."""
    journal = MemoryJournal()
    async with at_work(ScriptedProcess([_hang]), events(3), journal=journal):
        pass
    process = RecordingProcess()
    with anyio.fail_after(PATIENCE):
        async with single(process, ScriptedInput([]), journal=journal) as orchestrator:
            await orchestrator.run(until_idle=True)
    assert [("0", 2), ("1", 2), ("2", 2)] == [(run.event.id, run.attempt) for run in process.runs]


async def test_interruptions_have_a_limit() -> None:
    """A delivery that takes its process down each time ends as a dead letter. Catches: a crash loop without end."""
    journal = MemoryJournal()
    options: dict[str, Any] = {"retry": RetryPolicy(interruptions=3, initial=timedelta(microseconds=1))}
    for source in ([event()], (), ()):
        process = ScriptedProcess([_hang])
        inputs = ScriptedInput([list(source)])
        async with at_work(process, inputs, journal=journal, options=options):
            await until_running(process)
    delivery = await only(journal)
    assert (DeliveryState.DEAD, 3, 0) == (delivery.state, delivery.interruptions, delivery.failures)


async def test_a_stop_while_the_run_begins() -> None:
    """It ends the run as soon as that is possible. Catches: a stop that is lost while the parts start."""
    hold, run = Hold("register"), Running()
    hold.engage()
    async with single(RecordingProcess(), Endless(), journal=meddled(before=hold)) as orchestrator:
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run.of, orchestrator)
                await wait_all_tasks_blocked()
                orchestrator.stop()
                hold.release()
    assert run.summary is not None


async def test_stop_without_a_run_does_nothing() -> None:
    """Catches: a stop that is remembered for the next run."""
    process = RecordingProcess()
    async with single(process) as orchestrator:
        orchestrator.stop()
        with anyio.fail_after(PATIENCE):
            await orchestrator.run(until_idle=True)
    assert 1 == len(process.runs)


async def test_a_drain_waits_for_an_emit_under_way() -> None:
    """An event that is being accepted during a drain is accepted, handed back, and the run ends.

    Catches: a drain that waits for news which only a settle would bring.
    """
    hold, journal, run = Hold("append"), MemoryJournal(), Running()
    again = event("1", uid="same")
    async with single(RecordingProcess(), [again], journal=meddled(journal, before=hold)) as orchestrator:
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run.of, orchestrator)
                await wait_all_tasks_blocked()
                hold.engage()
                tasks.start_soon(_emit, orchestrator, event("1", uid="same", trigger="in"))
                await wait_all_tasks_blocked()
                orchestrator.stop()
                await wait_all_tasks_blocked()
                hold.release()
    assert run.summary is not None
    assert DeliveryState.DONE == (await only(journal)).state


async def _emit(orchestrator: Orchestrator, event: Event) -> None:
    await orchestrator.emit(event)


async def _run_within(scope: anyio.CancelScope, orchestrator: Orchestrator) -> None:
    with scope:
        await orchestrator.run()


async def test_a_cancellation_hands_back_what_an_emit_brings() -> None:
    """An append that is committed while the run ends brings a delivery, which is left ready for the next run.

    Catches: deliveries that come behind the last settle, and stay running for a worker that is gone.
    """
    hold, journal, scope = Hold("append"), MemoryJournal(), anyio.CancelScope()

    async def commit(call: str) -> None:
        with anyio.CancelScope(shield=True):
            await hold(call)

    source = ScriptedInput([], endless=True)
    async with single(RecordingProcess(), source, journal=meddled(journal, after=commit)) as orchestrator:
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_run_within, scope, orchestrator)
                await wait_all_tasks_blocked()
                hold.engage()
                tasks.start_soon(_emit, orchestrator, event("1", trigger="in"))
                await wait_all_tasks_blocked()
                scope.cancel()
                for _ in range(3):  # on asyncio, tasks that are being cancelled may all seem blocked
                    await wait_all_tasks_blocked()
                hold.release()
    assert DeliveryState.READY == (await only(journal)).state


async def test_a_cancellation_hands_back_what_comes_while_it_settles() -> None:
    """An append may end while the outcomes of what was cut off are on their way: what it brings comes behind them.

    Catches: a look for appends under way after the settle, when the one that brought something is over.
    """
    append, settle, journal, scope = Hold("append"), Hold("settle"), MemoryJournal(), anyio.CancelScope()
    process = ScriptedProcess([_hang])

    async def commit(call: str) -> None:
        with anyio.CancelScope(shield=True):
            await append(call)

    source = ScriptedInput([[event("1")]], endless=True)
    async with single(process, source, journal=meddled(journal, before=settle, after=commit)) as orchestrator:
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_run_within, scope, orchestrator)
                await until_running(process)
                append.engage()
                tasks.start_soon(_emit, orchestrator, event("2", trigger="in"))
                await wait_all_tasks_blocked()
                settle.engage()
                scope.cancel()
                while settle.waiting == 0:
                    await wait_all_tasks_blocked()
                append.release()
                for _ in range(3):
                    await wait_all_tasks_blocked()
                settle.release()
    assert {"work": [DeliveryState.READY, DeliveryState.READY]} == await states(journal)


class _Lingers(RecordingProcess):
    """Takes its time to be left."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self.leaving = anyio.Event()
        self._gate = gate

    async def __aexit__(self, *exc_info: object) -> None:
        self.leaving.set()
        await self._gate()


@asynccontextmanager
async def _being_left(process: _Lingers, orchestrator: Orchestrator) -> AsyncIterator[None]:
    """Run a pipeline and cancel that; the block runs while its process is being left."""
    scope = anyio.CancelScope()
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_run_within, scope, orchestrator)
            await wait_all_tasks_blocked()
            scope.cancel()
            await process.leaving.wait()
            yield


async def test_events_of_a_cancelled_run_wait_for_the_next_one() -> None:
    """What is emitted while the components are left is not claimed any more. Catches: taken by who runs nothing."""
    gate, journal = Gate(), MemoryJournal()
    process = _Lingers(gate)
    pipeline = single(process, ScriptedInput([], endless=True), journal=journal)
    async with pipeline as orchestrator, _being_left(process, orchestrator):
        await orchestrator.emit(event("1", trigger="in"))
        gate.open()
    assert DeliveryState.READY == (await only(journal)).state


async def test_parts_that_come_and_go_while_a_cancelled_run_ends() -> None:
    """They count for the next run. Catches: a task that is started in a group which has ended."""
    gate = Gate()
    process = _Lingers(gate)
    async with single(process, ScriptedInput([], endless=True)) as orchestrator:
        async with _being_left(process, orchestrator):
            orchestrator.add_input("more", ScriptedInput([], endless=True))
            orchestrator.add_process("later", RecordingProcess())
            orchestrator.remove_process("work")
            gate.open()
            await orchestrator.remove_input("in")
        assert (["more"], ["later"]) == (list(orchestrator.pipeline.inputs), list(orchestrator.pipeline.processes))


async def test_events_of_a_drain_wait_for_the_next_run() -> None:
    """What an embedder emits while the run drains is accepted, and not begun. Catches: a drain that takes new work."""
    gate, journal, run = Gate(), MemoryJournal(), Running()
    process = ScriptedProcess([gate])
    async with single(process, journal=journal) as orchestrator:
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run.of, orchestrator)
                await until_running(process)
                orchestrator.stop()
                await wait_all_tasks_blocked()
                await orchestrator.emit(event("2", trigger="in"))
                gate.open()
    assert [DeliveryState.DONE, DeliveryState.READY] == (await states(journal))["work"]


async def test_a_run_can_be_started_again() -> None:
    """Catches: state of one run that the next one trips over."""
    process = RecordingProcess()
    async with single(process, Endless()) as orchestrator:
        for count in (1, 2):
            run = Running()
            with anyio.fail_after(PATIENCE):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(run.of, orchestrator)
                    await until_run(process, count)
                    orchestrator.stop()
            assert run.summary is not None
            assert 1 == run.summary.done


async def test_an_interruption_is_announced() -> None:
    """Observers hear of an attempt that was cut off in the grace. Catches: a notice for successes only."""
    notices, clock, run = Notices(), SimulatedClock(), Running()
    async with single(ScriptedProcess([_hang]), clock=clock, observers=[notices], grace=GRACE) as orchestrator:
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run.of, orchestrator)
                await clock.advance(1)
                orchestrator.stop()
                await clock.advance(31)
    (told,) = notices.of(DeliverySettled)
    assert (DeliveryState.READY, "interrupted: the orchestrator stopped") == (told.state, told.reason)
