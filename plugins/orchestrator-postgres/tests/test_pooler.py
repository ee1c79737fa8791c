"""Behind PgBouncer."""

from __future__ import annotations

from datetime import timedelta

import anyio
import pytest
from pooling import pooled
from servers import DEBIAN, Database
from watching import events, new_context, settled, watching

from orchestrator_core import Event
from orchestrator_core.testing import FakeAttemptContext
from orchestrator_postgres import PostgresInput, PostgresSql

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("server", [DEBIAN], indirect=True)]


@pytest.fixture
def anyio_backend() -> str:
    """What a pooler does to a connection does not depend on the event loop."""
    return "asyncio"


async def test_in_transaction_mode_nothing_is_lost_and_nothing_waits_for_a_ring(database: Database) -> None:
    """LISTEN is not heard there, and the input knows it: it looks often, whatever `poll` is.

    Fails if the bell is tested on its own connection, to which the pooler does hand back what it has rung itself.
    """
    database.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (0)")
    context = new_context()
    with pooled(database, "transaction") as dsn:
        component = PostgresInput(dsn, poll=timedelta(hours=1), backfill=True)
        async with watching(component, context):
            for number in range(1, 5):
                database.execute(f"INSERT INTO t VALUES ({number})")
                await events(context, number + 1)
    assert ["0", "1", "2", "3", "4"] == sorted(event.id for event in context.events)
    assert {0.0} == {measured.value for measured in context.measured if measured.name == "listener_connected"}


async def test_in_session_mode_the_bell_is_heard(database: Database) -> None:
    """With a connection of one's own, LISTEN works through the pooler as well."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    context = new_context()
    with pooled(database, "session") as dsn:
        async with watching(PostgresInput(dsn, poll=timedelta(hours=1)), context):
            await settled(context)
            database.execute("INSERT INTO t VALUES (1)")
            with anyio.fail_after(10):
                await events(context, 1)
    assert {1.0} == {measured.value for measured in context.measured if measured.name == "listener_connected"}


async def test_the_process_works_in_transaction_mode(database: Database) -> None:
    """Its transactions hold nothing of the session, so several attempts share the pooler's two connections."""
    database.execute("CREATE TABLE t (v text PRIMARY KEY)")
    changes = [Event(location="x", operation="create", id=str(number)) for number in range(20)]
    with pooled(database, "transaction") as dsn:
        async with PostgresSql(dsn, statement="INSERT INTO t VALUES (%(id)s)") as process:
            async with anyio.create_task_group() as tasks:
                for event in changes:
                    tasks.start_soon(process.run, event, FakeAttemptContext(delivery_id=event.id))
            await process.run(changes[0], FakeAttemptContext(delivery_id="0", attempt=2))
    assert [(20,)] == database.execute("SELECT count(*) FROM t")
