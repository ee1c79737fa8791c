"""The input at work in a whole pipeline: one table, one no-op process, the SQLite journal at its defaults."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import attrs
import psutil
from anyio import to_thread

from orchestrator_core import (
    AttemptContext,
    Event,
    InputChanged,
    Notice,
    Orchestrator,
    Process,
    SqliteJournal,
    SystemClock,
)
from orchestrator_core.testing import FakeInputContext
from orchestrator_postgres import PostgresInput
from tests.bench.measuring import Figures, Measure, peak_memory
from tests.bench.postgres.server import CONNECTIONS, TABLES, Server, bulk, serving, single

BACKLOG = 200_000
SOAK = int(os.environ.get("BENCH_SOAK", "1000000"))
"""How many events the soak lets through."""
_READY_SECONDS = 60


@attrs.define(eq=False)
class Counted:
    """A process that does nothing but count, and calls a function after each so many."""

    every: int
    call: Callable[[], None]
    _left: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._left = self.every

    async def run(self, event: Event, context: AttemptContext) -> None:
        self._left -= 1
        if not self._left:
            self._left = self.every
            self.call()


def watch(server: Server) -> PostgresInput:
    """Return the input that all measures use."""
    return PostgresInput(server.dsn, tables=["public.orders"])


@asynccontextmanager
async def handing_over(server: Server) -> AsyncIterator[FakeInputContext]:
    """Run the input alone while the block runs, from the moment it listens; what it emits is accepted at once."""
    context = FakeInputContext("rows", clock=SystemClock())
    async with watch(server) as component, anyio.create_task_group() as tasks:
        tasks.start_soon(component.run, context)
        await context.until(lambda: context.is_ready)
        yield context
        tasks.cancel_scope.cancel()


def build(server: Server, folder: Path, process: Process, *observers: Callable[[Notice], None]) -> Orchestrator:
    """Wire the pipeline."""
    orchestrator = Orchestrator(journal=SqliteJournal(folder / "journal.db"), observers=observers)
    orchestrator.add_input("rows", watch(server))
    orchestrator.add_process("work", process)
    orchestrator.add_link("rows", "work")
    return orchestrator


@asynccontextmanager
async def running(server: Server, folder: Path, process: Process) -> AsyncIterator[None]:
    """Run the pipeline while the block runs, from the moment its input listens."""
    ready = anyio.Event()

    def observe(notice: Notice) -> None:
        if isinstance(notice, InputChanged) and notice.state == "ready":
            ready.set()

    async with build(server, folder, process, observe) as orchestrator, anyio.create_task_group() as tasks:
        tasks.start_soon(orchestrator.run)
        with anyio.fail_after(_READY_SECONDS):
            await ready.wait()
        yield
        tasks.cancel_scope.cancel()


def watched(work: Callable[[Server, Path], Awaitable[Figures]]) -> Measure:
    """Make a measure of what works on a fresh server with a watched table."""

    async def main(folder: Path) -> Figures:
        with serving(folder) as server:
            server.execute(TABLES["tables"])
            async with handing_over(server):
                pass  # it has put its triggers on the table, and from here on changes are recorded
            return await work(server, folder)

    return lambda folder: anyio.run(main, folder)


async def sustain(server: Server, folder: Path) -> Figures:
    """Have 8 connections write as fast as they can; the clock runs until the last of their events is done."""
    count = 40_000
    done = anyio.Event()
    async with running(server, folder, Counted(count, done.set)):
        began = time.perf_counter()
        commits = await to_thread.run_sync(partial(server.write, single("orders"), each=count // CONNECTIONS))
        await done.wait()
        seconds = time.perf_counter() - began
    return {"rate": count / seconds, "commits": commits}


async def drain(server: Server, folder: Path) -> Figures:
    """Work off what waits, from the start of a run until it is idle."""
    for _ in range(0, BACKLOG, 20_000):
        server.execute(bulk("orders", 20_000))
    memory: list[float] = []
    began = time.perf_counter()
    async with build(server, folder, Counted(BACKLOG // 10, lambda: memory.append(_memory()))) as orchestrator:
        summary = await orchestrator.run(until_idle=True)
    seconds = time.perf_counter() - began
    assert summary.done == BACKLOG, summary
    return {"rate": BACKLOG / seconds, "memory": peak_memory(), "growth": memory[-1] - memory[0]}


async def soak(server: Server, folder: Path) -> Figures:
    """Let many events through while they are written; compare the last tenth with the first, and look what is left."""
    moments = [time.perf_counter()]
    over = anyio.Event()

    def note() -> None:
        moments.append(time.perf_counter())
        if len(moments) > 10:
            over.set()

    async with running(server, folder, Counted(SOAK // 10, note)):
        await to_thread.run_sync(partial(server.write, single("orders"), each=SOAK // CONNECTIONS))
        await over.wait()
    return {
        "first": SOAK / 10 / (moments[1] - moments[0]),
        "last": SOAK / 10 / (moments[10] - moments[9]),
        "memory": peak_memory(),
        "outbox": server.megabytes("orchestrator.outbox"),
        "journal": sum(file.stat().st_size for file in folder.glob("journal.db*")) / 2**20,
    }


def _memory() -> float:
    return psutil.Process().memory_info().rss / 2**20
