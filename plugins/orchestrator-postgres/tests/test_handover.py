"""What is committed is handed over: neither lost nor repeated, in order, whatever breaks."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Literal

import anyio
import anyio.to_thread
import psycopg
import pytest
from servers import DEBIAN, Database, Server, until
from watching import another_look, events, new_context, settled, watching

from orchestrator_core import JSON, Event, JournalUnavailableError, SystemClock
from orchestrator_core.testing import FakeInputContext
from orchestrator_postgres import PostgresInput

pytestmark = pytest.mark.anyio


@pytest.fixture
def table(database: Database) -> Database:
    """A database with one table."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
    return database


def outbox(database: Database) -> int:
    """Return how many rows wait."""
    return int(database.execute("SELECT count(*) FROM orchestrator.outbox")[0][0])


async def test_b7_what_was_committed_while_nobody_looked_is_handed_over(table: Database) -> None:
    """B7: a restart finds what happened meanwhile."""
    context = new_context()
    async with watching(PostgresInput(table.dsn), context):
        await settled(context)
    table.execute("INSERT INTO t VALUES (1)", "UPDATE t SET v = 2", "DELETE FROM t")
    async with watching(PostgresInput(table.dsn), context):
        await settled(context)
    assert ["create", "update", "delete"] == [event.operation.value for event in context.events]
    assert 0 == outbox(table)


async def test_what_the_journal_refused_stays_in_the_outbox(table: Database) -> None:
    """The rows are gone only once `emit_many` has returned. Fails if the delete is committed before."""
    context = new_context()
    context.fail(JournalUnavailableError("full"))
    component = PostgresInput(table.dsn, install="auto")
    async with watching(component, context):
        await settled(context)
    table.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(ExceptionGroup) as raised:
        async with watching(component, context):
            await settled(context)
    assert raised.group_contains(JournalUnavailableError)
    assert 1 == outbox(table)
    async with watching(component, context):
        await settled(context)
    assert ["1"] == [event.id for event in context.events]
    assert 0 == outbox(table)


async def test_a_lost_reply_of_the_journal_repeats_no_event(table: Database) -> None:
    """The journal committed, the hand-over did not: the same uid comes again and is accepted once."""
    context = new_context()
    component = PostgresInput(table.dsn)
    async with watching(component, context):
        await settled(context)
    table.execute("INSERT INTO t VALUES (1)")
    context.fail(JournalUnavailableError("no reply"), committed=True)
    with pytest.raises(ExceptionGroup):
        async with watching(component, context):
            await settled(context)
    assert 1 == outbox(table)
    async with watching(component, context):
        await settled(context)
    assert ["1"] == [event.id for event in context.events]


async def test_b2_two_orchestrators_share_an_input_without_repeating(table: Database) -> None:
    """B2: each row goes to exactly one of them."""
    one, two = new_context(), new_context()
    async with watching(PostgresInput(table.dsn, batch=3), one), watching(PostgresInput(table.dsn, batch=3), two):
        for first in range(0, 200, 20):
            table.execute(f"INSERT INTO t SELECT g FROM generate_series({first}, {first + 19}) g")
        await settled(one)
        await settled(two)
    ids = sorted([int(event.id) for event in (*one.events, *two.events)])
    assert list(range(200)) == ids


async def test_a_backlog_is_not_sorted_for_each_batch_of_it(table: Database) -> None:
    """The planner knows nothing of the backlog, and would sort all of it each time, beyond its memory."""
    context = new_context()
    component = PostgresInput(table.dsn, batch=100)
    async with watching(component, context):
        await settled(context)
    table.execute("INSERT INTO t SELECT generate_series(1, 5000)")
    log = table.server.home / "log"
    before = log.stat().st_size
    for setting in ("work_mem = '64kB'", "log_temp_files = 0", "log_min_messages = 'log'"):
        table.execute(f"ALTER DATABASE {table.name} SET {setting}")
    async with watching(component, context):
        await settled(context)
    assert 5_000 == len(context.events)
    assert b"temporary file" not in log.read_bytes()[before:]


async def test_a_backlog_is_not_read_for_each_batch_of_it(table: Database) -> None:
    """Once ANALYZE has seen a small backlog, to read all of it looks cheap, and a session keeps that plan."""
    async with watching(PostgresInput(table.dsn), new_context()):
        pass
    table.execute("INSERT INTO t SELECT generate_series(1, 5000)", "ANALYZE orchestrator.outbox")
    with table.connect() as connection, connection.transaction():
        for _ in range(7):
            connection.execute("SELECT count(*) FROM orchestrator.claim('raw', 0, '', 500)")
        statement = "SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relid = 'orchestrator.outbox'::regclass"
        assert (0,) == connection.execute(statement).fetchone()


async def test_b17_no_transaction_of_ours_stays_open(table: Database) -> None:
    """B17: between two hand-overs there is none, so nothing holds back the cleaning of the user's tables."""
    context = new_context()
    async with watching(PostgresInput(table.dsn, poll=timedelta(hours=1)), context):
        table.execute("INSERT INTO t VALUES (1)")
        await events(context, 1)
        ours = "SELECT FROM pg_stat_activity WHERE application_name = 'orchestrator' AND xact_start IS NOT NULL"
        await anyio.to_thread.run_sync(until, lambda: [] == table.execute(ours), "the end of the transaction")


async def test_b17_who_has_lost_the_lock_hands_nothing_over(table: Database) -> None:
    """B17: with its session the first one loses its turn and its rows; the second one gets both."""
    one, two = new_context(), new_context()
    async with watching(PostgresInput(table.dsn), one):
        await settled(one)
        one.hold()
        table.execute("INSERT INTO t VALUES (1)")
        ours = "FROM pg_stat_activity WHERE application_name = 'orchestrator' AND state = 'idle in transaction'"
        holds = partial(table.execute, f"SELECT {ours}")
        await anyio.to_thread.run_sync(until, holds, "the claim")
        async with watching(PostgresInput(table.dsn), two):
            assert [] == two.events
            table.execute(f"SELECT pg_terminate_backend(pid) {ours}")
            await events(two, 1)
            one.release()
            await settled(two)
        await settled(one)
    assert (["1"], 0) == ([event.id for event in two.events], outbox(table))
    assert {event.uid for event in one.events} <= {event.uid for event in two.events}


async def test_no_more_rows_than_a_batch_are_claimed_at_a_time(table: Database) -> None:
    """A long backlog is handed over in pieces, in order."""
    context = new_context()
    async with watching(PostgresInput(table.dsn), context):
        pass
    table.execute("INSERT INTO t SELECT generate_series(1, 25)")
    async with watching(PostgresInput(table.dsn, batch=10), context):
        await settled(context)
    assert [10, 10, 5] == [figure.value for figure in context.measured if figure.name == "handover_rows"]
    assert [str(number) for number in range(1, 26)] == [event.id for event in context.events]


async def test_a_standby_is_waited_for(own_server: Server) -> None:
    """A server in recovery takes no writes: the input says so, and begins once it is promoted."""
    context = new_context()
    with own_server.database() as database:
        database.execute("CREATE TABLE t (id int PRIMARY KEY)")
        own_server.stop()
        (own_server.home / "data" / "standby.signal").touch()
        own_server.start()
        with anyio.fail_after(60):
            async with PostgresInput(database.dsn) as component, anyio.create_task_group() as tasks:
                tasks.start_soon(component.run, context)
                await context.until(lambda: "standby" in str(context.problem))
                database.execute("SELECT pg_promote()")
                await context.until(lambda: context.is_ready)
                database.execute("INSERT INTO t VALUES (1)")
                await events(context, 1)
                tasks.cancel_scope.cancel()


async def test_a_database_that_takes_no_writes_is_waited_for(database: Database) -> None:
    """As a server that its keeper has set to read-only since its disk is full."""
    context = new_context()
    read_only = f"ALTER DATABASE {database.name} SET default_transaction_read_only"
    database.execute("CREATE TABLE t (id int PRIMARY KEY)", f"{read_only} = on")
    with anyio.fail_after(60):
        async with PostgresInput(database.dsn) as component, anyio.create_task_group() as tasks:
            tasks.start_soon(component.run, context)
            await context.until(lambda: "read-only" in str(context.problem))
            with database.connect() as connection:
                connection.execute("SET default_transaction_read_only = off")
                connection.execute(f"{read_only} = off")
            await context.until(lambda: context.is_ready)
            tasks.cancel_scope.cancel()


async def test_two_inputs_on_one_table_both_get_every_row(table: Database) -> None:
    """B21: inputs are independent, each with its own triggers and rows, even where the ancestor's names collided."""
    one, two = new_context("a-b"), new_context("a_b")
    async with watching(PostgresInput(table.dsn), one), watching(PostgresInput(table.dsn, operations=["create"]), two):
        table.execute("INSERT INTO t VALUES (1)", "DELETE FROM t")
        await settled(one)
        await settled(two)
    assert (["create", "delete"], ["create"]) == (
        [event.operation.value for event in one.events],
        [event.operation.value for event in two.events],
    )


async def test_the_order_of_a_key_is_commit_order(table: Database) -> None:
    """Two transactions that change one row are seen in the order in which they committed."""
    context = new_context()
    table.execute("INSERT INTO t VALUES (1, 0)")
    async with watching(PostgresInput(table.dsn), context):
        with table.connect() as first, table.connect() as second:
            first.execute("BEGIN")
            second.execute("BEGIN")
            first.execute("UPDATE t SET v = 1")
            waiter = threading.Thread(target=lambda: (second.execute("UPDATE t SET v = 2"), second.execute("COMMIT")))
            waiter.start()
            first.execute("INSERT INTO t SELECT generate_series(10, 20)")
            first.execute("COMMIT")
            await anyio.to_thread.run_sync(waiter.join)
        await settled(context)
    assert [{"id": 1, "v": 1}, {"id": 1, "v": 2}] == [event.data for event in context.events if event.id == "1"]


async def test_a_row_that_commits_late_is_not_passed_over(table: Database) -> None:
    """A transaction that took its sequence number first and commits last loses nothing. A cursor would lose it."""
    context = new_context()
    async with watching(PostgresInput(table.dsn), context):
        with table.connect() as slow, slow.transaction():
            slow.execute("INSERT INTO t VALUES (1)")
            table.execute("INSERT INTO t VALUES (2)")
            await context.until(lambda: len(context.events) == 1)
        await settled(context)
    assert ["2", "1"] == [event.id for event in context.events]


@pytest.mark.parametrize("wake", ["auto", "notify", "poll"])
async def test_every_way_of_waking_sees_every_row(table: Database, wake: Literal["auto", "notify", "poll"]) -> None:
    """Single rows, bursts, and pauses between them."""
    context = new_context()
    async with watching(PostgresInput(table.dsn, wake=wake, batch=10), context):
        for round_ in range(3):
            with table.connect() as writer:
                for number in range(40):
                    writer.execute("INSERT INTO t VALUES (%s)", [round_ * 100 + number])
            await settled(context)
    assert [round_ * 100 + number for round_ in range(3) for number in range(40)] == [int(e.id) for e in context.events]


async def test_a_commit_rings_while_the_reader_sleeps(table: Database) -> None:
    """With a poll of an hour, only the bell can bring the row in time."""
    context = new_context()
    async with watching(PostgresInput(table.dsn, poll=timedelta(hours=1)), context):
        await context.until(lambda: context.looks > 0)
        table.execute("INSERT INTO t VALUES (1)")
        with anyio.fail_after(5):
            await context.until(lambda: len(context.events) == 1)


async def test_nobody_rings_while_the_reader_is_busy(table: Database) -> None:
    """Under load it has said so in its row; after a pause it sleeps again, and is rung again."""
    context = new_context()
    rows = "SELECT asleep FROM orchestrator.input"
    async with watching(PostgresInput(table.dsn, poll=timedelta(hours=1), batch=50), context):
        assert [(True,)] == table.execute(rows)
        table.execute("INSERT INTO t SELECT generate_series(1, 200)")
        await context.until(lambda: len(context.events) == 200)
        assert [(False,)] == table.execute(rows)
        while table.execute(rows) == [(False,)]:
            await another_look(context)
        seen = len(context.events)
        table.execute("INSERT INTO t VALUES (-1)")
        with anyio.fail_after(5):
            await context.until(lambda: len(context.events) > seen)


async def test_p72_a_stranger_may_ring_as_much_as_he_likes(table: Database) -> None:
    """P72: junk on our channel costs looks, at a bounded rate, and nothing else."""
    context = new_context()
    async with watching(PostgresInput(table.dsn, poll=timedelta(hours=1)), context):
        (channel,) = table.execute("SELECT channel FROM orchestrator.input")[0]
        looks = context.looks
        with table.connect() as stranger:
            for number in range(500):
                stranger.execute("SELECT pg_notify(%s, %s)", [channel, f"{number}" + "x" * 7_990])
        table.execute("INSERT INTO t VALUES (1)")
        await context.until(lambda: len(context.events) == 1)
        assert context.looks - looks < 250
    assert ["1"] == [event.id for event in context.events]


async def test_p69_two_phase_commit_is_not_broken_by_the_bell(own_server: Server) -> None:
    """P69: NOTIFY would forbid PREPARE TRANSACTION, so nobody rings on a server that allows it."""
    own_server.stop()
    own_server.settings = ("max_prepared_transactions=5",)
    own_server.start()
    context = new_context()
    with own_server.database() as database:
        database.execute("CREATE TABLE t (id int PRIMARY KEY)")
        async with watching(PostgresInput(database.dsn), context):
            database.execute("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'x'")
            await settled(context)
            assert [] == context.events
            database.execute("COMMIT PREPARED 'x'")
            await settled(context)
    assert ["1"] == [event.id for event in context.events]


async def test_b8_the_input_survives_the_end_of_its_sessions(table: Database) -> None:
    """B8: sessions that are terminated are opened again, as often as it happens, and nothing is lost."""
    context = new_context()
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'orchestrator'"
    async with watching(PostgresInput(table.dsn), context):
        for number in range(10):
            table.execute(f"INSERT INTO t VALUES ({number})", kill)
            await events(context, number + 1)
    assert [str(number) for number in range(10)] == [event.id for event in context.events]


async def test_b8_the_input_survives_the_end_of_the_server(own_server: Server) -> None:
    """B8: killed and started again, the server still has what it confirmed, and the input says that it is away."""
    context = new_context()
    with own_server.database() as database:
        database.execute("CREATE TABLE t (id int PRIMARY KEY)")
        async with watching(PostgresInput(database.dsn), context):
            for number in range(3):
                database.execute(f"SET synchronous_commit = on; INSERT INTO t VALUES ({number})")
                own_server.stop(signal.SIGQUIT)
                await context.until(lambda: context.problem is not None)
                own_server.start()
                await events(context, number + 1)
            await context.until(lambda: context.problem is None)
    assert ["0", "1", "2"] == [event.id for event in context.events]


@pytest.fixture
def frozen(own_server: Server) -> Iterator[tuple[Database, list[int]]]:
    """A database, and the processes to be thawed at the end."""
    pids: list[int] = []
    with own_server.database() as database:
        database.execute("CREATE TABLE t (id int PRIMARY KEY)")
        yield database, pids
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


async def test_a_frozen_backend_holds_nothing_up_beyond_the_deadline(frozen: tuple[Database, list[int]]) -> None:
    """A backend that does not answer is given up at the deadline; another one goes on."""
    database, pids = frozen
    context = new_context()
    async with watching(PostgresInput(database.dsn, wake="poll", poll=timedelta(milliseconds=50)), context):
        await settled(context)
        (pid,) = database.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'orchestrator'")[0]
        os.kill(pid, signal.SIGSTOP)
        pids.append(pid)
        await context.until(lambda: context.problem is not None)
        complaint = str(context.problem)
        database.execute("INSERT INTO t VALUES (1)")
        os.kill(pid, signal.SIGCONT)
        with anyio.fail_after(20):
            await context.until(lambda: len(context.events) == 1)
    assert "no answer within 10 s" in complaint


async def test_cancellation_leaves_nothing_half_done(table: Database) -> None:
    """Cut off while the journal takes its time, the hand-over is rolled back, and its session ends at once."""
    context = new_context()
    component = PostgresInput(table.dsn)
    async with watching(component, context):
        await settled(context)
        context.hold()
        table.execute("INSERT INTO t VALUES (1)")
        await context.until(lambda: True)
    context.release()
    async with watching(component, context):
        await settled(context)
    assert ["1"] == [event.id for event in context.events]


async def test_an_event_that_can_not_be_accepted_holds_up_nobody(table: Database) -> None:
    """It goes without its row, and those around it go as they are."""
    table.execute("CREATE TABLE j (id int PRIMARY KEY, v json)")
    context = new_context()
    async with watching(PostgresInput(table.dsn), context):
        table.execute(r"""INSERT INTO j VALUES (1, '1'), (2, '"\ud800"'), (3, '3')""")
        await settled(context)
    assert [("1", {"id": 1, "v": 1}), ("2", {"truncated": True}), ("3", {"id": 3, "v": 3})] == [
        (event.id, event.data) for event in context.events
    ]


class CountingContext(FakeInputContext):
    """Counts the steps that the journal is asked for."""

    steps = 0

    async def emit_many(self, events: Sequence[Event], *, checkpoint: JSON = None) -> Sequence[Event]:
        """Count one."""
        self.steps += 1
        return await super().emit_many(events, checkpoint=checkpoint)


async def test_an_event_that_can_not_be_accepted_is_soon_found(table: Database) -> None:
    """Fails if each event around it takes a step of the journal: the rows are claimed meanwhile, for 10 s at most."""
    table.execute("CREATE TABLE j (id int PRIMARY KEY, v json)")
    context = CountingContext("raw", clock=SystemClock())
    async with watching(PostgresInput(table.dsn), context):
        values = r"""CASE g WHEN 77 THEN '"\ud800"'::json ELSE '1' END"""
        table.execute(f"INSERT INTO j SELECT g, {values} FROM generate_series(1, 400) AS g")
        await settled(context)
    assert [str(number) for number in range(1, 401)] == [event.id for event in context.events]
    assert context.steps < 25


async def test_p71_sequence_numbers_that_start_again_are_no_repetition(table: Database) -> None:
    """P71: after a restore the sequence may restart; events are told apart by their uid."""
    context = new_context()
    async with watching(PostgresInput(table.dsn), context):
        table.execute("INSERT INTO t VALUES (1)")
        await settled(context)
        table.execute("ALTER TABLE orchestrator.outbox ALTER COLUMN seq RESTART", "INSERT INTO t VALUES (2)")
        await settled(context)
        with table.connect() as writer, writer.transaction():
            writer.execute("INSERT INTO t VALUES (3)")
            table.execute("SELECT setval('orchestrator.outbox_seq_seq', 1, false)", "INSERT INTO t VALUES (4)")
        await settled(context)
    assert {"1", "2", "3", "4"} == {event.id for event in context.events}


@pytest.mark.parametrize("damage", ["DROP TABLE {}", "ALTER TABLE {} RENAME TO mine"], ids=["dropped", "renamed"])
async def test_p71_an_outbox_that_is_gone_fails_the_write_and_is_put_back(table: Database, damage: str) -> None:
    """P71: without the outbox the user's write fails, for nothing may be lost; the input's restart mends it."""
    context = new_context()
    component = PostgresInput(table.dsn)
    async with watching(component, context):
        await settled(context)
    table.execute(damage.format("orchestrator.outbox"))
    with pytest.raises(psycopg.errors.UndefinedTable):
        table.execute("INSERT INTO t VALUES (1)")
    async with watching(component, context):
        table.execute("INSERT INTO t VALUES (2)")
        await settled(context)
    assert ["2"] == [event.id for event in context.events]


@pytest.mark.parametrize("server", [DEBIAN], indirect=True)
async def test_p71_a_database_restored_from_a_backup(table: Database, server: Server) -> None:
    """P71, D3: what was handed over since the backup is not repeated, and numbers that come again hide no row."""
    context = new_context()
    async with watching(PostgresInput(table.dsn), context):
        pass
    table.execute("INSERT INTO t VALUES (1), (2)")
    backup = (await anyio.run_process([server.client("pg_dump"), "-d", table.dsn])).stdout
    backup = backup.replace(b"SET transaction_timeout = 0;", b"")  # newer clients write it, servers before 17 refuse it
    async with watching(PostgresInput(table.dsn), context):
        table.execute("INSERT INTO t VALUES (3)")
        await settled(context)
    with server.database() as restored:
        restore = [server.client("psql"), "-q", "-v", "ON_ERROR_STOP=1", "-d", restored.dsn]
        await anyio.run_process(restore, input=backup)
        async with watching(PostgresInput(restored.dsn), context):
            restored.execute("INSERT INTO t VALUES (4)")
            await settled(context)
        assert 0 == outbox(restored)
    assert ["1", "2", "3", "4"] == [event.id for event in context.events]


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
async def test_p73_other_encodings(server: Server, encoding: str) -> None:
    """P73: text of any encoding arrives; in a database without one, bytes that are no UTF-8 are read as Latin-1."""
    context = new_context()
    with server.database(f"ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0") as database:
        database.execute("CREATE TABLE t (id text PRIMARY KEY)")
        async with watching(PostgresInput(database.dsn), context):
            with database.connect() as writer:
                writer.execute(f"SET client_encoding = '{encoding}'")
                writer.execute(b"INSERT INTO t VALUES ('gr\xf6\xdfe')")
                if encoding == "SQL_ASCII":
                    writer.execute("INSERT INTO t VALUES ('gr\u00f6sse')".encode())
            await settled(context)
    assert ["größe", "grösse"][: len(context.events)] == [event.id for event in context.events]
    assert {"id": "größe"} == context.events[0].data


async def test_figures_are_reported(table: Database) -> None:
    """Observers learn how much waits, for how long, and whether the listener is connected."""
    context = FakeInputContext("raw", clock=SystemClock())
    async with watching(PostgresInput(table.dsn), context):
        table.execute("INSERT INTO t VALUES (1)")
        await settled(context)
    names = {measured.name for measured in context.measured}
    assert {"outbox_rows", "outbox_oldest_seconds", "handover_rows", "listener_connected"} <= names
