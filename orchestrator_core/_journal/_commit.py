"""Group commit: what waits while one transaction is under way goes into the next one together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread
import attrs

T = TypeVar("T")


@attrs.define(eq=False)
class Request:
    """One caller's step, and what came of it."""

    step: Any
    result: Any = None
    error: Exception | None = None


class _Group:
    """The requests of one transaction."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.done = anyio.Event()


class GroupCommit:
    """Runs steps in transactions, one at a time in a worker thread, as many steps in each as are waiting.

    The first caller of a group leads it: it waits for its turn, closes the group, and runs its transaction; the others
    wait for it. So there is no task to own, none to stop, and nothing that a cancelled caller could leave half done:
    whoever leads is shielded until its group is through.
    """

    def __init__(self, transact: Callable[[Sequence[Request]], None]) -> None:
        self._transact = transact
        self._turn = anyio.Lock()
        self._thread = anyio.CapacityLimiter(1)
        self._next = _Group()

    async def submit(self, step: Any) -> Any:  # noqa: ANN401 (a step and its result)
        """Run a step in a transaction of its own or of many; return its result or raise its error."""
        await anyio.lowlevel.checkpoint_if_cancelled()
        group, request = self._next, Request(step)
        group.requests.append(request)
        with anyio.CancelScope(shield=True):
            if group.requests[0] is request:
                await self._lead(group)
            else:
                await group.done.wait()
        if request.error is not None:
            raise request.error
        return request.result

    async def between(self, call: Callable[[], T]) -> T:
        """Run a call in the transactions' thread, between two of them."""
        async with self._turn:
            return await anyio.to_thread.run_sync(call, limiter=self._thread)

    async def _lead(self, group: _Group) -> None:
        async with self._turn:
            self._next = _Group()
            try:
                await anyio.to_thread.run_sync(self._transact, group.requests, limiter=self._thread)
            finally:
                group.done.set()
