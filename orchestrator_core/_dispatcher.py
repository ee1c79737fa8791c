"""Claims deliveries within the limits, has them run, and settles their outcomes in batches."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from random import Random

import anyio
import attrs
from anyio.abc import TaskStatus

from orchestrator_core._alarm import Alarm
from orchestrator_core._announcer import Announcer
from orchestrator_core._attempt import Context
from orchestrator_core._clock import Clock
from orchestrator_core._contracts import Appended, Claim, Journal, Settled, Settlement
from orchestrator_core._delivery import DeliveryState, Interrupted, Outcome, Postponed, transition
from orchestrator_core._errors import JournalUnavailableError
from orchestrator_core._event import Event
from orchestrator_core._outage import Outage
from orchestrator_core._plan import Plan
from orchestrator_core._roster import Roster
from orchestrator_core._station import Station
from orchestrator_core._summary import Tally
from orchestrator_core._workers import OFTEN, Worker, Workers

_LOG = logging.getLogger("orchestrator_core")

_HAND_BACK_SECONDS = 5.0


@attrs.define(eq=False)
class _Finished:
    """An outcome on its way into the journal; `seconds` is how long the attempt took, ``None`` if it never began."""

    station: Station
    settlement: Settlement
    seconds: float | None


@attrs.define(eq=False)
class Reservation:
    """Slots held for events that are about to be accepted.

    Attributes:
        slots: how many the journal may hand over at once, by process.
        appended: what it said.
    """

    slots: Mapping[str, int]
    appended: Appended = attrs.field(factory=lambda: Appended((), ()))


class Dispatcher:
    """Brings the deliveries of a journal to the processes of a pipeline, and their outcomes back.

    Args:
        journal: the ledger, open.
        worker: the id under which this dispatcher is registered there.
        concurrency: how many attempts may run at once.
        clock: the time.
        rng: source of the retry jitter.
        route: says where an event goes that a process has emitted.
        announcer: told what happens.
        tally: counts the outcomes.
        on_change: called when deliveries were settled or nothing is left to do.
    """

    def __init__(
        self,
        journal: Journal,
        worker: str,
        *,
        concurrency: int,
        clock: Clock,
        rng: Random,
        route: Callable[[str, Event], tuple[Event, Plan]],
        announcer: Announcer,
        tally: Tally,
        on_change: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._worker = worker
        self._clock = clock
        self._rng = rng
        self._announcer = announcer
        self._tally = tally
        self._on_change = on_change
        self._alarm = Alarm(clock)
        self.roster = Roster(journal, concurrency=concurrency, clock=clock, on_open=self._look)
        self._stations = self.roster.at_work
        self._workers = Workers(
            concurrency,
            clock=clock,
            alarm=self._alarm,
            route=route,
            announcer=announcer,
            on_finish=self._finish,
        )
        self._finished: list[_Finished] = []
        self._settling: list[_Finished] = []
        self._logs: list[tuple[Claim, Sequence[str]]] = []
        self._is_logging = False
        self._books = anyio.Event()
        self._change = anyio.Event()
        self._is_draining = False
        self._reserved = 0
        self._outage = Outage(clock)
        self._last_settle = clock.monotonic()
        self.version = 0

    # Running

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Work until cancelled; then hand back what is unfinished, in a shielded moment of a few seconds at most."""
        async with anyio.create_task_group() as hosts:
            try:
                await self.roster.start(hosts)
                async with anyio.create_task_group() as tasks:
                    self._workers.start(tasks)
                    tasks.start_soon(self._keep_books)
                    tasks.start_soon(self._keep_time)
                    tasks.start_soon(self._watch_journal)
                    task_status.started()
                    try:
                        await anyio.sleep_forever()
                    finally:  # before the group is closed to new tasks: an append may be about to hand something over
                        self._is_draining = True
                        self._workers.end()
            finally:
                self.roster.end()
                try:
                    with anyio.move_on_after(_HAND_BACK_SECONDS, shield=True) as scope:
                        await self._hand_back_everything()
                    if scope.cancelled_caught and self._settling:
                        lost = sum(each.seconds is not None for each in self._settling)
                        _LOG.warning("outcomes that the journal did not take: %d; the next run does them again", lost)
                finally:  # the components wait for this, and nothing can cancel them
                    self.roster.close()

    async def drain(self, grace: float) -> None:
        """Start nothing more; let what runs finish for so many seconds, then cut it off; settle all of it.

        If the journal is away then, it gives up after a little; the last try is `run`'s.
        """
        self._is_draining = True
        for station in self._stations.values():
            self._hand_back(station)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._give_up_after, grace, tasks.cancel_scope)
            while not self.is_quiet:
                self._books.set()
                await self._change.wait()
            tasks.cancel_scope.cancel()

    async def _give_up_after(self, grace: float, scope: anyio.CancelScope) -> None:
        await self._clock.sleep(grace)
        for worker in self._workers.busy:
            worker.cut_off("stop")
        while True:
            await self._clock.sleep(_HAND_BACK_SECONDS)
            if self._outage.is_on:
                scope.cancel()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is claimed, running or on its way into the journal."""
        return not self._finished and not self._settling and all(station.held <= 0 for station in self.roster)

    @property
    def newest_process(self) -> str | None:
        """The process whose attempt started last."""
        return self._workers.newest.name if self._workers.newest is not None else None

    @property
    def has_backlog(self) -> bool:
        """Whether the journal may have deliveries that are due now."""
        return any(station.backlog and station.is_open for station in self._stations.values())

    # Processes come and go

    def resize(self, concurrency: int) -> None:
        """Let so many attempts run at once from now on; what runs beyond that finishes."""
        self._workers.resize(concurrency)
        self.roster.resize(concurrency)
        self._look()

    def remove(self, name: str) -> None:
        """Give up a process: what has started finishes, what has not goes back to the journal."""
        self._hand_back(self.roster.remove(name))
        self.roster.leave_idle()

    def _look(self) -> None:
        self._books.set()

    # Taking deliveries

    @contextmanager
    def reserve(self, plans: Iterable[Plan]) -> Iterator[Reservation]:
        """Hold free slots while events are accepted, and take what the journal hands over."""
        wanted: dict[str, int] = {}
        for plan in plans:
            for name in plan.first:
                wanted[name] = wanted.get(name, 0) + 1
        held: dict[Station, int] = {}
        for name, count in wanted.items():
            station = self._stations.get(name)
            if station is not None and not self._is_draining and station.free:
                held[station] = min(count, station.free)
        reservation = Reservation(self._hold(held))
        self._reserved += len(held)
        try:
            yield reservation
        finally:
            self._reserved -= len(held)
            self._take(held, reservation.appended.claims)
            self.wake(reservation.appended.left)

    @staticmethod
    def _hold(slots: Mapping[Station, int]) -> dict[str, int]:
        for station, count in slots.items():
            station.held += count
        return {station.name: count for station, count in slots.items()}

    def _take(self, held: Mapping[Station, int], claims: Sequence[Claim]) -> Mapping[str, int]:
        """Queue claimed deliveries, give back the slots held for more, and count what came by process."""
        queues = {station.name: station.queue for station in held}
        before = {name: len(queue) for name, queue in queues.items()}
        for claim in claims:
            queues[claim.delivery.process].append(claim)
        got = {name: len(queue) - before[name] for name, queue in queues.items()}
        self._workers.call_on(station for station in held if got[station.name])
        for station, count in held.items():
            station.held -= count - got[station.name]
            if self._is_draining or not station.is_open:
                self._hand_back(station)
                self.roster.leave_idle()
                self._tell_change()
            elif station.backlog:
                self._books.set()  # there was no slot to look with while they were held
        if not claims and self.is_quiet:
            self._tell_change()
        if claims:
            self._workers.wake()
        return got

    def wake(self, names: Iterable[str] | None = None) -> None:
        """Look into the journal for deliveries of these processes, or of all."""
        for name in self._stations if names is None else names:
            if (station := self._stations.get(name)) is not None:
                station.backlog = True
                self._books.set()

    def _choose(self, finished: Sequence[_Finished]) -> dict[Station, int]:
        """Choose how many deliveries to ask the journal for: where it has a backlog, and behind what has finished."""
        if self._is_draining:
            return {}
        woken = {
            plan.steps[index].process
            for each in finished
            if (plan := each.settlement.claim.plan).dependents[(step := each.settlement.claim.step)]
            for index in plan.dependents[step]
        }
        chosen = {}
        for station in self._stations.values():
            if (station.backlog or station.name in woken) and (free := station.free):
                chosen[station] = (free + 1) // 2  # the rest is for events that are handed over as they are accepted
                station.backlog = False  # whatever makes more ready from here on says so again
        return chosen

    def _took(self, held: Mapping[Station, int], claims: Sequence[Claim], next_due: float | None) -> None:
        got = self._take(held, claims)
        for station, count in held.items():
            if got[station.name] == count:
                self.wake([station.name])
            elif next_due is not None:
                self._expect(station, next_due)

    def _expect(self, station: Station, due_at: float) -> None:
        """Look into the journal again at that moment."""
        station = self._stations.get(station.name, station)  # it may have been replaced meanwhile
        station.next_due = min(station.next_due, due_at)
        self._alarm.ring_at(due_at)

    # Settling

    def _finish(self, station: Station, worker: Worker, context: Context, outcome: Outcome) -> None:
        now = self._clock.time()
        change = transition(context.claim.delivery, outcome, station.options.retry, now, self._rng)
        logs = () if context.written is None else (*self._left_behind(context), *context.written.finish())
        events = context.derived if context.derived and change.state is DeliveryState.DONE else ()
        settlement = Settlement(context.claim, change, worker.started_at, logs, events)
        if not self._finished:
            self._books.set()
        self._finished.append(_Finished(station, settlement, now - worker.started_at))
        if change.state is DeliveryState.READY:
            self._expect(station, change.due_at)

    def _left_behind(self, context: Context) -> Iterable[str]:
        """Return the lines of an attempt that the journal was to keep meanwhile and did not take."""
        if not self._logs or self._is_logging:
            return ()
        lines = [line for claim, lines in self._logs if claim is context.claim for line in lines]
        self._logs = [each for each in self._logs if each[0] is not context.claim]
        return lines

    def _hand_back(self, station: Station) -> None:
        """Return deliveries that have not started to the journal."""
        now = self._clock.time()
        while station.queue:
            claim = station.queue.popleft()
            outcome = Postponed(0.0, "handed back before it began", interrupted=claim.delivery.interrupted)
            change = transition(claim.delivery, outcome, station.options.retry, now)
            self._finished.append(_Finished(station, Settlement(claim, change, now), None))
            self._expect(station, now)
        self._books.set()

    async def _keep_books(self) -> None:
        """Bring outcomes to the journal and deliveries back, one trip for both, for as long as there is either."""
        while True:
            await self._books.wait()
            self._books = anyio.Event()
            self._settling, self._finished = self._finished, []
            held = self._choose(self._settling)
            slots = self._hold(held)
            if self._settling:
                await self._settle(held, slots)
            elif slots:
                await self._claim(held, slots)
            if any(station.backlog and station.free for station in self._stations.values()):
                self._books.set()

    async def _claim(self, held: Mapping[Station, int], slots: Mapping[str, int]) -> None:
        try:
            claimed = await self._journal.claim(self._worker, slots, now=self._clock.time())
        except JournalUnavailableError as error:
            self._took(held, (), None)
            await self._outage.wait(error)
            self.wake(slots)
            return
        self._outage.end()
        self._took(held, claimed.claims, claimed.next_due)
        self._tell_change()

    async def _settle(self, held: Mapping[Station, int], slots: Mapping[str, int]) -> None:
        settled = await self._write([each.settlement for each in self._settling], slots)
        now = self._clock.time()
        finished, self._settling = self._settling, []
        self._count_settled(finished, settled.late)
        if settled.accepted:
            self._tally.accept(settled.accepted)
            self._announcer.accepted(settled.accepted)
        self._took(held, settled.claims, settled.next_due)
        self.wake(settled.woken - slots.keys())
        self.version += 1
        for late in settled.late:
            _LOG.warning("delivery %s was settled meanwhile, by another or a lost call; this outcome was dropped", late)
        for each in finished if self._announcer.has_listeners else ():
            if each.seconds is not None and each.settlement.claim.delivery.id not in settled.late:
                self._announcer.settled(each.settlement, each.seconds, now)
        self._tell_change()

    async def _write(self, settlements: Sequence[Settlement], slots: Mapping[str, int]) -> Settled:
        while True:
            try:
                settled = await self._journal.settle(self._worker, settlements, now=self._clock.time(), slots=slots)
            except JournalUnavailableError as error:
                await self._outage.wait(error)
            else:
                self._outage.end()
                return settled

    def _count_settled(self, finished: Sequence[_Finished], late: Sequence[str]) -> None:
        now = self._clock.monotonic()
        seconds, self._last_settle = now - self._last_settle, now
        for station, count in Counter([each.station for each in finished]).items():
            station.settled(count, seconds)
        counted = [each for each in finished if each.seconds is not None]
        if late:
            counted = [each for each in counted if each.settlement.claim.delivery.id not in late]
        self._tally.count([(each.station.name, each.settlement.transition.state) for each in counted])
        self.roster.leave_idle()

    def _tell_change(self) -> None:
        self._change.set()
        self._change = anyio.Event()
        self._on_change()

    async def _hand_back_everything(self) -> None:
        """Settle, after a cancellation, what was cut off and what has not begun."""
        for worker in self._workers.busy:
            if worker.context is not None and worker.station is not None:
                self._finish(
                    worker.station, worker, worker.context, Interrupted("interrupted: the orchestrator stopped")
                )
        for station in self.roster:
            self._hand_back(station)
        await self._settle_rest()
        while self._finished or self._reserved:  # an append that was under way may hand something over, also meanwhile
            if not self._finished:
                await self._change.wait()
            await self._settle_rest()
        while self._logs:  # of attempts that ended while their lines were under way
            try:
                await self._write_logs()
            except JournalUnavailableError as error:
                await self._outage.wait(error)

    async def _settle_rest(self) -> None:
        self._settling = [*self._settling, *self._finished]  # a settle that was cancelled is still to be done
        self._finished = []
        if self._settling:
            await self._settle({}, {})

    # Keeping time

    async def _keep_time(self) -> None:
        """Cut off what is overdue, and look for what has become due."""
        while True:
            await self._alarm.wait(OFTEN)
            self._workers.cut_off_overdue()
            self._workers.wake()
            now = self._clock.time()
            for station in self._stations.values():
                if station.next_due <= now:
                    station.next_due = inf
                    self.wake([station.name])

    async def _watch_journal(self) -> None:
        """Notice what others write into the journal, and keep the logs of long attempts."""
        outage = Outage(self._clock)
        while True:
            await self._clock.sleep(OFTEN)
            try:
                if await self._journal.changed():
                    self.wake()
                    self._on_change()
                await self._keep_logs()
                outage.end()
            except JournalUnavailableError as error:
                await outage.wait(error)

    async def _keep_logs(self) -> None:
        contexts = [worker.context for worker in self._workers.busy if worker.context is not None]
        logs = [(each.claim, each.written.drain()) for each in contexts if each.written is not None]
        self._logs += [(claim, lines) for claim, lines in logs if lines]
        if self._logs:
            await self._write_logs()

    async def _write_logs(self) -> None:
        self._is_logging = True
        try:
            await self._journal.log(self._worker, self._logs)
            self._logs = []  # not before: what the journal did not take goes with the outcome or the next look
        finally:
            self._is_logging = False
