"""Scripted components do what their script says, and remember it."""

from __future__ import annotations

import anyio
import pytest

from orchestrator_core import (
    AttemptContext,
    Event,
    Input,
    InputContext,
    JournalUnavailableError,
    Process,
    ProcessStatus,
)
from orchestrator_core.testing import (
    FakeAttemptContext,
    FakeInputContext,
    Gate,
    RecordingProcess,
    ScriptedInput,
    ScriptedProcess,
)

pytestmark = pytest.mark.anyio

EVENT = Event(location="t", operation="create", id="1", uid="1", trigger="in")
OTHER = Event(location="t", operation="create", id="2", uid="2", trigger="in")


async def test_recording_process_remembers_its_runs() -> None:
    """Each run with its delivery, attempt and outputs."""
    process = RecordingProcess()
    await process.run(EVENT, FakeAttemptContext(delivery_id="d", attempt=2, outputs={"clean": 3}))
    (run,) = process.runs
    assert (EVENT, "d", 2, {"clean": 3}) == (run.event, run.delivery_id, run.attempt, run.outputs)


@pytest.mark.parametrize(("output", "expected"), [(None, None), (0, ProcessStatus(output=0))])
async def test_recording_process_returns_its_output(output: int | None, expected: ProcessStatus | None) -> None:
    """Nothing, or a success with the output it was made with."""
    assert expected == await RecordingProcess(output).run(EVENT, FakeAttemptContext())


async def test_recording_process_counts_how_often_it_is_entered() -> None:
    """The engine enters and leaves once; this is where a test sees it."""
    process = RecordingProcess()
    async with process:
        assert (1, 0) == (process.entered, process.left)
    assert (1, 1) == (process.entered, process.left)


async def test_scripted_process_plays_by_attempt() -> None:
    """First line for the first attempt, and the last one repeats."""
    process = ScriptedProcess([OSError("no route"), ProcessStatus(output=7), None])
    with pytest.raises(OSError, match="no route"):
        await process.run(EVENT, FakeAttemptContext(attempt=1))
    played = [await process.run(EVENT, FakeAttemptContext(attempt=attempt)) for attempt in (2, 3, 4)]
    assert ([ProcessStatus(output=7), None, None], 4) == (played, len(process.runs))


async def test_a_repeated_error_does_not_grow() -> None:
    """The same exception raised again has the traceback of this time only."""
    process = ScriptedProcess([OSError("no route")])
    depths = []
    for _ in range(3):
        with pytest.raises(OSError, match="no route") as caught:
            await process.run(EVENT, FakeAttemptContext())
        depths.append(len(caught.traceback))
    assert 1 == len(set(depths))


async def test_scripted_process_calls_what_can_be_called() -> None:
    """A line may be a function of event and context."""

    async def shout(event: Event, context: AttemptContext) -> ProcessStatus:
        context.log(f"attempt {context.attempt} of {event.id}")
        return ProcessStatus(output="done")

    context = FakeAttemptContext()
    assert ProcessStatus(output="done") == await ScriptedProcess([shout]).run(EVENT, context)
    assert ["attempt 1 of 1"] == context.lines


async def test_gate_holds_until_it_is_opened() -> None:
    """Two runs wait at it at the same time; opened, it stays open."""
    gate = Gate()
    process = ScriptedProcess([gate])
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(process.run, EVENT, FakeAttemptContext())
            await process.until(lambda: process.running == 2)
            gate.open()
        await process.run(EVENT, FakeAttemptContext())
    assert (0, 2, 3, True) == (process.running, process.most, len(process.runs), gate.is_open)


async def test_cancelled_run_is_not_running() -> None:
    """A run that was cut off is over, and was seen."""
    process = ScriptedProcess([Gate()])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(process.run, EVENT, FakeAttemptContext())
        await process.until(lambda: process.running == 1)
        tasks.cancel_scope.cancel()
    assert (0, 1) == (process.running, len(process.runs))


async def test_scripted_input_plays_and_ends() -> None:
    """One event, many at once, a call; then it ends."""
    called: list[str] = []

    async def call(context: InputContext) -> None:
        called.append(context.name)

    context = FakeInputContext("spool")
    await ScriptedInput([EVENT, [OTHER], call]).run(context)
    assert (["1", "2"], ["spool"], True) == ([each.id for each in context.events], called, context.is_ready)


async def test_scripted_input_goes_on_behind_what_it_raised() -> None:
    """The next run does not raise the same again."""
    context = FakeInputContext()
    source = ScriptedInput([EVENT, ValueError("lost the connection"), OTHER])
    with pytest.raises(ValueError, match="lost the connection"):
        await source.run(context)
    await source.run(context)
    assert (["1", "2"], 2, 3) == ([each.id for each in context.events], source.starts, source.position)


async def test_scripted_input_emits_again_what_was_not_accepted() -> None:
    """Like a source that keeps its events until they are acknowledged."""
    context = FakeInputContext()
    context.fail(JournalUnavailableError("full"))
    source = ScriptedInput([EVENT])
    with pytest.raises(JournalUnavailableError):
        await source.run(context)
    await source.run(context)
    assert ["1"] == [each.id for each in context.events]


async def test_endless_scripted_input_says_that_it_has_caught_up() -> None:
    """It looks again whenever it is asked."""
    context = FakeInputContext()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ScriptedInput([EVENT], endless=True).run, context)
            await context.until(lambda: context.looks == 1)
            context.ask_for_a_look()
            await context.until(lambda: context.looks == 2)
            tasks.cancel_scope.cancel()


def test_they_are_components() -> None:
    """The engine takes them for what they are."""
    assert (True, True, True) == (
        isinstance(RecordingProcess(), Process),
        isinstance(ScriptedProcess([None]), Process),
        isinstance(ScriptedInput([]), Input),
    )
