"""How SQLite runs the journal's statements: what is asked often reads no whole table, however long the ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from orchestrator_core._journal._statements import load, load_text


@pytest.fixture
def empty() -> Iterator[sqlite3.Connection]:
    """Return a database with the journal's tables."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(load_text("schema.sql"))
        yield connection


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("lane_is_busy", "deliveries_lane"),
        ("release_lane", "deliveries_lane"),
        ("due", "deliveries_ready"),
        ("next_due", "deliveries_ready"),
        ("park", "deliveries_ready"),
        ("parked_processes", "deliveries_unusual"),
        ("unpark", "deliveries_unusual"),
        ("count_parked", "deliveries_unusual"),
    ],
)
def test_a_partial_index_is_used(empty: sqlite3.Connection, statement: str, index: str) -> None:
    """Catches: a condition that SQLite does not recognise as the index's own, and a whole table read at each call."""
    text = load("ledger.sql")[statement]
    values = {"process": "p", "lane": "k", "now": 0.0, "held": 1.0, "limit": 1}
    plan = empty.execute(f"EXPLAIN QUERY PLAN {text}", values if ":" in text else ("p", "k", 1)[: text.count("?")])
    assert [] != [step for *_, step in plan if index in step]
