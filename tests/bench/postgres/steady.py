"""Writes rows at a steady pace, in a process of its own; its arguments are a DSN, a statement, and how often."""

from __future__ import annotations

import json
import sys
import time

import psycopg

_PER_SECOND = 200


def write(dsn: str, statement: str, count: int) -> dict[int, float]:
    """Run a statement that returns an id, so many times; return when each commit was acknowledged."""
    acknowledged: dict[int, float] = {}
    with psycopg.connect(dsn, autocommit=True) as connection:
        began = time.perf_counter()
        for number in range(count):
            time.sleep(max(0.0, began + number / _PER_SECOND - time.perf_counter()))
            row = connection.execute(statement.encode()).fetchone()
            assert row is not None
            acknowledged[row[0]] = time.perf_counter()
    return acknowledged


if __name__ == "__main__":
    _, where, what, times = sys.argv
    print(json.dumps(write(where, what, int(times))))
