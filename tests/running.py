"""An input at work, for the tests of inputs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from orchestrator_core import Input
from orchestrator_core.testing import FakeInputContext


@asynccontextmanager
async def running(component: Input, context: FakeInputContext) -> AsyncIterator[None]:
    """Run an input while the block runs, for 30 s at most, then cancel it."""
    context.is_ready = False
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(component.run, context)
            await context.until(lambda: context.is_ready)
            yield
            tasks.cancel_scope.cancel()
