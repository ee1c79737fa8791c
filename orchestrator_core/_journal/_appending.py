"""`Journal.append` on SQLite: the events of many calls in a handful of statements."""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from typing import Any

import attrs

from orchestrator_core._contracts import Appended, Claim, Slots
from orchestrator_core._delivery import Delivery, DeliveryState
from orchestrator_core._event import Event
from orchestrator_core._journal._claiming import take
from orchestrator_core._journal._rows import HELD, READY, RUNNING, STEPS_PER_EVENT, WAITING
from orchestrator_core._journal._session import Session
from orchestrator_core._json import JSON, dump_json
from orchestrator_core._plan import Plan, Step


@attrs.frozen
class Append:
    """One call; `cause` is the row of the delivery whose process derived the events."""

    entries: Sequence[tuple[Event, Plan]]
    now: float
    checkpoint: tuple[str, JSON] | None = None
    worker: str | None = None
    slots: Slots = attrs.field(factory=dict)
    cause: int | None = None


def append(session: Session, calls: Sequence[Append]) -> list[Appended]:
    """Accept the events of several calls."""
    first = session.value("next_event")
    after = first + sum(len(call.entries) for call in calls)
    fresh = _add_events(session, calls, first, after)
    session.change("set_next_event", (after,))
    rows: list[tuple[Any, ...]] = []
    results = []
    drained: set[str] = set()
    lanes: set[tuple[str, str]] = set()
    for call in calls:
        results.append(_Routing(session, call, fresh, rows, drained=drained, lanes=lanes).route(first))
        first += len(call.entries)
        if call.checkpoint is not None:
            session.change("save_checkpoint", (call.checkpoint[0], dump_json(call.checkpoint[1])))
    session.change_rows("add_deliveries", rows)
    return results


def _add_events(session: Session, calls: Sequence[Append], first: int, after: int) -> Container[int]:
    """Write the events and return the numbers of those that were not there before."""
    rows = []
    seq = first
    newest, plan_id = None, 0
    for call in calls:
        for event, plan in call.entries:
            if plan is not newest:
                newest, plan_id = plan, session.plan_id(plan)
            text = event.to_json()
            rows.append((seq, event.trigger, event.uid, plan_id, not plan.steps, call.now, call.cause, text))
            seq += 1
    if session.change_rows("add_events", rows) == len(rows):
        return range(first, after)
    return frozenset(json.loads(session.value("events_between", (first, after - 1))))


_RUNNING = DeliveryState.RUNNING


class _Routing:
    """Turns the entries of one call into delivery rows, handing over as many as the caller can take."""

    def __init__(
        self,
        session: Session,
        call: Append,
        fresh: Container[int],
        rows: list[tuple[Any, ...]],
        *,
        drained: set[str],
        lanes: set[tuple[str, str]],
    ) -> None:
        self._session = session
        self._call = call
        self._fresh = fresh
        self._rows = rows
        self._drained = drained
        self._lanes = lanes
        self._free = dict(call.slots)
        self._owner = session.owner(call.worker) if call.worker is not None and call.slots else 0
        self._claims: list[Claim] = []
        self._left: set[str] = set()

    def route(self, seq: int) -> Appended:
        if self._owner:
            self._take_older()
        events: list[Event] = []
        flags: list[bool] = []
        for event, plan in self._call.entries:
            flags.append(accepted := seq in self._fresh)
            events.append(event if accepted else self._first(event))
            if accepted:
                for index, step in enumerate(plan.steps):
                    self._add(seq * STEPS_PER_EVENT + index, event, plan, step)
            seq += 1
        return Appended(events, flags, self._claims, frozenset(self._left))

    def _take_older(self) -> None:
        """Hand over what was ready before; a process found without a backlog is not looked at again."""
        now = self._call.now
        for process, free in self._call.slots.items():
            if process in self._drained or free <= 0:
                continue
            rows = json.loads(self._session.value("due", {"process": process, "now": now, "limit": free}))
            self._claims += take(self._session, self._owner, rows)
            self._free[process] -= len(rows)
            if len(rows) < free:
                self._drained.add(process)
            else:
                self._left.add(process)

    def _add(self, row: int, event: Event, plan: Plan, step: Step) -> None:
        now, process = self._call.now, step.process
        if step.ordered:
            lane = event.ordering_key
            due = HELD if not step.after and self._is_held(process, lane, row) else now
            self._lanes.add((process, lane))
            state = WAITING if step.after else READY
            self._rows.append((row, process, state, 0, None, due, lane, step.on_dead == "hold"))
            if due == now and state == READY:
                self._left.add(process)
        elif step.after:
            self._rows.append((row, process, WAITING, 0, None, now, None, None))
        elif self._owner and (free := self._free.get(process, 0)) > 0:
            self._free[process] = free - 1
            self._rows.append((row, process, RUNNING, 1, self._owner, now, None, None))
            self._claims.append(self._claim(row, event, plan, process))
        else:
            self._rows.append((row, process, READY, 0, None, now, None, None))
            self._left.add(process)

    def _claim(self, row: int, event: Event, plan: Plan, process: str) -> Claim:
        now, id_ = self._call.now, self._session.names.text(row)
        delivery = Delivery(
            id=id_,
            event_uid=event.uid,
            trigger=event.trigger,
            process=process,
            state=_RUNNING,
            attempt=1,
            accepted_at=now,
            due_at=now,
        )
        return Claim(delivery, event, plan, row % STEPS_PER_EVENT, row)

    def _is_held(self, process: str, lane: str, row: int) -> bool:
        """Tell whether an earlier delivery holds back a key; those of this transaction are not written yet."""
        if (process, lane) in self._lanes:
            return True
        return bool(self._session.value("lane_is_busy", (process, lane, row)))

    def _first(self, event: Event) -> Event:
        return Event.from_json(self._session.value("find_event", (event.uid, event.trigger)))
