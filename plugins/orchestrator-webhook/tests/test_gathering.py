"""Requests that are handed over together, also when the hand-over ends late or in a way that nobody has foreseen."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from orchestrator_core import JSON, Event, EventError, JournalError, JournalUnavailableError
from orchestrator_core.testing import FakeInputContext
from orchestrator_webhook._gathering import Gathering

pytestmark = pytest.mark.anyio


def event(number: int) -> Event:
    """Return an event that differs from those of other numbers."""
    return Event(location="/hook", operation="create", id=str(number))


async def test_requests_that_come_together_are_one_hand_over() -> None:
    """And those that come meanwhile the next. Catches: a way through the engine for each request."""
    lists: list[int] = []

    class Counting(FakeInputContext):
        async def emit_many(self, events: Sequence[Event], *, checkpoint: JSON = None) -> Sequence[Event]:
            lists.append(len(events))
            return await super().emit_many(events, checkpoint=checkpoint)

    context = Counting()
    context.hold()
    gathering = Gathering(context, 10)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as running:
            running.start_soon(gathering.run)
            async with anyio.create_task_group() as tasks:
                for number in range(10):
                    tasks.start_soon(gathering.emit, event(number))
                await anyio.wait_all_tasks_blocked()
                for number in range(10, 30):
                    tasks.start_soon(gathering.emit, event(number))
                await anyio.wait_all_tasks_blocked()
                context.release()
            running.cancel_scope.cancel()
    assert ([10, 20], 30) == (lists, len(context.events))


async def test_whoever_waits_behind_others_is_told_in_time() -> None:
    """Those that are being handed over, and those that are not yet. Catches: a deadline for the first list only."""
    context = FakeInputContext()
    context.hold()
    gathering = Gathering(context, 0.05)
    late: list[int] = []

    async def emit(number: int) -> None:
        with pytest.raises(TimeoutError):
            await gathering.emit(event(number))
        late.append(number)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as running:
            running.start_soon(gathering.run)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(emit, 1)
                await anyio.wait_all_tasks_blocked()
                tasks.start_soon(emit, 2)
            context.release()
            accepted = await gathering.emit(event(3))
            running.cancel_scope.cancel()
    assert ([1, 2], "3") == (late, accepted.id)


async def test_whoever_leaves_before_the_hand_over_takes_their_event_along() -> None:
    """Catches: an event that is accepted though its sender was told nothing, and comes again."""
    context = FakeInputContext()
    context.hold()
    gathering = Gathering(context, 10)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as running, anyio.create_task_group() as tasks:
            running.start_soon(gathering.run)
            tasks.start_soon(gathering.emit, event(1))
            await anyio.wait_all_tasks_blocked()
            async with anyio.create_task_group() as leaving:
                leaving.start_soon(gathering.emit, event(2))
                await anyio.wait_all_tasks_blocked()
                leaving.cancel_scope.cancel()
            context.release()
            await gathering.emit(event(3))
            running.cancel_scope.cancel()
    assert ["1", "3"] == [each.id for each in context.events]


async def test_a_defect_leaves_no_event_of_a_spoilt_batch_waiting() -> None:
    """While they go one by one, all of them are told. Catches: knowing only the one whose turn it is."""
    context = FakeInputContext()
    context.fail(EventError("one of them is no event"))
    context.fail(RuntimeError("a defect"))
    gathering = Gathering(context, 10)
    told: list[str] = []

    async def emit(number: int) -> None:
        try:
            await gathering.emit(event(number))
        except JournalError as error:
            told.append(str(error))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for number in range(3):
                tasks.start_soon(emit, number)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(RuntimeError, match="a defect"):
                await gathering.run()
    assert ["the input has stopped"] * 3 == told


async def test_what_comes_after_the_end_does_not_wait() -> None:
    """It is told at once. Catches: an event that joins others of which nobody will come to hand them over."""
    context = FakeInputContext()
    context.fail(RuntimeError("a defect"))
    gathering = Gathering(context, 10)

    async def emit() -> None:
        with pytest.raises(JournalUnavailableError):
            await gathering.emit(event(1))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(emit)
            with pytest.raises(RuntimeError, match="a defect"):
                await gathering.run()
        with pytest.raises(JournalUnavailableError, match="the input has stopped"):
            await gathering.emit(event(2))
