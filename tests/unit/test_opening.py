"""When inputs begin: no event is let in before every input listens."""

from __future__ import annotations

import anyio
import attrs
import pytest
from anyio import wait_all_tasks_blocked

from orchestrator_core import (
    AttemptContext,
    Event,
    InputChanged,
    InputContext,
    MemoryJournal,
    Notice,
    Operation,
    Orchestrator,
)
from orchestrator_core.testing import RecordingProcess, ScriptedInput, SimulatedClock

pytestmark = pytest.mark.anyio

EVENT = Event(location="file", operation=Operation.CREATE, id="1")


@attrs.define
class Late:
    """An input that takes its time to listen, as one does that must first install something at its source."""

    listening: bool = False

    async def run(self, context: InputContext) -> None:
        await wait_all_tasks_blocked()
        self.listening = True
        context.ready()


@attrs.define
class Write:
    """A process that notes whether the other input would have seen what it writes."""

    late: Late
    seen: list[bool] = attrs.field(factory=list)

    async def run(self, event: Event, context: AttemptContext) -> None:
        self.seen.append(self.late.listening)


class Broken:
    """An input whose source is away."""

    async def run(self, context: InputContext) -> None:
        raise OSError("connection refused")


class Silent:
    """An input that says nothing."""

    async def run(self, context: InputContext) -> None:
        await anyio.sleep_forever()


async def test_a_process_runs_only_once_every_input_listens() -> None:
    """What a process writes at the very start is seen by the input that watches it.

    Fails if the supervisor lets the first event in before the slowest input has called `ready`.
    """
    late = Late()
    write = Write(late)
    async with Orchestrator(journal=MemoryJournal()) as orchestrator:
        orchestrator.add_input("file", ScriptedInput([EVENT]))
        orchestrator.add_input("table", late)
        orchestrator.add_process("write", write)
        orchestrator.add_link("file", "write")
        orchestrator.add_link("table", "write")
        await orchestrator.run(until_idle=True)
    assert write.seen == [True]


async def test_an_input_that_fails_holds_up_nobody() -> None:
    """Events of the other inputs go their way while one can't reach its source."""
    process = RecordingProcess()
    failed: list[str] = []

    def observe(notice: Notice) -> None:
        if isinstance(notice, InputChanged) and notice.state == "failed":
            failed.append(notice.name)

    async with Orchestrator(journal=MemoryJournal(), observers=[observe]) as orchestrator:
        orchestrator.add_input("file", ScriptedInput([EVENT]))
        orchestrator.add_input("away", Broken())
        await _run_until_it_ran(orchestrator, process)
    assert failed[0] == "away"


async def test_an_input_that_never_listens_holds_up_the_others_for_ten_seconds() -> None:
    """Who does not say that it listens is not waited for without end."""
    clock = SimulatedClock()
    process = RecordingProcess()
    async with Orchestrator(journal=MemoryJournal(), clock=clock) as orchestrator:
        orchestrator.add_input("file", ScriptedInput([EVENT]))
        orchestrator.add_input("silent", Silent())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_run_until_it_ran, orchestrator, process)
            await wait_all_tasks_blocked()
            before = len(process.runs)
            await clock.advance(10.0)
    assert (before, len(process.runs)) == (0, 1)


async def _run_until_it_ran(orchestrator: Orchestrator, process: RecordingProcess) -> None:
    orchestrator.add_process("record", process)
    for name in orchestrator.pipeline.inputs:
        orchestrator.add_link(name, "record")
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(orchestrator.run)
            await process.until(lambda: bool(process.runs))
            tasks.cancel_scope.cancel()
