"""Single events that are emitted at the same time share the work of a batch, and nothing else."""

from __future__ import annotations

from collections import Counter

import anyio
import attrs
import pytest
from anyio import wait_all_tasks_blocked

from orchestrator_core import Event, JournalUnavailableError, MemoryJournal, Orchestrator
from orchestrator_core.testing import RecordingProcess
from tests.unit.engine.journals import Hold, meddled
from tests.unit.engine.pipelines import PATIENCE, event, single

pytestmark = pytest.mark.anyio


@attrs.define
class Emitter:
    """Emits single events in tasks of their own, and keeps what came of each."""

    orchestrator: Orchestrator
    accepted: dict[str, Event] = attrs.field(factory=dict)
    refused: list[str] = attrs.field(factory=list)

    async def __call__(self, id: str) -> None:  # noqa: A002 (the field's name)
        try:
            self.accepted[id] = await self.orchestrator.emit(event(id, trigger="in"))
        except JournalUnavailableError:
            self.refused.append(id)

    async def all(self, count: int) -> None:
        """Emit so many at the same time."""
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                for number in range(count):
                    tasks.start_soon(self, str(number))


@attrs.define
class Calls:
    """Counts the calls of a journal, and refuses the first of one kind."""

    refuse: str = ""
    made: Counter[str] = attrs.field(factory=Counter)

    async def __call__(self, call: str) -> None:
        self.made[call] += 1
        if call == self.refuse and self.made[call] == 1:
            raise JournalUnavailableError("busy")


async def test_one_append_serves_all_who_emit_at_one_time() -> None:
    """Catches: an append, and so a trip to the disk's thread, for each event."""
    calls = Calls()
    async with single(RecordingProcess(), journal=meddled(before=calls)) as orchestrator:
        emitter = Emitter(orchestrator)
        await emitter.all(64)
    assert 1 == calls.made["append"]


async def test_everybody_is_given_their_own_event() -> None:
    """Catches: an answer that is somebody else's."""
    async with single(RecordingProcess()) as orchestrator:
        emitter = Emitter(orchestrator)
        await emitter.all(10)
    assert {str(number): str(number) for number in range(10)} == {
        key: each.id for key, each in emitter.accepted.items()
    }


async def test_a_failure_is_not_shared() -> None:
    """What could not be appended together each appends for itself. Catches: one bad event that refuses everybody."""
    async with single(RecordingProcess(), journal=meddled(before=Calls(refuse="append"))) as orchestrator:
        emitter = Emitter(orchestrator)
        await emitter.all(10)
    assert (0, 10) == (len(emitter.refused), len(emitter.accepted))


async def test_who_emits_alone_finds_the_error_at_once() -> None:
    """Catches: an event that is tried twice before anybody hears of it."""
    calls = Calls(refuse="append")
    async with single(RecordingProcess(), journal=meddled(before=calls)) as orchestrator:
        emitter = Emitter(orchestrator)
        await emitter.all(1)
    assert (["0"], 1) == (emitter.refused, calls.made["append"])


async def test_a_cancelled_leader_takes_nobody_along() -> None:
    """Catches: events that wait for ever for somebody who is gone."""
    hold, journal = Hold("append"), MemoryJournal()
    async with single(RecordingProcess(), journal=meddled(journal, before=hold)) as orchestrator:
        emitter = Emitter(orchestrator)
        hold.engage()
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as others, anyio.create_task_group() as leader:
                leader.start_soon(emitter, "leader")
                others.start_soon(emitter, "other")
                await wait_all_tasks_blocked()
                leader.cancel_scope.cancel()
                hold.release()
        assert "other" in {record.event.id for record in await journal.events()}
    assert ["other"] == list(emitter.accepted)


async def test_who_is_cancelled_leaves_no_event_behind() -> None:
    """Catches: an event that is accepted although its input was stopped before it said so."""
    journal = MemoryJournal()
    async with single(RecordingProcess(), journal=journal) as orchestrator:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await orchestrator.emit(event(trigger="in"))
        assert (True, []) == (scope.cancelled_caught, list(await journal.events()))
