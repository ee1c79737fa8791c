"""An input at work, for the tests of the input."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from orchestrator_core import SystemClock
from orchestrator_core.testing import FakeInputContext
from orchestrator_postgres import PostgresInput


def new_context(name: str = "raw") -> FakeInputContext:
    """Return a context whose `sleep` goes by the real clock."""
    return FakeInputContext(name, clock=SystemClock())


@asynccontextmanager
async def watching(component: PostgresInput, context: FakeInputContext, *, within: float = 60) -> AsyncIterator[None]:
    """Run an input while the block runs, from the moment it listens."""
    context.is_ready = False
    with anyio.fail_after(within):
        async with component, anyio.create_task_group() as tasks:
            tasks.start_soon(component.run, context)
            await context.until(lambda: context.is_ready)
            yield
            tasks.cancel_scope.cancel()


async def settled(context: FakeInputContext) -> None:
    """Wait until two looks that began after this call have found nothing: all that was committed is accepted."""
    await another_look(context)
    await another_look(context)


async def another_look(context: FakeInputContext) -> None:
    """Wait until a look has found nothing."""
    looks = context.looks
    context.ask_for_a_look()
    await context.until(lambda: context.looks > looks)


async def events(context: FakeInputContext, count: int) -> None:
    """Wait until so many events are accepted."""
    await context.until(lambda: len(context.events) >= count)
