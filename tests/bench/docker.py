"""The figures of the Docker plugin: what it adds to what the engine takes, and how little many containers cost.

The engine is the limit, whatever the client, so each figure stands beside that of the bare SDK on the same engine,
taken in turns.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import attrs
import psutil
from anyio import to_thread

from orchestrator_core import Event, Orchestrator, SqliteJournal
from orchestrator_core.testing import FakeAttemptContext
from orchestrator_docker import DockerProcess
from orchestrator_docker._spec import host_of
from tests.bench.engine import Batches
from tests.bench.measuring import Figures, Row, Suite

sys.path.insert(0, str(Path(__file__).parents[2] / "plugins" / "orchestrator-docker" / "tests"))

from engines import IMAGE, Dockerd, engine

CONCURRENCY = 8
_WARM_UP = 4
_CONTAINERS = 16
_COMMANDS = 96
_PAIRS = 8
_MANY = 200
_MANY_SECONDS = 180
_TRUE = ["/bin/true"]


def bare(dockerd: Dockerd, count: int) -> float:
    """Run containers by the SDK alone, as plainly as it can, from 8 threads; return the seconds."""
    client = dockerd.client

    def run(_: int) -> None:
        container = client.create_container(IMAGE, _TRUE)["Id"]
        client.start(container)
        client.wait(container)
        client.logs(container)
        client.remove_container(container)

    with ThreadPoolExecutor(CONCURRENCY) as pool:
        began = time.perf_counter()
        list(pool.map(run, range(count)))
        seconds = time.perf_counter() - began
    client.close()
    return seconds


async def _through_a_pipeline(journal: Path, process: DockerProcess, count: int) -> float:
    """Run as many through a pipeline; return the seconds until the last of them is removed."""
    async with Orchestrator(journal=SqliteJournal(journal), concurrency=CONCURRENCY) as orchestrator:
        orchestrator.add_input("rows", Batches(count))
        orchestrator.add_process("work", process)
        orchestrator.add_link("rows", "work")
        began = time.perf_counter()
        summary = await orchestrator.run(until_idle=True)
    assert summary.done == count, summary
    return time.perf_counter() - began


def rates(folder: Path) -> Figures:
    """Measure containers per second at concurrency 8: the SDK's, ours, and ours with warm containers."""
    with engine() as dockerd:

        def ours(name: str, count: int, **options: Any) -> float:
            process = DockerProcess(image=IMAGE, command=_TRUE, host=dockerd.host, **options)
            return anyio.run(_through_a_pipeline, folder / name, process, count)

        bare(dockerd, _WARM_UP)
        first = bare(dockerd, _CONTAINERS)
        cold = (ours("1", _CONTAINERS) + ours("2", _CONTAINERS)) / (2 * _CONTAINERS)
        plain = (first + bare(dockerd, _CONTAINERS)) / (2 * _CONTAINERS)
        warm = ours("3", _COMMANDS, warm=True) / _COMMANDS
    return {"bare": 1 / plain, "ours": 1 / cold, "warm": 1 / warm, "share": plain / cold, "gain": cold / warm}


@attrs.frozen
class _Taken:
    """What one container took, in milliseconds: by the clock, and of this program's processor time."""

    elapsed: float
    busy: float


async def _taken(work: Callable[[], Awaitable[object]]) -> _Taken:
    busy, began = time.process_time(), time.perf_counter()
    await work()
    return _Taken((time.perf_counter() - began) * 1_000, (time.process_time() - busy) * 1_000)


async def _one_by_one(dockerd: Dockerd) -> Sequence[tuple[_Taken, _Taken]]:
    """Run single containers, by the SDK and by us in turns, alike in all that the engine does for them."""
    client = dockerd.client
    options = client.create_host_config(**host_of(DockerProcess(image=IMAGE), []))
    event = Event(location="public.rows", operation="create", id="1")
    pairs: list[tuple[_Taken, _Taken]] = []

    async def plain() -> None:
        client.create_container(IMAGE, _TRUE, host_config=options, name="plain")
        client.start("plain")
        client.wait("plain")
        client.logs("plain")

    async with DockerProcess(image=IMAGE, command=_TRUE, host=dockerd.host) as process:
        for number in range(_WARM_UP + _PAIRS):
            first = await _taken(plain)
            client.remove_container("plain")
            context = FakeAttemptContext(delivery_id=f"k1-{number}.0")
            pairs.append((first, await _taken(partial(process.run, event, context))))
            while client.containers(all=True, quiet=True):  # noqa: ASYNC110 (another task removes ours)
                await anyio.sleep(0.01)
    client.close()
    return pairs[_WARM_UP:]


def overhead(folder: Path) -> Figures:
    """Measure one container after the other, without their removal: the median, and what we add to it."""
    with engine() as dockerd:
        pairs = anyio.run(_one_by_one, dockerd)
    return {
        "bare": statistics.median(plain.elapsed for plain, _ in pairs),
        "ours": statistics.median(ours.elapsed for _, ours in pairs),
        "added": statistics.median(ours.elapsed - plain.elapsed for plain, ours in pairs),
        "busy": statistics.median(ours.busy for _, ours in pairs),
        "added_busy": statistics.median(ours.busy - plain.busy for plain, ours in pairs),
    }


async def _all_at_once(folder: Path, dockerd: Dockerd) -> Figures:
    """Count threads and memory when the last of so many containers has started; then leave them to the engine's end."""
    program, client = psutil.Process(), dockerd.client
    memory = program.memory_info().rss
    process = DockerProcess(image=IMAGE, command=["sleep", "600"], host=dockerd.host)
    async with Orchestrator(journal=SqliteJournal(folder / "journal.db"), concurrency=_MANY) as orchestrator:
        orchestrator.add_input("rows", Batches(_MANY))
        orchestrator.add_process("work", process)
        orchestrator.add_link("rows", "work")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(orchestrator.run)
            with anyio.fail_after(_MANY_SECONDS):
                while len(await to_thread.run_sync(partial(client.containers, quiet=True))) < _MANY:  # noqa: ASYNC110 (they start by themselves)
                    await anyio.sleep(0.1)
            figures = {
                "threads": float(threading.active_count()),
                "memory": (program.memory_info().rss - memory) / 2**20,
            }
            tasks.cancel_scope.cancel()
    client.close()
    return figures


def many(folder: Path) -> Figures:
    """Measure what 200 containers that run at once cost this program."""
    with engine() as dockerd:
        return anyio.run(_all_at_once, folder, dockerd)


SUITE = Suite(
    {"containers": rates, "one_container": overhead, "many_containers": many},
    [
        Row("bare SDK, 8 threads: create, start, wait, logs, remove", "containers.bare"),
        Row("ours, concurrency 8", "containers.ours", per="containers.bare"),
        Row("… in each round", "containers.share", "of it", goal="≥ 0.95", holds=lambda share, _: share >= 0.95),
        Row("… warm", "containers.warm", per="containers.ours"),
        Row("… in each round", "containers.gain", "of ours", goal="≥ 4", holds=lambda gain, _: gain >= 4),
        Row("bare SDK, one container, without its removal", "one_container.bare", "ms"),
        Row("ours", "one_container.ours", "ms", per="one_container.bare"),
        Row("… added, median of pairs", "one_container.added", "ms", goal="≤ 5 ms", holds=lambda ms, _: ms <= 5),
        Row("… processor time", "one_container.busy", "ms"),
        Row("… added, median of pairs", "one_container.added_busy", "ms", goal="≤ 5 ms", holds=lambda ms, _: ms <= 5),
        Row("200 at once: threads", "many_containers.threads", "", goal="≤ 24", holds=lambda count, _: count <= 24),
        Row("… memory", "many_containers.memory", "MiB", goal="< 60", holds=lambda mib, _: mib < 60),
    ],
    once=frozenset({"many_containers"}),
)
