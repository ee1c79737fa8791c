"""What becomes of requests that are handed over together when the hand-over ends in a way that nobody has foreseen."""

from __future__ import annotations

import anyio
import pytest

from orchestrator_core import Event, EventError, JournalError, JournalUnavailableError
from orchestrator_core.testing import FakeInputContext
from orchestrator_webhook._gathering import Gathering

pytestmark = pytest.mark.anyio


def event(number: int) -> Event:
    """Return an event that differs from those of other numbers."""
    return Event(location="/hook", operation="create", id=str(number))


async def test_a_defect_leaves_no_event_of_a_spoilt_batch_waiting() -> None:
    """While they go one by one, all of them are told. Catches: knowing only the one whose turn it is."""
    context = FakeInputContext()
    context.fail(EventError("one of them is no event"))
    context.fail(RuntimeError("a defect"))
    gathering = Gathering(context)
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
    gathering = Gathering(context)

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
