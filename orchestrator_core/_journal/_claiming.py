"""`Journal.claim` on SQLite: due deliveries, oldest first, and of each key only the head."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from orchestrator_core._contracts import Claim, Claimed, Slots
from orchestrator_core._delivery import DeliveryState
from orchestrator_core._journal._rows import HELD, claim_of
from orchestrator_core._journal._session import Session, event_of
from orchestrator_core._json import JSON
from orchestrator_core._plan import Step, Upstream


def claim(session: Session, worker: str, slots: Slots, now: float) -> Claimed:
    """Take due deliveries for a worker."""
    owner = session.owner(worker)
    if not owner:
        return Claimed()
    claims: list[Claim] = []
    moments: list[float] = []
    for process, free in slots.items():
        if free <= 0:
            continue
        rows = json.loads(session.value("due", {"process": process, "now": now, "limit": free}))
        claims += take(session, owner, rows)
        if len(rows) < free:
            moment = session.value("next_due", {"process": process, "now": now, "held": HELD})
            moments += [] if moment is None else [moment]
    return Claimed(claims, min(moments, default=None))


def take(session: Session, owner: int, rows: Sequence[int]) -> list[Claim]:
    """Make ready deliveries a worker's own, in the order given."""
    if not rows:
        return []
    session.change_rows("take", [(row, owner) for row in rows])
    loaded = {fields[0]: fields for fields in session.read_rows("load_claims", [(row,) for row in rows])}
    claims = {row: claim_of(session.names, fields, session.plan(fields[9])) for row, fields in loaded.items()}
    _add_outputs(session, claims.items())
    return [claims[row] for row in rows]


def _add_outputs(session: Session, claims: Iterable[tuple[int, Claim]]) -> None:
    behind = [(row, claim) for row, claim in claims if claim.plan.steps[claim.step].after]
    known = session.siblings({event_of(row) for row, _ in behind})
    for row, each in behind:
        each.outputs = outputs(each.plan.steps, each.step, known[event_of(row)][1])


def outputs(steps: Sequence[Step], index: int, known: Sequence[Upstream]) -> dict[str, JSON]:
    """Return what the processes right before a step returned, by their names."""
    return {
        steps[edge.upstream].process: known[edge.upstream].output
        for edge in steps[index].after
        if known[edge.upstream].state is DeliveryState.DONE
    }
