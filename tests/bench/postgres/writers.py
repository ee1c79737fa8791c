"""What watching costs those who write: no trigger, ours, and the ancestor's, on one server in turn."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg
from anyio import to_thread

from tests.bench.engine import NoOp
from tests.bench.measuring import Figures
from tests.bench.postgres.pipeline import handing_over, running
from tests.bench.postgres.server import TABLES, Server, bulk, single

_SECONDS = 4
_BULK = 20_000
_TIMES = 5


@contextmanager
def ancestor(server: Server) -> Iterator[None]:
    """Watch a table as the ancestor does while the block runs: a trigger that notifies, a session that listens."""
    server.execute(TABLES["ancestor"])
    with server.connect() as connection:
        connection.execute("LISTEN process_record")
        thread = threading.Thread(target=_listen, args=[connection])
        thread.start()
        yield
        server.execute("NOTIFY process_record, 'stop'")
        thread.join()


def _listen(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    for notify in connection.notifies():
        if notify.payload == "stop":
            return


async def commits(server: Server, folder: Path) -> Figures:
    """Count single-row commits a second by 8 connections: plain, the ancestor's way, and ours.

    Ours twice: while the input hands over to somebody who accepts at once, which is what the database and the input
    cost, and while a whole pipeline on the same cores works off what is written.
    """

    async def write(table: str) -> float:
        return await to_thread.run_sync(partial(server.write, single(table), seconds=_SECONDS))

    plain = await write("plain")
    with ancestor(server):
        announced = await write("announced")
    async with handing_over(server) as context:
        ours = await write("orders")
        assert context.events
    async with running(server, folder, NoOp()):
        pipeline = await write("orders")
    return {"plain": plain, "announced": announced, "ours": ours, "pipeline": pipeline}


async def bulk_insert(server: Server, folder: Path) -> Figures:
    """Time an INSERT … SELECT of 20,000 rows, with each trigger in turn; the outbox has the size that it works at."""
    taken: dict[str, list[float]] = {"plain": [], "announced": [], "orders": []}
    with ancestor(server), server.connect() as connection:
        for _ in range(_TIMES):
            for table, times in taken.items():
                began = time.perf_counter()
                connection.execute(bulk(table, _BULK))
                times.append((time.perf_counter() - began) * 1_000)
            connection.execute("DELETE FROM orchestrator.outbox")
            connection.execute("VACUUM orchestrator.outbox")
    return {table: statistics.median(times) for table, times in taken.items()}
