"""What happens to a SQLite journal besides the flow of events: leases, parking, redrive, cancel, retention."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from orchestrator_core._contracts import Claim, DeliveryQuery
from orchestrator_core._delivery import DeliveryState
from orchestrator_core._journal._reading import find_rows
from orchestrator_core._journal._session import Session, event_of
from orchestrator_core._journal._settling import advance

_CANCELLABLE = frozenset({DeliveryState.WAITING, DeliveryState.READY, DeliveryState.DEAD, DeliveryState.PARKED})


def register(session: Session, worker: str, expires: float) -> None:
    """Write a worker's lease."""
    session.change("add_worker", (worker, expires))


def reap(session: Session, now: float) -> int:
    """Make the running deliveries of workers without a lease ready again, as interrupted."""
    expired = {"now": now, "reason": "interrupted: its worker stopped without an outcome"}
    session.change("remember_interrupted", expired)
    reaped = session.change("reap", expired)
    session.change("forget_expired", (now,))
    session.forget_workers()
    return reaped


def park(session: Session, processes: frozenset[str]) -> int:
    """Park ready deliveries whose process is not among these, unpark those whose is."""
    for process in session.column("ready_processes"):
        if process not in processes:
            session.change("park", (process,))
    for process in session.column("parked_processes"):
        if process in processes:
            session.change("unpark", (process,))
    return int(session.value("count_parked"))


def redrive(session: Session, query: DeliveryQuery, now: float) -> int:
    """Make dead letters ready again, and let what they had skipped wait again."""
    rows = _matching(session, query, frozenset({DeliveryState.DEAD}))
    changed = session.change_rows("redrive", [(row, now) for row in rows])
    _settle_again(session, rows, now)
    return changed


def cancel(session: Session, query: DeliveryQuery, reason: str, now: float) -> int:
    """Cancel deliveries that are neither running nor finished, and dead letters."""
    rows = _matching(session, query, _CANCELLABLE)
    changed = session.change_rows("cancel", [(row, now, reason) for row in rows])
    _settle_again(session, rows, now)
    return changed


def prune(session: Session, before: float, limit: int, after: int) -> list[int]:
    """Delete events that were settled before a moment; return their numbers, which all lie behind ``after``."""
    events: list[int] = json.loads(session.value("prunable", {"before": before, "limit": limit, "after": after}))
    keys = [(seq,) for seq in events]
    for statement in ("prune_logs", "prune_attempts", "prune_deliveries", "prune_events"):
        session.change_rows(statement, keys)
    return events


def _matching(session: Session, query: DeliveryQuery, states: frozenset[DeliveryState]) -> list[int]:
    wanted = states if query.states is None else states & query.states
    return find_rows(session.connection, session.names, query, wanted)


def _settle_again(session: Session, rows: Iterable[int], now: float) -> None:
    rows = list(rows)
    advance(session, dict.fromkeys(event_of(row) for row in rows), now)
    session.release_lanes(rows, now)


def log(session: Session, lines: Sequence[tuple[Claim, Sequence[str]]]) -> None:
    """Keep log lines of attempts that are still running."""
    rows = [(session.names.row(claim.delivery.id), claim.delivery.attempt, "\n".join(text)) for claim, text in lines]
    session.change_rows("add_logs", rows)
