"""`Backfill`: the rows that were there before the input, as read events; page by page, resumed where it was cut off."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Self

import attrs
import psycopg

from orchestrator_postgres._errors import MissingRightError, PostgresError, explain
from orchestrator_postgres._session import Connection, Session, fetch
from orchestrator_postgres._statements import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator_postgres._tables import Table
    from orchestrator_postgres._watch import Watch


@attrs.define
class Backfill:
    """What is left to read of an input's tables.

    Attributes:
        session: a session of the database, in no transaction.
        watch: what the input wants.
        page: how many rows to read at a time.
        pending: the tables that are not done, the one at work first.
    """

    session: Session
    watch: Watch
    page: int
    pending: list[Table]

    @classmethod
    async def resume(cls, session: Session, watch: Watch, tables: Sequence[Table], page: int) -> Self:
        """Find out which tables are not done."""
        statement = load("handover", watch.schema)["backfilled"]
        rows = await session.execute(statement, {"input": watch.name}, what="looking how far the backfill is")
        done = {location for (location,) in rows}
        return cls(session, watch, page, [table for table in tables if table.location not in done])

    async def restart(self, tables: Sequence[Table]) -> None:
        """Forget how far these tables are, and read them from the beginning."""
        locations = [table.location for table in tables]
        statement = load("handover", self.watch.schema)["restart_backfill"]
        parameters = {"input": self.watch.name, "locations": locations}
        await self.session.execute(statement, parameters, what="restarting the backfill")
        self.pending = list(tables)

    async def step(self) -> int | None:
        """Write one page of rows into the outbox; return how many, or ``None`` if it has to wait for somebody.

        Raises:
            MissingRightError: the owner of our functions may not read or lock the table.
        """
        table = self.pending[0]
        rows = await self.session.call(partial(self._step, table=table), f"reading {table.location}")
        if rows is None:
            self.pending.append(self.pending.pop(0))  # meanwhile the next one may be free
        elif rows < self.page:
            self.pending.remove(table)
        return rows

    def _step(self, connection: Connection, table: Table) -> int | None:
        statements = load("handover", self.watch.schema)
        parameters: dict[str, Any] = {"input": self.watch.name, "relation": table.oid, "location": table.location}
        try:
            with connection.transaction():
                connection.execute(statements["limits"])
                rows: int | None = fetch(connection, statements["backfill_page"], {**parameters, "page": self.page})[0][
                    0
                ]
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            return None
        except psycopg.errors.InsufficientPrivilege as error:
            remedy = f"GRANT SELECT, UPDATE ON {table.quoted} TO the role that ran `orchestrator postgres install`"
            raise MissingRightError(f"backfill of {table.location}", explain(error), remedy) from error
        except psycopg.errors.UndefinedTable:
            raise PostgresError(f"backfill of {table.location}: the table is gone") from None
        return rows
