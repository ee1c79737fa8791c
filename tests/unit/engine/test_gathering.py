"""Single events that are emitted at the same time share the work of a batch, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import anyio
import attrs
import pytest
from anyio import wait_all_tasks_blocked

from orchestrator_core import Appended, Event, JournalUnavailableError, MemoryJournal, Orchestrator, Plan
from orchestrator_core._gathering import Entries, Gathering
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


class Held:
    """A gathering whose appends wait until the test lets them go.

    Attributes:
        gathering: the gathering.
        appended: the ids of the events that were appended.
    """

    def __init__(self) -> None:
        self.gathering = Gathering(self._append, self._spawn)
        self.appended: list[str] = []
        self._waiting: list[Coroutine[Any, Any, None]] = []

    async def let_go(self) -> None:
        """Do what was asked for so far."""
        while self._waiting:
            await self._waiting.pop(0)

    def _spawn(self, call: Callable[[Any], Coroutine[Any, Any, None]], value: Any) -> bool:
        self._waiting.append(call(value))
        return True

    async def _append(self, entries: Entries, checkpoint: object) -> Appended:
        events = [event for event, _ in entries]
        self.appended += [each.id for each in events]
        return Appended(events, [True] * len(events))


async def test_one_append_serves_all_who_emit_at_one_time() -> None:
    """Catches: an append, and so a trip to the disk's thread, for each event."""
    calls = Calls()
    async with single(RecordingProcess(), journal=meddled(before=calls)) as orchestrator:
        emitter = Emitter(orchestrator)
        await emitter.all(64)
    assert 1 == calls.made["append"]


async def test_everybody_is_given_their_own_events() -> None:
    """However many each has. Catches: an answer that is somebody else's."""
    given: dict[int, Sequence[Event]] = {}
    held = Held()

    async def emit(count: int) -> None:
        entries = [(event(f"{count}.{number}"), Plan()) for number in range(count)]
        given[count] = await held.gathering.append(entries)

    async with anyio.create_task_group() as tasks:
        for count in (1, 2, 3):
            tasks.start_soon(emit, count)
        await wait_all_tasks_blocked()
        await held.let_go()
    assert {count: [f"{count}.{n}" for n in range(count)] for count in (1, 2, 3)} == {
        count: [each.id for each in events] for count, events in given.items()
    }


async def test_who_leaves_before_the_append_takes_their_event_along() -> None:
    """Catches: an event that is accepted although nobody is told, and comes again."""
    held, leaving = Held(), anyio.CancelScope()

    async def leave() -> None:
        with leaving:
            await held.gathering.append([(event("left"), Plan())])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(leave)
        tasks.start_soon(held.gathering.append, [(event("stayed"), Plan())])
        await wait_all_tasks_blocked()
        leaving.cancel()
        await wait_all_tasks_blocked()
        await held.let_go()
    assert ["stayed"] == held.appended


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
