"""The engine's clock is not ours: what was ended at its deadline has timed out, whatever it says of the moment."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import timedelta

import anyio
import pytest
from answers import Serve, container, log, runs_until_killed
from engines import IMAGE

from orchestrator_core import Event, RetryLater
from orchestrator_core.testing import FakeAttemptContext
from orchestrator_docker import ContainerTimeoutError, DockerProcess

pytestmark = pytest.mark.anyio

EVENT = Event(location="rain", operation="create", id="7")


async def run_to_its_end(process: DockerProcess) -> None:
    """Run attempts until one is not postponed, as it is where a look at the engine is under way at the deadline."""
    while True:
        with suppress(RetryLater):
            await process.run(EVENT, FakeAttemptContext(deadline=time.time() + 1.5))
            return


@pytest.mark.parametrize(
    "finished_at",
    ["0001-01-01T00:00:00Z", "2001-01-01T00:00:00Z", "9999-01-01T00:00:00Z"],
    ids=["never", "past", "future"],
)
async def test_d95_time_out_by_any_clock(serve: Serve, finished_at: str) -> None:
    """D95: a container that is killed at its deadline has timed out. Catches: an engine's late clock hides why."""
    over = container(Status="exited", Running=False, ExitCode=137, FinishedAt=finished_at)
    with serve(runs_until_killed(over, log(b"on"))) as engine:
        async with DockerProcess(image=IMAGE, host=engine.host, grace=timedelta(seconds=1)) as process:
            with anyio.fail_after(30), pytest.raises(ContainerTimeoutError):
                await run_to_its_end(process)
