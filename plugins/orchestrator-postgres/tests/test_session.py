"""A connection that is asked in the event loop: its answers, its errors, and its end."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest
from proxy import proxying
from servers import Database, Server, until

from orchestrator_core import Secret
from orchestrator_postgres import PostgresError
from orchestrator_postgres._errors import UnreachableError
from orchestrator_postgres._session import Session
from orchestrator_postgres._target import Target

pytestmark = pytest.mark.anyio

_OURS = "SELECT FROM pg_stat_activity WHERE application_name = 'orchestrator' AND datname = current_database()"


@asynccontextmanager
async def opened(database: Database) -> AsyncIterator[Session]:
    """A session of a database."""
    async with Target(Secret(database.dsn), Path()) as target, await target.connect() as session:
        yield session


async def test_the_last_result_of_a_message_is_its_answer(database: Database) -> None:
    """What goes before it sets the transaction up."""
    async with opened(database) as session:
        result = await session.ask("BEGIN; SELECT 1; SELECT 2, NULL; COMMIT; SELECT 3, NULL", "asking")
        assert (b"3", None) == (result.get_value(0, 0), result.get_value(0, 1))


async def test_an_error_in_a_message_names_what_was_tried_and_leaves_the_session_open(database: Database) -> None:
    """The server skips the rest of the message. Fails if an earlier result hides the error."""
    async with opened(database) as session:
        with pytest.raises(PostgresError, match=r"counting rows in .*nowhere.*42P01"):
            await session.ask("SELECT 1; SELECT count(*) FROM nowhere; SELECT 2", "counting rows")
        assert b"4" == (await session.ask("SELECT 4", "asking")).get_value(0, 0)


async def test_a_session_that_was_ended_is_unreachable(database: Database) -> None:
    """Whoever ended it, the input connects again."""
    async with opened(database) as session:
        database.execute(_OURS.replace("SELECT", "SELECT pg_terminate_backend(pid)", 1))
        with pytest.raises(UnreachableError):
            await session.ask("SELECT 1", "asking")


async def test_a_session_that_idled_too_long_in_a_transaction_is_unreachable(database: Database) -> None:
    """The server has ended it, however it is asked: the input connects again. Fails if that ends the input."""
    idle = "SET idle_in_transaction_session_timeout = '10ms'; BEGIN"
    gone = partial(until, lambda: [] == database.execute(_OURS), "the end of the session")
    async with opened(database) as session:
        await session.ask(idle, "waiting")
        await anyio.to_thread.run_sync(gone)
        with pytest.raises(UnreachableError):
            await session.ask("COMMIT", "committing")
    async with opened(database) as session:
        await session.execute(idle, what="waiting")
        await anyio.to_thread.run_sync(gone)
        with pytest.raises(UnreachableError):
            await session.execute("COMMIT", what="committing")


async def test_a_session_that_was_given_up_is_asked_nothing_more(database: Database) -> None:
    """A thread may still be at it."""
    async with opened(database) as session:
        session.sever()
        with pytest.raises(UnreachableError, match="given up"):
            await session.ask("SELECT 1", "asking")


async def test_a_long_message_is_sent_in_pieces(database: Database) -> None:
    """The socket takes only a part of it at once. Fails, by its deadline, if the rest is never sent."""
    async with opened(database) as session:
        result = await session.ask(f"SELECT length('{'x' * 20_000_000}')", "asking")
        assert b"20000000" == result.get_value(0, 0)


@pytest.mark.parametrize("cut", ["cancelled", "late"])
async def test_a_question_that_is_given_up_ends_its_transaction(database: Database, cut: str) -> None:
    """Nothing stays claimed by a session that nobody waits for."""
    async with opened(database) as session:
        late = cut == "late"
        with anyio.CancelScope() as scope:
            if late:
                with pytest.raises(UnreachableError, match=r"no answer within 0\.2 s"):
                    await session.ask("BEGIN; SELECT pg_sleep(3600)", "sleeping", within=0.2)
            else:
                scope.deadline = anyio.current_time() + 0.2
                await session.ask("BEGIN; SELECT pg_sleep(3600)", "sleeping")
        assert session.connection.closed
        database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
        await anyio.to_thread.run_sync(until, lambda: [] == database.execute(_OURS), "the end of the session")


async def test_the_last_of_several_hosts_has_its_turn(server: Server) -> None:
    """Though those before it say nothing, as machines do that are switched off."""
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        proxy = stack.enter_context(proxying(server.home / f".s.PGSQL.{server.port}"))
        ports = ",".join(str(port) for port in (*(each.getsockname()[1] for each in silent), proxy.port))
        hosts = ",".join(["127.0.0.1"] * 3)
        target = Target(Secret(f"host={hosts} port={ports} user=postgres dbname=postgres"), Path())
        async with target, await target.connect() as session:
            assert [(1,)] == await session.execute("SELECT 1", what="asking")
