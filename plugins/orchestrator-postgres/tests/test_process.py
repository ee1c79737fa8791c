"""`postgres.sql`: what it binds, what it returns, what its errors come to, and that its effect is exactly-once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from servers import Database, Server, until

from orchestrator_core import ConfigurationError, Event, ProcessStatus, Reject, RetryLater, load_json
from orchestrator_core.testing import FakeAttemptContext
from orchestrator_postgres import PostgresSql
from orchestrator_postgres._errors import MissingRightError, PostgresError

EVENT = Event(
    location="public.reading",
    operation="create",
    id="7",
    data=load_json('{"city": "Utrecht", "mm": 0.1234567890123456789, "tags": ["a", "b"], "deep": {"n": [1]}}'),
)


async def once(database: Database, statement: str, event: Event = EVENT, **options: Any) -> Any:
    """Run a statement for one event and return the output."""
    async with PostgresSql(database.dsn, statement=statement, **options) as process:
        status = await process.run(event, FakeAttemptContext(outputs={"clean": {"v": 5}}))
    return None if status is None else status.output


@pytest.mark.anyio
async def test_placeholders_are_fields_of_the_event(database: Database) -> None:
    """By path, or by the shorter names that `parameters` gives; what is not there is NULL."""
    output = await once(
        database,
        """SELECT %(id)s::int AS id, %(location)s AS location, %(operation)s AS operation, %(data.city)s AS city,
           %(mm)s::numeric AS mm, %(data.tags.1)s AS second, %(data.deep)s::jsonb AS deep,
           %(data.nowhere.x)s AS nothing, %(outputs.clean.v)s::int AS upstream, %(delivery_id)s AS delivery,
           '100%%' AS percent""",
        parameters={"mm": "data.mm"},
    )
    assert [
        {
            "id": 7,
            "location": "public.reading",
            "operation": "create",
            "city": "Utrecht",
            "mm": Decimal("0.1234567890123456789"),
            "second": "b",
            "deep": {"n": [1]},
            "nothing": None,
            "upstream": 5,
            "delivery": "delivery-1",
            "percent": "100%",
        }
    ] == output


@pytest.mark.anyio
async def test_values_never_become_sql(database: Database) -> None:
    """What an event holds is bound by the protocol, quotes and semicolons included."""
    nasty = "'; DROP TABLE t; --"
    database.execute("CREATE TABLE t (v text)")
    event = Event(location="x", operation="create", id=nasty, data={"v": nasty})
    await once(database, "INSERT INTO t VALUES (%(data.v)s), (%(id)s)", event)
    assert [(nasty,), (nasty,)] == database.execute("SELECT v FROM t")


@pytest.mark.anyio
async def test_a_script_of_several_statements_is_one_transaction(database: Database, tmp_path: Path) -> None:
    """Statements of a file run in order; the last one's rows are the output; an error undoes all of them."""
    database.execute("CREATE TABLE t (v text UNIQUE)")
    path = tmp_path / "script.sql"
    path.write_text(
        """-- one; two
        INSERT INTO t VALUES ('semi;colon'); /* ; */
        DO $body$ BEGIN PERFORM 1; END $body$;
        INSERT INTO t VALUES (%(data.city)s) RETURNING v AS "the;name";"""
    )
    async with PostgresSql(database.dsn, file=Path("script.sql"), directory=tmp_path) as process:
        assert ProcessStatus(output=[{"the;name": "Utrecht"}]) == await process.run(EVENT, FakeAttemptContext())
        with pytest.raises(Reject, match="duplicate key"):
            await process.run(EVENT, FakeAttemptContext(delivery_id="delivery-2"))
    assert [("Utrecht",), ("semi;colon",)] == database.execute("SELECT v FROM t ORDER BY v")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("INSERT INTO t VALUES (-1)", 'violates check constraint "positive" · Failing row contains (-1).'),
        ("INSERT INTO t VALUES ('x')", "invalid input syntax for type integer"),
        ("SELEC 1", 'syntax error at or near "SELEC"'),
        ("SELECT * FROM nowhere", 'relation "nowhere" does not exist'),
        ("SELECT 1 / 0", "division by zero"),
        ("COPY (SELECT 1) TO STDOUT", "COPY cannot be used"),
        ("COPY t FROM STDIN", "COPY cannot be used"),
        ("SELECT 'infinity'::timestamptz", "timestamp too large"),
        ("DO $$ BEGIN RAISE 'too dry' USING DETAIL = 'no rain', HINT = 'wait'; END $$", "too dry · no rain · wait"),
        ("DO $$ BEGIN COMMIT; END $$", "invalid transaction termination"),
    ],
    ids=["constraint", "value", "syntax", "table", "arithmetic", "copy-out", "copy-in", "infinity", "raise", "commit"],
)
async def test_what_would_fail_again_is_a_dead_letter(database: Database, statement: str, reason: str) -> None:
    """Constraints, values, syntax and RAISE reject at once, with the server's message, detail and hint."""
    database.execute("CREATE TABLE t (v int CONSTRAINT positive CHECK (v > 0))")
    async with PostgresSql(database.dsn, statement=statement) as process:
        with pytest.raises(Reject) as rejected:
            await process.run(EVENT, FakeAttemptContext())
        with pytest.raises(Reject):  # and the connection is of use again
            await process.run(EVENT, FakeAttemptContext())
    assert reason in rejected.value.reason


@pytest.mark.anyio
async def test_a_statement_that_exceeds_its_limit_has_failed(own_server: Server) -> None:
    """It would exceed it as often as it is tried: that is no matter of a server that is away."""
    rows = "SELECT repeat(g::text, 99) FROM generate_series(1, 99999) AS g ORDER BY 1 OFFSET 1"
    with own_server.database() as database:
        database.execute("ALTER SYSTEM SET temp_file_limit = '1MB'", "SELECT pg_reload_conf()")
        async with PostgresSql(database.dsn, statement=f"SELECT count(*) FROM ({rows}) AS t") as process:
            with pytest.raises(PostgresError, match=r"exceeds .*temp_file_limit"):
                await process.run(EVENT, FakeAttemptContext())


@pytest.mark.anyio
async def test_a_deadlock_is_tried_again_at_once(database: Database) -> None:
    """Two deliveries that lock two rows crosswise both succeed, without a failure on the ledger."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY, n int)", "INSERT INTO t VALUES (1, 0), (2, 0)")
    script = """UPDATE t SET n = n + 1 WHERE id = %(data.first)s; SELECT pg_sleep(0.3);
                UPDATE t SET n = n + 1 WHERE id = %(data.second)s"""
    async with PostgresSql(database.dsn, statement=script) as process, anyio.create_task_group() as tasks:
        for first, second in ((1, 2), (2, 1)):
            event = Event(location="x", operation="create", id="1", data={"first": first, "second": second})
            tasks.start_soon(process.run, event, FakeAttemptContext(delivery_id=f"delivery-{first}"))
    assert [(1, 2), (2, 2)] == database.execute("SELECT * FROM t ORDER BY id")


@pytest.mark.anyio
async def test_a_serialisation_failure_is_tried_again_at_once(database: Database) -> None:
    """Deliveries that read what the others write all succeed, without a failure on the ledger."""
    database.execute("CREATE TABLE t (n int)", "INSERT INTO t VALUES (0)")
    dsn = f"{database.dsn} options='-c default_transaction_isolation=serializable'"
    statement = "UPDATE t SET n = n + 1; SELECT pg_sleep(0.1)"
    async with PostgresSql(dsn, statement=statement) as process, anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(process.run, EVENT, FakeAttemptContext(delivery_id=f"delivery-{number}"))
    assert [(3,)] == database.execute("SELECT n FROM t")


@pytest.mark.anyio
async def test_a_session_that_ends_under_the_statement_is_no_failure(database: Database) -> None:
    """What it had done is rolled back; the delivery is postponed, and its effect happens once."""
    database.execute("CREATE TABLE t (v int)")
    statement = "INSERT INTO t VALUES (1); SELECT pg_sleep(%(data.s)s)"
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'orchestrator'"
    asleep = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    slow, quick = (Event(location="x", operation="create", id="1", data={"s": seconds}) for seconds in (60, 0))
    async with PostgresSql(database.dsn, statement=statement) as process:
        async with anyio.create_task_group() as tasks:

            async def postponed() -> None:
                with pytest.raises(RetryLater):
                    await process.run(slow, FakeAttemptContext())

            tasks.start_soon(postponed)
            await anyio.to_thread.run_sync(until, lambda: [] != database.execute(asleep), "the statement")
            database.execute(kill)
        await process.run(quick, FakeAttemptContext(attempt=2))
    assert [(1,)] == database.execute("SELECT count(*) FROM t")


@pytest.mark.anyio
async def test_a_server_that_is_away_is_no_failure(own_server: Server) -> None:
    """The delivery is postponed until the server is back; its retries are not used up."""
    with own_server.database() as database:
        async with PostgresSql(database.dsn, statement="SELECT 1 AS one") as process:
            assert await process.run(EVENT, FakeAttemptContext()) is not None
            own_server.stop()
            for _ in range(3):
                with pytest.raises(RetryLater):
                    await process.run(EVENT, FakeAttemptContext(delivery_id="delivery-2"))
            own_server.start()
            assert await process.run(EVENT, FakeAttemptContext(delivery_id="delivery-2")) is not None


@pytest.mark.anyio
async def test_a_server_that_takes_no_writes_is_no_failure(database: Database) -> None:
    """As a primary that became a standby: the delivery is postponed, also by a session that is kept, until it does."""
    database.execute("CREATE TABLE t (v int)")
    async with PostgresSql(database.dsn, statement="INSERT INTO t VALUES (1)") as process:
        database.execute(f"ALTER DATABASE {database.name} SET default_transaction_read_only = on")
        for _ in range(2):
            with pytest.raises(RetryLater, match="read-only transaction"):
                await process.run(EVENT, FakeAttemptContext())
        with database.connect() as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(f"ALTER DATABASE {database.name} RESET default_transaction_read_only")
        await process.run(EVENT, FakeAttemptContext())
    assert [(1,)] == database.execute("SELECT count(*) FROM t")


@pytest.mark.anyio
async def test_a_repeated_attempt_does_nothing_and_returns_the_same(database: Database) -> None:
    """The delivery is noted in the transaction of its work; a second attempt finds the note."""
    database.execute("CREATE TABLE t (v serial, w text)")
    async with PostgresSql(
        database.dsn, statement="INSERT INTO t (w) VALUES (%(id)s) RETURNING v, 1.50 AS n"
    ) as process:
        first = await process.run(EVENT, FakeAttemptContext(attempt=1))
        second = await process.run(EVENT, FakeAttemptContext(attempt=2))
    assert first == second == ProcessStatus(output=[{"v": 1, "n": Decimal("1.50")}])
    assert [(1,)] == database.execute("SELECT count(*) FROM t")


@pytest.mark.anyio
async def test_two_attempts_at_once_apply_once(database: Database) -> None:
    """A late worker and its successor meet at the note: the second waits, and then does nothing."""
    database.execute("CREATE TABLE t (v serial)")
    statement = "INSERT INTO t DEFAULT VALUES; SELECT pg_sleep(0.2)"
    async with PostgresSql(database.dsn, statement=statement) as process, anyio.create_task_group() as tasks:
        for attempt in (1, 2, 3):
            tasks.start_soon(process.run, EVENT, FakeAttemptContext(attempt=attempt))
    assert [(1,)] == database.execute("SELECT count(*) FROM t")


KILLED = """
import anyio, os, sys
from orchestrator_core import Event
from orchestrator_core.testing import FakeAttemptContext
from orchestrator_postgres import PostgresSql

async def main():
    async with PostgresSql(sys.argv[1], statement="UPDATE t SET n = n + 1 RETURNING n") as process:
        event = Event(location="x", operation="create", id="1")
        await process.run(event, FakeAttemptContext(delivery_id=sys.argv[2]))
        os.kill(os.getpid(), 9)  # committed, and nobody was told

anyio.run(main)
"""


@pytest.mark.anyio
async def test_a_kill_between_the_commit_and_the_record_repeats_no_effect(database: Database) -> None:
    """Exactly-once: the process dies after its commit, three times; each delivery's next attempt changes nothing."""
    database.execute("CREATE TABLE t (n int)", "INSERT INTO t VALUES (0)")
    for number in range(3):
        command = [sys.executable, "-c", KILLED, database.dsn, f"delivery-{number}"]
        killed = await anyio.run_process(command, check=False)
        assert -9 == killed.returncode, killed.stderr.decode()
        async with PostgresSql(database.dsn, statement="UPDATE t SET n = n + 1 RETURNING n") as process:
            status = await process.run(EVENT, FakeAttemptContext(delivery_id=f"delivery-{number}", attempt=2))
        assert ProcessStatus(output=[{"n": number + 1}]) == status
    assert [(3,)] == database.execute("SELECT n FROM t")


@pytest.mark.anyio
async def test_cancellation_rolls_back(database: Database) -> None:
    """An attempt that is cut off has no effect, and the next one has it once."""
    database.execute("CREATE TABLE t (v int)")
    async with PostgresSql(database.dsn, statement="INSERT INTO t VALUES (1); SELECT pg_sleep(%(data.s)s)") as process:
        with anyio.move_on_after(0.5):
            await process.run(Event(location="x", operation="create", id="1", data={"s": 60}), FakeAttemptContext())
        assert [(0,)] == database.execute("SELECT count(*) FROM t")
        await process.run(Event(location="x", operation="create", id="1", data={"s": 0}), FakeAttemptContext(attempt=2))
    assert [(1,)] == database.execute("SELECT count(*) FROM t")


@pytest.mark.anyio
@pytest.mark.parametrize("install", ["auto", "never"])
async def test_a_role_that_may_not_create_the_table_is_told_what_to_run(database: Database, install: Any) -> None:
    """The message ends with the SQL for somebody who may; after that the role needs no other right."""
    database.execute("DROP ROLE IF EXISTS humble", "CREATE ROLE humble LOGIN")
    async with PostgresSql(database.as_user("humble"), statement="SELECT 1 AS one", install=install) as process:
        with pytest.raises(MissingRightError) as refused:
            await process.check()
        database.execute("CREATE SCHEMA orchestrator", str(refused.value).split("may: ", 1)[1])
        await process.check()
        assert ProcessStatus(output=[{"one": 1}]) == await process.run(EVENT, FakeAttemptContext())
        database.execute("REVOKE INSERT ON orchestrator.applied FROM humble")
        with pytest.raises(MissingRightError, match="GRANT SELECT, INSERT, UPDATE, DELETE"):
            await process.check()
    database.execute("DROP OWNED BY humble", "DROP ROLE humble")


@pytest.mark.anyio
async def test_old_deliveries_are_forgotten(database: Database) -> None:
    """The table of deliveries does not grow for ever."""
    async with PostgresSql(database.dsn, statement="SELECT 1") as process:
        await process.run(EVENT, FakeAttemptContext(delivery_id="old"))
    database.execute("UPDATE orchestrator.applied SET at = at - interval '31 days'")
    async with PostgresSql(database.dsn, statement="SELECT 1") as process:
        await process.run(EVENT, FakeAttemptContext(delivery_id="new"))
    assert [("new",)] == database.execute("SELECT delivery_id FROM orchestrator.applied")


@pytest.mark.anyio
async def test_many_processes_may_create_the_table_at_once(database: Database) -> None:
    """Started on a new database side by side, none of them fails. Fails if the catalogue is not looked at again."""

    @asynccontextmanager
    async def started() -> AsyncIterator[PostgresSql]:
        async with PostgresSql(database.dsn, statement="SELECT 1 AS one") as process:
            yield process

    async def run(number: int) -> None:
        async with started() as process:
            await process.run(EVENT, FakeAttemptContext(delivery_id=f"delivery-{number}"))

    async with anyio.create_task_group() as tasks:
        for number in range(12):
            tasks.start_soon(run, number)
    assert [(12,)] == database.execute("SELECT count(*) FROM orchestrator.applied")


@pytest.mark.anyio
async def test_a_script_may_go_back_to_a_savepoint(database: Database) -> None:
    """Which is a part of its transaction."""
    database.execute("CREATE TABLE t (v int)")
    script = (
        "SAVEPOINT s; INSERT INTO t VALUES (1); ROLLBACK TO s; INSERT INTO t VALUES (2); rollback work to savepoint s"
    )
    async with PostgresSql(database.dsn, statement=f"{script}; INSERT INTO t VALUES (3)") as process:
        await process.run(EVENT, FakeAttemptContext())
    assert [(3,)] == database.execute("SELECT v FROM t")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "either `statement` or `file`"),
        ({"statement": " -- nothing\n ; "}, "the statement is empty"),
        ({"statement": "SELECT %(dat.x)s"}, r"%\(dat.x\)s names no field of an event"),
        ({"statement": "SELECT 5 % 3"}, "%% for a percent sign"),
        ({"statement": "SELECT %s"}, "%% for a percent sign"),
        ({"statement": "SELECT 1", "parameters": {"x": "data.x"}}, 'parameter "x" is not used'),
        ({"statement": "SELECT %(x)s", "parameters": {"x": "nowhere"}}, 'parameter "x" names no field'),
        ({"file": Path("/nonexistent.sql")}, "can't read"),
        ({"statement": "DELETE FROM t; /* now */ commit; DELETE FROM u"}, "has COMMIT: leave it out"),
        ({"statement": "start  transaction; DELETE FROM t"}, "has START TRANSACTION: leave it out"),
        ({"statement": "SAVEPOINT s; ROLLBACK TRANSACTION"}, "has ROLLBACK: leave it out"),
    ],
    ids=[
        "none",
        "empty",
        "no-field",
        "percent",
        "positional",
        "unused",
        "no-path",
        "no-file",
        "commit",
        "begin",
        "rollback",
    ],
)
def test_what_is_wrong_with_a_statement_is_said_before_it_runs(options: dict[str, Any], complaint: str) -> None:
    """A configuration that can't work is refused when it is read."""
    with pytest.raises(ConfigurationError, match=complaint):
        PostgresSql("dbname=x", **options)


def test_a_password_is_never_shown() -> None:
    """Neither in the repr nor in the errors of either component."""
    process = PostgresSql("postgresql://u:hunter2@/x", statement="SELECT 1")
    assert "hunter2" not in repr(process)


def test_psycopg_is_imported_on_first_use() -> None:
    """Registering the plugin does not load the driver."""
    code = "import sys, orchestrator_postgres as p; p.orchestrator_register_inputs(); print('psycopg' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "False\n" == found.stdout
