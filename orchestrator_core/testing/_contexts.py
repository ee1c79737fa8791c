"""What the engine hands to a component, for tests without an engine: `FakeInputContext` and `FakeAttemptContext`."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import anyio
import anyio.lowlevel
import attrs

from orchestrator_core._clock import Clock
from orchestrator_core._errors import FanOutLimitError, HopLimitError
from orchestrator_core._event import HOP_LIMIT, Event
from orchestrator_core._json import JSON
from orchestrator_core._notices import Measured
from orchestrator_core.testing._changes import Changes


@attrs.frozen
class _Failure:
    error: Exception
    committed: bool


class Accepted:
    """The accepted events as a stream: each ``anext`` returns the next one, as soon as there is one."""

    def __init__(self, events: Sequence[Event], changes: Changes) -> None:
        self._events = events
        self._changes = changes
        self._seen = 0

    def __aiter__(self) -> Accepted:
        return self

    async def __anext__(self) -> Event:
        await self._changes.until(lambda: len(self._events) > self._seen)
        self._seen += 1
        return self._events[self._seen - 1]


class FakeInputContext:
    """An `InputContext` that accepts events as the engine does, into a list.

    Run the input in a task group and wait for what it emits, never for time to pass::

        context = FakeInputContext()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(component.run, context)
            with anyio.fail_after(5):
                event = await anext(context.accepted)
            tasks.cancel_scope.cancel()

    Attributes:
        name: the input's name in the pipeline.
        log: a logger of the input's own.
        events: the accepted events, each (trigger, uid) once.
        accepted: the same as a stream to wait at.
        checkpoints: the checkpoints, oldest first; put one in to have the input start from it.
        is_ready: whether the input has said that it listens.
        looks: how often it has said that it has caught up.
        problem: what it has last reported as its health; ``None`` for healthy.
        measured: the figures it has reported.
    """

    def __init__(self, name: str = "input", *, clock: Clock | None = None) -> None:
        self.name = name
        self.log = logging.getLogger(f"orchestrator.inputs.{name}")
        self.events: list[Event] = []
        self.checkpoints: list[JSON] = []
        self.is_ready = False
        self.looks = 0
        self.problem: str | None = None
        self.measured: list[Measured] = []
        self._clock = clock
        self._changes = Changes()
        self._fresh_look = Changes()
        self._asked = False
        self._failures: deque[_Failure] = deque()
        self._held = False
        self._first: dict[str, Event] = {}
        self.accepted = Accepted(self.events, self._changes)

    def fail(self, error: Exception, *, committed: bool = False) -> None:
        """Let the next emit that is not scripted yet raise this error.

        Args:
            error: for example ``JournalUnavailableError("full")``.
            committed: whether the events are accepted all the same, and only the reply is lost.
        """
        self._failures.append(_Failure(error, committed))

    def hold(self) -> None:
        """Make emits wait, as they do while the journal is behind, until `release`."""
        self._held = True

    def release(self) -> None:
        """Let waiting emits go on."""
        self._held = False
        self._changes.notify()

    def ask_for_a_look(self) -> None:
        """End the current `sleep` of the input at once, or else its next one, as the engine does for a fresh look."""
        self._asked = True
        self._fresh_look.notify()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until a condition on this context holds, for example ``lambda: context.is_ready``."""
        await self._changes.until(true)

    async def emit(self, event: Event) -> Event:
        """Accept one event; see `InputContext.emit`."""
        (accepted,) = await self.emit_many([event])
        return accepted

    async def emit_many(self, events: Sequence[Event], *, checkpoint: JSON = None) -> Sequence[Event]:
        """Accept events; see `InputContext.emit_many`."""
        await anyio.lowlevel.checkpoint()
        await self._changes.until(lambda: not self._held)
        stamped = [event.accepted_as(self.name) for event in events]
        for event in stamped:
            event.to_json()  # what is not JSON is refused here, before any of them is accepted
        failure = self._failures.popleft() if self._failures else None
        if failure is not None and not failure.committed:
            raise failure.error
        accepted = [self._accept(event) for event in stamped]
        if checkpoint is not None:
            self.checkpoints.append(checkpoint)
        self._changes.notify()
        if failure is not None:
            raise failure.error
        return accepted

    def _accept(self, event: Event) -> Event:
        if event.uid not in self._first:
            self._first[event.uid] = event
            self.events.append(event)
        return self._first[event.uid]

    async def load_checkpoint(self) -> JSON:
        """Return the newest checkpoint, ``None`` before the first."""
        await anyio.lowlevel.checkpoint()
        return self.checkpoints[-1] if self.checkpoints else None

    def ready(self) -> None:
        """Note that the input listens."""
        self.is_ready = True
        self._changes.notify()

    def caught_up(self) -> None:
        """Note that the input has found nothing more."""
        self.looks += 1
        self._changes.notify()

    async def sleep(self, seconds: float) -> None:
        """Wait for `ask_for_a_look`, or for the clock if the context was given one."""
        async with anyio.create_task_group() as tasks:
            if self._clock is not None:
                tasks.start_soon(self._ring, self._clock, seconds)
            await self._fresh_look.until(lambda: self._asked)
            tasks.cancel_scope.cancel()
        self._asked = False

    async def _ring(self, clock: Clock, seconds: float) -> None:
        await clock.sleep(seconds)
        self.ask_for_a_look()

    def healthy(self, problem: str | None = None) -> None:
        """Note the input's health."""
        self.problem = problem
        self._changes.notify()

    def measure(self, name: str, value: float, **labels: str) -> None:
        """Note a figure."""
        self.measured.append(Measured(self.name, name, value, labels))
        self._changes.notify()


@attrs.define(kw_only=True)
class FakeAttemptContext:
    """An `AttemptContext` that keeps what a process logs and emits.

    >>> context = FakeAttemptContext(attempt=2, outputs={"clean": {"rows": 3}})
    >>> context.log("started")
    >>> context.lines
    ['started']

    Attributes:
        delivery_id: the idempotency key; give two contexts the same one to play a second attempt.
        attempt: number of the attempt.
        deadline: when the engine would cut the attempt off, in seconds since 1970 UTC; the fake never does.
        process: the process's name in the pipeline.
        outputs: what the upstream processes returned, by their names.
        fan_out_limit: how many events the attempt may emit.
        lines: what was logged.
        emitted: the derived events.
    """

    delivery_id: str = "delivery-1"
    attempt: int = 1
    deadline: float = 4_102_444_800.0
    process: str = "process"
    outputs: Mapping[str, JSON] = attrs.field(factory=dict)
    fan_out_limit: int = 10_000
    lines: list[str] = attrs.field(factory=list)
    emitted: list[Event] = attrs.field(factory=list)

    def log(self, line: str) -> None:
        """Keep a line; text with line breaks is several lines."""
        self.lines.extend(str(line).splitlines() or [""])

    def emit(self, event: Event) -> None:
        """Keep a derived event, within the engine's limits; see `AttemptContext.emit`."""
        if event.hops > HOP_LIMIT:
            raise HopLimitError(event.hops, HOP_LIMIT)
        if len(self.emitted) >= self.fan_out_limit:
            raise FanOutLimitError(len(self.emitted) + 1, self.fan_out_limit)
        self.emitted.append(event)
