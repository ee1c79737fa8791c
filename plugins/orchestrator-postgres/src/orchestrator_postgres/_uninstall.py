"""Takes an input out of a database, and with the last one everything that inputs ever put there."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from orchestrator_postgres._errors import PostgresError
from orchestrator_postgres._install import Step, run_step
from orchestrator_postgres._session import Connection, Session, fetch
from orchestrator_postgres._state import State, read_state
from orchestrator_postgres._statements import load, quote, quote_literal
from orchestrator_postgres._tables import drop_trigger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator_postgres._watch import Watch

_WITHIN = 300.0


async def uninstall(session: Session, watch: Watch, *, discard: int, with_applied: bool, dry_run: bool) -> list[Step]:
    """Take an input out; return the transactions that did it, or would.

    Args:
        session: a session of a role that owns the tables.
        watch: what the input wanted.
        discard: how many rows may be lost that were not handed over.
        with_applied: drop the table of deliveries of ``postgres.sql`` as well.
        dry_run: change nothing.

    Raises:
        PostgresError: rows wait to be handed over, others than so many.
    """
    work = partial(_uninstall, watch=watch, where=session.where, discard=discard)
    return await session.call(partial(work, with_applied=with_applied, dry_run=dry_run), "uninstalling", within=_WITHIN)


def _uninstall(
    connection: Connection, watch: Watch, where: str, discard: int, *, with_applied: bool, dry_run: bool
) -> list[Step]:
    state = read_state(connection, watch)
    if not state.version:
        return []
    _refuse_loss(connection, watch, discard)
    triggers = list(trigger_steps(state))
    if not dry_run:
        for step in triggers:
            run_step(connection, step, watch, where)
        _refuse_loss(connection, watch, discard)  # what was written while the triggers went
    statements = tuple(_object_statements(connection, watch, with_applied=with_applied))
    others = " and all that inputs share" if len(statements) > 1 else ""
    last = Step(f"drop the rows of input {watch.name}{others}", statements)
    if not dry_run:
        run_step(connection, last, watch, where)
    return [*triggers, last]


def trigger_steps(state: State) -> Iterator[Step]:
    """Return the transactions that drop an input's triggers, one for each table."""
    for oid, quoted in state.names.items():
        drops = tuple(drop_trigger(trigger, quoted) for trigger in state.found if trigger.table == oid)
        if drops:
            lock = "ACCESS EXCLUSIVE (readers and writers wait)"
            yield Step(f"drop our triggers on {quoted}", drops, quoted, f"takes {lock} on {quoted} for a moment")


def _refuse_loss(connection: Connection, watch: Watch, discard: int) -> None:
    rows = fetch(connection, load("uninstall", watch.schema)["count"], {"input": watch.name})[0][0]
    if rows not in {0, discard}:
        raise PostgresError(
            f'input "{watch.name}" has {rows} rows that were not handed over: run the pipeline until it is idle, '
            f"or say --discard {rows} to lose them"
        )


def _object_statements(connection: Connection, watch: Watch, *, with_applied: bool) -> Iterator[str]:
    statements = load("uninstall", watch.schema)
    names = {"input": watch.name, "schema": quote(watch.schema)}
    yield _with_name(statements["forget"], watch)
    if fetch(connection, statements["others"], names):
        return
    yield from (drop for (drop,) in fetch(connection, statements["functions"], names))
    yield statements["tables"]
    left = {name for (name,) in fetch(connection, statements["left"], names)}
    if with_applied and "applied" in left:
        left.remove("applied")
        yield statements["applied"]
    yield statements["comment"] if left else statements["schema"]


def _with_name(statement: str, watch: Watch) -> str:
    return statement.replace("%(input)s", quote_literal(watch.name))
