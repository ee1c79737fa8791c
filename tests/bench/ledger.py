"""The SQLite journal alone: appends and settles of 100, and how many events share a flush."""

from __future__ import annotations

import time
from pathlib import Path

import anyio

from orchestrator_core import (
    DeliveryState,
    Link,
    Orchestrator,
    Pipeline,
    ProcessOptions,
    Settlement,
    SqliteJournal,
    Transition,
)
from tests.bench.engine import ONE, Singles, wire
from tests.bench.measuring import Figures
from tests.bench.plain import EVENTS, make_events

_DONE = Transition(DeliveryState.DONE, 0.0, 0, 0)


def append_and_settle(folder: Path) -> Figures:
    """Measure events per second of `append` and of `settle`, 100 at a time, one call after the other."""
    pipeline = Pipeline(["rows"], {"work": ProcessOptions()}, [Link("rows", "work")])

    async def main() -> Figures:
        append = settle = 0.0
        async with SqliteJournal(folder / "journal.db") as journal:
            await journal.register("bench", now=1.0, lease=1e9)
            events = [event.accepted_as("rows") for event in make_events(range(EVENTS))]
            entries = [(event, pipeline.plan(event)) for event in events]
            for event in events:
                event.to_json()  # the engine has done it by then, and plain sqlite3 is given its rows, too
            for start in range(0, EVENTS, 100):
                began = time.perf_counter()
                part = entries[start : start + 100]
                appended = await journal.append(part, now=1.5, worker="bench", slots={"work": 100})
                between = time.perf_counter()
                settlements = [Settlement(claim, _DONE, 2.5) for claim in appended.claims]
                await journal.settle("bench", settlements, now=2.5)
                settle += time.perf_counter() - between
                append += between - began
        return {"append": EVENTS / append, "settle": EVENTS / settle}

    return anyio.run(main)


class _Counting(SqliteJournal):
    """Counts its transactions; each is flushed once."""

    transactions = 0

    def _run(self, *args: object) -> None:
        self.transactions += 1
        super()._run(*args)  # type: ignore[arg-type]


def shared_flushes(folder: Path) -> Figures:
    """Count how many events one flush serves with 64 single emits in flight."""
    count = 20_000
    journal = _Counting(folder / "journal.db")

    async def main() -> None:
        async with Orchestrator(journal=journal) as orchestrator:
            wire(orchestrator, Singles(count), ONE)
            await orchestrator.run(until_idle=True)

    anyio.run(main)
    return {"events": count / journal.transactions}
