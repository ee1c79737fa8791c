"""Components that do what a test tells them: `RecordingProcess`, `ScriptedProcess`, `ScriptedInput` and `Gate`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Self, TypeAlias

import anyio
import attrs

from orchestrator_core._contracts import AttemptContext, InputContext, ProcessStatus
from orchestrator_core._event import Event
from orchestrator_core._json import JSON
from orchestrator_core.testing._changes import Changes


class Gate:
    """A step of a script that waits until the test opens it.

    >>> gate = Gate()
    >>> gate.is_open
    False
    """

    def __init__(self) -> None:
        self._opened = anyio.Event()

    @property
    def is_open(self) -> bool:
        """Whether it lets through."""
        return self._opened.is_set()

    def open(self) -> None:
        """Let through whoever waits, now and from now on."""
        self._opened.set()

    async def __call__(self, *_: object) -> None:
        """Wait until it is open."""
        await self._opened.wait()


@attrs.frozen
class Run:
    """One run that a process has begun.

    Attributes:
        event: the event.
        delivery_id: the idempotency key.
        attempt: number of the attempt.
        outputs: what the upstream processes returned.
    """

    event: Event
    delivery_id: str
    attempt: int
    outputs: Mapping[str, JSON]


class RecordingProcess:
    """A process that succeeds and remembers every run.

    Attributes:
        runs: every run so far, in the order in which they began.
        running: how many runs there are at the moment.
        most: the most runs that there ever were at one time.
        entered: how often the component was entered as a context manager; the engine does it once.
        left: how often it was left.
    """

    def __init__(self, output: JSON = None) -> None:
        self.runs: list[Run] = []
        self.running = 0
        self.most = 0
        self.entered = 0
        self.left = 0
        self._output = output
        self._changes = Changes()

    async def __aenter__(self) -> Self:
        self.entered += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self.left += 1

    async def run(self, event: Event, context: AttemptContext) -> ProcessStatus | None:
        """Remember the run, then do what `play` does."""
        self.runs.append(Run(event, context.delivery_id, context.attempt, dict(context.outputs)))
        self.running += 1
        self.most = max(self.most, self.running)
        self._changes.notify()
        try:
            return await self.play(event, context)
        finally:
            self.running -= 1
            self._changes.notify()

    async def play(self, event: Event, context: AttemptContext) -> ProcessStatus | None:  # noqa: ARG002 (for subclasses)
        """Succeed with the output it was given."""
        return None if self._output is None else ProcessStatus(output=self._output)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until a condition on this process holds, for example ``lambda: process.running == 2``."""
        await self._changes.until(true)


Play: TypeAlias = "None | ProcessStatus | Exception | Callable[[Event, AttemptContext], Awaitable[Any]]"
"""What one attempt comes to: returned, raised, or called and awaited."""


class ScriptedProcess(RecordingProcess):
    """A process whose attempts end as a script says; it remembers its runs as well.

    The first attempt of each delivery plays the first line, the second the second, and the last line repeats.

    >>> process = ScriptedProcess([OSError("no route to host"), None])  # fails once, then succeeds
    """

    def __init__(self, script: Sequence[Play]) -> None:
        super().__init__()
        self._script = script

    async def play(self, event: Event, context: AttemptContext) -> ProcessStatus | None:
        """Do what the script says for this attempt."""
        line = self._script[min(context.attempt, len(self._script)) - 1]
        if isinstance(line, Exception):
            raise line.with_traceback(None)  # raised many times, it would grow a traceback of all of them
        if line is None or isinstance(line, ProcessStatus):
            return line
        status: ProcessStatus | None = await line(event, context)
        return status


Cue: TypeAlias = "Event | Sequence[Event] | Exception | Callable[[InputContext], Awaitable[None]]"
"""What a scripted input does next: emit one event, emit many, raise, or call and await."""


class ScriptedInput:
    """An input that plays a script, and after an exception goes on behind the line that raised.

    Like a source that keeps its events, it counts a line as done only when `emit_many` has returned: what was not
    accepted is emitted again by the next `run`.

    Attributes:
        starts: how often `run` was called.
        position: how many lines are done.
    """

    def __init__(self, script: Sequence[Cue], *, endless: bool = False) -> None:
        self.starts = 0
        self.position = 0
        self._script = script
        self._endless = endless

    async def run(self, context: InputContext) -> None:
        """Play the script; then end, or with ``endless`` keep saying that there is nothing more."""
        self.starts += 1
        context.ready()
        while self.position < len(self._script):
            line = self._script[self.position]
            if isinstance(line, Exception):
                self.position += 1
                raise line
            await self._play(line, context)
            self.position += 1
        while self._endless:
            context.caught_up()
            await context.sleep(1.0)

    async def _play(
        self, line: Event | Sequence[Event] | Callable[[InputContext], Awaitable[None]], context: InputContext
    ) -> None:
        if isinstance(line, Event):
            await context.emit(line)
        elif isinstance(line, Sequence):
            await context.emit_many(line)
        else:
            await line(context)
