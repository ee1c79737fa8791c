"""`MemoryJournal`: the ledger in dictionaries, for tests and for runs that may be forgotten."""

from __future__ import annotations

import secrets
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import Self

import attrs

from orchestrator_core._contracts import (
    Appended,
    Attempt,
    Claim,
    Claimed,
    Counts,
    DeliveryQuery,
    EventRecord,
    Settled,
    Settlement,
    Slots,
)
from orchestrator_core._delivery import FINISHED, Delivery, DeliveryState
from orchestrator_core._errors import NotFoundError, UnknownProcessError
from orchestrator_core._event import Event
from orchestrator_core._json import JSON, own
from orchestrator_core._plan import Plan, Upstream, resolve

_CANCELLABLE = frozenset({DeliveryState.WAITING, DeliveryState.READY, DeliveryState.PARKED, DeliveryState.DEAD})


@attrs.define(eq=False)
class _Fact:
    """An accepted event and its deliveries, in the order of its plan."""

    seq: int
    event: Event
    plan: Plan
    accepted_at: float
    cause: str | None
    rows: list[_Row] = attrs.field(factory=list)

    @property
    def record(self) -> EventRecord:
        return EventRecord(self.event, self.accepted_at, self.plan)


@attrs.define(eq=False)
class _Row:
    """A delivery, where it belongs, and its history."""

    delivery: Delivery
    fact: _Fact
    step: int
    lane: tuple[str, str] | None
    owner: str | None = None
    history: list[Attempt] = attrs.field(factory=list)
    logs: dict[int, list[str]] = attrs.field(factory=lambda: defaultdict(list))

    @property
    def holds_lane(self) -> bool:
        """Whether later deliveries of its key have to wait for it."""
        state = self.delivery.state
        holds_when_dead = self.fact.plan.steps[self.step].on_dead == "hold"
        return state not in FINISHED or (state is DeliveryState.DEAD and holds_when_dead)


class MemoryJournal:
    """A journal that is gone with its process; every promise but durability holds.

    No method waits for anything, so each is one atomic step by itself.
    """

    def __init__(self) -> None:
        self._name = secrets.token_hex(5)
        self._facts: dict[int, _Fact] = {}
        self._identities: dict[tuple[str, str], _Fact] = {}
        self._rows: dict[str, _Row] = {}
        self._ready: dict[str, list[tuple[float, int, int]]] = defaultdict(list)
        self._lanes: dict[tuple[str, str], list[_Row]] = defaultdict(list)
        self._checkpoints: dict[str, JSON] = {}
        self._leases: dict[str, float] = {}
        self._next = 1
        self._has_news = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> bool | None:
        return None

    async def register(self, worker: str, *, now: float, lease: float) -> None:
        """See `Journal.register`."""
        self._leases[worker] = now + lease

    def renew(self, worker: str, *, now: float, lease: float) -> bool:
        """See `Journal.renew`."""
        if worker not in self._leases:
            return False
        self._leases[worker] = now + lease
        return True

    async def reap(self, *, now: float) -> int:
        """See `Journal.reap`."""
        expired = {worker for worker, expires in self._leases.items() if expires <= now}
        reason = "interrupted: its worker stopped without an outcome"
        reaped = [
            row for row in self._rows.values() if row.delivery.state is DeliveryState.RUNNING and row.owner in expired
        ]
        for row in reaped:
            delivery = row.delivery
            self._remember(row, DeliveryState.READY, reason, None, now)
            delivery.state, delivery.due_at, delivery.reason = DeliveryState.READY, now, reason
            delivery.interruptions += 1
            delivery.interrupted = True
            row.owner = None
            self._queue(row)
        for worker in expired:
            del self._leases[worker]
        return len(reaped)

    async def append(
        self,
        entries: Sequence[tuple[Event, Plan]],
        *,
        now: float,
        checkpoint: tuple[str, JSON] | None = None,
        worker: str | None = None,
        slots: Slots | None = None,
    ) -> Appended:
        """See `Journal.append`."""
        for event, _ in entries:
            event.to_json()  # refuses the whole batch, as a journal that stores it would
        if checkpoint is not None:
            self._checkpoints[checkpoint[0]] = checkpoint[1]
        facts = [self._accept(event, plan, now, None) for event, plan in entries]
        claims = (await self.claim(worker, slots or {}, now=now)).claims if worker is not None else ()
        left = {
            row.delivery.process for fact, _ in facts for row in fact.rows if row.delivery.state is DeliveryState.READY
        }
        full = Counter(claim.delivery.process for claim in claims)
        left |= {process for process, count in (slots or {}).items() if 0 < count == full[process]}
        return Appended([fact.event for fact, _ in facts], [is_fresh for _, is_fresh in facts], claims, frozenset(left))

    def _accept(self, event: Event, plan: Plan, now: float, cause: str | None) -> tuple[_Fact, bool]:
        identity = (event.trigger, event.uid)
        if (first := self._identities.get(identity)) is not None:
            return first, False
        fact = self._identities[identity] = self._facts[self._next] = _Fact(self._next, event, plan, now, cause)
        self._next += 1
        for index, step in enumerate(plan.steps):
            delivery = Delivery(
                id=f"{self._name}-{fact.seq}.{index}",
                event_uid=event.uid,
                trigger=event.trigger,
                process=step.process,
                state=DeliveryState.WAITING if step.after else DeliveryState.READY,
                attempt=0,
                accepted_at=now,
                due_at=now,
            )
            row = _Row(delivery, fact, index, (step.process, event.ordering_key) if step.ordered else None)
            fact.rows.append(row)
            self._rows[delivery.id] = row
            if row.lane is not None:
                self._lanes[row.lane].append(row)
            self._queue(row)
        return fact, True

    def _queue(self, row: _Row) -> None:
        """Note that a delivery is ready; a stale note is dropped when it comes up."""
        if row.delivery.state is DeliveryState.READY:
            heappush(self._ready[row.delivery.process], (row.delivery.due_at, row.fact.seq, row.step))

    async def claim(self, worker: str, slots: Slots, *, now: float) -> Claimed:
        """See `Journal.claim`."""
        claims: list[Claim] = []
        moments: list[float] = []
        for process, free in slots.items() if worker in self._leases else ():
            held: list[tuple[float, int, int]] = []
            queue = self._ready[process]
            while queue and free > 0 and queue[0][0] <= now:
                entry = heappop(queue)
                row = self._row(entry)
                if row is None:
                    continue
                if not self._may_start(row):
                    held.append(entry)
                    continue
                claims.append(self._take(row, worker))
                free -= 1  # noqa: PLW2901 (what is left of it)
            while queue and self._row(queue[0]) is None:  # cancelled, parked or pruned meanwhile
                heappop(queue)
            moments += [queue[0][0]] if queue and free > 0 else []
            for entry in held:
                heappush(queue, entry)
        return Claimed(claims, min(moments, default=None))

    def _row(self, entry: tuple[float, int, int]) -> _Row | None:
        due_at, seq, step = entry
        fact = self._facts.get(seq)
        row = None if fact is None else fact.rows[step]
        if row is None or row.delivery.state is not DeliveryState.READY or row.delivery.due_at != due_at:
            return None
        return row

    def _may_start(self, row: _Row) -> bool:
        """Tell whether an ordered delivery is the head of its key; forgets what is over on the way."""
        if row.lane is None:
            return True
        lane = self._lanes[row.lane]
        earlier = [each for each in lane if each.holds_lane and each.fact.seq < row.fact.seq]
        return not earlier and not any(each.delivery.state is DeliveryState.RUNNING for each in lane)

    def _take(self, row: _Row, worker: str) -> Claim:
        delivery = row.delivery
        delivery.state = DeliveryState.RUNNING
        delivery.attempt += 1
        delivery.settled_at = None
        row.owner = worker
        steps = row.fact.plan.steps
        upstream = [row.fact.rows[edge.upstream].delivery for edge in steps[row.step].after]
        outputs = {each.process: own(each.output) for each in upstream if each.state is DeliveryState.DONE}
        event = row.fact.event.copy()  # a process may change it in place, and fail
        return Claim(attrs.evolve(delivery), event, row.fact.plan, row.step, outputs=outputs)

    async def settle(
        self, worker: str, settlements: Sequence[Settlement], *, now: float, slots: Slots | None = None
    ) -> Settled:
        """See `Journal.settle`."""
        late: list[str] = []
        woken: set[str] = set()
        accepted: list[tuple[Event, Plan]] = []
        for each in settlements:
            row = self._rows.get(each.claim.delivery.id)
            if row is None or not self._is_current(row, each, worker):
                late.append(each.claim.delivery.id)
                if row is not None:
                    number = each.claim.delivery.attempt
                    row.history.append(Attempt(number, "late", each.transition.reason, each.started_at, now))
                continue
            self._record(row, each, now)
            for event, plan in each.events:
                if self._accept(event, plan, now, row.delivery.id)[1]:
                    accepted.append((event, plan))
                    woken.update(plan.first)
            woken |= self._advance(row.fact, now)
            if row.lane is not None:
                woken.add(row.delivery.process)
        claimed = await self.claim(worker, slots or {}, now=now)
        return Settled(late, frozenset(woken), claimed.claims, claimed.next_due, accepted)

    @staticmethod
    def _is_current(row: _Row, settlement: Settlement, worker: str) -> bool:
        delivery = row.delivery
        is_running = delivery.state is DeliveryState.RUNNING and row.owner == worker
        return is_running and delivery.attempt == settlement.claim.delivery.attempt

    def _record(self, row: _Row, settlement: Settlement, now: float) -> None:
        delivery, change = row.delivery, settlement.transition
        row.logs[delivery.attempt] += settlement.logs
        self._remember(row, change.state, change.reason, settlement.started_at, now)
        delivery.state, delivery.due_at, delivery.reason = change.state, change.due_at, change.reason
        delivery.failures, delivery.interruptions = change.failures, change.interruptions
        delivery.interrupted, delivery.output = change.interrupted, change.output
        delivery.settled_at = now if change.state in FINISHED else None
        self._queue(row)

    @staticmethod
    def _remember(row: _Row, state: DeliveryState, reason: str | None, started_at: float | None, now: float) -> None:
        row.history.append(Attempt(row.delivery.attempt, state, reason, started_at, now))

    def _advance(self, fact: _Fact, now: float) -> set[str]:
        woken: set[str] = set()
        known = [Upstream(row.delivery.state, row.delivery.output) for row in fact.rows]
        for index, state in resolve(fact.plan, known, lambda: fact.event).items():
            row = fact.rows[index]
            row.delivery.state, row.delivery.due_at = state, now
            is_skipped = state is DeliveryState.SKIPPED
            row.delivery.settled_at = now if is_skipped else None
            row.delivery.reason = "its upstream did not let the event through" if is_skipped else None
            self._queue(row)
            if row.lane is not None or state is DeliveryState.READY:  # a skip lets the next of its key go on
                woken.add(row.delivery.process)
        return woken

    async def log(self, worker: str, lines: Sequence[tuple[Claim, Sequence[str]]]) -> None:  # noqa: ARG002
        """See `Journal.log`."""
        for claim, text in lines:
            if (row := self._rows.get(claim.delivery.id)) is not None:  # else it was pruned meanwhile
                row.logs[claim.delivery.attempt] += text

    async def park(self, processes: frozenset[str]) -> int:
        """See `Journal.park`."""
        parked = 0
        for row in self._rows.values():
            delivery = row.delivery
            if delivery.state is DeliveryState.READY and delivery.process not in processes:
                delivery.state = DeliveryState.PARKED
                delivery.reason = str(UnknownProcessError(delivery.trigger, delivery.process))
            elif delivery.state is DeliveryState.PARKED and delivery.process in processes:
                delivery.state, delivery.reason = DeliveryState.READY, None
                self._queue(row)
            parked += delivery.state is DeliveryState.PARKED
        return parked

    async def redrive(self, query: DeliveryQuery, *, now: float) -> int:
        """See `Journal.redrive`."""
        rows = self._matching(query, frozenset({DeliveryState.DEAD}))
        self._has_news = True
        for row in rows:
            delivery = row.delivery
            delivery.state, delivery.due_at, delivery.settled_at = DeliveryState.READY, now, None
            delivery.failures = delivery.interruptions = 0
            delivery.interrupted = False
            self._queue(row)
            self._advance(row.fact, now)
        return len(rows)

    async def cancel(self, query: DeliveryQuery, *, reason: str, now: float) -> int:
        """See `Journal.cancel`."""
        rows = self._matching(query, _CANCELLABLE)
        self._has_news = True  # the next of a key may go on
        for row in rows:
            row.delivery.state, row.delivery.settled_at, row.delivery.reason = DeliveryState.CANCELLED, now, reason
            self._advance(row.fact, now)
        return len(rows)

    async def prune(self, *, before: float, limit: int = 1_000) -> int:
        """See `Journal.prune`."""
        over = [fact for fact in self._facts.values() if fact.accepted_at < before and _is_over(fact, before)][:limit]
        for fact in over:
            del self._facts[fact.seq]
            del self._identities[fact.event.trigger, fact.event.uid]
            for row in fact.rows:
                del self._rows[row.delivery.id]
                if row.lane is not None:
                    self._lanes[row.lane].remove(row)
        return len(over)

    async def is_idle(self) -> bool:
        """See `Journal.is_idle`."""
        ready = (row for row in self._rows.values() if row.delivery.state is DeliveryState.READY)
        return all(self._is_stuck(row) for row in ready)

    def _is_stuck(self, row: _Row) -> bool:
        """Tell whether an earlier delivery of its key holds it back and does not go on by itself."""
        moving = {DeliveryState.READY, DeliveryState.RUNNING}
        earlier = (each for each in self._lanes[row.lane] if each.fact.seq < row.fact.seq) if row.lane else ()
        return any(each.holds_lane and each.delivery.state not in moving for each in earlier)

    async def changed(self) -> bool:
        """See `Journal.changed`: nobody else can write."""
        has_news, self._has_news = self._has_news, False
        return has_news

    async def counts(self) -> Counts:
        """See `Journal.counts`."""
        deliveries: dict[str, dict[DeliveryState, int]] = defaultdict(lambda: defaultdict(int))
        for row in self._rows.values():
            deliveries[row.delivery.process][row.delivery.state] += 1
        unrouted = sum(not fact.plan.steps for fact in self._facts.values())
        return Counts(len(self._facts), unrouted, {name: dict(states) for name, states in deliveries.items()})

    async def events(
        self, *, trigger: str | None = None, limit: int = 1_000, newest_first: bool = False
    ) -> Sequence[EventRecord]:
        """See `Journal.events`."""
        facts: Iterable[_Fact] = reversed(self._facts.values()) if newest_first else self._facts.values()
        return [fact.record for fact in facts if trigger in {None, fact.event.trigger}][:limit]

    async def event(self, uid: str, *, trigger: str | None = None) -> EventRecord:
        """See `Journal.event`."""
        for fact in reversed(self._facts.values()):
            if fact.event.uid == uid and trigger in {None, fact.event.trigger}:
                return fact.record
        raise NotFoundError("event", uid)

    async def deliveries(self, query: DeliveryQuery) -> Sequence[Delivery]:
        """See `Journal.deliveries`."""
        return [attrs.evolve(row.delivery) for row in self._matching(query, frozenset(DeliveryState))]

    def _matching(self, query: DeliveryQuery, states: frozenset[DeliveryState]) -> list[_Row]:
        if query.states is not None:
            states &= query.states
        rows: Iterable[_Row] = reversed(self._rows.values()) if query.newest_first else self._rows.values()
        found = [
            row
            for row in rows
            if row.delivery.state in states
            and (query.ids is None or row.delivery.id in query.ids)
            and query.process in {None, row.delivery.process}
            and query.event_uid in {None, row.delivery.event_uid}
        ]
        return found[: query.limit]

    async def attempts(self, delivery_id: str) -> Sequence[Attempt]:
        """See `Journal.attempts`."""
        row = self._rows.get(delivery_id)
        if row is None:
            raise NotFoundError("delivery", delivery_id)
        history = [attrs.evolve(each, logs=tuple(row.logs.get(each.number, ()))) for each in row.history]
        if row.delivery.state is DeliveryState.RUNNING:
            number = row.delivery.attempt
            history.append(Attempt(number, DeliveryState.RUNNING, logs=tuple(row.logs.get(number, ()))))
        return history

    async def derived(self, uid: str) -> Sequence[EventRecord]:
        """See `Journal.derived`."""
        causes = {row.delivery.id for row in self._rows.values() if row.delivery.event_uid == uid}
        return [fact.record for fact in self._facts.values() if fact.cause in causes]

    async def load_checkpoint(self, input: str) -> JSON:  # noqa: A002 (the contract's name)
        """See `Journal.load_checkpoint`."""
        return self._checkpoints.get(input)


def _is_over(fact: _Fact, before: float) -> bool:
    return all(
        row.delivery.state in FINISHED
        and row.delivery.state is not DeliveryState.DEAD
        and (row.delivery.settled_at or 0.0) < before
        for row in fact.rows
    )
