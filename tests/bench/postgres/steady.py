"""Writes rows at a steady pace, in a process of its own: ``python -m tests.bench.postgres.steady DSN STATEMENT``."""

from __future__ import annotations

import json
import sys
import time

import psycopg

COUNT = 1_000
_PER_SECOND = 200
_HEAD_START = 1.0
"""Seconds that the pipeline has to get ready."""


def write(dsn: str, statement: str) -> dict[int, float]:
    """Run a statement that returns an id, again and again; return when each commit was acknowledged."""
    acknowledged: dict[int, float] = {}
    with psycopg.connect(dsn, autocommit=True) as connection:
        began = time.perf_counter() + _HEAD_START
        for number in range(COUNT):
            time.sleep(max(0.0, began + number / _PER_SECOND - time.perf_counter()))
            row = connection.execute(statement.encode()).fetchone()
            assert row is not None
            acknowledged[row[0]] = time.perf_counter()
    return acknowledged


if __name__ == "__main__":
    print(json.dumps(write(*sys.argv[1:])))
