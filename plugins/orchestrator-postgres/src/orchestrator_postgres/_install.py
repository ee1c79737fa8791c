"""Puts an input's objects into a database: only what is missing, and one table at a time."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import attrs
import psycopg

from orchestrator_postgres._errors import (
    MissingRightError,
    MissingTableError,
    NotInstalledError,
    PostgresError,
    explain,
)
from orchestrator_postgres._session import Connection, Session, fetch
from orchestrator_postgres._state import VERSION, State, make_comment, object_statements, read_state
from orchestrator_postgres._statements import load, quote, quote_literal
from orchestrator_postgres._tables import Trigger, create_trigger, drop_trigger
from orchestrator_postgres._turn import take_turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator_postgres._watch import Watch

LOCK_TIMEOUT = "2s"
_TRIES = 10
_BETWEEN_TRIES = 0.5
_WITHIN = 120.0
_INSTALL_BY_OWNER = (
    "run `orchestrator postgres install` with a role that owns the tables "
    "(`orchestrator postgres sql` shows what it does)"
)


@attrs.frozen
class Step:
    """One transaction of an installation.

    Attributes:
        what: what it does, for people.
        statements: its SQL.
        table: the table it changes, as SQL; ``None`` if it touches our own schema only.
        locks: what it locks, for people.
    """

    what: str
    statements: tuple[str, ...]
    table: str | None = None
    locks: str = "locks nothing of yours"


async def ensure_installed(session: Session, watch: Watch, *, may_change: bool) -> State:
    """Look, and put in what is missing.

    Args:
        session: a session of the database.
        watch: what the input wants.
        may_change: whether anything may be put in; the look alone takes no lock.

    Raises:
        MissingTableError: a named table does not exist.
        NotInstalledError: something is missing, and nothing may be changed.
        MissingRightError: the role may not make the change.
        PostgresError: a table stayed locked.
    """
    state = await session.call(partial(read_state, watch=watch), "reading the catalogue")
    if state.missing:
        raise MissingTableError(state.missing, session.where, state.known)
    problems = state.problems(watch)
    if not problems:
        return state
    if not may_change:
        raise NotInstalledError(problems)
    await session.call(partial(_install, watch=watch, where=session.where), "installing", within=_WITHIN)
    return await session.call(partial(read_state, watch=watch), "reading the catalogue")


async def ensure_ready(session: Session, watch: Watch, *, installed: bool, tables: bool) -> None:
    """Look, and complain of what has to be there before a start, for an input whose name is not known.

    Args:
        session: a session of the database.
        watch: what the input wants.
        installed: whether the objects have to be there.
        tables: whether the named tables have to be there.

    Raises:
        MissingTableError: a named table does not exist.
        NotInstalledError: an object is missing.
    """
    state = await session.call(partial(read_state, watch=watch), "reading the catalogue")
    if tables and state.missing:
        raise MissingTableError(state.missing, session.where, state.known)
    if installed and (problems := state.missing_objects(watch.schema)):
        raise NotInstalledError(problems)


def steps(state: State, watch: Watch) -> Iterator[Step]:
    """Return the transactions that bring a database from its state to what the input wants. Pure."""
    if state.version < VERSION or state.altered:
        yield Step(
            f"create the schema {watch.schema} with its tables and functions",
            (
                *object_statements(watch.schema),
                f"COMMENT ON SCHEMA {quote(watch.schema)} IS {quote_literal(make_comment())}",
            ),
        )
    if state.row != watch.row():
        yield Step(f"write the row of input {watch.name}", (write_row(watch),))
    by_table: dict[int, tuple[list[Trigger], list[Trigger]]] = {}
    for trigger in state.to_drop:
        by_table.setdefault(trigger.table, ([], []))[0].append(trigger)
    for trigger in state.to_create:
        by_table.setdefault(trigger.table, ([], []))[1].append(trigger)
    for oid, (drops, creates) in by_table.items():
        quoted = state.names[oid]
        statements = [drop_trigger(trigger, quoted) for trigger in drops]
        statements += [create_trigger(trigger, quoted, watch.schema) for trigger in creates]
        lock = (
            "ACCESS EXCLUSIVE (readers and writers wait)"
            if drops
            else "SHARE ROW EXCLUSIVE (writers wait, readers do not)"
        )
        verb = "replace" if drops and creates else "drop" if drops else "create"
        what = f"{verb} our triggers on {quoted}"
        yield Step(what, tuple(statements), quoted, f"takes {lock} on {quoted} for a moment")


def grant_step(schema: str, role: str) -> Step:
    """Return what gives a role the rights to run a pipeline on a database where another role has installed it."""
    statements = tuple(statement.replace("{role}", quote(role)) for statement in load("grants", schema).values())
    return Step(f"grant the role {role} what a pipeline needs", statements)


def write_row(watch: Watch) -> str:
    """Return the SQL that writes the input's row."""
    return load("install", watch.schema)["write_row"].format(
        **{name: _literal(value) for name, value in {**watch.row(), "name": watch.name}.items()}
    )


def _literal(value: object) -> str:
    match value:
        case None:
            return "NULL"
        case bool() | int():
            return str(value).lower()
        case list():
            return f"ARRAY[{', '.join(quote_literal(str(each)) for each in value)}]::text[]"
        case _:
            return quote_literal(str(value))


def _install(connection: Connection, watch: Watch, where: str) -> None:
    state = read_state(connection, watch)
    for step in steps(state, watch):
        run_step(connection, step, watch, where)


def run_step(connection: Connection, step: Step, watch: Watch, where: str) -> None:
    """Run one step, again for as long as others hold the table: waiting longer at a time would hold up its writers.

    Raises:
        MissingRightError: the role may not.
        PostgresError: the table stayed locked.
    """
    for tries_left in reversed(range(_TRIES)):
        try:
            with connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                take_turn(connection, watch.schema)
                for statement in step.statements:
                    fetch(connection, statement)
        except psycopg.errors.LockNotAvailable as error:
            if not tries_left:
                raise PostgresError(_locked(connection, step, watch, where)) from error
            time.sleep(_BETWEEN_TRIES)
        except psycopg.errors.InsufficientPrivilege as error:
            what = f'input "{watch.name}" can\'t be installed in {where}'
            raise MissingRightError(what, explain(error), _INSTALL_BY_OWNER) from error
        except (psycopg.errors.DuplicateObject, psycopg.errors.UndefinedObject):
            # Another orchestrator has done this step between our look and our turn; the next look sees what is left.
            return
        else:
            return


def _locked(connection: Connection, step: Step, watch: Watch, where: str) -> str:
    table = step.table or "our schema"
    tried = f'input "{watch.name}" can\'t be installed in {where}: {table} stayed locked for {_TRIES} tries'
    if step.table is None:
        return f"{tried}; try again when no other installation runs"
    blockers = fetch(connection, load("install", watch.schema)["blockers"], {"table": step.table})[0][0]
    return f"{tried}, held by {blockers}; end that transaction, and it goes on by itself"
