"""What observers learn of the hand-over, and what makes it quick."""

from __future__ import annotations

import pytest
from servers import Database
from watching import events, new_context, settled, watching

from orchestrator_core.testing import FakeInputContext
from orchestrator_postgres import PostgresInput

pytestmark = pytest.mark.anyio


@pytest.fixture
def table(database: Database) -> Database:
    """A database with one table."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    return database


def figures(context: FakeInputContext, name: str) -> list[float]:
    """Return what was reported under a name."""
    return [measured.value for measured in context.measured if measured.name == name]


async def test_the_size_of_each_batch_is_reported(table: Database) -> None:
    """One figure for each hand-over that had rows."""
    context = new_context()
    async with watching(PostgresInput(table.dsn, batch=5), context):
        table.execute("INSERT INTO t SELECT generate_series(1, 7)")
        await settled(context)
    assert [5, 2] == figures(context, "handover_rows")


async def test_what_waits_is_reported_with_its_age(table: Database) -> None:
    """Seven rows were written while nobody looked, one is handed over: six wait, the oldest for a while."""
    context = new_context()
    async with watching(PostgresInput(table.dsn), context):
        await settled(context)
    table.execute("INSERT INTO t SELECT generate_series(1, 7)")
    context.measured.clear()
    async with watching(PostgresInput(table.dsn, batch=1), context):
        await events(context, 7)
    assert [6] == figures(context, "outbox_rows")
    assert figures(context, "outbox_oldest_seconds")[0] > 0


async def test_a_lost_listener_is_reported(table: Database) -> None:
    """It is connected until its connection ends. Fails if only a listener that can't be connected is reported."""
    context = new_context()
    listener = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%' AND state = 'idle'"
    async with watching(PostgresInput(table.dsn), context):
        await settled(context)
        assert [1] == figures(context, "listener_connected")
        table.execute(f"SELECT pg_terminate_backend(pid) {listener}")
        await context.until(lambda: len(figures(context, "listener_connected")) > 1)
    assert [1, 0] == figures(context, "listener_connected")


async def test_identities_come_in_the_order_of_the_outbox(table: Database) -> None:
    """Neighbours in the outbox are neighbours in the journal's index. Fails if identities are random alone."""
    context = new_context()
    async with watching(PostgresInput(table.dsn), context):
        table.execute(*(f"INSERT INTO t VALUES ({n})" for n in range(5)), "INSERT INTO t SELECT generate_series(5, 9)")
        await settled(context)
    uids = [event.uid for event in context.events]
    assert (10, uids) == (len(set(uids)), sorted(uids))
