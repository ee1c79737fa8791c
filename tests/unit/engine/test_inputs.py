"""Inputs under supervision: started, restarted, asked for a look, and what their context does."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from orchestrator_core import (
    Event,
    EventError,
    InputChanged,
    InputContext,
    JournalUnavailableError,
    Measured,
    MemoryJournal,
    Operation,
    Orchestrator,
)
from orchestrator_core._hosting import describe, restart_delay
from orchestrator_core.testing import RecordingProcess, ScriptedInput, SimulatedClock
from tests.unit.engine.journals import Outage, meddled
from tests.unit.engine.pipelines import Notices, at_work, event, events, finish, running, single, until_run

pytestmark = pytest.mark.anyio


class Steps:
    """An input that does what a test gives it to do, once, and then listens for ever."""

    def __init__(self, *steps: Any) -> None:
        self.steps = list(steps)
        self.starts = 0

    async def run(self, context: InputContext) -> None:
        self.starts += 1
        context.ready()
        while self.steps:
            await self.steps.pop(0)(context)
        await anyio.sleep_forever()


async def _raise(context: InputContext) -> None:
    raise ConnectionError("server away")


async def _cancel_itself(context: InputContext) -> None:
    raise anyio.get_cancelled_exc_class()


def test_restart_delays() -> None:
    """They double from 1 s to a minute, and stay there for days. Catches: a delay that overflows after 17 hours."""
    assert [1, 2, 4, 8, 16, 32, 60, 60, 60] == [restart_delay(failures) for failures in (*range(1, 8), 100, 5_000)]


async def test_a_failed_input_is_started_again() -> None:
    """After 1 s, then 2 s, and so on. Catches: a restart at full speed, or none."""
    clock, source = SimulatedClock(), Steps(_raise, _raise)
    async with at_work(RecordingProcess(), source, clock=clock):
        found = [source.starts]
        for seconds in (0.9, 0.2, 1.8, 0.3):
            await clock.advance(seconds)
            found.append(source.starts)
    assert [1, 1, 2, 2, 3] == found


async def test_a_healthy_time_is_a_new_beginning() -> None:
    """Who has run for more than a minute starts at 1 s again. Catches: failures counted since the beginning."""
    clock, notices = SimulatedClock(), Notices()

    async def last(context: InputContext) -> None:
        await clock.sleep(61)
        raise ConnectionError("reset")

    async with at_work(RecordingProcess(), Steps(_raise, _raise, _raise, last), clock=clock, observers=[notices]):
        await clock.advance(80)
    delays = [each.restart_in for each in notices.of(InputChanged) if each.state == "failed"]
    assert [1.0, 2.0, 4.0, 1.0] == delays


async def test_an_input_that_cancels_itself_is_started_again(anyio_backend: str) -> None:
    """On asyncio it may do so by accident. Catches: a supervisor that ends with it, in silence."""
    if anyio_backend == "trio":
        pytest.skip("trio lets nobody make a Cancelled")
    clock, source, process = SimulatedClock(), Steps(_cancel_itself), RecordingProcess()
    async with at_work(process, source, clock=clock) as orchestrator:
        orchestrator.add_input("other", ScriptedInput([event("1")], endless=True))
        orchestrator.add_link("other", "work")
        await clock.advance(2)
        assert (2, 1) == (source.starts, len(process.runs))


async def test_the_observers_follow_an_inputs_life() -> None:
    """Starting, ready, failed with its reason, starting again, ended. Catches: a failure nobody hears of."""
    clock, notices = SimulatedClock(), Notices()
    source = ScriptedInput([ConnectionError("server\naway"), event("1")])
    async with at_work(RecordingProcess(), source, clock=clock, observers=[notices]):
        await clock.advance(3)
    told = [(each.state, each.reason) for each in notices.of(InputChanged)]
    failed = ("failed", "ConnectionError: server away")
    assert [("starting", None), ("ready", None), failed, ("starting", None), ("ready", None), ("ended", None)] == told


ERRORS = [
    pytest.param(ValueError("bad"), "ValueError: bad", id="plain"),
    pytest.param(ValueError(), "ValueError", id="without-text"),
    pytest.param(OSError("two\n  lines"), "OSError: two lines", id="one-line"),
    pytest.param(
        ExceptionGroup("several", [OSError("a"), ExceptionGroup("more", [ValueError("b")])]),
        "OSError: a; ValueError: b",
        id="group",
    ),
]


@pytest.mark.parametrize(("error", "text"), ERRORS)
def test_errors_in_one_line(error: Exception, text: str) -> None:
    """Catches: a group's own words in place of what went wrong."""
    assert text == describe(error)


async def test_only_the_operations_asked_for_are_accepted() -> None:
    """Others are handed back as they are, and leave no trace. Catches: a filter that is read by nobody."""
    journal = MemoryJournal()
    returned: list[Event] = []
    given = [event(name, operation=name) for name in ("create", "update", "delete", "create")]

    async def emit(context: InputContext) -> None:
        returned.extend(await context.emit_many(given))

    orchestrator = Orchestrator(journal=journal)
    orchestrator.add_input("in", ScriptedInput([emit]), operations={Operation.CREATE, "delete"})
    await finish(orchestrator)
    accepted = [record.event.operation.value for record in await journal.events()]
    assert ["create", "delete", "create"] == accepted
    assert ["create", "update", "delete", "create"] == [each.operation.value for each in returned]


async def test_emit_returns_the_event_as_accepted() -> None:
    """Of an event that was accepted before, the first comes back. Catches: the caller's own object handed back."""
    returned: list[Event] = []

    async def emit(context: InputContext) -> None:
        returned.append(await context.emit(event("1", uid="same", data="first")))
        returned.append(await context.emit(event("1", uid="same", data="second")))

    await finish(single(RecordingProcess(), ScriptedInput([emit])))
    assert [("in", "first"), ("in", "first")] == [(each.trigger, each.data) for each in returned]


async def test_a_bad_event_is_refused_with_its_whole_batch() -> None:
    """None of a batch is accepted if one can't be. Catches: the first half accepted and emitted again later."""
    journal, refused = MemoryJournal(), []

    async def emit(context: InputContext) -> None:
        try:
            await context.emit_many([event("1"), event("2", data=object()), event("3")])
        except EventError as error:
            refused.append(str(error))

    await finish(single(RecordingProcess(), ScriptedInput([emit]), journal=journal))
    assert (1, 0) == (len(refused), (await journal.counts()).events)


async def test_checkpoints_are_read_back() -> None:
    """Each input has its own, `None` before the first. Catches: one checkpoint for the pipeline."""
    journal, found = MemoryJournal(), []

    async def step(context: InputContext) -> None:
        found.append((context.name, await context.load_checkpoint()))
        await context.emit_many([event(context.name)], checkpoint={"offset": context.name})
        await context.emit_many([])
        found.append((context.name, await context.load_checkpoint()))

    for _ in range(2):
        orchestrator = Orchestrator(journal=journal)
        orchestrator.add_input("a", ScriptedInput([step]))
        await finish(orchestrator)
    assert [("a", None), ("a", {"offset": "a"})] == found[:2]
    assert [("a", {"offset": "a"})] * 2 == found[2:]


async def test_a_checkpoint_goes_with_its_events() -> None:
    """If the events are not accepted, neither is it. Catches: two transactions, of which a crash takes one."""
    outage, journal, clock = Outage(frozenset({"append"}), is_on=True), MemoryJournal(), SimulatedClock()

    async def step(context: InputContext) -> None:
        await context.emit_many([event("1")], checkpoint=7)

    source = ScriptedInput([step])
    async with at_work(RecordingProcess(), source, journal=meddled(journal, before=outage), clock=clock):
        await clock.advance(1)
        before = (await journal.load_checkpoint("in"), (await journal.counts()).events)
        outage.is_on = False
        await clock.advance(5)
        after = (await journal.load_checkpoint("in"), (await journal.counts()).events)
    assert ((None, 0), (7, 1)) == (before, after)


async def test_emit_is_the_back_pressure() -> None:
    """An input waits as long as the journal does. Catches: a buffer between the two."""
    gate, emitted = anyio.Event(), []

    async def slow(call: str) -> None:
        if call == "append":
            await gate.wait()

    async def step(context: InputContext) -> None:
        await context.emit(event("1"))
        emitted.append("1")

    process = RecordingProcess()
    async with at_work(process, ScriptedInput([step]), journal=meddled(before=slow)):
        assert [] == emitted
        gate.set()
        await until_run(process, 1)
    assert ["1"] == emitted


async def test_an_ended_input_is_not_started_again() -> None:
    """The end of a source is normal. Catches: a restart loop, or a program that ends with its first input."""
    clock, source, process = SimulatedClock(), ScriptedInput([event("1")]), RecordingProcess()
    async with at_work(process, source, clock=clock) as orchestrator:
        await clock.advance(100)
        await orchestrator.emit(event("2", trigger="in"))
        await until_run(process, 2)
    assert 1 == source.starts


async def test_health_is_told_when_it_changes() -> None:
    """A problem is told once, and its end once. Catches: a notice with each look."""
    notices = Notices()

    async def step(context: InputContext) -> None:
        for problem in (None, "lagging", "lagging", None, None):
            context.healthy(problem)

    await finish(single(RecordingProcess(), ScriptedInput([step]), observers=[notices]))
    told = [(each.state, each.reason) for each in notices.of(InputChanged)]
    assert [("unhealthy", "lagging"), ("ready", None)] == told[2:4]


async def test_figures_are_told() -> None:
    """Catches: a measurement that goes nowhere."""
    notices = Notices()

    async def step(context: InputContext) -> None:
        context.measure("outbox_rows", 42, table="orders")

    await finish(single(RecordingProcess(), ScriptedInput([step]), observers=[notices]))
    assert [Measured("in", "outbox_rows", 42, {"table": "orders"})] == notices.of(Measured)


async def test_its_log_has_its_name(caplog: pytest.LogCaptureFixture) -> None:
    """Catches: one logger for all inputs."""

    async def step(context: InputContext) -> None:
        context.log.warning("careful")

    with caplog.at_level(logging.INFO):
        await finish(single(RecordingProcess(), ScriptedInput([step])))
    assert [("orchestrator_core.input.in", "careful")] == [
        (record.name, record.getMessage()) for record in caplog.records if record.getMessage() == "careful"
    ]


async def test_sleep_lasts_as_long_as_it_says() -> None:
    """Without a run until idle nobody cuts it short. Catches: a poll in a hot loop."""
    clock, woken = SimulatedClock(), []

    async def step(context: InputContext) -> None:
        for _ in range(3):
            await context.sleep(10)
            woken.append(clock.monotonic())

    async with at_work(RecordingProcess(), ScriptedInput([step]), clock=clock):
        await clock.advance(35)
    assert [10, 20, 30] == [round(moment) for moment in woken]


async def test_emits_of_many_tasks() -> None:
    """An input may emit from several tasks at a time. Catches: a context that is no more than one task's."""
    process = RecordingProcess()

    async def step(context: InputContext) -> None:
        async with anyio.create_task_group() as tasks:
            for each in events(100):
                tasks.start_soon(context.emit, each)

    summary = await finish(single(process, ScriptedInput([step])))
    assert (100, 100) == (summary.accepted, summary.done)


async def test_an_outage_reaches_the_embedder() -> None:
    """`Orchestrator.emit` raises what the journal said. Catches: an event taken for accepted."""
    outage = Outage(frozenset({"append"}), is_on=True)
    async with single(RecordingProcess(), ScriptedInput([]), journal=meddled(before=outage)) as orchestrator:
        with pytest.raises(JournalUnavailableError):
            await orchestrator.emit(event("1", trigger="in"))
        async with running(orchestrator):
            await wait_all_tasks_blocked()
            with pytest.raises(JournalUnavailableError):
                await orchestrator.emit(event("1", trigger="in"))
