"""`Applier`: one transaction for each delivery, on a few sessions that are kept open."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from datetime import time as dt_time
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import psycopg

from orchestrator_core import JSON, AttemptContext, Event, Reject, dump_json, load_json
from orchestrator_postgres._errors import MissingRightError, UnreachableError, explain
from orchestrator_postgres._script import Script, values
from orchestrator_postgres._session import CALL_WITHIN, Connection, Session, fetch
from orchestrator_postgres._setup import run_setup
from orchestrator_postgres._statements import load, quote
from orchestrator_postgres._turn import take_turn

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

    from orchestrator_postgres._target import Target

_PRUNE_EVERY = 600.0
_TRIES = 5
_SESSIONS = 16
_LONGEST_MS = 2**31 - 1
_AGAIN = ("40001", "40P01")
"""Serialisation failure and deadlock: the same transaction may well succeed at once."""
_ROLLED_BACK = (psycopg.pq.TransactionStatus.INTRANS, psycopg.pq.TransactionStatus.INERROR)
_REJECTED = ("21", "22", "23", "2D", "42", "44", "P0", "0A", "2F", "38", "39")
"""Classes of SQLSTATE that the same event would meet again: data, constraints, syntax and rights, RAISE, COMMIT."""


@attrs.define(eq=False)
class Applier:
    """Runs a script for deliveries.

    Attributes:
        target: the database.
        script: what to run.
        schema: the schema of the table ``applied``.
        may_install: whether that table may be created.
        setup: a file to run before anything else.
        keep: how long a delivery is remembered.
    """

    target: Target
    script: Script
    schema: str
    may_install: bool
    setup: Path | None
    keep: timedelta
    _lent: anyio.Semaphore = attrs.field(factory=lambda: anyio.Semaphore(_SESSIONS))
    _idle: list[Session] = attrs.field(factory=list)
    _prepared: bool = False
    _preparing: anyio.Lock = attrs.field(factory=anyio.Lock)
    _prune_at: float = 0.0

    def close(self) -> None:
        """Close the sessions that are kept."""
        while self._idle:
            self._idle.pop().sever()

    async def check(self) -> None:
        """Connect and prepare, as before the first delivery."""
        async with self._session():
            pass

    async def apply(self, event: Event, context: AttemptContext) -> JSON:
        """Run the script for a delivery unless it has been; return the rows either way.

        Raises:
            Reject: the same event would fail again.
            UnreachableError: the server is away.
            PostgresError: something else failed.
        """
        within = max(context.deadline - time.time(), 1.0)
        work = partial(self._transact, event=event, context=context, milliseconds=min(int(within * 1000), _LONGEST_MS))
        async with self._session() as session:
            return await session.call(work, "running the statement", within=within + CALL_WITHIN)

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Session]:
        """Lend a session on a prepared database, and keep it afterwards if it is still of use."""
        async with self._lent:
            session = self._idle.pop() if self._idle else await self.target.connect()
            try:
                async with self._preparing:
                    if not self._prepared:
                        await self._prepare(session)
                        self._prepared = True
                await self._prune(session)
                yield session
            except UnreachableError:
                session.sever()  # another one may lead to another server, or to one that takes writes by then
                raise
            finally:
                if session.is_idle:
                    self._idle.append(session)
                else:
                    session.sever()
                    self.close()  # what broke one connection has most likely broken those that wait

    async def _prune(self, session: Session) -> None:
        if time.monotonic() < self._prune_at:
            return
        self._prune_at = time.monotonic() + _PRUNE_EVERY
        statement = load("applied", self.schema)["prune"]
        await session.execute(statement, {"keep": self.keep}, what="forgetting old deliveries")

    async def _prepare(self, session: Session) -> None:
        if self.setup is not None:
            await run_setup(session, self.setup)
        statements = load("applied", self.schema)
        table = {"table": f"{quote(self.schema)}.applied"}
        ((there, usable),) = await session.execute(
            statements["exists"], table, what="looking for the table of deliveries"
        )
        if usable:
            return
        remedy = f"run with a role that may: {by_hand(self.schema, session.user)}"
        if there:
            raise MissingRightError("the table of deliveries", f"{session.user} may not use it", remedy)
        if not self.may_install:
            raise MissingRightError("the table of deliveries", f"it is not in {session.where}", remedy)
        try:
            await session.call(partial(_create, schema=self.schema), "creating the table of deliveries")
        except MissingRightError as error:
            raise MissingRightError(error.what, error.cause, remedy) from error

    def _transact(self, connection: Connection, event: Event, context: AttemptContext, milliseconds: int) -> JSON:
        """Run the transaction, again at once if it only lost against another one. Runs in a worker thread."""
        for tries_left in reversed(range(_TRIES)):
            try:
                return self._apply_once(connection, event, context, milliseconds)
            except psycopg.Error as error:
                # In the midst of a COPY, which psycopg has refused after the server began it, nothing can be sent.
                if connection.info.transaction_status in _ROLLED_BACK:
                    connection.execute("ROLLBACK")
                if error.sqlstate in _AGAIN and tries_left:
                    continue
                if (error.sqlstate or "").startswith(_REJECTED):
                    raise Reject(f"{explain(error)} (SQLSTATE {error.sqlstate})") from error
                if error.sqlstate is None and isinstance(error, psycopg.ProgrammingError | psycopg.DataError):
                    raise Reject(explain(error)) from error
                raise
        raise AssertionError("the last try returns or raises")

    def _apply_once(self, connection: Connection, event: Event, context: AttemptContext, milliseconds: int) -> JSON:
        statements = load("applied", self.schema)
        delivery = {"delivery_id": context.delivery_id}
        connection.execute(statements["begin"])
        fetch(connection, statements["limit"], {"milliseconds": str(milliseconds)})
        if not fetch(connection, statements["record"], delivery):
            kept = fetch(connection, statements["output"], delivery)
            connection.execute("COMMIT")
            return load_json(kept[0][0]) if kept and kept[0][0] is not None else None
        rows: list[JSON] = []
        for statement in self.script.statements:
            cursor = connection.execute(statement.text.encode(), values(statement, event, context))
            rows = _objects(cursor)
        if rows:
            fetch(connection, statements["keep_output"], {**delivery, "output": dump_json(rows)})
        connection.execute("COMMIT")
        return rows or None


def create_statements(schema: str) -> list[str]:
    """Return the SQL that creates the table of deliveries, in order."""
    statements = load("applied", schema)
    return [statements[name] for name in ("create_schema", "create_applied", "create_applied_at")]


def by_hand(schema: str, role: str) -> str:
    """Return the SQL that creates the table of deliveries and lets a role use it: on one line, to be copied."""
    statements = load("applied", schema)
    grants = statements["grants"].replace("{role}", quote(role))
    return " ".join(f"{'; '.join([*create_statements(schema), grants])};".split())


def _create(connection: Connection, schema: str) -> None:
    with connection.transaction():
        take_turn(connection, schema)
        for statement in create_statements(schema):
            connection.execute(statement)


def _objects(cursor: psycopg.Cursor[tuple[Any, ...]]) -> list[JSON]:
    if cursor.description is None:
        return []
    names = [column.name for column in cursor.description]
    return [{name: _json(value) for name, value in zip(names, row, strict=True)} for row in cursor.fetchall()]


def _json(value: Any) -> JSON:  # noqa: ANN401 (whatever psycopg loads)
    """Return a column's value as JSON: what JSON has as it is, everything else as text."""
    match value:
        case None | bool() | int() | str():
            plain: JSON = value
        case float() | Decimal() if math.isfinite(value):
            plain = value
        case list():
            plain = [_json(each) for each in value]
        case dict():
            plain = {str(name): _json(each) for name, each in value.items()}
        case bytes():
            plain = "\\x" + value.hex()
        case date() | dt_time():
            plain = value.isoformat()
        case _:
            plain = str(value)
    return plain
