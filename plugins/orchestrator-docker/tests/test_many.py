"""Many containers at once: no thread each, and little memory."""

from __future__ import annotations

import os
import threading
from typing import Any

import anyio
import psutil
import pytest
from anyio import to_thread
from engines import IMAGE, Dockerd

from orchestrator_core import Event, SqliteJournal
from orchestrator_core.testing import FakeAttemptContext
from orchestrator_docker import DockerProcess
from orchestrator_docker._engine import THREADS

pytestmark = [pytest.mark.anyio, pytest.mark.chaos]

EVENT = Event(location="rain", operation="create", id="7")


@pytest.fixture
def anyio_backend() -> Any:
    """Once is enough for so many."""
    return "asyncio"


async def test_two_hundred_at_once(dockerd: Dockerd, tmp_path: Any) -> None:
    """200 containers run at once without a thread each, for less than 60 MiB. Catches: a thread that waits or reads."""
    count = int(os.environ.get("ORCHESTRATOR_CONTAINERS", "200"))
    contexts = [FakeAttemptContext(delivery_id=f"k1-{n}.0") for n in range(count)]
    memory = psutil.Process().memory_info().rss
    async with SqliteJournal(tmp_path / "journal.db") as journal:
        made = DockerProcess(image=IMAGE, command=["sh", "-c", "echo on; sleep 600"])
        made.attach("job", journal)
        async with made:
            with anyio.fail_after(540):
                async with anyio.create_task_group() as tasks:
                    for context in contexts:
                        tasks.start_soon(made.run, EVENT, context)
                    while not all(context.lines for context in contexts):  # noqa: ASYNC110 (others write them)
                        await anyio.sleep(0.1)
                    assert threading.active_count() <= THREADS + 8
                    assert psutil.Process().memory_info().rss - memory < 60 * 1024 * 1024
                    tasks.cancel_scope.cancel()
    await to_thread.run_sync(dockerd.remove_all)
