"""The figures of the webhook plugin: what it adds to the HTTP server and the HTTP client that it stands on."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil

from orchestrator_core import Event, MemoryJournal, Orchestrator, SqliteJournal
from orchestrator_core.testing import FakeAttemptContext
from tests.bench.engine import Batches
from tests.bench.measuring import Figures, Measure, Row, Suite
from tests.bench.plain import make_events
from tests.bench.webhook_peers import SECRET

_SIGNED = 40_000
_BODY_BYTES = 300
_SECONDS = 5
_POSTS = 10_000
_IN_FLIGHT = 32
_SCRIPT = Path(__file__).with_name("signed.lua")


@contextmanager
def peer(name: str, folder: Path) -> Iterator[tuple[int, psutil.Process]]:
    """Run one of the programs of `tests.bench.webhook_peers` while the block runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "tests.bench.webhook_peers", name, str(port), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "listening\n"
            yield port, psutil.Process(process.pid)
        finally:
            process.kill()


def sign_beforehand(path: Path) -> Path:
    """Write so many signed requests, none like another, that no measure needs one twice."""
    from standardwebhooks import Webhook  # noqa: PLC0415 (takes a while)

    webhook, now = Webhook(SECRET), datetime.now(UTC)
    with path.open("w", encoding="utf-8") as file:
        for number in range(_SIGNED):
            start = f'{{"number":{number},"text":"'
            body = start + "x" * (_BODY_BYTES - len(start) - 2) + '"}'
            signature = webhook.sign(f"msg_{number}", now, body)
            file.write(f"msg_{number}\t{int(now.timestamp())}\t{signature}\t{body}\n")
    return path


def load(port: int, requests: Path, connections: int) -> Figures:
    """Have wrk send requests for some seconds, as fast as they are answered."""
    options = ["-t1", f"-c{connections}", f"-d{_SECONDS}", "--timeout", "30", "-s", str(_SCRIPT)]
    command = ["wrk", *options, f"http://127.0.0.1:{port}", "--", "/hook", str(requests)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return {"rate": found["requests"] / found["seconds"], "p99": found["p99"], "wrong": found["wrong"]}


def requests_per_second(name: str) -> Measure:
    """Measure how many requests a program answers, over 64 connections."""

    def measure(folder: Path) -> Figures:
        requests = sign_beforehand(folder / "requests")
        with peer(name, folder) as (port, _):
            found = load(port, requests, 64)
        assert found["wrong"] == 0, found
        return found

    return measure


def memory(folder: Path) -> Figures:
    """Measure the most memory that the input has over 512 connections, some of which are told to come again."""
    requests = sign_beforehand(folder / "requests")
    with peer("input", folder) as (port, process):
        load(port, requests, 512)
        status = Path(f"/proc/{process.pid}/status").read_text("ascii")
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return {"peak": int(peak.split()[1]) / 1024}


async def _timed(post: Callable[[Event], Awaitable[object]]) -> Figures:
    """Time posts, so many in flight."""
    left = iter(make_events(range(_POSTS)))

    async def work() -> None:
        for event in left:
            await post(event)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(_IN_FLIGHT):
            tasks.create_task(work())
    return {"rate": _POSTS / (time.perf_counter() - began)}


def bare_client(folder: Path) -> Figures:
    """Measure a loop around aiohttp with as many connections."""

    async def main(url: str) -> Figures:
        import aiohttp  # noqa: PLC0415 (takes a while)

        connector = aiohttp.TCPConnector(limit=_IN_FLIGHT, limit_per_host=_IN_FLIGHT)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def post(event: Event) -> None:
                headers = {"content-type": "application/json"}
                async with session.post(url, data=event.to_json().encode(), headers=headers) as answer:
                    await answer.read()
                    assert answer.status == 200

            return await _timed(post)

    with peer("receiver", folder) as (port, _):
        return asyncio.run(main(f"http://127.0.0.1:{port}/hook"))


def process_alone(folder: Path) -> Figures:
    """Measure the process, signing each request, without an engine around it."""

    async def main(url: str) -> Figures:
        from orchestrator_webhook import WebhookProcess  # noqa: PLC0415 (takes a while)

        async with WebhookProcess(url=url, secret=SECRET, allow_networks=["127.0.0.0/8"]) as process:
            return await _timed(lambda event: process.run(event, FakeAttemptContext(delivery_id=event.id)))

    with peer("receiver", folder) as (port, _):
        return asyncio.run(main(f"http://127.0.0.1:{port}/hook"))


def in_a_pipeline(durable: bool) -> Measure:
    """Measure the process with the engine and a journal around it."""

    async def main(url: str, folder: Path) -> Figures:
        from orchestrator_webhook import WebhookProcess  # noqa: PLC0415 (takes a while)

        journal = SqliteJournal(folder / "journal.db") if durable else MemoryJournal()
        async with Orchestrator(journal=journal, concurrency=_IN_FLIGHT) as orchestrator:
            orchestrator.add_input("rows", Batches(_POSTS))
            process = WebhookProcess(url=url, secret=SECRET, allow_networks=["127.0.0.0/8"])
            orchestrator.add_process("post", process, concurrency=_IN_FLIGHT)
            orchestrator.add_link("rows", "post")
            began = time.perf_counter()
            summary = await orchestrator.run(until_idle=True)
            seconds = time.perf_counter() - began
        assert summary.done == _POSTS, summary
        return {"rate": _POSTS / seconds}

    def measure(folder: Path) -> Figures:
        with peer("receiver", folder) as (port, _):
            return asyncio.run(main(f"http://127.0.0.1:{port}/hook", folder))

    return measure


_MEASURES = {
    "bare_server": requests_per_second("bare"),
    "input": requests_per_second("input"),
    "input_memory": memory,
    "bare_client": bare_client,
    "process": process_alone,
    "process_memory": in_a_pipeline(durable=False),
    "process_sqlite": in_a_pipeline(durable=True),
}
_ROWS = [
    Row("uvicorn and starlette, 202 with no work, 64 connections", "bare_server.rate"),
    Row(
        "input, signed, 202 after the commit",
        "input.rate",
        per="bare_server.rate",
        goal="≥ 0.5 of it",
        holds=lambda _, ratio: ratio >= 0.5,
    ),
    Row("uvicorn and starlette, p99", "bare_server.p99", "ms"),
    Row("input, p99", "input.p99", "ms", "bare_server.p99", "≤ 5", lambda _, ratio: ratio <= 5),
    Row("input, memory over 512 connections", "input_memory.peak", "MiB", goal="< 150", holds=lambda mib, _: mib < 150),
    Row("bare aiohttp, 32 in flight", "bare_client.rate"),
    Row("process, signing", "process.rate", "/s", "bare_client.rate", "≥ 0.6", lambda _, ratio: ratio >= 0.6),
    Row("… in a pipeline, memory journal", "process_memory.rate", per="bare_client.rate"),
    Row("… in a pipeline, SQLite journal", "process_sqlite.rate", per="bare_client.rate"),
]

SUITE = Suite(_MEASURES, _ROWS, once=frozenset({"input_memory"}))
