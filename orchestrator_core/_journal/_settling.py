"""`Journal.settle` on SQLite: outcomes, derived events, and what they make of the deliveries that waited."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import attrs

from orchestrator_core._contracts import Settled, Settlement, Slots
from orchestrator_core._delivery import FINISHED, DeliveryState, Transition
from orchestrator_core._event import Event
from orchestrator_core._journal._appending import Append, append
from orchestrator_core._journal._claiming import claim
from orchestrator_core._journal._rows import CODE, HELD, READY, SKIPPED, STEPS_PER_EVENT, WAITING
from orchestrator_core._journal._session import Session, event_of
from orchestrator_core._json import dump_json
from orchestrator_core._plan import Plan, resolve


@attrs.frozen
class Settle:
    """One call."""

    worker: str
    settlements: Sequence[Settlement]
    now: float
    slots: Slots = attrs.field(factory=dict)


def settle(session: Session, call: Settle) -> Settled:
    """Record the outcomes of one call, then claim into its free slots."""
    owner = session.owner(call.worker)
    plain = [each for each in call.settlements if _is_plain(each)]
    others: Sequence[Settlement] = ()
    if len(plain) < len(call.settlements):
        others = [each for each in call.settlements if not _is_plain(each)]
    outcomes = _Outcomes(owner, call.now)
    late = frozenset[int]()
    if plain and not outcomes.write_done(session, plain):
        others = call.settlements
    if others:
        late = outcomes.late(session, others)
        outcomes.write(session, others, late)
    kept = [each for each in call.settlements if each.claim.row not in late] if late else call.settlements
    accepted = _accept_derived(session, kept, call.now)
    woken = {name for _, plan in accepted for name in plan.first} | _wake_dependents(session, kept, call.now)
    claimed = claim(session, call.worker, call.slots, call.now)
    ids = [each.claim.delivery.id for each in call.settlements if each.claim.row in late] if late else ()
    return Settled(ids, frozenset(woken), claimed.claims, claimed.next_due, accepted)


def _is_plain(settlement: Settlement) -> bool:
    """Tell whether an outcome is a success that leaves nothing behind but its mark."""
    change = settlement.transition
    return change.state is DeliveryState.DONE and change.output is None and not settlement.logs


class _Outcomes:
    """The rows that the outcomes of one call come to, so that each table is written once."""

    def __init__(self, owner: int, now: float) -> None:
        self._owner = owner
        self._now = now
        self._rows: list[tuple[Any, ...]] = []
        self._attempts: list[tuple[Any, ...]] = []
        self._logs: list[tuple[Any, ...]] = []

    def write_done(self, session: Session, plain: Sequence[Settlement]) -> bool:
        """Mark plain successes as done, all of them or, where one is late, none; tell which it was."""
        now, owner = self._now, self._owner
        rows = [(each.claim.row, each.claim.delivery.attempt, owner, each.started_at, now) for each in plain]
        session.change("begin_mark")
        all_done = session.change_rows("mark_done", rows) == len(rows)
        if not all_done:
            session.change("undo_mark")
        session.change("end_mark")
        return all_done

    def late(self, session: Session, settlements: Sequence[Settlement]) -> frozenset[int]:
        """Return the rows that belong to another attempt by now, or to another worker."""
        guards = [(each.claim.row, each.claim.delivery.attempt, self._owner) for each in settlements]
        return frozenset([guard[0] for guard in guards]).difference(session.read_rows("still_running", guards))

    def write(self, session: Session, settlements: Sequence[Settlement], late: frozenset[int]) -> None:
        """Record outcomes of any kind, and the late ones in the history alone."""
        for each in settlements:
            self._add(each, is_late=each.claim.row in late)
        session.change_rows("settle", self._rows)
        session.change_rows("add_attempts", self._attempts)
        session.change_rows("add_logs", self._logs)

    def _add(self, settlement: Settlement, *, is_late: bool) -> None:
        row, attempt = settlement.claim.row, settlement.claim.delivery.attempt
        change = settlement.transition
        if is_late:
            self._attempts.append((row, attempt, "late", change.reason, settlement.started_at, self._now))
            return
        if settlement.logs:
            self._logs.append((row, attempt, "\n".join(settlement.logs)))
        if change.state is not DeliveryState.DONE:
            self._attempts.append((row, attempt, change.state, change.reason, settlement.started_at, self._now))
        self._rows.append((row, attempt, self._owner, settlement.started_at, *self._columns(change)))

    def _columns(self, change: Transition) -> tuple[Any, ...]:
        return (
            self._now if change.state in FINISHED else None,
            CODE[change.state],
            change.due_at,
            change.failures,
            change.interruptions,
            change.interrupted,
            change.reason,
            None if change.output is None else dump_json(change.output),
        )


def _accept_derived(session: Session, kept: Iterable[Settlement], now: float) -> list[tuple[Event, Plan]]:
    """Accept what the processes emitted; return what was not known before."""
    calls = [Append(each.events, now, cause=each.claim.row) for each in kept if each.events]
    if not calls:
        return []
    results = zip(calls, append(session, calls), strict=True)
    return [
        entry
        for call, result in results
        for entry, is_fresh in zip(call.entries, result.fresh, strict=True)
        if is_fresh
    ]


def _wake_dependents(session: Session, kept: Iterable[Settlement], now: float) -> set[str]:
    """Let deliveries go on that waited for these, in their event or in their lane."""
    woken: set[str] = set()
    events: dict[int, Event | None] = {}
    lanes: list[int] = []
    for each in kept:
        given = each.claim
        step = given.plan.steps[given.step]
        if given.plan.dependents[given.step] and each.transition.state in FINISHED:
            events[event_of(given.row)] = given.event
        if step.ordered:
            lanes.append(given.row)
            woken.add(step.process)
    if events:
        woken |= advance(session, events, now)
    session.release_lanes(lanes, now)
    return woken


def advance(session: Session, events: Mapping[int, Event | None], now: float) -> set[str]:
    """Decide the waiting deliveries of some events anew; return the processes that have work because of it.

    The events are given by their numbers; ``None`` stands for one to be read if a filter asks for it.
    """
    rows: list[tuple[Any, ...]] = []
    lanes: list[int] = []
    woken: set[str] = set()
    for seq, (plan, known) in session.siblings(events).items():
        for index, state in resolve(plan, known, partial(_event, session, seq, events[seq])).items():
            row = seq * STEPS_PER_EVENT + index
            step = plan.steps[index]
            rows.append((row, *_advanced(state, now, ordered=step.ordered)))
            if step.ordered:
                lanes.append(row)
            if step.ordered or state is DeliveryState.READY:  # a skip lets the next of its key go on
                woken.add(step.process)
    session.change_rows("advance", rows)
    session.release_lanes(lanes, now)
    return woken


def _event(session: Session, seq: int, event: Event | None) -> Event:
    return event if event is not None else Event.from_json(session.value("load_event", (seq,)))


def _advanced(state: DeliveryState, now: float, *, ordered: bool) -> tuple[Any, ...]:
    """Return state, due_at, settled_at and reason of a delivery whose upstream has decided it.

    A ready one of a key waits for `release_lanes`, which knows whose turn it is.
    """
    if state is DeliveryState.READY:
        return (READY, HELD if ordered else now, None, None)
    if state is DeliveryState.SKIPPED:
        return (SKIPPED, now, now, "its upstream did not let the event through")
    return (WAITING, now, None, None)
