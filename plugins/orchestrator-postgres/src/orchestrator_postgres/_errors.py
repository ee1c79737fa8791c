"""Every exception of the plugin, and the one place where a psycopg error becomes one of them.

::

    OrchestratorError
    └── PostgresError
        ├── ConnectionStringError          the connection string can't be read
        ├── UnreachableError               no server, or it went away: trying again later may help
        ├── MissingRightError              the role may not do what is needed
        ├── MissingTableError              a table that was named does not exist
        ├── NotInstalledError              the database lacks the input's objects, and may not be changed
        ├── UnsafeServerError              the server can't keep the promise
        └── EmbeddedServerError            the private server does not start
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from orchestrator_core import OrchestratorError
from orchestrator_postgres._remedies import remedy_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg


class PostgresError(OrchestratorError):
    """The root of what this plugin raises; also what no other class fits."""


class ConnectionStringError(PostgresError):
    """A connection string can't be read. The message never repeats it: it may hold a password.

    Attributes:
        cause: what is wrong with it.
    """

    def __init__(self, cause: str) -> None:
        self.cause = cause
        super().__init__(
            f"connection_string {cause}: write it like postgresql://user@host:5432/database, "
            '"host=… dbname=… user=…", or embedded:NAME for a private server'
        )


class UnreachableError(PostgresError):
    """There is no connection, or it broke; nothing is known to be wrong with what was asked.

    Attributes:
        where: the database, without its password.
        cause: the server's or the network's words.
        remedy: the setting or the SQL that mends it, if one is known.
    """

    def __init__(self, where: str, cause: str, remedy: str | None = None) -> None:
        self.where = where
        self.cause = cause
        self.remedy = remedy
        super().__init__(f"can't reach {where}: {cause}" + (f"; {remedy}" if remedy else ""))


class MissingRightError(PostgresError):
    """The role may not do what is needed.

    Attributes:
        what: what was tried.
        cause: the server's words.
        remedy: the SQL or the command that mends it.
    """

    def __init__(self, what: str, cause: str, remedy: str) -> None:
        self.what = what
        self.cause = cause
        self.remedy = remedy
        super().__init__(f"{what}: {cause}; {remedy}")


class MissingTableError(PostgresError):
    """Tables that were named do not exist, or can't be watched.

    Attributes:
        tables: the names that were not found.
        where: the database.
        known: the tables that are there.
    """

    def __init__(self, tables: Sequence[str], where: str, known: Sequence[str]) -> None:
        self.tables = tuple(tables)
        self.where = where
        self.known = tuple(known)
        near = [match for name in tables for match in get_close_matches(name, known, n=1)]
        hint = f"did you mean {', '.join(near)}? " if near else ""
        super().__init__(f"no table {', '.join(tables)} in {where}: {hint}correct `tables`, or create it")


class NotInstalledError(PostgresError):
    """The database lacks some of the input's objects, and ``install = "never"`` forbids to add them.

    Attributes:
        missing: what is missing, one sentence each.
    """

    def __init__(self, missing: Sequence[str]) -> None:
        self.missing = tuple(missing)
        super().__init__(
            f"{'; '.join(missing)}: run `orchestrator postgres install` with a role that owns the tables, "
            'or set install = "auto"'
        )


class UnsafeServerError(PostgresError):
    """The server is set up so that it can lose what it confirmed, or is too old."""


class EmbeddedServerError(PostgresError):
    """The private server can't be started.

    Attributes:
        cause: what went wrong.
        remedy: what to do about it.
    """

    def __init__(self, cause: str, remedy: str) -> None:
        self.cause = cause
        self.remedy = remedy
        super().__init__(f"the embedded Postgres does not start: {cause}; {remedy}")


# Of SQLSTATE (appendix A of the manual) the classes connection exception, insufficient resources and operator
# intervention; read-only, as a standby is; and idle in a transaction for too long, for which the server ends the
# session.
_UNREACHABLE = ("08", "53", "57", "25006", "25P03")
_OF_THE_CALL = ("57014", "53400")
"""Of these classes: it was cancelled, as for taking too long; it exceeds what it is allowed, as temp_file_limit."""


def is_unreachable(error: psycopg.Error) -> bool:
    """Tell whether an error says that the server is away or full, rather than that the call was wrong."""
    import psycopg  # noqa: PLC0415 (a vendor's library, on first use)

    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate.startswith(_UNREACHABLE) and error.sqlstate not in _OF_THE_CALL


def explain(error: psycopg.Error) -> str:
    """Return the server's message with its detail and hint, on one line."""
    report = error.diag
    parts = [report.message_primary or str(error).strip(), report.message_detail, report.message_hint]
    return " · ".join(" ".join(part.split()) for part in parts if part)


def wrap(error: psycopg.Error, what: str, where: str, user: str | None) -> PostgresError:
    """Make a psycopg error one of ours.

    Args:
        error: what psycopg raised.
        what: what was tried, to begin the message with.
        where: the database, without its password.
        user: the role that tried it, if it is known.
    """
    remedy = remedy_for(str(error), user)
    if is_unreachable(error):
        return UnreachableError(where, explain(error), remedy)
    if error.sqlstate == "42501":
        return MissingRightError(
            f"{what} in {where}", explain(error), remedy or "grant the right, or use a role that has it"
        )
    return PostgresError(
        f"{what} in {where}: {explain(error)}" + (f" (SQLSTATE {error.sqlstate})" if error.sqlstate else "")
    )
