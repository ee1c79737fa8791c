"""The bounds: the same writes by plain `sqlite3`, a bare queue, and the disk's own flush."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import time
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from orchestrator_core import Event, Operation
from tests.bench.measuring import Figures

EVENTS = 50_000
_EVENT = "INSERT INTO events VALUES (?, 'rows', ?, 1, 0, 1.5, NULL, ?)"
_DELIVERY = "INSERT INTO deliveries (id, process, state, attempt, owner, due_at) VALUES (?, 'work', 2, 1, 1, 1.5)"
_DONE = "UPDATE deliveries SET state = 3, started_at = 2.5, settled_at = 2.5 WHERE id = ? AND attempt = 1 AND owner = 1"


def open_plain(folder: Path) -> sqlite3.Connection:
    """Make an empty journal with the engine's schema and settings, without the engine."""
    connection = sqlite3.connect(folder / "plain.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    connection.executescript(files("orchestrator_core._journal").joinpath("schema.sql").read_text())
    return connection


def make_events(numbers: Iterable[int]) -> list[Event]:
    """Make the events that every measure uses: about 200 bytes of JSON."""
    return [
        Event(location="public.rows", operation=Operation.CREATE, id=str(each), data={"value": each})
        for each in numbers
    ]


def _rows() -> tuple[list[tuple[int, str, str]], list[tuple[int]]]:
    """Make all rows beforehand: what is measured is the database alone."""
    events = [event.accepted_as("rows") for event in make_events(range(EVENTS))]
    texts = [(number, event.uid, event.to_json()) for number, event in enumerate(events, 1)]
    return texts, [(number * 1024,) for number, _, _ in texts]


def three_writes(folder: Path) -> Figures:
    """Write event, delivery and done-mark in transactions of 1,000."""
    texts, keys = _rows()
    connection = open_plain(folder)
    began = time.perf_counter()
    for start in range(0, EVENTS, 1_000):
        part = slice(start, start + 1_000)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_EVENT, texts[part])
        connection.executemany(_DELIVERY, keys[part])
        connection.executemany(_DONE, keys[part])
        connection.execute("COMMIT")
    return {"rate": EVENTS / (time.perf_counter() - began)}


def journal_writes(folder: Path) -> Figures:
    """Write what an append of 100 and what a settle of 100 write, each in a transaction of its own."""
    texts, keys = _rows()
    connection = open_plain(folder)
    append = settle = 0.0
    for start in range(0, EVENTS, 100):
        part = slice(start, start + 100)
        began = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_EVENT, texts[part])
        connection.executemany(_DELIVERY, keys[part])
        connection.execute("COMMIT")
        between = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_DONE, keys[part])
        connection.execute("COMMIT")
        settle += time.perf_counter() - between
        append += between - began
    return {"append": EVENTS / append, "settle": EVENTS / settle}


def bare_queue(folder: Path) -> Figures:
    """Hand as many items through an `asyncio.Queue` to 8 workers."""

    async def main() -> float:
        queue: asyncio.Queue[int] = asyncio.Queue(100)

        async def work() -> None:
            while True:
                await queue.get()
                queue.task_done()

        async with asyncio.TaskGroup() as tasks:
            workers = [tasks.create_task(work()) for _ in range(8)]
            began = time.perf_counter()
            for number in range(EVENTS):
                await queue.put(number)
            await queue.join()
            seconds = time.perf_counter() - began
            for worker in workers:
                worker.cancel()
        return EVENTS / seconds

    return {"rate": asyncio.run(main())}


def flush_milliseconds(folder: Path) -> float:
    """Return how long the disk takes to confirm a small write, the median of 200."""
    times = []
    with (folder / "flush").open("wb", buffering=0) as file:
        for _ in range(200):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1_000
