"""Examines an input's database: what is right, what is odd, and what is wrong."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

import attrs

from orchestrator_postgres._session import Connection, Session, fetch
from orchestrator_postgres._state import VERSION, State, read_state
from orchestrator_postgres._statements import load, quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator_postgres._watch import Watch

_OLD_TRANSACTION_SECONDS = 600
_OLD_ROW_SECONDS = 60


@attrs.frozen
class Finding:
    """One thing that the examination found.

    Attributes:
        grade: ``ok``; ``note`` for what is worth knowing; ``wrong`` for what loses or holds up events.
        text: one sentence, with the remedy if it is wrong.
    """

    grade: Literal["ok", "note", "wrong"]
    text: str


async def examine(session: Session, watch: Watch) -> list[Finding]:
    """Examine an input's database; reads only."""
    return await session.call(partial(_examine, watch=watch), "examining the database", within=60.0)


def _examine(connection: Connection, watch: Watch) -> list[Finding]:
    state = read_state(connection, watch)
    findings = [*_server(state), *_objects(state, watch)]
    if state.version:
        findings += [*_rights(connection, watch), *_flow(connection, watch)]
    return findings


def _server(state: State) -> Iterator[Finding]:
    server = state.server
    yield Finding("ok", f"Postgres {server.version // 10_000}, database {server.database}")
    if server.read_only:
        cause = "is a standby, still recovers or is set to read-only"
        yield Finding("wrong", f"the server {cause}: connect to one that takes writes")
    if not server.fsync:
        yield Finding("wrong", "fsync is off, so the server can lose what it confirmed: turn it on")
    if server.prepared_transactions:
        yield Finding("note", "two-phase commit is enabled, so nobody rings and the outbox is polled")


def _objects(state: State, watch: Watch) -> Iterator[Finding]:
    problems = [f"the table {name} does not exist: create it, or correct `tables`" for name in state.missing]
    remedy = "run `orchestrator postgres install`"
    problems += [f"{problem}: {remedy}" for problem in state.problems(watch) if "does not exist" not in problem]
    yield from (Finding("wrong", problem) for problem in problems)
    if state.version > VERSION:
        yield Finding("note", f"a newer plugin has installed version {state.version} of the objects; that works")
    if not problems:
        yield Finding(
            "ok", f"tables watched: {len(state.tables)}, triggers: {len(state.wanted)}, all as they should be"
        )
    without = [table.location for table in state.tables if not table.key]
    if without:
        yield Finding("note", f"without a primary key, so their events have no id: {', '.join(without)}")


def _rights(connection: Connection, watch: Watch) -> Iterator[Finding]:
    statements = load("doctor", watch.schema)
    names = {"schema": quote(watch.schema)}
    lacking = [what for what, has in fetch(connection, statements["rights"], names) if not has]
    if lacking:
        remedy = f"run `orchestrator postgres install --role {connection.info.user}` with the role that owns them"
        yield Finding("wrong", f"{connection.info.user} lacks {', '.join(lacking)}: {remedy}")
    for (owner,) in fetch(connection, statements["superusers"], names):
        text = f"the trigger functions belong to the superuser {owner}; a role that just owns the tables is safer"
        yield Finding("note", text)


def _flow(connection: Connection, watch: Watch) -> Iterator[Finding]:
    rows, seconds = fetch(connection, load("handover", watch.schema)["backlog"], {"input": watch.name})[0]
    grade: Literal["ok", "wrong"] = "wrong" if seconds > _OLD_ROW_SECONDS else "ok"
    waiting = f"{rows} rows wait to be handed over" + (f", the oldest for {seconds:.0f} s" if rows else "")
    yield Finding(grade, waiting + (": is the pipeline running?" if grade == "wrong" else ""))
    statements = load("doctor", watch.schema)
    for pid, name, age in fetch(connection, statements["old_transactions"], {"seconds": _OLD_TRANSACTION_SECONDS}):
        text = f"process {pid} ({name}) has had a transaction open for {age:.0f} s"
        yield Finding("note", f"{text}, which keeps the outbox from being cleaned")
