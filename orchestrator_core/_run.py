"""One run of a pipeline: its dispatcher, its inputs, its lease, and when it ends."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from math import inf
from random import Random
from typing import Any, Protocol, TypeAlias

import anyio
import attrs
from anyio.abc import TaskGroup

from orchestrator_core._announcer import Announcer
from orchestrator_core._clock import Clock
from orchestrator_core._contracts import Input, Journal, Process
from orchestrator_core._dispatcher import Dispatcher
from orchestrator_core._errors import ConfigurationError, JournalBrokenError, JournalUnavailableError
from orchestrator_core._event import Event, Operation
from orchestrator_core._lease import LEASE_SECONDS, LeaseKeeper
from orchestrator_core._pipeline import ProcessOptions
from orchestrator_core._plan import Plan
from orchestrator_core._station import Station
from orchestrator_core._summary import Tally
from orchestrator_core._supervised import Intake, Supervised
from orchestrator_core._supervisor import Supervisor

_LOG = logging.getLogger("orchestrator_core")

_HOUSEKEEPING_SECONDS = 60.0
_BEAT_SECONDS = 0.5
_LOOK_SECONDS = 0.5

Inputs: TypeAlias = Mapping[str, tuple[Input, frozenset[Operation] | None]]
Processes: TypeAlias = Mapping[str, tuple[Process, ProcessOptions]]


@attrs.frozen
class Opened:
    """Components that were entered, and have no work yet."""

    inputs: Sequence[Supervised]
    processes: Sequence[Station]


class Host(Intake, Protocol):
    """What a run belongs to."""

    def route(self, trigger: str, event: Event) -> tuple[Event, Plan]:
        """Stamp an event as accepted from that trigger, and plan where it goes."""


class Run:
    """One call of `Orchestrator.run`: the parts that live as long as it does.

    Args:
        host: where events are accepted, and said where they go.
        journal: the ledger, open.
        concurrency: how many attempts may run at once.
        clock: the time.
        rng: source of the retry jitter and of this worker's id.
        announcer: told what happens.
        tally: counts it.
        grace: how many seconds running attempts may go on after `stop`.
        keep_done: how many seconds finished events stay in the journal.
        until_idle: whether to end when there is nothing left to do.

    Attributes:
        worker: the id under which it is registered in the journal.
        is_started: whether it works already.
        parked: deliveries that wait for a process that is not in the pipeline.
    """

    def __init__(
        self,
        host: Host,
        journal: Journal,
        *,
        concurrency: int,
        clock: Clock,
        rng: Random,
        announcer: Announcer,
        tally: Tally,
        grace: float,
        keep_done: float,
        until_idle: bool,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._announcer = announcer
        self._grace = grace
        self._keep_done = keep_done
        self._until_idle = until_idle
        self._processes: frozenset[str] = frozenset()
        self._clean_at = clock.monotonic() + _HOUSEKEEPING_SECONDS
        self._change = anyio.Event()
        self._working = anyio.Event()
        self._stopping = anyio.Event()
        self._tasks = anyio.create_task_group()
        self._looked_at = -inf
        self._must_park = False
        self._is_broken = False
        self._is_ending = False
        self.is_started = False
        self.parked = 0
        self.worker = f"{rng.getrandbits(128):032x}"
        self.dispatcher = Dispatcher(
            journal,
            self.worker,
            concurrency=concurrency,
            clock=clock,
            rng=rng,
            route=host.route,
            announcer=announcer,
            tally=tally,
            on_change=self._on_change,
        )
        self.supervisor = Supervisor(clock=clock, intake=host, announcer=announcer, on_change=self._on_change)
        self._lease = LeaseKeeper(journal, self.worker, clock, lambda: self.dispatcher.newest_process)

    async def go(self, inputs: Inputs, processes: Processes) -> None:
        """Take over what an earlier run left, then work until stopped."""
        now = self._clock.time()
        await self._journal.register(self.worker, now=now, lease=LEASE_SECONDS)
        await self._journal.reap(now=now)
        try:
            async with self._tasks as tasks:
                try:
                    await self._work(tasks, inputs, processes)
                finally:
                    self._is_ending = True
        finally:
            self._stopping.set()
            self._working.set()
            self._lease.stop()

    async def _work(self, tasks: TaskGroup, inputs: Inputs, processes: Processes) -> None:
        self.is_started = True  # from here on, nodes are added and removed through this object
        self._processes = frozenset(processes)
        for name, (component, operations) in inputs.items():
            self.supervisor.add(name, component, operations)
        for name, (process, options) in processes.items():
            self.dispatcher.roster.add(name, process, options)
        await self._park()
        self._lease.start()
        await tasks.start(self.dispatcher.run)
        await tasks.start(self.supervisor.run)
        self._working.set()
        tasks.start_soon(self._keep_house)
        if self._until_idle:
            tasks.start_soon(self._stop_when_idle)
        await self._stopping.wait()
        await self.supervisor.stop()
        await self.dispatcher.drain(self._grace)
        tasks.cancel_scope.cancel()

    def stop(self) -> None:
        """Drain; called once more, cut off what runs."""
        if self._stopping.is_set():
            self._tasks.cancel_scope.cancel()
        self._stopping.set()

    def break_off(self, error: JournalBrokenError) -> None:
        """End the run with this error."""
        if not self._is_broken:
            self._is_broken = self.spawn(self._raise, error)

    @staticmethod
    async def _raise(error: JournalBrokenError) -> None:
        raise error

    def spawn(self, call: Callable[[Any], Coroutine[Any, Any, None]], value: Any) -> bool:  # noqa: ANN401 (the call's own)
        """Start a task that ends with the run; ``False`` before the run has begun, and from its end on."""
        if not self.is_started or self._is_ending:
            return False
        self._tasks.start_soon(call, value)
        return True

    def add_process(self, name: str, process: Process, options: ProcessOptions) -> None:
        """Take up a process, and what was parked for it."""
        self._processes |= {name}
        self.dispatcher.roster.add(name, process, options)
        self._tasks.start_soon(self._unpark, [name])

    async def _unpark(self, names: Sequence[str]) -> None:
        await self._park()
        self.dispatcher.wake(names)

    @asynccontextmanager
    async def opened(self, inputs: Inputs, processes: Processes) -> AsyncIterator[Opened]:
        """Enter what is to be added; what the block does not hand to `take_over` is left again.

        Raises:
            ConfigurationError: a component can't be entered, or the run is at its end.
        """
        await self._working.wait()
        try:
            opened = Opened(
                [await self.supervisor.open(name, *each) for name, each in inputs.items()],
                [await self.dispatcher.roster.open(name, *each) for name, each in processes.items()],
            )
            self.refuse_at_the_end()
            yield opened
        finally:
            self.supervisor.dismiss()
            self.dispatcher.roster.dismiss()

    def refuse_at_the_end(self) -> None:
        """Raise a `ConfigurationError` if the run takes no other parts any more."""
        if self._stopping.is_set() or self._is_ending:
            raise ConfigurationError("the pipeline is stopping: it takes no other configuration any more")

    def take_over(self, opened: Opened, old_processes: Iterable[str]) -> None:
        """Let what was opened work, instead of these processes; in one step, so that no event finds half of it."""
        for name in old_processes:
            self._processes -= {name}
            self.dispatcher.remove(name)
        for station in opened.processes:
            self._processes |= {station.name}
            self.dispatcher.roster.take_over(station)
        for supervised in opened.inputs:
            self.supervisor.take_over(supervised)
        if not self._stopping.is_set():
            self._tasks.start_soon(self._unpark, [station.name for station in opened.processes])

    def adjust(self, *, concurrency: int, grace: float, keep_done: float) -> None:
        """Go on with other settings; see `Run`."""
        self._grace, self._keep_done = grace, keep_done
        self.dispatcher.resize(concurrency)

    def remove_process(self, name: str) -> None:
        """Give up a process, and park what waits for it."""
        self._processes -= {name}
        self.dispatcher.remove(name)
        self._tasks.start_soon(self._park)

    async def _park(self) -> None:
        """Park what waits for a process that is not in the pipeline, and unpark what its process is back for."""
        try:
            self.parked = await self._journal.park(self._processes)
        except JournalUnavailableError:
            self._must_park = True  # with the next beat, then
            return
        if self._must_park:
            self._must_park = False
            self.dispatcher.wake()  # nobody has looked yet for what was unparked only now

    def _on_change(self) -> None:
        if self.dispatcher.is_quiet:  # before that, nobody need look whether the end has come
            self._change.set()

    async def _stop_when_idle(self) -> None:
        while not await self._is_idle():
            if self.dispatcher.is_quiet:
                self.supervisor.nudge()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._cancel_after, _LOOK_SECONDS, tasks.cancel_scope)
                await self._change.wait()
                tasks.cancel_scope.cancel()
            self._change = anyio.Event()
        self._stopping.set()

    async def _cancel_after(self, seconds: float, scope: anyio.CancelScope) -> None:
        await self._clock.sleep(seconds)
        scope.cancel()

    async def _is_idle(self) -> bool:
        if not self._seems_idle():
            return False
        try:
            is_idle = await self._journal.is_idle()
        except JournalUnavailableError:
            return False
        if not is_idle:
            await self._look_again()
            return False
        return self._seems_idle()

    async def _look_again(self) -> None:
        """Look for what is left in the journal: it may belong to nobody. A look is news by itself, so not each time."""
        now = self._clock.monotonic()
        if now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            await self._park()
            self.dispatcher.wake()

    def _seems_idle(self) -> bool:
        return self.dispatcher.is_quiet and not self.dispatcher.has_backlog and self.supervisor.have_caught_up()

    async def _keep_house(self) -> None:
        """Tell the lease keeper that the loop is alive, and clean up from time to time."""
        while True:
            await self._clock.sleep(_BEAT_SECONDS)
            if (block := self._lease.beat()) is not None:
                self._announcer.tell(block)
            if self._lease.is_lost:
                raise JournalBrokenError("this worker's lease was lost: another one has taken over; start again")
            if self._must_park:
                await self._park()
            if self._clock.monotonic() >= self._clean_at:
                await self._clean_up()

    async def _clean_up(self) -> None:
        """Take a batch of old events out of the journal; once none is left, rest until the next time."""
        try:
            if await self._journal.prune(before=self._clock.time() - self._keep_done) > 0:
                return
        except JournalUnavailableError as error:
            _LOG.warning("the journal is unavailable, cleaning up later: %s", error)
        self._clean_at = self._clock.monotonic() + _HOUSEKEEPING_SECONDS
        await self._park()
