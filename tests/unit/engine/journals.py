"""Journals that misbehave on purpose, in front of a real one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import anyio
import attrs

from orchestrator_core import Journal, JournalBrokenError, JournalUnavailableError, MemoryJournal

Meddle = Callable[[str], Awaitable[None]]


async def _nothing(call: str) -> None:
    """Let a call pass."""


class _Meddled:
    """Every call of a journal goes through here, so that a test can hold it up, refuse it, or lose its reply."""

    def __init__(self, journal: Any, before: Meddle, after: Meddle) -> None:
        self._journal = journal
        self._before = before
        self._after = after

    async def __aenter__(self) -> Any:
        await self._journal.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> bool | None:
        closed: bool | None = await self._journal.__aexit__(*exc_info)
        return closed

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._journal, name)
        if name == "renew":
            return call

        async def meddled(*args: Any, **kwargs: Any) -> Any:
            await self._before(name)
            result = await call(*args, **kwargs)
            await self._after(name)
            return result

        return meddled


def meddled(journal: Journal | None = None, *, before: Meddle = _nothing, after: Meddle = _nothing) -> Journal:
    """Put a test in front of a journal: it is told the name of each call, before it is made and before its reply."""
    return cast("Journal", _Meddled(MemoryJournal() if journal is None else journal, before, after))


@attrs.define
class Outage:
    """A journal that is away, or broken, for some of its calls while the test says so.

    Attributes:
        calls: the calls that fail; empty for every one.
        is_on: whether they do at the moment.
        broken: whether it is for good.
        refused: how many calls have failed.
    """

    calls: frozenset[str] = frozenset()
    is_on: bool = False
    broken: bool = False
    refused: int = 0

    async def __call__(self, call: str) -> None:
        """Fail a call."""
        if self.is_on and (not self.calls or call in self.calls):
            self.refused += 1
            raise JournalBrokenError("disk gone") if self.broken else JournalUnavailableError("disk full")


class Hold:
    """A journal that is slow: the named call waits until the test lets it go on.

    Attributes:
        waiting: how many calls wait now.
    """

    def __init__(self, call: str) -> None:
        self.waiting = 0
        self._call = call
        self._released: anyio.Event | None = None

    def engage(self) -> None:
        """Hold up the calls from now on."""
        self._released = anyio.Event()

    def release(self) -> None:
        """Let them go on."""
        if self._released is not None:
            self._released.set()
            self._released = None

    def forget(self) -> None:
        """Let the next calls through, and leave those that wait waiting for ever."""
        self._released = None

    async def __call__(self, call: str) -> None:
        """Hold up a call."""
        if call == self._call and self._released is not None:
            self.waiting += 1
            try:
                await self._released.wait()
            finally:
                self.waiting -= 1
