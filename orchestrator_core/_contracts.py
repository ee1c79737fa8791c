"""The contracts between the engine and its parts: `Input`, `Process`, `Journal`, and the contexts they are handed."""

from __future__ import annotations

import enum
import logging
from collections.abc import Awaitable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol, Self, TypeAlias, runtime_checkable

import attrs

from orchestrator_core._delivery import Delivery, DeliveryState, Transition
from orchestrator_core._event import Event
from orchestrator_core._json import JSON
from orchestrator_core._plan import Plan


class ProcessExitStatus(enum.Enum):
    """How a run of a process ended."""

    UNKNOWN = "unknown"
    UNSTARTED = "unstarted"
    SUCCESS = "success"
    FAIL = "fail"


@attrs.frozen
class ProcessStatus:
    """What a process may return; ``None`` means success.

    Attributes:
        name: the process's own name for itself, shown with its logs.
        logs: lines to keep with the attempt, besides those given to `AttemptContext.log`.
        status: anything but `ProcessExitStatus.SUCCESS` is a failure.
        output: a JSON value for the processes downstream.
    """

    name: str = ""
    logs: Sequence[str] = ()
    status: ProcessExitStatus = ProcessExitStatus.SUCCESS
    output: JSON = None


class Reconciliation(enum.Enum):
    """What became of an attempt that was cut off.

    What is ``running`` is asked about again every second, within the time-out. After ``unknown`` it runs again.
    """

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


class InputContext(Protocol):
    """What an input is handed, once for each `Input.run`."""

    @property
    def name(self) -> str:
        """The input's name in the pipeline."""

    @property
    def log(self) -> logging.Logger:
        """A logger of the input's own."""

    async def emit(self, event: Event) -> Event:
        """Hand over one event; return it as accepted. See `emit_many`."""

    async def emit_many(self, events: Sequence[Event], *, checkpoint: JSON = None) -> Sequence[Event]:
        """Hand over events; return once they are **accepted**: the journal has committed all of them.

        This is the acknowledgement, so acknowledge the source after it, never before. It waits while the journal is
        behind: that is the back-pressure. May be called again with the same events: each (trigger, uid) is accepted
        once. The data is copied, so the caller may use its lists and objects again.

        Args:
            events: the events; an empty sequence stores the checkpoint alone.
            checkpoint: a JSON value stored in the same transaction, for `load_checkpoint`. ``None`` stores nothing.

        Returns:
            The events as the journal has them. Where an event was accepted before, that first event stands in its
            place, so a caller sees whether the content differs.

        Raises:
            EventError: an event can't be accepted; none of them was.
            JournalError: the journal did not commit; none of them was accepted, or, after a lost reply, the same call
                finds them accepted.
        """

    async def load_checkpoint(self) -> JSON:
        """Return the newest checkpoint of this input, ``None`` before the first."""

    def ready(self) -> None:
        """Say "listening now": what happens at the source from here on will be seen."""

    def caught_up(self) -> None:
        """Say, after a look that found nothing, that the source has no more just now.

        An input without an end calls this after each such look; a run until idle ends when every input has.
        """

    async def sleep(self, seconds: float) -> None:
        """Wait between two looks at the source; returns early when the engine wants a fresh look.

        Use it for polling, so that a run until idle need not wait for the next poll.
        """

    def healthy(self, problem: str | None = None) -> None:
        """Report a problem that does not stop the input, or with ``None`` that there is none any more."""

    def measure(self, name: str, value: float, **labels: str) -> None:
        """Report a figure to the observers."""


@runtime_checkable
class Input(Protocol):
    """A long-running source of events.

    The engine calls `run` once in a task of its own when the pipeline runs, and again after an exception, with a
    growing delay. It may be cancelled at any ``await``; what was not accepted by then must still be at the source.

    An input may also be an async context manager: entered once before the first `run`, left last, both in one task, so
    it may hold a task group open. A reload enters a changed input before it leaves the old one: what only one can have,
    such as a port, belongs into `run`. An input may have ``async check() -> None``, which raises if the source can't be
    reached (``orchestrator check --connect``).
    """

    async def run(self, context: InputContext) -> None:
        """Listen to the source and emit its events. Returning means that the source has ended, which is normal."""


class AttemptContext(Protocol):
    """What a process is handed, once for each attempt."""

    @property
    def delivery_id(self) -> str:
        """Stable over attempts, unique over journals: the idempotency key."""

    @property
    def attempt(self) -> int:
        """Number of this attempt, from 1; with `Process.reconcile`, of the attempt that is asked about."""

    @property
    def deadline(self) -> float:
        """When the attempt is cut off, in seconds since 1970 UTC."""

    @property
    def process(self) -> str:
        """The process's name in the pipeline."""

    @property
    def outputs(self) -> Mapping[str, JSON]:
        """What the upstream processes returned, by their names."""

    def log(self, line: str) -> None:
        """Keep a line with the attempt, even if it fails, crashes or is cut off; the size is capped."""

    def emit(self, event: Event) -> None:
        """Emit a derived event: accepted in the same transaction as the attempt's success, else dropped.

        Raises:
            HopLimitError: the event has been derived too many times; the attempt becomes a dead letter.
            FanOutLimitError: the attempt has emitted too many.
        """


@runtime_checkable
class Process(Protocol):
    """A job that runs once for one event.

    The engine calls `run` for each attempt, several at a time. Whatever it raises ends the attempt: `Reject` makes a
    dead letter now, `RetryLater` postpones, any other exception is a failure and retried by policy. It is cancelled at
    its time-out and, after the grace, when the engine stops.

    A process may also be an async context manager (entered once before its first attempt, left last, both in one task),
    may have ``async check() -> None``, and may have
    ``async reconcile(event, context) -> Reconciliation | ProcessStatus``: asked after a crash what became of the
    attempt that was cut off, before the engine runs it again.

    A process that leaves something outside which must stay until the outcome of its attempt is recorded may have
    ``attach(name: str, journal: JournalReader) -> None``: called once before it is entered, so that it can ask the
    journal and clean up.
    """

    async def run(self, event: Event, context: AttemptContext) -> ProcessStatus | None:
        """Do the job. What this does to the event's data in place, no other process, attempt or condition sees."""


@attrs.define(eq=False)
class Claim:
    """A delivery that this worker may run now.

    Attributes:
        delivery: the ledger row, its attempt number already counted up.
        event: its event.
        plan: where the event goes.
        step: which step of the plan the delivery is.
        row: the journal's own number for the delivery, if it wants one back.
        outputs: what its upstream processes returned, by their names.
    """

    delivery: Delivery
    event: Event
    plan: Plan
    step: int
    row: int = 0
    outputs: Mapping[str, JSON] = MappingProxyType({})


@attrs.define(eq=False)
class Settlement:
    """The outcome of one attempt, as the journal is to record it.

    Attributes:
        claim: what was claimed; the journal writes only if delivery, attempt and owner still agree.
        transition: the delivery's next state.
        started_at: when the attempt started, in seconds since 1970 UTC.
        logs: the attempt's log.
        events: derived events with their plans, accepted in the same transaction.
    """

    claim: Claim
    transition: Transition
    started_at: float = 0.0
    logs: Sequence[str] = ()
    events: Sequence[tuple[Event, Plan]] = ()


@attrs.frozen
class Appended:
    """What an append came to.

    Attributes:
        events: the events as the journal has them; the first one where an event was accepted before.
        fresh: by event, whether it was accepted now.
        claims: deliveries handed straight to the worker that asked for them, those that were ready before first.
        left: processes that have ready deliveries which were not handed over: of these events, and of those from before
            where there were slots.
    """

    events: Sequence[Event]
    fresh: Sequence[bool]
    claims: Sequence[Claim] = ()
    left: frozenset[str] = frozenset()


@attrs.frozen
class Claimed:
    """What a claim came to.

    Attributes:
        claims: the deliveries, oldest due first for each process.
        next_due: when the next delivery of the processes asked for is due, if none that was due is left.
    """

    claims: Sequence[Claim] = ()
    next_due: float | None = None


@attrs.frozen
class Settled:
    """What a settle came to.

    Attributes:
        late: ids of deliveries that belong to another attempt by now; their outcome was recorded as late and dropped.
        woken: names of processes that have deliveries ready because of this settle.
        claims: deliveries handed to the worker in the same transaction.
        next_due: as in `Claimed`.
        accepted: the events that the attempts had emitted and their plans, without those known before.
    """

    late: Sequence[str] = ()
    woken: frozenset[str] = frozenset()
    claims: Sequence[Claim] = ()
    next_due: float | None = None
    accepted: Sequence[tuple[Event, Plan]] = ()


@attrs.frozen
class Attempt:
    """One entry of a delivery's history.

    Attributes:
        number: the attempt's number.
        state: what it came to: ``done``, ``dead``, ``ready`` (tried again), ``running`` (not settled yet) or ``late``.
        reason: why, unless it succeeded.
        started_at: seconds since 1970 UTC.
        settled_at: seconds since 1970 UTC; ``None`` if it never was.
        logs: its log.
    """

    number: int
    state: str
    reason: str | None = None
    started_at: float | None = None
    settled_at: float | None = None
    logs: Sequence[str] = ()


@attrs.frozen
class EventRecord:
    """An event as the journal keeps it.

    Attributes:
        event: the event.
        accepted_at: seconds since 1970 UTC.
        plan: where it goes; a plan without steps means that it was unrouted.
    """

    event: Event
    accepted_at: float
    plan: Plan


@attrs.frozen
class Counts:
    """How much the journal holds.

    Attributes:
        events: accepted events.
        unrouted: accepted events that matched no process.
        deliveries: how many deliveries, by process and state.
    """

    events: int
    unrouted: int
    deliveries: Mapping[str, Mapping[DeliveryState, int]]


@attrs.frozen(kw_only=True)
class DeliveryQuery:
    """Which deliveries to read, redrive or cancel; what is not given does not narrow.

    Attributes:
        ids: exactly these.
        states: in one of these states.
        process: of this process.
        event_uid: of this event.
        limit: at most so many.
        newest_first: order by age.
    """

    ids: Sequence[str] | None = None
    states: frozenset[DeliveryState] | None = None
    process: str | None = None
    event_uid: str | None = None
    limit: int = 1_000
    newest_first: bool = False


Slots: TypeAlias = Mapping[str, int]
"""How many deliveries a worker can take, by process."""


class JournalReader(Protocol):
    """Reads of a journal; they never wait for writers and never change anything."""

    async def counts(self) -> Counts:
        """Return how much the journal holds."""

    async def events(
        self, *, trigger: str | None = None, limit: int = 1_000, newest_first: bool = False
    ) -> Sequence[EventRecord]:
        """Return events in accept order."""

    async def event(self, uid: str, *, trigger: str | None = None) -> EventRecord:
        """Return the event with that uid; the newest, if several triggers used it.

        Raises:
            NotFoundError: there is none.
        """

    async def deliveries(self, query: DeliveryQuery) -> Sequence[Delivery]:
        """Return deliveries in accept order."""

    async def attempts(self, delivery_id: str) -> Sequence[Attempt]:
        """Return the history of a delivery, oldest attempt first.

        Raises:
            NotFoundError: there is no such delivery.
        """

    async def derived(self, uid: str) -> Sequence[EventRecord]:
        """Return the events that the deliveries of an event emitted."""

    async def load_checkpoint(self, input: str) -> JSON:  # noqa: A002
        """Return the newest checkpoint of an input, ``None`` before the first."""


@runtime_checkable
class Journal(JournalReader, Protocol):
    """The durable store of events and deliveries. Every method is one atomic step.

    A journal is an async context manager. Time is passed in (`now`, seconds since 1970 UTC), never read. Methods may be
    called from several tasks at a time; what waits may share one transaction. Cancellation never leaves half a step.
    `orchestrator_core.testing.JournalContract` states all of this as tests.

    Raises (every method):
        JournalUnavailableError: busy, full or away; nothing was written.
        JournalBrokenError: the store is not to be trusted any more; the engine ends the run.
    """

    async def __aenter__(self) -> Self:
        """Open the store, and lock it for one runner where it can have only one."""

    async def __aexit__(self, *exc_info: object) -> bool | None:
        """Close the store."""

    async def register(self, worker: str, *, now: float, lease: float) -> None:
        """Announce a worker under an id used once; its lease runs out `lease` seconds from `now` unless renewed."""

    def renew(self, worker: str, *, now: float, lease: float) -> bool:
        """Extend the lease; ``False`` if it was lost. Called from a thread of its own: no blocked loop loses it.

        Lost is what was reaped. One that ran out and was not, on a machine that was suspended for example, goes on.
        """

    async def reap(self, *, now: float) -> int:
        """Make the running deliveries of workers without a lease ready again, as interrupted; return how many."""

    async def append(
        self,
        entries: Sequence[tuple[Event, Plan]],
        *,
        now: float,
        checkpoint: tuple[str, JSON] | None = None,
        worker: str | None = None,
        slots: Slots | None = None,
    ) -> Appended:
        """Accept events with their plans: all of them or none.

        Args:
            entries: stamped events (`Event.accepted_as`) and where they go. Of one (trigger, uid) the first counts.
            now: seconds since 1970 UTC.
            checkpoint: input and value, stored in the same step.
            worker: who may be handed deliveries straight away.
            slots: how many, by process. Deliveries that were ready and due before go first, so that nobody overtakes
                a backlog; ready deliveries beyond the slots stay in the journal.
        """

    async def claim(self, worker: str, slots: Slots, *, now: float) -> Claimed:
        """Take due deliveries for a worker: oldest due first, for an ordered step only the head of its key."""

    async def settle(
        self, worker: str, settlements: Sequence[Settlement], *, now: float, slots: Slots | None = None
    ) -> Settled:
        """Record outcomes, derived events and what they make of waiting deliveries; then claim into `slots`.

        Each outcome is written only if its delivery is still running this attempt for this worker. Otherwise the
        outcome is kept in the history as late, and dropped.
        """

    async def log(self, worker: str, lines: Sequence[tuple[Claim, Sequence[str]]]) -> None:
        """Keep log lines of attempts that are still running; `settle` brings only those that were not kept yet."""

    async def park(self, processes: frozenset[str]) -> int:
        """Park ready deliveries whose process is not among these, unpark those whose is; return how many are parked."""

    async def redrive(self, query: DeliveryQuery, *, now: float) -> int:
        """Make dead letters ready again with fresh counts, let what they had skipped wait again; return how many."""

    async def cancel(self, query: DeliveryQuery, *, reason: str, now: float) -> int:
        """Cancel deliveries that are not running and not finished, and dead letters (discard); return how many."""

    async def prune(self, *, before: float, limit: int = 1_000) -> int:
        """Delete events settled before that moment, but none with unfinished or dead deliveries; return how many."""

    async def is_idle(self) -> bool:
        """Tell whether no delivery is ready, now or later, and free to go on.

        What is running, a runner knows itself. What waits comes after one of these, or else needs somebody: the process
        of a parked delivery, or whoever redrives a dead letter that holds back its key.
        """

    async def changed(self) -> bool:
        """Tell whether somebody else has written since the last call, or redriven or cancelled through this object."""


class Checked(Protocol):
    """A component that can tell whether its surroundings are in order."""

    def check(self) -> Awaitable[None]:
        """Raise if they are not."""


def lacks_run(component: Any) -> bool:  # noqa: ANN401 (whatever a user passed)
    """Tell whether an object has no ``run`` to call, and so is neither an input nor a process."""
    return not callable(getattr(component, "run", None))
