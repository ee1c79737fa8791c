"""Writers that take their time, and owners who change tables under them: nothing is lost, and no statement fails."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import psycopg
import pytest
from servers import Database
from stormed import Pipeline, assert_every_committed_row_came_to_its_end
from writers import Connection, Writers, note

pytestmark = pytest.mark.chaos

Times = Callable[[str, int], int]

_AT_A_TIME = 50


def slow(connection: Connection, chance: random.Random, number: Callable[[], int]) -> None:
    """Insert some rows of one's own, keep the transaction open for 0 to 5 s, and roll one in five back."""
    for change in (number() for _ in range(_AT_A_TIME)):
        connection.execute("INSERT INTO item VALUES (%s, %s, 'x')", [change, change])
        note(connection, "create", change, change)
    connection.execute("SELECT pg_sleep(%s)", [chance.uniform(0, 5)])
    if chance.random() < 0.2:
        raise psycopg.Rollback


def test_transactions_that_commit_in_any_order(loaded: Database, tmp_path: Path, times: Times, seed: int) -> None:
    """Rows that commit long after others with higher sequence numbers are seen, and rows rolled back never are.

    Catches: reading the outbox by cursor, which passes over what commits late.
    """
    pipeline, writers = Pipeline.over(loaded.dsn, tmp_path), Writers()
    transactions = max(16, times("rows", 20_000) // _AT_A_TIME)
    with pipeline.running(), writers.at_work(loaded, slow, seed, writers=16):
        writers.wait_for(transactions)
    pipeline.finish()

    assert [] == writers.errors
    assert_every_committed_row_came_to_its_end(pipeline, loaded)


_SHAPED = (
    "CREATE TABLE wide (id bigint PRIMARY KEY, change bigint NOT NULL, a text, b int)",
    "CREATE TABLE narrow (id bigint PRIMARY KEY, change bigint NOT NULL)",
    "CREATE TABLE parted (id bigint PRIMARY KEY, change bigint NOT NULL) PARTITION BY RANGE (id)",
    "CREATE TABLE rest PARTITION OF parted DEFAULT",
)
_SWAP = "ALTER TABLE wide RENAME TO spare; ALTER TABLE narrow RENAME TO wide; ALTER TABLE spare RENAME TO narrow"
_ALTERATIONS = (
    "ALTER TABLE wide RENAME COLUMN id TO ident",
    "ALTER TABLE wide DROP COLUMN IF EXISTS a",
    _SWAP,
    "ALTER TABLE wide ADD COLUMN IF NOT EXISTS a json DEFAULT '{}'",
    "TRUNCATE wide",
    """TRUNCATE parted; CREATE TABLE part (id bigint NOT NULL, change bigint NOT NULL);
       ALTER TABLE parted ATTACH PARTITION part FOR VALUES FROM (MINVALUE) TO (0)""",
    _SWAP,
    "ALTER TABLE wide RENAME COLUMN ident TO id",
    "ALTER TABLE wide ALTER COLUMN id TYPE numeric",
    "ALTER TABLE wide ALTER COLUMN id TYPE bigint",
    "TRUNCATE rest",
    "ALTER TABLE parted DETACH PARTITION part; DROP TABLE part",
)
"""Change the tables' shapes; twelve of them come back to the first shape, less a column."""


def shaped(connection: Connection, chance: random.Random, number: Callable[[], int]) -> None:
    """Insert by position, and sometimes delete again, whatever the columns are called just now."""
    change = number()
    table, sign = chance.choice([("wide", 1), ("narrow", 1), ("parted", 1), ("parted", -1)])
    connection.execute(f"INSERT INTO {table} VALUES (%s, %s)", [sign * change, change])
    note(connection, "create", sign * change, change)
    if chance.random() < 0.3:
        connection.execute(f"DELETE FROM {table} WHERE change = %s", [change])
        note(connection, "delete", sign * change, change)


def test_tables_that_change_their_shape(loaded: Database, tmp_path: Path, times: Times, seed: int) -> None:
    """Renames, dropped columns, new types, new partitions, swaps and TRUNCATE fail no statement of a writer.

    Catches: a trigger that names a column, or knows its table by what it was called.
    """
    loaded.execute(*_SHAPED)
    pipeline, writers = Pipeline.over(loaded.dsn, tmp_path), Writers()
    with pipeline.running(), writers.at_work(loaded, shaped, seed):
        for statement, _ in zip(cycle(_ALTERATIONS), range(times("alterations", 240)), strict=False):
            writers.wait_for(writers.committed + 20)
            loaded.execute(statement)
    pipeline.finish()

    assert [] == writers.errors
    assert_every_committed_row_came_to_its_end(pipeline, loaded)
