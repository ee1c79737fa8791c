"""`Session`: one connection, where every call has a deadline.

psycopg's asynchronous connection runs on asyncio alone, so the synchronous one is used and the event loop may be any.
Most calls are made in a worker thread. A thread can't be cancelled: when a call is, or runs out of time, the
connection's socket is shut down under it. The call then fails at once in its thread, and the server rolls back. What is
called often waits for its answer in the event loop instead, by libpq's own means: a thread takes longer to wake than
the server to answer.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio
import psycopg
from anyio import to_thread
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.conninfo import make_conninfo
from psycopg.types.string import StrDumperUnknown

from orchestrator_postgres._errors import UnreachableError, wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from psycopg.pq.abc import PGresult

Result = TypeVar("Result")
Connection = psycopg.Connection[tuple[Any, ...]]

CONNECT_WITHIN = 10.0
_HOSTS_WITHIN, _HOST_LEAST = 8, 2
"""Seconds for all the hosts of a connection string together, lest the last be never tried; and the least for each."""
CALL_WITHIN = 10.0

# A dead peer is found even where nothing is sent; the server's side of it is its own business.
_DEFAULTS = {"keepalives_idle": "15", "keepalives_interval": "5", "keepalives_count": "3"}


class Session:
    """One connection in autocommit mode. Use it from one task at a time."""

    def __init__(self, connection: Connection, where: str, limiter: anyio.CapacityLimiter) -> None:
        self._connection = connection
        self._where = where
        self._limiter = limiter
        self._user = connection.info.user
        self._lock = threading.Lock()
        self._awaited = False  # a call has been made and has not ended
        self._busy = False  # its thread is at it
        self._severed = False

    @classmethod
    async def open(cls, conninfo: Mapping[str, str], where: str, limiter: anyio.CapacityLimiter) -> Self:
        """Connect.

        Args:
            conninfo: connection parameters as libpq names them.
            where: the database without its password, for messages.
            limiter: bounds the threads of its owner.

        Raises:
            UnreachableError: no server answered in time, or it is full or shutting down.
            PostgresError: it refused.
        """
        attempt = _Connecting(conninfo)
        try:
            with anyio.fail_after(CONNECT_WITHIN):
                connection = await to_thread.run_sync(attempt.run, abandon_on_cancel=True, limiter=limiter)
        except psycopg.Error as error:
            raise wrap(error, "connecting", where, conninfo.get("user")) from error
        except TimeoutError:
            remedy = "start the server, or correct host and port in connection_string"
            raise UnreachableError(where, f"no connection within {CONNECT_WITHIN:g} s", remedy) from None
        else:
            attempt.keep()
            return cls(connection, where, limiter)
        finally:
            attempt.abandon()

    @property
    def where(self) -> str:
        """The database, without its password."""
        return self._where

    @property
    def user(self) -> str:
        """The role that it is connected as."""
        return self._user

    @property
    def connection(self) -> Connection:
        """The connection itself, for calls that do not block."""
        return self._connection

    @property
    def is_idle(self) -> bool:
        """Whether it is open, unused and in no transaction, so that it can be used again."""
        idle = psycopg.pq.TransactionStatus.IDLE
        return not self._severed and not self._busy and self._connection.info.transaction_status == idle

    async def call(self, work: Callable[[Connection], Result], what: str, *, within: float = CALL_WITHIN) -> Result:
        """Run blocking work with the connection in a worker thread.

        Args:
            work: gets the connection.
            what: what it does, for messages.
            within: seconds after which the connection is given up.

        Raises:
            UnreachableError: the connection broke, or the time ran out.
            PostgresError: the server refused.
        """
        self._awaited = True
        try:
            with self._explaining(what, within):
                return await to_thread.run_sync(self._run, work, abandon_on_cancel=True, limiter=self._limiter)
        finally:
            if self._awaited:
                self.sever()

    async def ask(self, message: str, what: str, *, within: float = CALL_WITHIN) -> PGresult:
        """Run a message of statements without parameters, and without a thread; return what the last one returned.

        Args:
            message: SQL.
            what: what it does, for messages.
            within: seconds after which the connection is given up.

        Raises:
            UnreachableError: the connection broke, or the time ran out.
            PostgresError: the server refused.
        """
        result = None
        try:
            with self._explaining(what, within):
                with self._lock:
                    self._refuse_if_severed()
                self._connection.pgconn.send_query(message.encode())
                result = await self._receive()
                if result.status == psycopg.pq.ExecStatus.FATAL_ERROR:
                    raise psycopg.errors.error_from_result(result)
        finally:
            if result is None:
                self.sever()
        return result

    @contextlib.contextmanager
    def _explaining(self, what: str, within: float) -> Iterator[None]:
        """Bound what is awaited in the block, and make its errors ours."""
        try:
            with anyio.fail_after(within):
                yield
        except psycopg.Error as error:
            raise wrap(error, what, self._where, self._user) from error
        except TimeoutError:
            raise UnreachableError(self._where, f"{what}: no answer within {within:g} s") from None

    async def _receive(self) -> PGresult:
        """Wait for all results of a message; return the last one, for it is where an error is."""
        pgconn = self._connection.pgconn
        while pgconn.flush():
            await anyio.wait_writable(pgconn.socket)
        last: PGresult | None = None
        while True:
            while pgconn.is_busy():
                await anyio.wait_readable(pgconn.socket)
                pgconn.consume_input()
            result = pgconn.get_result()
            if result is None:
                break
            last = result
        if last is None:
            raise psycopg.OperationalError("the server has not answered")
        return last

    def _run(self, work: Callable[[Connection], Result]) -> Result:
        with self._lock:
            self._refuse_if_severed()
            self._busy = True
        try:
            return work(self._connection)
        finally:
            with self._lock:
                self._awaited = self._busy = False
                if self._severed:
                    self._connection.close()

    def _refuse_if_severed(self) -> None:
        if self._severed:
            raise psycopg.OperationalError("the connection was given up")

    async def execute(
        self, statement: str, parameters: Mapping[str, Any] | None = None, *, what: str, within: float = CALL_WITHIN
    ) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows; for the errors see `call`."""
        return await self.call(partial(fetch, statement=statement, parameters=parameters), what, within=within)

    def sever(self) -> None:
        """End the connection at once, even while a thread waits on it; it is of no use afterwards."""
        with self._lock:
            if self._severed:
                return
            self._severed = True
            if not self._busy:
                self._connection.close()
                return
            # A duplicate shares the socket: shutting it down wakes the thread that waits on the original.
            with contextlib.suppress(OSError, psycopg.Error), self._socket() as line:
                line.shutdown(socket.SHUT_RDWR)

    def _socket(self) -> socket.socket:
        return socket.socket(fileno=os.dup(self._connection.fileno()))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.sever()


def fetch(connection: Connection, statement: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
    """Run one statement on a connection and return its rows, in the calling thread."""
    # As bytes, since psycopg would refuse to encode a name that is not ASCII for a database without an encoding.
    cursor = connection.execute(statement.encode(), parameters)
    return cursor.fetchall() if cursor.description is not None else []


def read_text(data: bytes) -> str:
    """Read text as the server sends it: UTF-8, or of a database without an encoding anything; Latin-1 loses no byte."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


class _AnyText(Loader):
    """Reads bytes that may be text of any encoding."""

    def load(self, data: Buffer) -> str:
        """Return the text."""
        return read_text(bytes(data))


class _Utf8(StrDumperUnknown):
    """Writes text as UTF-8."""

    def dump(self, obj: str) -> bytes:
        """Return the bytes."""
        return obj.encode()


def _read_any_text(connection: Connection) -> None:
    """Make ready for a database without an encoding, where a UTF-8 client can't be sent what is no UTF-8."""
    connection.execute("SET client_encoding TO 'SQL_ASCII'")
    for name in ("text", "json", "varchar", "name"):
        connection.adapters.register_loader(name, _AnyText)
    connection.adapters.register_dumper(str, _Utf8)


class _Connecting:
    """One attempt to connect, in a thread that may outlive the interest in it; then it closes what it has opened."""

    def __init__(self, conninfo: Mapping[str, str]) -> None:
        self._conninfo = conninfo
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._abandoned = False

    def run(self) -> Connection:
        """Connect, in the thread."""
        hosts = 1 + max(self._conninfo.get(name, "").count(",") for name in ("host", "hostaddr"))
        each = {"connect_timeout": str(max(_HOSTS_WITHIN // hosts, _HOST_LEAST))}
        conninfo = make_conninfo(**{**each, **_DEFAULTS, **self._conninfo, "client_encoding": "utf8"})
        connection = psycopg.connect(conninfo, autocommit=True, prepare_threshold=None)
        if connection.info.parameter_status("server_encoding") == "SQL_ASCII":
            _read_any_text(connection)
        with self._lock:
            if self._abandoned:
                connection.close()
            else:
                self._connection = connection
        return connection

    def keep(self) -> None:
        """Take the connection over: it is not closed any more."""
        self._connection = None

    def abandon(self) -> None:
        """Close the connection, now or once it is there."""
        with self._lock:
            self._abandoned = True
            if self._connection is not None:
                self._connection.close()
