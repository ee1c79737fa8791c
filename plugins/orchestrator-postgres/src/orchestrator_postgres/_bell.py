"""`Bell`: hears that a writer has committed. A doorbell, never a letter: what it says is not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import psycopg

from orchestrator_postgres._errors import UnreachableError, wrap
from orchestrator_postgres._statements import quote, quote_literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator_postgres._session import Session

_PING = "ping"
_PING_WITHIN = 5.0
_ECHO_WITHIN = 2.0
"""Seconds for a ring that is committed to come back; the hand-over waits for it."""


class Bell:
    """Listens on one channel, on a connection of its own. Used by one task at a time."""

    def __init__(self, session: Session, channel: str, sender: Session) -> None:
        self._session = session
        self._channel = channel
        self._sender = sender
        self._rung = False
        self._heard_ping = False
        session.connection.add_notify_handler(self._hear)

    async def listen(self) -> None:
        """Begin to listen, and make sure of it by a ring of our own.

        Raises:
            UnreachableError: the connection broke, or nothing of what was sent came back (a pooler in between).
        """
        await self._session.execute(f"LISTEN {quote(self._channel)}", what="listening")
        await self.ping()

    async def ping(self) -> None:
        """Ring ourselves; a connection that is dead, or does not listen any more, is found by it.

        From the other connection: a pooler that lends its connections by the transaction hands a client what it has
        rung itself, and nothing of what others ring.

        Raises:
            UnreachableError: it did not come back.
        """
        self._heard_ping = False
        statement = f"SELECT pg_notify({quote_literal(self._channel)}, {quote_literal(_PING)})"
        await self._sender.execute(statement, what="testing the bell", within=_PING_WITHIN)
        with anyio.move_on_after(_ECHO_WITHIN):
            await self._hear_until(lambda: self._heard_ping)
        if not self._heard_ping:
            raise UnreachableError(self._session.where, "notifications do not come back")

    async def wait(self) -> None:
        """Return once somebody has rung since the last call.

        Raises:
            UnreachableError: the connection broke.
        """
        await self._hear_until(lambda: self._rung)
        self._rung = False

    async def _hear_until(self, enough: Callable[[], bool]) -> None:
        connection = self._session.connection
        while not enough():
            await anyio.wait_readable(connection.fileno())
            try:
                connection.pgconn.consume_input()
                while notify := connection.pgconn.notifies():
                    self._note(notify.extra)
            except psycopg.Error as error:
                raise wrap(error, "listening", self._session.where, None) from error

    def _hear(self, notify: psycopg.Notify) -> None:
        self._note(notify.payload.encode())

    def _note(self, payload: bytes) -> None:
        if payload == _PING.encode():
            self._heard_ping = True
        else:
            self._rung = True
