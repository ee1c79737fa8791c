"""`Gathering`: brings events to the journal, those that many callers emit at the same time in one append."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeAlias

import anyio
import anyio.lowlevel

from orchestrator_core._contracts import Appended
from orchestrator_core._errors import JournalUnavailableError
from orchestrator_core._event import Event
from orchestrator_core._json import JSON
from orchestrator_core._plan import Plan

Entries: TypeAlias = Sequence[tuple[Event, Plan]]
Checkpoint: TypeAlias = tuple[str, JSON]

_MANY = 32
"""From so many events on, a caller has a batch of its own already."""


class Append(Protocol):
    """Takes events with their plans, and an input's checkpoint, into the journal."""

    def __call__(self, entries: Entries, checkpoint: Checkpoint | None, /) -> Awaitable[Appended]: ...


class _Part:
    """One caller's events in a group."""

    def __init__(self, entries: Entries) -> None:
        self.entries = entries
        self.first = 0


class _Group:
    """What goes into one append, and what came of it. Until it is closed, callers join it and may leave it again."""

    def __init__(self, part: _Part, checkpoint: Checkpoint | None = None) -> None:
        self.parts = [part]
        self.checkpoint = checkpoint
        self.is_closed = False
        self.appended: Appended | None = None
        self.error: Exception | None = None
        self.through = anyio.Event()

    def close(self) -> Entries:
        """Let nobody join or leave any more; return the events of all."""
        self.is_closed = True
        entries: list[tuple[Event, Plan]] = []
        for part in self.parts:
            part.first = len(entries)
            entries += part.entries
        return entries

    def result(self, part: _Part) -> Sequence[Event]:
        """Return one caller's events as the journal has them, or raise what was in the way."""
        if self.error is not None:
            raise self.error
        if self.appended is None:
            raise JournalUnavailableError("the run has ended meanwhile")
        return self.appended.events[part.first : part.first + len(part.entries)]


class Gathering:
    """Lets callers that emit single events share the work that a batch does once.

    Each append runs in a task of the run's own, so that no caller who is cancelled takes along what the journal hands
    over. By the time that task begins, everybody who is about to emit has joined. If the append of several fails, each
    of them appends for itself and finds its own error.

    Args:
        append: how events get into the journal.
        spawn: starts a task of the run's own; ``False`` if there is no run.
    """

    def __init__(
        self, append: Append, spawn: Callable[[Callable[[Any], Coroutine[Any, Any, None]], Any], bool]
    ) -> None:
        self._append = append
        self._spawn = spawn
        self._open: _Group | None = None

    async def append(self, entries: Entries, checkpoint: Checkpoint | None = None) -> Sequence[Event]:
        """Take events into the journal; return them as it has them."""
        await anyio.lowlevel.checkpoint_if_cancelled()  # who is cancelled already must not leave events behind
        part = _Part(entries)
        if checkpoint is None and len(entries) < _MANY:
            group = self._open
            if group is None:
                group = self._open = _Group(part)
                await self._see_through(group, part)
            else:
                group.parts.append(part)
                await self._wait(group, part)
            if group.appended is not None or len(group.parts) == 1:
                return group.result(part)
        group = _Group(part, checkpoint)
        await self._see_through(group, part)
        return group.result(part)

    async def _see_through(self, group: _Group, part: _Part) -> None:
        if self._spawn(self._carry, group):
            await self._wait(group, part)
        else:
            await self._carry(group, pause=True)

    async def _wait(self, group: _Group, part: _Part) -> None:
        try:
            await group.through.wait()
        except anyio.get_cancelled_exc_class():
            if not group.is_closed:
                group.parts.remove(part)
            raise

    async def _carry(self, group: _Group, *, pause: bool = False) -> None:
        try:
            if pause:
                await anyio.lowlevel.checkpoint()
            if self._open is group:
                self._open = None
            entries = group.close()
            if group.parts:
                group.appended = await self._append(entries, group.checkpoint)
        # The border between a task and those who wait for it: what it raises is theirs.
        except Exception as error:  # noqa: BLE001
            group.error = error
        finally:
            if self._open is group:
                self._open = None
            group.through.set()
