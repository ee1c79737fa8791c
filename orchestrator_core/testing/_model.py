"""What a journal must hold, as simply as it can be said: lists that are searched, no index, no store, no I/O."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import attrs

from orchestrator_core._contracts import Settlement
from orchestrator_core._delivery import FINISHED, DeliveryState
from orchestrator_core._event import Event
from orchestrator_core._json import JSON
from orchestrator_core._plan import Plan, Step, Upstream, resolve

_PENDING = frozenset({DeliveryState.WAITING, DeliveryState.READY, DeliveryState.PARKED})
_CANCELLABLE = _PENDING | {DeliveryState.DEAD}
_PRUNABLE = FINISHED - {DeliveryState.DEAD}


@attrs.define(eq=False)
class Row:
    """A delivery."""

    event: Event
    step: Step
    state: DeliveryState
    due_at: float
    attempt: int = 0
    failures: int = 0
    interruptions: int = 0
    interrupted: bool = False
    owner: str | None = None
    settled_at: float | None = None
    output: JSON = None
    history: list[str] = attrs.field(factory=list)
    logs: list[list[str]] = attrs.field(factory=list)
    late: int = 0

    @property
    def lane(self) -> tuple[str, str] | None:
        """What it must not overlap with."""
        return (self.step.process, self.event.ordering_key) if self.step.ordered else None

    def become(self, state: DeliveryState, now: float) -> None:
        """Change the state, with the moments that go with it."""
        self.state = state
        self.due_at = now
        self.settled_at = now if state in FINISHED else None
        self.owner = None


@attrs.define(eq=False)
class Record:
    """An accepted event with its deliveries."""

    event: Event
    plan: Plan
    accepted_at: float
    rows: list[Row]

    @property
    def settled_at(self) -> float | None:
        """When nothing was left to do, unless there is something or a dead letter."""
        if any(row.state not in _PRUNABLE for row in self.rows):
            return None
        return max((row.settled_at or 0.0 for row in self.rows), default=self.accepted_at)


class Model:
    """A journal without a store."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.checkpoints: dict[str, JSON] = {}

    @property
    def rows(self) -> list[Row]:
        """All deliveries in accept order."""
        return [row for record in self.records for row in record.rows]

    def find(self, trigger: str, uid: str) -> Record | None:
        """Return an event by its identity."""
        return next((each for each in self.records if (each.event.trigger, each.event.uid) == (trigger, uid)), None)

    def row(self, trigger: str, uid: str, process: str) -> Row | None:
        """Return a delivery by its event's identity and its process."""
        record = self.find(trigger, uid)
        return None if record is None else next(row for row in record.rows if row.step.process == process)

    def append(self, entries: Iterable[tuple[Event, Plan]], now: float) -> list[bool]:
        """Accept events; return which of them are fresh."""
        fresh = []
        for event, plan in entries:
            fresh.append(self.find(event.trigger, event.uid) is None)
            if fresh[-1]:
                states = [DeliveryState.WAITING if step.after else DeliveryState.READY for step in plan.steps]
                rows = [Row(event, step, state, now) for step, state in zip(plan.steps, states, strict=True)]
                self.records.append(Record(event, plan, now, rows))
        return fresh

    def startable(self, process: str, now: float) -> list[Row]:
        """Return what of a process may start now, oldest due first."""
        found = [row for row in self.rows if row.step.process == process and self._may_start(row, now)]
        return sorted(found, key=lambda row: row.due_at)

    def _may_start(self, row: Row, now: float) -> bool:
        if row.state is not DeliveryState.READY or row.due_at > now:
            return False
        if row.lane is None:
            return True
        lane = [each for each in self.rows if each.lane == row.lane]
        overlaps = any(each.state is DeliveryState.RUNNING for each in lane)
        return not overlaps and not any(_holds(each) for each in lane[: lane.index(row)])

    def start(self, row: Row, worker: str) -> None:
        """Begin the next attempt."""
        row.state = DeliveryState.RUNNING
        row.attempt += 1
        row.owner = worker
        row.history.append("running")
        row.logs.append([])

    def settle(self, worker: str, settlements: Sequence[tuple[Row | None, Settlement]], now: float) -> list[bool]:
        """Record outcomes; return which of them were late."""
        late = []
        for row, settlement in settlements:
            running = row is not None and row.state is DeliveryState.RUNNING and row.owner == worker
            late.append(row is None or not running or row.attempt != settlement.claim.delivery.attempt)
            if row is None or late[-1]:
                if row is not None:
                    row.late += 1
                continue
            change = settlement.transition
            row.become(change.state, now)
            row.due_at = change.due_at
            row.failures, row.interruptions, row.interrupted = change.failures, change.interruptions, change.interrupted
            row.output = change.output
            row.history[-1] = change.state.value
            row.logs[-1].extend(settlement.logs)
            self.append(settlement.events, now)
        self._resolve(now)
        return late

    def _resolve(self, now: float) -> None:
        for record in self.records:
            known = [Upstream(row.state, row.output) for row in record.rows]
            for index, state in resolve(record.plan, known, lambda event=record.event: event).items():  # type: ignore[misc]
                record.rows[index].become(state, now)

    def reap(self, lost: Collection[str], now: float) -> int:
        """Free what lost workers ran."""
        return self._change(
            lambda row: row.state is DeliveryState.RUNNING and row.owner in lost, lambda row: _interrupt(row, now)
        )

    def park(self, processes: Collection[str]) -> int:
        """Park what has no process, unpark what has."""
        for row in self.rows:
            if row.state is DeliveryState.READY and row.step.process not in processes:
                row.state = DeliveryState.PARKED
            elif row.state is DeliveryState.PARKED and row.step.process in processes:
                row.state = DeliveryState.READY
        return sum(row.state is DeliveryState.PARKED for row in self.rows)

    def redrive(self, process: str, now: float) -> int:
        """Make a process's dead letters ready again."""
        count = self._change(
            lambda row: row.state is DeliveryState.DEAD and row.step.process == process, lambda row: _redrive(row, now)
        )
        self._resolve(now)
        return count

    def cancel(self, process: str, now: float) -> int:
        """Cancel what a process has not started, and its dead letters."""
        count = self._change(
            lambda row: row.state in _CANCELLABLE and row.step.process == process,
            lambda row: row.become(DeliveryState.CANCELLED, now),
        )
        self._resolve(now)
        return count

    def prune(self, before: float) -> list[Record]:
        """Drop the events that were settled before a moment; return them."""
        over = [each for each in self.records if each.settled_at is not None and each.settled_at < before]
        self.records = [each for each in self.records if each not in over]
        return over

    def _change(self, which: Callable[[Row], bool], how: Callable[[Row], None]) -> int:
        found = [row for row in self.rows if which(row)]
        for row in found:
            how(row)
        return len(found)


def _holds(row: Row) -> bool:
    return row.state in _PENDING or (row.state is DeliveryState.DEAD and row.step.on_dead == "hold")


def _interrupt(row: Row, now: float) -> None:
    row.become(DeliveryState.READY, now)
    row.interruptions += 1
    row.interrupted = True
    row.history[-1] = "ready"


def _redrive(row: Row, now: float) -> None:
    row.become(DeliveryState.READY, now)
    row.failures = row.interruptions = 0
    row.interrupted = False
