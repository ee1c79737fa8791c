"""Reads of a SQLite journal, on a connection that can't write."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

from orchestrator_core._contracts import Attempt, Counts, DeliveryQuery, EventRecord
from orchestrator_core._delivery import Delivery, DeliveryState
from orchestrator_core._errors import NotFoundError
from orchestrator_core._event import Event
from orchestrator_core._journal._rows import CODE, HELD, RUNNING, STATE, STEPS_PER_EVENT, Names, delivery_of
from orchestrator_core._journal._statements import load
from orchestrator_core._json import JSON, load_json
from orchestrator_core._plan import Plan

_SQL = load("reads.sql")


def counts(connection: Connection, _: Names) -> Counts:
    """Return how much the journal holds."""
    deliveries: dict[str, dict[DeliveryState, int]] = defaultdict(dict)
    for process, state, count in connection.execute(_SQL["count_deliveries"]):
        deliveries[process][STATE[state]] = count
    events, unrouted = connection.execute(_SQL["count_events"]).fetchone()
    return Counts(events, unrouted, dict(deliveries))


def events(
    connection: Connection,
    _: Names,
    trigger: str | None,
    limit: int,
    newest_first: bool,  # noqa: FBT001
) -> list[EventRecord]:
    """Return events in accept order."""
    order = "newest_events" if newest_first else "oldest_events"
    rows = connection.execute(_SQL[order], {"trigger": trigger, "limit": limit})
    return [_record(row) for row in rows]


def event(connection: Connection, _: Names, uid: str, trigger: str | None) -> EventRecord:
    """Return the newest event with that uid."""
    row = connection.execute(_SQL["event"], {"uid": uid, "trigger": trigger}).fetchone()
    if row is None:
        raise NotFoundError("event", uid)
    return _record(row)


def derived(connection: Connection, _: Names, uid: str) -> list[EventRecord]:
    """Return the events that the deliveries of an event emitted."""
    return [_record(row) for row in connection.execute(_SQL["derived"], {"uid": uid})]


def deliveries(connection: Connection, names: Names, query: DeliveryQuery) -> list[Delivery]:
    """Return deliveries in accept order."""
    rows = _query(connection, names, query, query.states, _SQL["deliveries"])
    return [delivery_of(names, row) for row in rows]


def find_rows(
    connection: Connection, names: Names, query: DeliveryQuery, states: frozenset[DeliveryState]
) -> list[int]:
    """Return the rows of deliveries in one of the states that a query matches."""
    return [row[0] for row in _query(connection, names, query, states, _SQL["delivery_rows"])]


def attempts(connection: Connection, names: Names, delivery_id: str) -> list[Attempt]:
    """Return the history of a delivery, oldest attempt first."""
    row = names.row(delivery_id)
    found = connection.execute(_SQL["current_attempt"], (row,)).fetchone()
    if found is None:
        raise NotFoundError("delivery", delivery_id)
    logs: dict[int, list[str]] = defaultdict(list)
    for number, lines in connection.execute(_SQL["logs"], (row,)):
        logs[number] += lines.split("\n")
    history = [
        Attempt(number, state, reason, started_at, settled_at, tuple(logs.get(number, ())))
        for number, state, reason, started_at, settled_at in connection.execute(_SQL["attempts"], (row,))
    ]
    number, state, started_at, settled_at = found
    # A success is not written twice: the newest attempt of a delivery that is done, or still running, is its own row.
    if state in (CODE[DeliveryState.DONE], RUNNING):
        history.append(Attempt(number, STATE[state], None, started_at, settled_at, tuple(logs.get(number, ()))))
    return sorted(history, key=lambda attempt: attempt.number)


def checkpoint(connection: Connection, _: Names, name: str) -> JSON:
    """Return the newest checkpoint of an input."""
    found = connection.execute(_SQL["checkpoint"], (name,)).fetchone()
    return None if found is None else load_json(found[0])


def is_idle(connection: Connection, _: Names) -> bool:
    """Tell whether no delivery is ready and free to go on."""
    return not connection.execute(_SQL["is_busy"], {"held": HELD}).fetchone()[0]


def _record(row: Sequence[Any]) -> EventRecord:
    body, accepted_at, plan = row
    return EventRecord(Event.from_json(body), accepted_at, Plan.from_json(plan))


def _query(
    connection: Connection, names: Names, query: DeliveryQuery, states: frozenset[DeliveryState] | None, statement: str
) -> Sequence[Any]:
    conditions: list[str] = []
    values: list[Any] = []

    def narrow(column: str, allowed: Sequence[Any]) -> None:
        conditions.append(f"{column} IN ({','.join('?' * len(allowed))})")
        values.extend(allowed)

    if query.ids is not None:
        narrow("d.id", [names.row(each) for each in query.ids])
    if states is not None:
        narrow("d.state", [CODE[each] for each in states])
    if query.process is not None:
        narrow("d.process", [query.process])
    if query.event_uid is not None:
        found = connection.execute(_SQL["event_rows"], (query.event_uid,))
        spans = [seq * STEPS_PER_EVENT + step for (seq, steps) in found for step in range(steps)]
        narrow("d.id", spans)
    where = " AND ".join(conditions) or "1"
    order = "DESC" if query.newest_first else "ASC"
    text = statement.replace("{where}", where).replace("{order}", order)
    return connection.execute(text, (*values, query.limit)).fetchall()
