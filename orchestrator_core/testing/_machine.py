"""`JournalMachine`: random histories, played on a journal and on a model of it, crashes included."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from orchestrator_core._contracts import Claim, DeliveryQuery, Journal
from orchestrator_core._delivery import Delivery, DeliveryState
from orchestrator_core._event import Event
from orchestrator_core.testing._histories import ENTRIES, LINES, PROCESSES, SLOTS, Drawn, Identity, entries, settlement
from orchestrator_core.testing._model import Model, Row
from orchestrator_core.testing._scenario import NOW

_LEASE = 100.0
_EVERYTHING = DeliveryQuery(limit=1_000_000)


class JournalMachine(RuleBasedStateMachine):
    """A Hypothesis state machine that compares a journal with a small model after every step.

    It appends, claims, settles in time and too late, logs, loses leases, parks, redrives, cancels and prunes in any
    order, and crashes in between if the journal can be reopened. Run it with `JournalMachine.check`.
    """

    def __init__(
        self, portal: BlockingPortal, make: Callable[[], Journal], reopen: Callable[[Journal], Journal] | None
    ) -> None:
        super().__init__()
        self._portal = portal
        self._reopen = reopen
        self._open: list[AbstractContextManager[Journal]] = []
        self._model = Model()
        self._now = NOW
        self._workers: list[str] = []
        self._claims: list[tuple[str, Claim]] = []
        self._gone: set[Identity] = set()
        self._journal = self._enter(make())

    @classmethod
    def check(
        cls,
        make: Callable[[], Journal],
        reopen: Callable[[Journal], Journal] | None = None,
        *,
        backend: str = "asyncio",
        how: settings | None = None,
    ) -> None:
        """Play random histories; raise with the shortest one in which journal and model disagree.

        Args:
            make: makes a journal, not entered yet, over a new and empty store at each call.
            reopen: as the fixture ``reopen`` of `JournalContract`; without it there are no crashes.
            backend: the event loop, ``"asyncio"`` or ``"trio"``.
            how: Hypothesis settings; those of the active profile if not given.
        """
        with start_blocking_portal(backend) as portal:
            factory: Any = partial(cls, portal, make, reopen)
            # One shortest history is worth a minute of waiting, one for each of several bugs is not.
            run_state_machine_as_test(factory, settings=settings(how, report_multiple_bugs=False))

    @initialize()
    def begin(self) -> None:
        """Register the first worker."""
        self._register()

    @rule(drawn=st.lists(ENTRIES, max_size=4), position=st.none() | st.integers(0, 9), slots=st.none() | SLOTS)
    def append(self, drawn: Sequence[Drawn], position: int | None, slots: Mapping[str, int] | None) -> None:
        """Append some events, known ones among them."""
        given = entries(drawn, self._gone)
        appended = self._call(
            self._journal.append,
            given,
            now=self._now,
            checkpoint=None if position is None else ("in", position),
            worker=None if slots is None else self._workers[-1],
            slots=slots,
        )
        before = len(self._model.rows)
        assert self._model.append(given, self._now) == list(appended.fresh)
        assert [self._first(each) for each, _ in given] == list(appended.events)
        if position is not None:
            self._model.checkpoints["in"] = position
        self._check_hand_over(slots or {}, appended.claims)
        news = self._model.rows[before:]
        asked = {process for process, free in (slots or {}).items() if free}
        left = {
            process
            for process in asked | {row.step.process for row in news}
            for row in self._model.startable(process, self._now)
            if process in asked or row in news
        }
        assert appended.left >= left

    @rule(slots=SLOTS)
    def claim(self, slots: Mapping[str, int]) -> None:
        """Claim what is due."""
        claimed = self._call(self._journal.claim, self._workers[-1], slots, now=self._now)
        self._check_next_due(slots, claimed.next_due)
        self._check_claims(slots, claimed.claims)

    @precondition(lambda self: self._claims)
    @rule(data=st.data(), slots=st.none() | SLOTS)
    def settle(self, data: st.DataObject, slots: Mapping[str, int] | None) -> None:
        """Settle some claims of one worker: running ones, and some that were settled or lost long ago."""
        worker = data.draw(st.sampled_from(sorted({worker for worker, _ in self._claims})))
        mine = [claim for owner, claim in self._claims if owner == worker][-6:]
        chosen = data.draw(
            st.lists(st.sampled_from(mine), min_size=1, max_size=3, unique_by=lambda each: each.delivery.id)
        )
        settlements = [settlement(data, claim, self._now, self._gone) for claim in chosen]
        rows = [self._row_or_none(claim) for claim in chosen]
        settled = self._call(self._journal.settle, worker, settlements, now=self._now, slots=slots)
        late = self._model.settle(worker, list(zip(rows, settlements, strict=True)), self._now)
        assert [claim.delivery.id for claim, is_late in zip(chosen, late, strict=True) if is_late] == list(settled.late)
        if worker == self._workers[-1]:
            self._check_claims(slots or {}, settled.claims)
        else:
            assert [] == list(settled.claims), "a worker without a lease was handed deliveries"

    @precondition(lambda self: self._claims)
    @rule(data=st.data(), lines=LINES)
    def log(self, data: st.DataObject, lines: Sequence[str]) -> None:
        """Keep lines of a running attempt."""
        worker, claim = data.draw(st.sampled_from(self._claims[-6:]))
        row = self._row_or_none(claim)
        if row is None or row.state is not DeliveryState.RUNNING or row.attempt != claim.delivery.attempt or not lines:
            return
        self._call(self._journal.log, worker, [(claim, lines)])
        row.logs[-1].extend(lines)

    @rule(seconds=st.sampled_from([1.0, 10.0, 40.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass within the lease."""
        self._now += seconds
        assert self._journal.renew(self._workers[-1], now=self._now, lease=_LEASE)

    @rule()
    def lose_the_lease(self) -> None:
        """Let the worker be taken for dead, and start another."""
        self._now += _LEASE + 1
        self._register()
        lost = self._workers[:-1]
        assert self._model.reap(lost, self._now) == self._call(self._journal.reap, now=self._now)

    @rule(processes=st.frozensets(st.sampled_from(PROCESSES)))
    def park(self, processes: frozenset[str]) -> None:
        """Take processes out of the pipeline, or put them back."""
        assert self._model.park(processes) == self._call(self._journal.park, processes)

    @rule(process=st.sampled_from(PROCESSES))
    def redrive(self, process: str) -> None:
        """Redrive the dead letters of a process."""
        query = DeliveryQuery(process=process, limit=1_000_000)
        assert self._model.redrive(process, self._now) == self._call(self._journal.redrive, query, now=self._now)

    @rule(process=st.sampled_from(PROCESSES))
    def cancel(self, process: str) -> None:
        """Cancel what a process has not started."""
        query = DeliveryQuery(process=process, limit=1_000_000)
        cancelled = self._call(self._journal.cancel, query, reason="not wanted", now=self._now)
        assert self._model.cancel(process, self._now) == cancelled

    @rule(age=st.sampled_from([0.0, 20.0, 200.0]))
    def prune(self, age: float) -> None:
        """Delete what is over."""
        over = self._model.prune(self._now - age)
        self._gone.update((each.event.trigger, each.event.uid) for each in over)
        assert len(over) == self._call(self._journal.prune, before=self._now - age, limit=1_000_000)

    @precondition(lambda self: self._reopen is not None)
    @rule()
    def crash(self) -> None:
        """Kill the process, and start over on what it left."""
        assert self._reopen is not None
        self._journal = self._enter(self._reopen(self._journal))
        self.lose_the_lease()

    @invariant()
    def agrees(self) -> None:
        """The journal holds exactly the model's deliveries."""
        expected = [_seen(row) for row in self._model.rows]
        found = self._call(self._journal.deliveries, _EVERYTHING)
        # A delivery in a lane may be given the moment at which its turn came as the moment from which it is due.
        due = [
            each.due_at if row.lane is None else row.due_at for row, each in zip(self._model.rows, found, strict=False)
        ]
        assert expected == [_seen_of(each, moment) for each, moment in zip(found, due, strict=False)]
        records = [(each.event, each.plan, each.accepted_at) for each in self._model.records]
        assert records == [
            (each.event, each.plan, each.accepted_at) for each in self._call(self._journal.events, limit=10**6)
        ]
        assert self._model.checkpoints.get("in") == self._call(self._journal.load_checkpoint, "in")

    @rule()
    def look_closely(self) -> None:
        """Compare counts and histories, and whether there is something to come."""
        ready = [row for row in self._model.rows if row.state is DeliveryState.READY]
        if not ready or any(row.lane is None for row in ready):
            assert (not ready) == self._call(self._journal.is_idle)
        self._check_counts()
        self._check_histories()

    def teardown(self) -> None:
        """Close what was opened."""
        for each in reversed(self._open):
            each.__exit__(None, None, None)

    def _enter(self, journal: Journal) -> Journal:
        context = self._portal.wrap_async_context_manager(journal)
        opened = context.__enter__()
        self._open.append(context)
        return opened

    def _call(self, method: Callable[..., Any], *args: object, **kwargs: object) -> Any:  # noqa: ANN401 (the method's own)
        return self._portal.call(partial(method, *args, **kwargs))

    def _register(self) -> None:
        self._workers.append(f"worker-{len(self._workers)}")
        self._call(self._journal.register, self._workers[-1], now=self._now, lease=_LEASE)

    def _first(self, each: Event) -> Event:
        record = self._model.find(each.trigger, each.uid)
        assert record is not None
        return record.event

    def _row_or_none(self, claim: Claim) -> Row | None:
        return self._model.row(claim.event.trigger, claim.event.uid, claim.delivery.process)

    def _row(self, claim: Claim) -> Row:
        row = self._row_or_none(claim)
        assert row is not None, "a delivery was claimed that nobody has accepted"
        return row

    def _start(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            row = self._row(claim)
            self._model.start(row, self._workers[-1])
            self._claims.append((self._workers[-1], claim))
            assert _seen(row) == _seen_of(claim.delivery, row.due_at)
            assert row.event == claim.event
            assert self._outputs(row) == {name: claim.outputs.get(name) for name in self._outputs(row)}

    def _outputs(self, row: Row) -> Mapping[str, Any]:
        record = self._model.find(row.event.trigger, row.event.uid)
        assert record is not None
        upstream = [record.rows[edge.upstream] for edge in row.step.after]
        return {each.step.process: each.output for each in upstream if each.state is DeliveryState.DONE}

    def _check_hand_over(self, slots: Mapping[str, int], claims: Sequence[Claim]) -> None:
        """Check what an append handed over; the heads of lanes may be left to the next claim."""
        free = {}
        for process, count in slots.items():
            handed = sum(claim.delivery.process == process for claim in claims)
            has_lanes = any(row.lane is not None for row in self._model.startable(process, self._now))
            free[process] = min(count, handed) if has_lanes else count
        self._check_claims(free, claims)

    def _check_claims(self, slots: Mapping[str, int], claims: Sequence[Claim]) -> None:
        for process, free in slots.items():
            startable = self._model.startable(process, self._now)
            rows = [self._row(claim) for claim in claims if claim.delivery.process == process]
            assert min(free, len(startable)) == len(rows)
            assert all(row in startable for row in rows)
            if all(row.lane is None for row in startable):
                assert [row.due_at for row in startable[:free]] == [row.due_at for row in rows]
        assert {claim.delivery.process for claim in claims} <= slots.keys()
        self._start(claims)

    def _check_next_due(self, slots: Mapping[str, int], next_due: float | None) -> None:
        asked = [row for row in self._model.rows if row.step.process in slots and row.state is DeliveryState.READY]
        full = any(free <= len(self._model.startable(process, self._now)) for process, free in slots.items())
        if full or any(row.lane is not None for row in asked):
            return
        assert min((row.due_at for row in asked if row.due_at > self._now), default=None) == next_due

    def _check_counts(self) -> None:
        counts = self._call(self._journal.counts)
        expected: dict[tuple[str, DeliveryState], int] = {}
        for row in self._model.rows:
            expected[row.step.process, row.state] = expected.get((row.step.process, row.state), 0) + 1
        found = {(name, state): count for name, by in counts.deliveries.items() for state, count in by.items() if count}
        unrouted = sum(not each.rows for each in self._model.records)
        assert (len(self._model.records), unrouted, expected) == (counts.events, counts.unrouted, found)

    def _check_histories(self) -> None:
        for row, delivery in zip(self._model.rows, self._call(self._journal.deliveries, _EVERYTHING), strict=True):
            history = self._call(self._journal.attempts, delivery.id)
            counted = [each for each in history if each.state != "late"]
            assert [*range(1, row.attempt + 1)] == [each.number for each in counted]
            assert row.history == [each.state for each in counted]
            assert row.logs == [list(each.logs) for each in counted]
            assert row.late == len(history) - len(counted)


def _seen(row: Row) -> tuple[object, ...]:
    counts = (row.attempt, row.failures, row.interruptions, row.interrupted)
    due_at = row.due_at if row.state is DeliveryState.READY else None
    return (row.event.uid, row.step.process, row.state, counts, due_at, row.settled_at, row.output)


def _seen_of(delivery: Delivery, due_at: float) -> tuple[object, ...]:
    counts = (delivery.attempt, delivery.failures, delivery.interruptions, delivery.interrupted)
    due = due_at if delivery.state is DeliveryState.READY else None
    return (delivery.event_uid, delivery.process, delivery.state, counts, due, delivery.settled_at, delivery.output)
