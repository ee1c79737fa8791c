"""B9: a pipeline that is killed in the midst of accepting loses nothing that it has answered with 2xx."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random
from textwrap import dedent

import aiohttp
import anyio
import pytest
from sending import SECRET, free_port, signed

from orchestrator_core import SqliteJournal

pytestmark = pytest.mark.anyio


class Pipeline:
    """A pipeline of one input in a program of its own, to be killed."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "pipeline.toml").write_text(
            dedent(f"""
                version = 1

                [inputs.hooks]
                type = "webhook"
                options = {{ path = "/hook", auth = "standard", secret = "{SECRET}", bind = "127.0.0.1:{self.port}" }}

                [processes.count]
                type = "python"
                after = ["hooks"]
                execution_context = {{ function = "counting:count" }}
            """),
            "utf-8",
        )
        (folder / "counting.py").write_text("async def count(event, context):\n    return None\n", "utf-8")

    def start(self) -> None:
        """Start it."""
        code = "from orchestrator_core.cli import main; main()"
        with (self.folder / "run.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code, "run"], cwd=self.folder, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "run.log").read_text("utf-8")
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()


async def send(client: aiohttp.ClientSession, number: int, answered: set[str]) -> None:
    """Send one request until it is answered with 2xx, as a good sender does."""
    content, id_ = b'{"n":%d}' % number, f"msg_{number}"
    while True:
        try:
            async with client.post("/hook", data=content, headers=signed(content, id_)) as reply:
                if reply.status == 202:
                    assert {"uid": id_} == await reply.json()
                    answered.add(id_)
                    return
                assert 503 == reply.status
        except aiohttp.ClientError:
            await anyio.sleep(0.1)  # nobody is there; a sender waits


@pytest.mark.parametrize(
    ("requests", "kills", "seconds"),
    [pytest.param(1_000, 3, 120, id="few"), pytest.param(10_000, 25, 900, id="many", marks=pytest.mark.chaos)],
)
async def test_b9_what_was_answered_is_in_the_journal(
    tmp_path: Path, requests: int, kills: int, seconds: float
) -> None:
    """Each request that got 2xx is an event, none is two. Catches: an answer before the commit."""
    rng = Random(1)
    pipeline = Pipeline(tmp_path)
    pipeline.start()
    answered: set[str] = set()
    numbers = iter(range(requests))

    async def sender(client: aiohttp.ClientSession) -> None:
        for number in numbers:
            await send(client, number, answered)

    async def killer() -> None:
        for share in range(1, kills + 1):
            while len(answered) < requests * share / (kills + 1):  # noqa: ASYNC110 (any moment will do)
                await anyio.sleep(0.001)
            await anyio.sleep(rng.random() * 0.05)
            pipeline.kill()
            pipeline.start()

    try:
        with anyio.fail_after(seconds):
            url = f"http://127.0.0.1:{pipeline.port}"
            async with aiohttp.ClientSession(url) as client, anyio.create_task_group() as tasks:
                tasks.start_soon(killer)
                for _ in range(32):
                    tasks.start_soon(sender, client)
    finally:
        pipeline.kill()
    async with SqliteJournal.reader(tmp_path / ".orchestrator/journal.db") as journal:
        found = [record.event.uid for record in await journal.events(limit=2 * requests)]
    assert requests == len(answered)
    assert sorted(answered) == sorted(found)
