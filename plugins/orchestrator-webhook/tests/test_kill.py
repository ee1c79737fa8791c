"""B9: a pipeline that is killed in the midst of accepting loses nothing that it has answered with 2xx."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from textwrap import dedent

import aiohttp
import anyio
import pytest
from killed_at import POINTS
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

    def start(self, *killed_at: str) -> None:
        """Start it; with a point and a number, it kills itself there: see `killed_at`."""
        code = "from orchestrator_core.cli import main; main()"
        script = [str(Path(__file__).with_name("killed_at.py")), *killed_at] if killed_at else ["-c", code, "run"]
        with (self.folder / "run.log").open("ab") as log:
            self._process = subprocess.Popen([sys.executable, *script], cwd=self.folder, stdout=log, stderr=log)

    def is_over(self) -> bool:
        """Tell whether it has killed itself."""
        assert self._process is not None
        assert self._process.poll() in {None, 9}, (self.folder / "run.log").read_text("utf-8")
        return self._process.poll() is not None

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "run.log").read_text("utf-8")
        self.end()

    def end(self) -> None:
        """Leave nothing of it behind, whether it runs or not: after a failure, that one is to be seen."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def found(self, limit: int) -> list[str]:
        """Return the identities of all events in its journal."""
        async with SqliteJournal.reader(self.folder / ".orchestrator/journal.db") as journal:
            return [record.event.uid for record in await journal.events(limit=limit)]


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


async def send_all(pipeline: Pipeline, requests: int, answered: set[str]) -> None:
    """Send so many requests, 32 at a time."""
    numbers = iter(range(requests))

    async def work(client: aiohttp.ClientSession) -> None:
        for number in numbers:
            await send(client, number, answered)

    url = f"http://127.0.0.1:{pipeline.port}"
    async with aiohttp.ClientSession(url) as client, anyio.create_task_group() as tasks:
        for _ in range(32):
            tasks.start_soon(work, client)


async def test_b9_what_was_answered_is_in_the_journal(tmp_path: Path) -> None:
    """Each request that got 2xx is an event, none is two. Catches: an answer before the commit."""
    rng, requests, kills = Random(1), 1_000, 3
    pipeline = Pipeline(tmp_path)
    pipeline.start()
    answered: set[str] = set()

    async def killer() -> None:
        for share in range(1, kills + 1):
            while len(answered) < requests * share / (kills + 1):  # noqa: ASYNC110 (any moment will do)
                await anyio.sleep(0.001)
            await anyio.sleep(rng.random() * 0.05)
            pipeline.kill()
            pipeline.start()

    try:
        with anyio.fail_after(120):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(killer)
                tasks.start_soon(send_all, pipeline, requests, answered)
        pipeline.kill()
    finally:
        pipeline.end()
    assert requests == len(answered)
    assert sorted(answered) == sorted(await pipeline.found(2 * requests))


@pytest.mark.chaos
async def test_b9_killed_at_every_point_of_accepting(
    tmp_path: Path, times: Callable[[str, int], int], request: pytest.FixtureRequest
) -> None:
    """Wherever it ends, between the first byte and the end of the connection, nothing that got 2xx is lost or doubled.

    Catches: an answer before the commit (`committed` and `written` would change places), an identity that is not kept
    with the event (the repeat of a request whose answer was lost would be a second event).
    """
    requests, seed = times("requests", 10_000), request.config.getoption("--seed")
    rng, pipeline, answered = Random(seed), Pipeline(tmp_path), set[str]()
    ends: list[str] = []

    async def keep_running() -> None:
        # Early enough for all points to have their turn before all requests are answered: some are passed once for many
        # requests, and the first once for each of 32 connections.
        most = max(1, min(24, requests // 250))
        for point in rng.sample(list(POINTS), len(POINTS)):
            pipeline.start(point, str(1 + rng.randrange(most)))
            while not pipeline.is_over():  # noqa: ASYNC110 (a process can only be asked)
                await anyio.sleep(0.01)
            ends.append(point)
        pipeline.start()

    try:
        with anyio.fail_after(600):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(keep_running)
                tasks.start_soon(send_all, pipeline, requests, answered)
        pipeline.kill()
    finally:
        pipeline.end()
    print(f"seed: {seed}, requests: {requests}, killed at: {ends}")  # noqa: T201 (pytest shows it with a failure)
    assert sorted(POINTS) == sorted(ends)
    assert requests == len(answered)
    assert sorted(answered) == sorted(await pipeline.found(2 * requests))
