"""Rows that were there before the input."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import anyio
import anyio.to_thread
import psycopg
import pytest
from servers import Database, until
from stormed import Pipeline
from watching import events, new_context, settled, watching

from orchestrator_core import JSON, ConfigurationError, Operation
from orchestrator_postgres import PostgresInput

pytestmark = pytest.mark.anyio


async def test_existing_rows_are_read_once_in_key_order(database: Database) -> None:
    """Each row is one read event; a second run reads nothing, and new rows are created."""
    database.execute(
        "CREATE TABLE t (a text, b int, v text, PRIMARY KEY (b, a))",
        "INSERT INTO t SELECT g % 3, g, 'v' FROM generate_series(1, 25) g",
    )
    context = new_context()
    component = PostgresInput(database.dsn, backfill=True, batch=4)
    async with watching(component, context):
        await settled(context)
    assert [(f'[{n}, "{n % 3}"]', "read", {"a": str(n % 3), "b": n, "v": "v"}) for n in range(1, 26)] == [
        (event.id, event.operation.value, event.data) for event in context.events
    ]
    async with watching(component, context):
        database.execute("INSERT INTO t VALUES ('x', 99)")
        await settled(context)
    assert ['[99, "x"]'] == [event.id for event in context.events[25:]]


@pytest.mark.parametrize(
    "shape",
    [
        "CREATE TABLE t (id int)",
        "CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE t1 PARTITION OF t DEFAULT",
        'CREATE TABLE t (id int PRIMARY KEY, "Other ""col" text)',
        "CREATE TABLE t (id uuid PRIMARY KEY)",
        "CREATE TABLE t (id timestamptz PRIMARY KEY)",
        "CREATE TABLE t (id float8 PRIMARY KEY)",
    ],
    ids=["no-key", "partitioned", "quoted", "uuid", "timestamp", "float"],
)
async def test_tables_of_every_shape(database: Database, shape: str) -> None:
    """Without a key the pages go by the rows' place; with one, by the key of any type."""
    value = {"uuid": "md5(g::text)::uuid", "timestamptz": "now() + g * interval '1 day'", "float8": "sqrt(g)"}
    made = next((made for kind, made in value.items() if kind in shape), "g")
    database.execute(shape, f"INSERT INTO t (id) SELECT {made} FROM generate_series(1, 10) g")
    context = new_context()
    async with watching(PostgresInput(database.dsn, tables=["t"], backfill=True, batch=3), context):
        await settled(context)
    assert 10 == len(context.events)
    assert 10 == len({str(event.data) for event in context.events})
    assert {("public.t", "read")} == {(event.location, event.operation.value) for event in context.events}


async def test_a_read_stands_where_it_belongs_among_the_changes_of_its_key(database: Database) -> None:
    """A row that somebody is changing is read after the change is committed, never before it and handed over after."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 0), (2, 0)")
    context = new_context()
    with database.connect() as writer:
        async with watching(PostgresInput(database.dsn, wake="poll"), context):
            await settled(context)
        with writer.transaction():
            writer.execute("UPDATE t SET v = 1 WHERE id = 1")
            async with watching(PostgresInput(database.dsn, backfill=True), context):
                assert [] == context.events
        async with watching(PostgresInput(database.dsn, backfill=True), context):
            await settled(context)
    assert [("update", {"id": 1, "v": 1}), ("read", {"id": 1, "v": 1}), ("read", {"id": 2, "v": 0})] == [
        (event.operation.value, event.data) for event in context.events
    ]


async def test_a_writer_that_it_waits_for_may_wait_for_it(database: Database) -> None:
    """Of two that wait for each other the server ends one, and that must not be the writer: the backfill lets go first.

    Fails if it waits for a row as long as the server waits before it looks for a deadlock.
    """
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t SELECT g, 0 FROM generate_series(1, 9) g"
    )
    context = new_context()
    async with watching(PostgresInput(database.dsn), context):
        pass
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    written = threading.Event()
    update = "UPDATE t SET v = 1 WHERE id = %s"

    def close_the_circle() -> None:
        until(lambda: database.execute(waiting), "the backfill, in front of 5")
        writer.execute(update, [1])
        written.set()
        writer.commit()

    def let_it_go_on() -> None:
        until(lambda: len(database.execute(waiting)) > 1 or written.is_set(), "the writer, in front of 1")
        other.commit()

    with psycopg.connect(database.dsn) as writer, psycopg.connect(database.dsn) as other:
        writer.execute(update, [9])
        other.execute(update, [5])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, close_the_circle)
            tasks.start_soon(anyio.to_thread.run_sync, let_it_go_on)
            async with watching(PostgresInput(database.dsn, backfill=True), context):
                await context.until(lambda: 9 == sum(event.operation == Operation.READ for event in context.events))


async def test_a_cut_off_backfill_goes_on_where_it_was(database: Database) -> None:
    """What was written before the cut is not read again."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 100)")
    context = new_context()
    component = PostgresInput(database.dsn, backfill=True, batch=10)
    while len(context.events) < 100:
        before = len(context.events)
        async with watching(component, context):
            await events(context, before + 1)
    async with watching(component, context):
        await settled(context)
    assert [str(number) for number in range(1, 101)] == [event.id for event in context.events]


async def test_reads_fit_between_the_changes_that_go_on_meanwhile(database: Database) -> None:
    """Each row's events are one chain: every read shows what the event before it left, every update begins from there.

    Fails if a page is read without its rows being locked, or in another transaction than it is written.
    """
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t SELECT g, 0 FROM generate_series(1, 400) g"
    )
    context = new_context()
    async with watching(PostgresInput(database.dsn), context):
        pass

    def write(first: int) -> None:
        with database.connect() as writer:
            for number in range(300):
                writer.execute("UPDATE t SET v = v + 1 WHERE id = %s", [first + number % 200])

    async with watching(PostgresInput(database.dsn, backfill=True, batch=50), context):
        async with anyio.create_task_group() as tasks:
            for first in (1, 101, 201):
                tasks.start_soon(anyio.to_thread.run_sync, write, first)
        await context.until(lambda: 400 == sum(event.operation == Operation.READ for event in context.events))
        await settled(context)
    found: dict[str, JSON] = {}
    for event in context.events:
        start = event.data if event.operation == Operation.READ else event.before
        assert found.get(event.id, start) == start
        found[event.id] = event.data
    assert dict(database.execute("SELECT id::text, to_json(t) FROM t")) == found


def test_a_killed_backfill_goes_on_where_it_was(database: Database, tmp_path: Path) -> None:
    """``kill -9`` of the command at any moment: each row is read once."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 200)")
    Pipeline.over(database.dsn, tmp_path)
    command = [sys.executable, "-m", "orchestrator_core.cli", "postgres", "backfill", "--page", "7"]
    for pages in (1, 3, 2):
        with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as killed:
            assert killed.stderr is not None
            for _ in range(pages + 1):  # the first line names the input
                killed.stderr.readline()
            killed.kill()
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert [("read", 200, 200)] == database.execute(
        "SELECT op, count(*), count(DISTINCT id) FROM orchestrator.outbox GROUP BY op"
    )


def test_backfill_needs_the_operation_that_it_makes() -> None:
    """An `operations` that would drop the read events is refused."""
    with pytest.raises(ConfigurationError, match='add "read" to operations'):
        PostgresInput("", backfill=True, operations=["create"])
