"""Wait until something has become true of a fake, without sleeping and without polling."""

from __future__ import annotations

from collections.abc import Callable

import anyio


class Changes:
    """What a fake calls when something about it changed, and where a test waits for that."""

    def __init__(self) -> None:
        self._next = anyio.Event()

    def notify(self) -> None:
        """Let all who wait look again."""
        self._next.set()
        self._next = anyio.Event()

    async def until(self, true: Callable[[], bool]) -> None:
        """Return as soon as the condition holds; it is looked at now and after each `notify`."""
        while not true():
            await self._next.wait()
