"""The engine at work: throughput, latency, and a backlog of a million."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio
import attrs

from orchestrator_core import (
    AttemptContext,
    Event,
    InputContext,
    Journal,
    MemoryJournal,
    Operation,
    Orchestrator,
    SqliteJournal,
)
from tests.bench.measuring import Figures, Measure, peak_memory
from tests.bench.plain import EVENTS, flush_milliseconds, make_events

BACKLOG = 1_000_000
Links = Sequence[tuple[str, str]]

ONE: Links = [("rows", "work")]
FAN_OUT: Links = [("rows", name) for name in "abcd"]
CHAIN: Links = [("rows", "a"), ("a", "b"), ("b", "c"), ("c", "d")]


class NoOp:
    """A process that does nothing."""

    async def run(self, event: Event, context: AttemptContext) -> None:
        pass


@attrs.frozen
class Batches:
    """An input that emits so many events, a batch at a time."""

    count: int
    size: int = 100

    async def run(self, context: InputContext) -> None:
        for start in range(0, self.count, self.size):
            await context.emit_many(make_events(range(start, min(start + self.size, self.count))))


@attrs.frozen
class Singles:
    """An input that emits single events, so many of them in flight."""

    count: int
    in_flight: int = 64

    async def run(self, context: InputContext) -> None:
        left = iter(make_events(range(self.count)))

        async def emit() -> None:
            for event in left:
                await context.emit(event)

        async with anyio.create_task_group() as tasks:
            for _ in range(self.in_flight):
                tasks.start_soon(emit)


def wire(orchestrator: Orchestrator, source: Batches | Singles, links: Links) -> None:
    """Build a pipeline of no-ops."""
    orchestrator.add_input("rows", source)
    for _, name in links:
        orchestrator.add_process(name, NoOp())
    for upstream, name in links:
        orchestrator.add_link(upstream, name)


async def _drive(journal: Journal, source: Batches | Singles, links: Links) -> float:
    async with Orchestrator(journal=journal) as orchestrator:
        wire(orchestrator, source, links)
        began = time.perf_counter()
        summary = await orchestrator.run(until_idle=True)
        seconds = time.perf_counter() - began
    assert summary.done == source.count * len(links), summary
    return source.count / seconds


def durable(source: Batches | Singles, links: Links = ONE) -> Measure:
    """Measure events per second through a SQLite journal at its defaults."""

    def measure(folder: Path) -> Figures:
        return {"rate": anyio.run(_drive, SqliteJournal(folder / "journal.db"), source, links)}

    return measure


def in_memory(backend: str) -> Measure:
    """Measure events per second through a memory journal."""

    def measure(folder: Path) -> Figures:
        return {"rate": anyio.run(_drive, MemoryJournal(), Batches(EVENTS), ONE, backend=backend)}

    return measure


class _Stamped:
    """Notes how long after its acceptance each event reaches it."""

    def __init__(self) -> None:
        self.delays: list[float] = []

    async def run(self, event: Event, context: AttemptContext) -> None:
        self.delays.append(time.perf_counter() - float(event.data))  # type: ignore[arg-type]


@attrs.frozen
class _Paced:
    """Emits one event every 10 ms, stamped with the moment before it is accepted."""

    count: int

    async def run(self, context: InputContext) -> None:
        for number in range(self.count):
            await anyio.sleep(0.01)
            event = Event(location="ticks", operation=Operation.CREATE, id=str(number), data=time.perf_counter())
            await context.emit(event)


def latency(folder: Path) -> Figures:
    """Measure emit → process called at 100 events a second, and the disk's flush beside it."""
    stamped = _Stamped()

    async def main() -> None:
        async with Orchestrator(journal=SqliteJournal(folder / "journal.db")) as orchestrator:
            orchestrator.add_input("ticks", _Paced(500))
            orchestrator.add_process("work", stamped)
            orchestrator.add_link("ticks", "work")
            await orchestrator.run(until_idle=True)

    anyio.run(main)
    cuts = statistics.quantiles(stamped.delays, n=100)
    flush = flush_milliseconds(folder)
    p50, p99 = cuts[49] * 1_000, cuts[98] * 1_000
    return {"p50": p50, "p99": p99, "flush": flush, "p50_beyond_flush": p50 - flush}


class _Gate:
    """Holds every attempt until it is opened, then lets a number of them through."""

    def __init__(self, count: int) -> None:
        self._left = count
        self.opened = anyio.Event()
        self.through = anyio.Event()

    async def run(self, event: Event, context: AttemptContext) -> None:
        await self.opened.wait()
        self._left -= 1
        if self._left == 0:
            self.through.set()


def backlog(queued: int, drained: int) -> Measure:
    """Queue events behind a blocked process; measure the memory, then how fast the first of them drain."""

    async def main(folder: Path) -> Figures:
        gate, all_in = _Gate(drained), anyio.Event()

        class Fill:
            async def run(self, context: InputContext) -> None:
                await Batches(queued, size=1_000).run(context)
                all_in.set()

        async with Orchestrator(journal=SqliteJournal(folder / "journal.db")) as orchestrator:
            orchestrator.add_input("rows", Fill())
            orchestrator.add_process("work", gate)
            orchestrator.add_link("rows", "work")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(orchestrator.run)
                await all_in.wait()
                memory = peak_memory()
                began = time.perf_counter()
                gate.opened.set()
                await gate.through.wait()
                rate = drained / (time.perf_counter() - began)
                tasks.cancel_scope.cancel()
        return {"rate": rate, "memory": memory}

    return lambda folder: anyio.run(partial(main, folder))
