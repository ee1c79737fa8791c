"""`Gathering`: one append for the events that many callers emit at the same time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import anyio
import anyio.lowlevel

from orchestrator_core._contracts import Appended
from orchestrator_core._event import Event
from orchestrator_core._plan import Plan

Entries: TypeAlias = Sequence[tuple[Event, Plan]]

_MANY = 32
"""From so many events on, a caller has a batch of its own already."""


class _Group:
    """What goes into one append; `appended` stays ``None`` if that failed."""

    def __init__(self) -> None:
        self.entries: list[tuple[Event, Plan]] = []
        self.appended: Appended | None = None
        self.through = anyio.Event()


class Gathering:
    """Lets callers that emit single events share the work that a batch does once.

    The first caller of a group leads it: it gives way once, so that everybody who is about to emit joins, and appends
    for all. If that fails, or the leader is cancelled, each of the others appends for itself and finds its own error.

    Args:
        append: takes events with their plans into the journal.
    """

    def __init__(self, append: Callable[[Entries], Awaitable[Appended]]) -> None:
        self._append = append
        self._group: _Group | None = None

    async def append(self, entries: Entries) -> Sequence[Event]:
        """Take events into the journal; return them as it has them."""
        if len(entries) >= _MANY:
            return (await self._append(entries)).events
        await anyio.lowlevel.checkpoint_if_cancelled()  # who is cancelled already must not leave events behind
        group = self._group
        if group is None:
            group, first = _Group(), 0
            group.entries += entries
            await self._lead(group)
        else:
            first = len(group.entries)
            group.entries += entries
            await group.through.wait()
        if group.appended is None:
            return (await self._append(entries)).events
        return group.appended.events[first : first + len(entries)]

    async def _lead(self, group: _Group) -> None:
        self._group = group
        try:
            try:
                await anyio.lowlevel.checkpoint()
            finally:
                self._group = None
            group.appended = await self._append(group.entries)
        finally:
            group.through.set()
