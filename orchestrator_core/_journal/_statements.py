"""Named SQL statements, and the ones that take many rows in one step.

A statement for each row would be shorter, but the connection gives up the interpreter's lock at each step and has to
win it back from the event loop: 100 rows in 100 steps take up to 100 switch intervals of 5 ms, in one step at most one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import chain
from sqlite3 import Connection
from typing import Any

MOST_ROWS = 256
"""Rows in one statement; with 12 columns that is a tenth of the variables SQLite allows."""


def load_text(name: str) -> str:
    """Return a file of this package."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def load(name: str) -> Mapping[str, str]:
    """Return the statements of a ``.sql`` file of this package, by their ``-- name:`` lines."""
    parts = re.split(r"^-- name: (\w+)\n", load_text(name), flags=re.MULTILINE)[1:]
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}


@cache
def _with_rows(statement: str, width: int, count: int) -> str:
    return statement.replace("{rows}", ",".join(["(" + ",".join("?" * width) + ")"] * count))


def slices(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Cut rows into runs whose lengths are powers of two, so that few different statements are ever prepared."""
    start = 0
    while left := len(rows) - start:
        size = min(MOST_ROWS, 1 << (left.bit_length() - 1))
        yield rows[start : start + size]
        start += size


def execute_rows(connection: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
    """Run a statement over many rows in as few steps as possible.

    Yields, for each step, the first column of its first result, or how many rows it changed where it returns none.
    """
    width = len(rows[0]) if rows else 0
    for part in slices(rows):
        before = connection.total_changes  # a cursor counts no changes of statements that begin with WITH
        cursor = connection.execute(_with_rows(statement, width, len(part)), tuple(chain.from_iterable(part)))
        yield cursor.fetchone()[0] if cursor.description else connection.total_changes - before
