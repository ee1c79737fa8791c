"""How long a commit takes to reach a process at 200 commits a second, beside a bare loop over NOTIFY."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import anyio
import attrs
import psycopg
from anyio import to_thread

from orchestrator_core import AttemptContext, Event
from tests.bench.measuring import Figures
from tests.bench.plain import flush_milliseconds
from tests.bench.postgres.pipeline import running
from tests.bench.postgres.server import Server

COUNT = 1_000
_WRITER = "tests.bench.postgres.steady"


@attrs.define(eq=False)
class _Noted:
    """Notes when each record reached it, and tells when all have."""

    at: dict[str, float] = attrs.field(factory=dict)
    all_in: anyio.Event = attrs.field(factory=anyio.Event)

    async def run(self, event: Event, context: AttemptContext) -> None:
        self.at[event.id] = time.perf_counter()
        if len(self.at) == COUNT:
            self.all_in.set()


async def latency(server: Server, folder: Path) -> Figures:
    """Measure commit acknowledged → process called, and → notification read."""
    noted = _Noted()
    async with running(server, folder, noted):
        acknowledged = await _write(server, "INSERT INTO orders (customer) VALUES (1) RETURNING id")
        await noted.all_in.wait()
    return {
        **_quantiles("", acknowledged, noted.at),
        **_quantiles("bare_", *await _bare(server)),
        "flush": flush_milliseconds(folder),
    }


async def _bare(server: Server) -> tuple[Mapping[str, float], Mapping[str, float]]:
    at: dict[str, float] = {}

    def listen(connection: psycopg.Connection[tuple[object, ...]]) -> None:
        for notify in connection.notifies():
            at[notify.payload] = time.perf_counter()
            if len(at) == COUNT:
                return

    with server.connect() as connection:
        connection.execute("LISTEN bare")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(to_thread.run_sync, listen, connection)
            insert = "WITH new AS (INSERT INTO plain (customer) VALUES (1) RETURNING id) "
            acknowledged = await _write(server, insert + "SELECT id, pg_notify('bare', id::text) FROM new")
    return acknowledged, at


async def _write(server: Server, statement: str) -> Mapping[str, float]:
    """Write in a process of its own; return when each record's commit was acknowledged, by the same clock."""
    done = await anyio.run_process([sys.executable, "-m", _WRITER, server.dsn, statement, str(COUNT)])
    acknowledged: dict[str, float] = json.loads(done.stdout)
    return acknowledged


def _quantiles(prefix: str, acknowledged: Mapping[str, float], at: Mapping[str, float]) -> Figures:
    cuts = statistics.quantiles([(at[record] - moment) * 1_000 for record, moment in acknowledged.items()], n=100)
    return {f"{prefix}p50": cuts[49], f"{prefix}p99": cuts[98]}
