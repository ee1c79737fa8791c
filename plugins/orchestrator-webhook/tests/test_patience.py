"""The time that many share one timer for."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from orchestrator_webhook._patience import Patience

pytestmark = pytest.mark.anyio


async def test_whoever_begins_later_has_their_time_too() -> None:
    """And whoever begins when all is over. Catches: a timer that goes off once, or for the first one only."""
    patience = Patience(0.05)
    begun = anyio.Event()
    over: list[str] = []

    async def wait(name: str) -> None:
        begun.set()
        with pytest.raises(TimeoutError):
            await patience.wait_for(anyio.sleep_forever())
        over.append(name)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait, "first")
            await begun.wait()
            tasks.start_soon(wait, "second")
        await wait("last")
    assert ["first", "second", "last"] == over


async def test_what_ends_in_time_is_returned() -> None:
    """Whatever becomes of others. Catches: cutting off somebody who is done and waits for something else."""
    patience = Patience(0.05)

    async def answer() -> int:
        return 7

    async def wait_in_vain() -> None:
        with pytest.raises(TimeoutError):
            await patience.wait_for(anyio.sleep_forever())

    with anyio.fail_after(10):
        found = await patience.wait_for(answer())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait_in_vain)
    assert 7 == found


async def test_a_cancellation_is_not_taken_for_the_end_of_the_time() -> None:
    """Catches: a request that is answered 408 when its server stops."""
    task = asyncio.create_task(Patience(60).wait_for(anyio.sleep_forever()))
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (True, 1) == (task.cancelled(), task.cancelling())
