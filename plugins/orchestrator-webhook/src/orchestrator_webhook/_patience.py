"""`Patience`: one time limit for many, with one timer for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")


class Patience:
    """Gives what many tasks wait for the same time each.

    It is what `asyncio.timeout` does, which sets a timer and takes it back each time: a twentieth of what a request
    takes. Here one timer waits for whoever is due next, and nearly always finds that they are done.

    Args:
        seconds: the time.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due: dict[asyncio.Task[Any], float] = {}  # who began first is due first
        self._is_set = False

    async def wait_for(self, awaitable: Awaitable[T]) -> T:
        """Return what it comes to.

        Raises:
            TimeoutError: that took too long, and was cancelled.
        """
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # nothing else can wait
        cancelled = task.cancelling()
        self._due[task] = due = loop.time() + self._seconds
        if not self._is_set:
            self._is_set = True
            loop.call_at(due, self._look, loop)
        try:
            return await awaitable
        except asyncio.CancelledError:
            if task in self._due or task.uncancel() > cancelled:
                raise  # somebody else has cancelled it
            raise TimeoutError from None
        finally:
            self._due.pop(task, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cut off those whose time is over, and look again when the next one's is."""
        now = loop.time()
        while self._due:
            task, due = next(iter(self._due.items()))
            if due > now:
                loop.call_at(due, self._look, loop)
                return
            del self._due[task]
            task.cancel()
        self._is_set = False
