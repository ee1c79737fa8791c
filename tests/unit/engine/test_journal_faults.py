"""A journal that is away for a while, or for good."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from orchestrator_core import (
    AttemptContext,
    DeliveryState,
    Event,
    InputChanged,
    InputContext,
    JournalBrokenError,
    JournalUnavailableError,
    MemoryJournal,
    Orchestrator,
    RetryPolicy,
)
from orchestrator_core.testing import Gate, RecordingProcess, ScriptedInput, ScriptedProcess, SimulatedClock
from tests.unit.engine.journals import Hold, Outage, meddled
from tests.unit.engine.pipelines import (
    PATIENCE,
    Notices,
    Running,
    at_work,
    event,
    events,
    finish,
    finish_simulated,
    history,
    only,
    running,
    single,
    states,
    until_run,
    until_running,
)

pytestmark = pytest.mark.anyio

CALLS = ["append", "claim", "settle", "park", "prune", "changed", "is_idle", "log"]


@pytest.mark.parametrize("call", CALLS)
async def test_an_outage_ends_nothing(call: str) -> None:
    """While a call fails the run waits and tries again, and nothing is lost. Catches: an outage that ends the run."""
    outage, journal, clock = Outage(frozenset({call})), MemoryJournal(), SimulatedClock()

    async def play(event: Event, context: AttemptContext) -> None:
        context.log("working")
        await clock.sleep(1.0)

    process = ScriptedProcess([play])
    source = ScriptedInput([event("1"), event("2"), event("3")], endless=True)
    orchestrator = single(process, source, journal=meddled(journal, before=outage), clock=clock)
    async with orchestrator, running(orchestrator):
        outage.is_on = True
        orchestrator.add_process("more", RecordingProcess())  # so that something is to be claimed and parked
        await clock.advance(62)  # long enough for the housekeeping
        outage.is_on = False
        await clock.advance(5)
        found = await states(journal)
    assert {"work": [DeliveryState.DONE] * 3} == found


async def test_until_idle_stands_an_outage() -> None:
    """Catches: a run until idle that ends with the outage's error."""
    outage, journal, clock = Outage(), MemoryJournal(), SimulatedClock()
    orchestrator = single(RecordingProcess(), events(5), journal=meddled(journal, before=outage), clock=clock)

    async def recover() -> None:
        outage.is_on = True
        await clock.sleep(20)
        outage.is_on = False

    process = ScriptedProcess([None])
    orchestrator.add_process("last", process)
    orchestrator.add_link("work", "last")
    async with orchestrator, anyio.create_task_group() as tasks:
        tasks.start_soon(_start_late, recover, clock)
        await finish_simulated(orchestrator, clock)
        tasks.cancel_scope.cancel()
    assert [DeliveryState.DONE] * 5 == (await states(journal))["last"]


async def _start_late(recover: Any, clock: SimulatedClock) -> None:
    await clock.sleep(0.05)
    await recover()


async def test_outcomes_wait_for_the_journal() -> None:
    """An outcome is kept until the journal takes it, and its attempt is not repeated. Catches: dropped or rerun."""
    outage, journal, clock = Outage(frozenset({"settle"}), is_on=True), MemoryJournal(), SimulatedClock()
    process = RecordingProcess()
    async with at_work(process, journal=meddled(journal, before=outage), clock=clock):
        await clock.advance(10)
        before = (await only(journal)).state
        outage.is_on = False
        await clock.advance(1)
        after = (await only(journal)).state
    assert (DeliveryState.RUNNING, DeliveryState.DONE, 1) == (before, after, len(process.runs))
    assert outage.refused > 1


async def test_a_lost_reply_is_no_second_outcome() -> None:
    """A settle that was committed and whose reply was lost is settled again without harm. Catches: done twice."""
    outage, journal, clock = Outage(frozenset({"settle"}), is_on=True), MemoryJournal(), SimulatedClock()
    process = RecordingProcess()
    async with at_work(process, journal=meddled(journal, after=outage), clock=clock):
        await clock.advance(1)
        outage.is_on = False
        await clock.advance(1)
        delivery = await only(journal)
    assert (DeliveryState.DONE, 1, 1) == (delivery.state, delivery.attempt, len(process.runs))


async def test_logs_wait_for_the_journal() -> None:
    """Lines of a running attempt that could not be kept are kept later. Catches: lines dropped with the outage."""
    outage, journal, clock = Outage(frozenset({"log"}), is_on=True), MemoryJournal(), SimulatedClock()
    gate = Gate()

    async def play(event: Event, context: AttemptContext) -> None:
        context.log("first")
        await gate()
        context.log("second")

    process = ScriptedProcess([play])
    async with at_work(process, journal=meddled(journal, before=outage), clock=clock):
        await clock.advance(3)
        outage.is_on = False
        await clock.advance(3)
        gate.open()
        await clock.advance(1)
    assert [("first", "second")] == [attempt.logs for attempt in await history(journal)]


async def test_what_could_not_be_unparked_runs_later() -> None:
    """A process comes back while the journal is away: what was parked for it runs soon after the outage.

    Catches: deliveries that are unparked with the housekeeping and that nobody looks for.
    """
    outage, journal, clock = Outage(frozenset({"park"})), MemoryJournal(), SimulatedClock()
    process = RecordingProcess()
    orchestrator = single(
        process, ScriptedInput([], endless=True), journal=meddled(journal, before=outage), clock=clock
    )
    orchestrator.add_process("more", ScriptedProcess([Gate()]), concurrency=1)
    orchestrator.add_link("in", "more")
    async with orchestrator, running(orchestrator):
        for each in events(2, trigger="in"):
            await orchestrator.emit(each)
        await wait_all_tasks_blocked()
        orchestrator.remove_process("more")
        await wait_all_tasks_blocked()
        assert [DeliveryState.RUNNING, DeliveryState.PARKED] == (await states(journal))["more"]
        outage.is_on = True
        orchestrator.add_process("more", process)
        await wait_all_tasks_blocked()
        outage.is_on = False
        await clock.advance(2)
        assert [DeliveryState.RUNNING, DeliveryState.DONE] == (await states(journal))["more"]


async def test_an_outage_is_not_told_at_every_beat(caplog: pytest.LogCaptureFixture) -> None:
    """Not by the housekeeping either, which is due meanwhile. Catches: a warning twice a second, all night."""
    outage, clock = Outage(), SimulatedClock()
    orchestrator = single(
        RecordingProcess(), ScriptedInput([], endless=True), journal=meddled(before=outage), clock=clock
    )
    async with orchestrator, running(orchestrator):
        outage.is_on = True
        await clock.advance(180)
        outage.is_on = False
    told = [record for record in caplog.records if "unavailable" in record.message]
    assert len(told) <= 8, f"{len(told)} lines in three minutes"


async def test_logs_come_with_the_outcome_after_an_outage() -> None:
    """What could not be kept meanwhile goes with the rest. Catches: lines in another order, or lost at the end."""
    outage, journal, clock = Outage(frozenset({"log"}), is_on=True), MemoryJournal(), SimulatedClock()

    async def play(event: Event, context: AttemptContext) -> None:
        context.log("first")
        await clock.sleep(0.3)
        context.log("second")

    orchestrator = single(ScriptedProcess([play]), journal=meddled(journal, before=outage), clock=clock)
    async with orchestrator, running(orchestrator):
        await clock.advance(0.4)
        outage.is_on = False
    assert [("first", "second")] == [attempt.logs for attempt in await history(journal)]


async def test_logs_under_way_are_kept_at_the_end() -> None:
    """Lines that fail after their attempt has ended are written at the end. Catches: a next look that never comes."""
    hold, outage, journal, clock = Hold("log"), Outage(frozenset({"log"})), MemoryJournal(), SimulatedClock()
    hold.engage()

    async def before(call: str) -> None:
        await hold(call)
        await outage(call)

    async def play(event: Event, context: AttemptContext) -> None:
        context.log("first")
        await clock.sleep(0.3)

    orchestrator = single(ScriptedProcess([play]), journal=meddled(journal, before=before), clock=clock)
    async with orchestrator, running(orchestrator):
        await clock.advance(0.4)
        outage.is_on = True
        hold.release()
        await wait_all_tasks_blocked()
        outage.is_on = False
    assert (DeliveryState.DONE, 1) == ((await only(journal)).state, outage.refused)
    assert [("first",)] == [attempt.logs for attempt in await history(journal)]


async def test_an_input_is_told_that_nothing_was_accepted() -> None:
    """`emit` raises, so an input does not acknowledge; the next try is accepted once. Catches: a swallowed outage."""
    outage, journal, clock, notices = (
        Outage(frozenset({"append"}), is_on=True),
        MemoryJournal(),
        SimulatedClock(),
        Notices(),
    )
    refused: list[str] = []

    async def careful(context: InputContext) -> None:
        try:
            await context.emit(event("1", uid="same"))
        except JournalUnavailableError as error:
            refused.append(str(error))
            raise

    orchestrator = single(
        RecordingProcess(),
        ScriptedInput([careful]),
        journal=meddled(journal, before=outage),
        clock=clock,
        observers=[notices],
    )
    async with orchestrator, running(orchestrator):
        await clock.advance(2)
        outage.is_on = False
        await clock.advance(10)
        counts = await journal.counts()
    assert "disk full" in refused[0]
    assert 1 == counts.events
    assert {"failed", "ended"} <= {notice.state for notice in notices.of(InputChanged)}


BROKEN = ["append", "claim", "settle", "changed", "is_idle", "park", "log"]


@pytest.mark.parametrize("call", BROKEN)
async def test_a_broken_journal_ends_the_run(call: str) -> None:
    """Whoever finds the journal broken, the run ends with that error. Catches: a run that limps on."""
    outage = Outage(frozenset({call}), broken=True)

    async def break_down(context: InputContext) -> None:
        outage.is_on = True

    async def play(event: Event, context: AttemptContext) -> None:
        context.log("working")
        await anyio.sleep(0.3 if call in {"log", "changed"} else 0)

    orchestrator = single(
        ScriptedProcess([play]),
        ScriptedInput([event("1"), break_down, event("2")]),
        journal=meddled(before=outage),
        options={"retry": RetryPolicy(initial=timedelta(milliseconds=1))},
    )
    if call == "park":
        orchestrator.add_input("adds", ScriptedInput([_adding(orchestrator, outage)]))
    if call == "claim":
        orchestrator.add_input("wakes", ScriptedInput([_waking(orchestrator, outage)]))
    with pytest.raises(JournalBrokenError, match="disk gone"):
        await finish(orchestrator)


async def test_a_journal_that_breaks_after_the_run_is_told_to_who_emits() -> None:
    """An append that began in a run fails when that is over. Catches: another error in the place of the journal's."""
    hold, outage, scope = Hold("append"), Outage(frozenset({"append"}), is_on=True, broken=True), anyio.CancelScope()
    hold.engage()
    process = RecordingProcess()
    told: list[str] = []

    async def before(call: str) -> None:
        with anyio.CancelScope(shield=True):
            await hold(call)
        await outage(call)

    async def run() -> None:
        with scope:
            await orchestrator.run()

    async def emit() -> None:
        try:
            await orchestrator.emit(event(trigger="in"))
        except JournalBrokenError as error:
            told.append(str(error))

    orchestrator = single(process, ScriptedInput([], endless=True), journal=meddled(before=before))
    with anyio.fail_after(PATIENCE):
        async with orchestrator, anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await wait_all_tasks_blocked()
            scope.cancel()
            tasks.start_soon(emit)  # in a task of its own, as the run takes no other any more
            while process.left == 0 or hold.waiting == 0:
                await wait_all_tasks_blocked()
            await wait_all_tasks_blocked()
            hold.release()
    assert ["disk gone"] == told


def _adding(orchestrator: Orchestrator, outage: Outage) -> Any:
    async def add(context: InputContext) -> None:
        context.ready()
        await context.emit(event("1"))
        outage.is_on = True
        orchestrator.add_process("more", RecordingProcess())
        await anyio.sleep_forever()

    return add


def _waking(orchestrator: Orchestrator, outage: Outage) -> Any:
    async def wake(context: InputContext) -> None:
        await context.emit(event("1"))
        await wait_all_tasks_blocked()  # what is settled meanwhile brings its claims along
        outage.is_on = True
        orchestrator.add_process("more", RecordingProcess())
        orchestrator.add_link("in", "more")
        await anyio.sleep_forever()

    return wake


@pytest.mark.parametrize("call", ["register", "reap"])
async def test_a_journal_that_is_away_at_the_start(call: str) -> None:
    """A run that can't begin says so. Catches: a run without a lease."""
    with pytest.raises(JournalUnavailableError, match="disk full"):
        await finish(single(RecordingProcess(), journal=meddled(before=Outage(frozenset({call}), is_on=True))))


async def test_nothing_accepted_is_lost_when_the_journal_breaks() -> None:
    """The next run finds what had been accepted. Catches: outcomes made up at the end."""
    outage, journal = Outage(frozenset({"settle"}), is_on=True, broken=True), MemoryJournal()
    with pytest.raises(JournalBrokenError):
        await finish(single(RecordingProcess(), events(3), journal=meddled(journal, before=outage)))
    process = RecordingProcess()
    clock = SimulatedClock(start=4_000_000_000)
    async with single(process, ScriptedInput([]), journal=journal, clock=clock) as orchestrator:
        await finish_simulated(orchestrator, clock)
    assert {"work": [DeliveryState.DONE] * 3} == await states(journal)
    assert 3 == len(process.runs)


async def test_a_stop_in_an_outage_ends_in_time() -> None:
    """Stopped for the second time, a run gives up on an absent journal; the next run does its work again.

    Catches: an end that waits for the journal without limit.
    """
    outage, journal = Outage(frozenset({"settle"}), is_on=True), MemoryJournal()
    process = RecordingProcess()
    async with at_work(process, journal=meddled(journal, before=outage)):
        await until_running(process, 0)
        await until_run(process, 1)
    assert DeliveryState.RUNNING == (await only(journal)).state


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # one of them, as it takes the last try's 5 s
async def test_a_drain_in_an_outage_ends_in_time(caplog: pytest.LogCaptureFixture) -> None:
    """Stopped once, a run gives up on an absent journal soon after the grace, and says what is not recorded.

    Catches: a drain that waits for the journal without limit.
    """
    outage, journal, clock = Outage(frozenset({"settle"}), is_on=True), MemoryJournal(), SimulatedClock()
    process, run = RecordingProcess(), Running()
    orchestrator = single(process, journal=meddled(journal, before=outage), clock=clock, grace=timedelta(seconds=30))
    async with orchestrator:
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run.of, orchestrator)
                await until_run(process, 1)
                orchestrator.stop()
                await clock.advance(40)
    assert DeliveryState.RUNNING == (await only(journal)).state
    assert "outcomes that the journal did not take: 1;" in caplog.text


async def test_an_outage_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """The log says that it has begun, each minute that it lasts, and that it is over. Catches: a line at every try."""
    outage, clock = Outage(frozenset({"settle"}), is_on=True), SimulatedClock()
    async with at_work(RecordingProcess(), journal=meddled(before=outage), clock=clock):
        await clock.advance(70)
        outage.is_on = False
        await clock.advance(1)
    said = [record.getMessage() for record in caplog.records if "the journal is" in record.getMessage()]
    away = "the journal is unavailable, trying again: disk full"
    assert [away, away, "the journal is available again, after 70 s"] == said
