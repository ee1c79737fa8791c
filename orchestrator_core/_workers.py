"""The tasks that run attempts: as many as may run at once, each one attempt after another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Literal

import anyio
import anyio.lowlevel
import attrs
from anyio.abc import TaskGroup

from orchestrator_core._alarm import Alarm
from orchestrator_core._announcer import Announcer
from orchestrator_core._attempt import Context, attempt, is_cut_off, recover
from orchestrator_core._clock import Clock
from orchestrator_core._delivery import Failed, Interrupted, Outcome, Succeeded
from orchestrator_core._event import Event
from orchestrator_core._plan import Plan
from orchestrator_core._station import Station

OFTEN = 0.2
"""How often the timekeeper comes by, in seconds."""

_ATTEMPTS_IN_A_ROW = 64


@attrs.define(eq=False)
class Worker:
    """One task, the attempt it runs, and what cuts that off.

    One cancel scope serves many attempts, since making one costs as much as a short attempt; once cancelled it is
    replaced.

    Attributes:
        station: where the attempt belongs.
        context: the attempt; ``None`` between two of them.
        started_at: when it started, in seconds since 1970 UTC.
        deadline: when it is cut off, on the monotonic clock.
        cut: why it was.
    """

    station: Station | None = None
    context: Context | None = None
    started_at: float = 0.0
    deadline: float = 0.0
    cut: Literal["timeout", "stop"] | None = None
    _scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope)

    def cut_off(self, reason: Literal["timeout", "stop"]) -> None:
        """Cancel the attempt under way."""
        if self.cut is None and self.context is not None:
            self.cut = reason
            self._scope.cancel()

    def new_scope(self) -> anyio.CancelScope:
        """Make the scope for the next attempts."""
        self.cut = None
        self._scope = anyio.CancelScope()
        return self._scope

    def outcome_of_cut(self) -> Outcome:
        """Say what an attempt that was cut off came to."""
        if self.cut == "timeout" and self.station is not None:
            return Failed(f"timed out after {self.station.options.timeout.total_seconds():g} s")
        return Interrupted("interrupted: the orchestrator stopped")


class Workers:
    """Runs the deliveries that stand in the stations' queues, taking turns between the stations.

    Args:
        limit: how many attempts may run at once over all.
        clock: the time.
        alarm: set to when a station's rate lets the next attempt start, or an attempt is overdue.
        route: says where an event goes that a process has emitted.
        announcer: told each attempt and each line of its log.
        on_finish: takes a worker whose attempt is over, and its outcome.
    """

    def __init__(
        self,
        limit: int,
        *,
        clock: Clock,
        alarm: Alarm,
        route: Callable[[str, Event], tuple[Event, Plan]],
        announcer: Announcer,
        on_finish: Callable[[Station, Worker, Context, Outcome], None],
    ) -> None:
        self._limit = limit
        self._clock = clock
        self._alarm = alarm
        self._route = route
        self._announcer = announcer
        self._on_finish = on_finish
        self._tasks: TaskGroup | None = None
        self._all: list[Worker] = []
        self._turns: deque[Station] = deque()
        self._idle: deque[anyio.Event] = deque()
        self._is_waking = False
        self.newest: Station | None = None

    def resize(self, limit: int) -> None:
        """Have so many from now on: more as they are needed, or fewer as attempts finish."""
        self._limit = limit
        self.wake()

    def start(self, tasks: TaskGroup) -> None:
        """Run workers in a task group from now on; they are started as they are needed."""
        self._tasks = tasks

    def end(self) -> None:
        """Start no worker any more; what is still handed over is taken up by the next run."""
        self._tasks = None

    @property
    def busy(self) -> list[Worker]:
        """The workers that run an attempt."""
        return [worker for worker in self._all if worker.context is not None]

    def call_on(self, stations: Iterable[Station]) -> None:
        """Let what stands in the queues of these stations run as soon as there are workers for it."""
        for station in stations:
            if not station.has_turn:
                station.has_turn = True
                self._turns.append(station)

    def wake(self) -> None:
        """Put one more worker to work, if there is work. Who finds more than one delivery wakes the next."""
        if self._is_waking or not self._turns:
            return
        if self._idle:
            self._is_waking = True
            self._idle.pop().set()
        elif len(self._all) < self._limit and self._tasks is not None:
            self._is_waking = True
            self._all.append(worker := Worker())
            self._tasks.start_soon(self._work, worker)

    def cut_off_overdue(self) -> None:
        """Cancel the attempts whose time is over."""
        now = self._clock.monotonic()
        for worker in self.busy:
            if now >= worker.deadline:
                worker.cut_off("timeout")

    async def _work(self, worker: Worker) -> None:
        self._is_waking = False
        while len(self._all) <= self._limit:
            with worker.new_scope():
                await self._run_attempts(worker)
            if worker.context is not None and worker.station is not None:
                self._finish(worker, worker.station, worker.context, worker.outcome_of_cut())
        self._all.remove(worker)
        self.wake()  # it may be the one that was woken for what is there to do

    async def _run_attempts(self, worker: Worker) -> None:
        in_a_row = 0
        while len(self._all) <= self._limit:
            station = self._pick(now := self._clock.time())
            if station is None:
                in_a_row = 0
                await self._wait_for_work()
                continue
            in_a_row += 1
            if in_a_row == _ATTEMPTS_IN_A_ROW:  # attempts that never wait must not keep the loop to themselves
                in_a_row = 0
                await anyio.lowlevel.checkpoint()
                continue
            await self._run_attempt(worker, station, now)
            if worker.cut is not None:  # its scope is cancelled, and would take the next attempt along
                return

    async def _wait_for_work(self) -> None:
        event = anyio.Event()
        self._idle.append(event)
        try:
            await event.wait()
        finally:
            if event.is_set():
                self._is_waking = False
            else:
                self._idle.remove(event)

    def _pick(self, now: float) -> Station | None:
        """Choose the station whose turn it is, and call for help if there is more to do."""
        for _ in range(len(self._turns)):
            station = self._turns[0]
            if not station.queue:
                self._turns.popleft().has_turn = False
                continue
            if len(self._turns) > 1:
                self._turns.rotate(-1)
            if station.may_start(now):
                if self._idle or len(self._all) < self._limit:
                    self.wake()
                return station
            if station.load < station.limit:
                self._alarm.ring_at(station.next_start)
        return None

    async def _run_attempt(self, worker: Worker, station: Station, now: float) -> None:
        claim = station.start(now)
        seconds = station.timeout
        context = Context(claim, claim.delivery.attempt, now + seconds, self._route, self._announcer)
        worker.station, worker.context, worker.started_at = station, context, now
        worker.deadline = self._clock.monotonic() + seconds
        if seconds < OFTEN:  # the timekeeper comes by as often as that anyway
            self._alarm.ring_at(now + seconds)
        self.newest = station
        if self._announcer.has_listeners:
            self._announcer.started(claim)
        outcome = None
        if claim.delivery.interrupted:
            outcome = await recover(station.process, context, station.options.retry, self._clock)
        if outcome is None:
            outcome = await attempt(station.process, context)
        if type(outcome) is not Succeeded and is_cut_off():
            outcome = worker.outcome_of_cut()  # it has met its cancellation with an exception of its own
        self._finish(worker, station, context, outcome)

    def _finish(self, worker: Worker, station: Station, context: Context, outcome: Outcome) -> None:
        worker.context = None
        station.running -= 1
        self._on_finish(station, worker, context, outcome)
