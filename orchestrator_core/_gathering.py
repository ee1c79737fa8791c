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


class _Group:
    """What goes into one append, and what came of it."""

    def __init__(self, entries: Entries = (), checkpoint: Checkpoint | None = None) -> None:
        self.entries = list(entries)
        self.checkpoint = checkpoint
        self.appended: Appended | None = None
        self.error: Exception | None = None
        self.through = anyio.Event()


class Gathering:
    """Lets callers that emit single events share the work that a batch does once.

    Each append runs in a task of the run's own, so that no caller who is cancelled takes along what the journal hands
    over. That task gives way once before it appends, so that everybody who is about to emit joins. If the append of
    several fails, each of them appends for itself and finds its own error.

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
        if checkpoint is None and len(entries) < _MANY:
            group, first = self._open, 0
            if group is None:
                group = self._open = _Group(entries)
                await self._see_through(group)
            else:
                first = len(group.entries)
                group.entries += entries
                await group.through.wait()
            if group.appended is not None:
                return group.appended.events[first : first + len(entries)]
            if len(group.entries) == len(entries):
                return self._events(group)
        group = _Group(entries, checkpoint)
        await self._see_through(group)
        return self._events(group)

    @staticmethod
    def _events(group: _Group) -> Sequence[Event]:
        if group.error is not None:
            raise group.error
        if group.appended is None:
            raise JournalUnavailableError("the run has ended meanwhile")
        return group.appended.events

    async def _see_through(self, group: _Group) -> None:
        if self._spawn(self._carry, group):
            await group.through.wait()
        else:
            await self._carry(group)

    async def _carry(self, group: _Group) -> None:
        try:
            if self._open is group:
                await anyio.lowlevel.checkpoint()
                self._open = None
            group.appended = await self._append(group.entries, group.checkpoint)
        # The border between a task and those who wait for it: what it raises is theirs.
        except Exception as error:  # noqa: BLE001
            group.error = error
        finally:
            if self._open is group:
                self._open = None
            group.through.set()
