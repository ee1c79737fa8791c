"""What a process may have to survive being cut off: `attach`, `reconcile` when it asks for it, tasks of its own."""

from __future__ import annotations

from datetime import timedelta

import anyio
import anyio.lowlevel
import attrs
import pytest
from anyio.abc import TaskGroup

from orchestrator_core import (
    AttemptContext,
    DeliveryQuery,
    DeliveryState,
    Event,
    JournalReader,
    MemoryJournal,
    Orchestrator,
    Reconciliation,
    RetryLater,
)
from orchestrator_core.testing import ScriptedInput

pytestmark = pytest.mark.anyio


@attrs.define(eq=False)
class _Outside:
    """A process whose work goes on outside; its first attempt loses contact with it."""

    calls: list[tuple[str, int]] = attrs.field(factory=list)
    journal: JournalReader | None = None

    def attach(self, name: str, journal: JournalReader) -> None:
        self.calls.append((f"attach {name}", 0))
        self.journal = journal

    async def __aenter__(self) -> None:
        self.calls.append(("enter", 0))

    async def __aexit__(self, *exc_info: object) -> None:
        self.calls.append(("leave", 0))

    async def run(self, event: Event, context: AttemptContext) -> None:
        self.calls.append(("run", context.attempt))
        raise RetryLater(timedelta(0), "lost contact", interrupted=True)

    async def reconcile(self, event: Event, context: AttemptContext) -> Reconciliation:
        self.calls.append(("reconcile", context.attempt))
        return Reconciliation.SUCCEEDED


async def _run(process: _Outside, journal: MemoryJournal) -> None:
    async with Orchestrator(journal=journal) as orchestrator:
        orchestrator.add_input("source", ScriptedInput([Event(location="t", operation="create", id="1")]))
        orchestrator.add_process("outside", process)
        orchestrator.add_link("source", "outside")
        await orchestrator.run(until_idle=True)


async def test_lost_contact_is_reconciled() -> None:
    """After `RetryLater(interrupted=True)` the next attempt asks first. Catches: work done twice."""
    process = _Outside()
    await _run(process, MemoryJournal())
    assert [("run", 1), ("reconcile", 1)] == [call for call in process.calls if call[1]]


async def test_attached_before_it_is_entered() -> None:
    """A process gets its name and the journal before it is entered. Catches: attach after enter, or never."""
    process = _Outside()
    await _run(process, MemoryJournal())
    assert [("attach outside", 0), ("enter", 0)] == process.calls[:2]


async def test_attached_journal_knows_the_outcome() -> None:
    """The journal that a process is attached to is the run's own. Catches: a copy, a closed one."""
    process, journal = _Outside(), MemoryJournal()
    await _run(process, journal)
    assert journal is process.journal
    assert [DeliveryState.DONE] == [each.state for each in await journal.deliveries(DeliveryQuery())]


@attrs.define(eq=False)
class _Busy:
    """A process with a task of its own for as long as it is entered."""

    tasks: TaskGroup | None = None
    is_left: bool = False

    async def __aenter__(self) -> None:
        self.tasks = await anyio.create_task_group().__aenter__()
        self.tasks.start_soon(anyio.sleep_forever)

    async def __aexit__(self, *exc_info: object) -> None:
        assert self.tasks is not None
        self.tasks.cancel_scope.cancel()
        await self.tasks.__aexit__(None, None, None)
        self.is_left = True

    async def run(self, event: Event, context: AttemptContext) -> None:
        await anyio.lowlevel.checkpoint()


async def test_component_with_a_task_group() -> None:
    """A component may hold a task group from enter to leave. Catches: a cancel scope entered between the two."""
    process = _Busy()
    async with Orchestrator() as orchestrator:
        orchestrator.add_input("source", ScriptedInput([Event(location="t", operation="create", id="1")]))
        orchestrator.add_process("busy", process)
        orchestrator.add_link("source", "busy")
        await orchestrator.run(until_idle=True)
    assert process.is_left
