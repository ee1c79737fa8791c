"""`Gathering`: the events of many requests, handed over in one step of the journal while the next ones gather."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import anyio
import attrs

from orchestrator_core import Event, EventError, InputContext, JournalError, JournalUnavailableError

_MOST = 128


@attrs.define(eq=False)
class _Waiter:
    """An event, and who waits for it."""

    event: Event
    accepted: asyncio.Future[Event]

    def fail(self, error: Exception) -> None:
        """Tell it that the event was not accepted, if it still waits."""
        if not self.accepted.done():
            self.accepted.set_exception(error)


class Gathering:
    """Emits events of requests that know nothing of each other. A hand-over of many costs little more than one of one.

    A request that no longer waits leaves at once, though the journal may be in the midst of its step. That is why this
    stands beside the engine's own gathering, whose callers wait in the step itself, which can't be called off: here a
    request can be let go without touching the journal.
    """

    def __init__(self, context: InputContext) -> None:
        self._context = context
        self._waiting: dict[_Waiter, None] = {}
        self._batch: Sequence[_Waiter] = ()
        self._handing_over = anyio.CancelScope()
        self._wake = asyncio.Event()
        self._is_over = False

    async def emit(self, event: Event) -> Event:
        """Return the event as accepted; see `InputContext.emit`."""
        if self._is_over:
            raise _stopped()
        waiter = _Waiter(event, asyncio.get_running_loop().create_future())
        self._waiting[waiter] = None
        self._wake.set()
        try:
            return await waiter.accepted
        except asyncio.CancelledError:
            self._waiting.pop(waiter, None)
            if all(each.accepted.done() for each in self._batch):
                self._handing_over.cancel()  # nobody waits for it any more
            raise

    async def run(self) -> None:
        """Hand over what has gathered, until cancelled. When it ends, who waits is told, and so is who comes later."""
        batch: Sequence[_Waiter] = ()  # `_batch` may be only the one of them that goes alone
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    batch = list(self._waiting)[:_MOST]
                    for waiter in batch:
                        del self._waiting[waiter]
                    await self._hand_over(batch)
        finally:
            self._is_over = True
            for waiter in (*batch, *self._waiting):
                waiter.fail(_stopped())

    async def _hand_over(self, batch: Sequence[_Waiter]) -> None:
        self._batch = batch
        with anyio.CancelScope() as self._handing_over:
            try:
                accepted = await self._context.emit_many([waiter.event for waiter in batch])
            except EventError as error:
                if len(batch) == 1:
                    batch[0].fail(error)
                else:  # one of them spoils it for all, so each goes alone
                    for waiter in batch:
                        await self._hand_over([waiter])
            except JournalError as error:
                for waiter in batch:
                    waiter.fail(error)
            else:
                for waiter, event in zip(batch, accepted, strict=True):
                    if not waiter.accepted.done():
                        waiter.accepted.set_result(event)


def _stopped() -> JournalUnavailableError:
    return JournalUnavailableError("the input has stopped")
