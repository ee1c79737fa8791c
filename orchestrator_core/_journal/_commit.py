"""Group commit: what waits while one transaction is under way goes into the next one together."""

from __future__ import annotations

import threading
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
    """The requests of one transaction: whether it has run, and whether its callers may go on."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.running = threading.Lock()
        self.has_run = False
        self.through = anyio.Event()


class GroupCommit:
    """Runs steps in transactions, one at a time in a worker thread, as many steps in each as are waiting.

    The first caller of a group leads it: it waits for its turn, closes the group, and runs its transaction; the others
    wait for it. So there is no task to own, none to stop, and nothing that a cancelled caller could leave half done:
    whoever leads is shielded until its group is through.

    On asyncio a task can be cancelled past every shield, as `asyncio.timeout` does. A leader that is cut off before its
    turn leaves the group to the others; one that is cut off later stays until the thread is done.
    """

    def __init__(self, transact: Callable[[Sequence[Request]], None]) -> None:
        self._transact = transact
        self._turn = anyio.Lock()
        self._thread = anyio.CapacityLimiter(1)
        self._next = _Group()

    async def submit(self, step: Any) -> Any:  # noqa: ANN401 (a step and its result)
        """Run a step in a transaction of its own or of many; return its result or raise its error."""
        await anyio.lowlevel.checkpoint_if_cancelled()
        request = Request(step)
        while True:
            group = self._next
            group.requests.append(request)
            with anyio.CancelScope(shield=True):
                if group.requests[0] is request:
                    await self._lead(group)
                else:
                    await group.through.wait()
            if group.has_run:
                break
        if request.error is not None:
            raise request.error
        return request.result

    async def between(self, call: Callable[[], T]) -> T:
        """Run a call in the transactions' thread, between two of them."""
        async with self._turn:
            return await anyio.to_thread.run_sync(call, limiter=self._thread)

    async def _lead(self, group: _Group) -> None:
        try:
            async with self._turn:
                self._next = _Group()
                await self._run(group)
        finally:
            if self._next is group:
                self._next = _Group()
            group.through.set()

    async def _run(self, group: _Group) -> None:
        """Run a transaction in the thread, and stay until it is done there."""
        cut_off: BaseException | None = None
        while not group.has_run:
            try:
                await anyio.to_thread.run_sync(self._transact_once, group, limiter=self._thread)
            except anyio.get_cancelled_exc_class() as error:
                cut_off = error  # the thread may be under way all the same
        if cut_off is not None:
            raise cut_off

    def _transact_once(self, group: _Group) -> None:
        with group.running:
            if not group.has_run:
                try:
                    self._transact(group.requests)
                finally:
                    group.has_run = True
