"""`Gathering`: the events of many requests, handed over in one step of the journal while the next ones gather."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import attrs

from orchestrator_core import Event, EventError, InputContext, JournalError, JournalUnavailableError

_MOST = 128

_TURNS = 8
"""For so many turns of the event loop, requests that are not alone wait for others."""


@attrs.define(eq=False)
class _Waiter:
    """An event, who waits for it, and until when."""

    event: Event
    accepted: asyncio.Future[Event]
    deadline: float

    def fail(self, error: Exception) -> None:
        """Tell it that the event was not accepted, if it still waits."""
        if not self.accepted.done():
            self.accepted.set_exception(error)


class Gathering:
    """Emits events of requests that know nothing of each other. A hand-over of many costs little more than one of one.

    The engine gathers single emits as well, but what comes in one turn of the event loop, and each event makes its way
    there by itself, with a timer of its own around it. Without this here, a request takes 1.4 times as much of the
    processor's time: here the engine is handed long lists, and a list has one timer.

    Args:
        context: takes the events.
        seconds: how long a request may wait. Those that are handed over together wait as long as the first of them.
    """

    def __init__(self, context: InputContext, seconds: float) -> None:
        self._context = context
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Waiter] = []
        self._wake = asyncio.Event()
        self._is_over = False

    async def emit(self, event: Event) -> Event:
        """Return the event as accepted; see `InputContext.emit`.

        Raises:
            TimeoutError: that took too long. It may be accepted all the same.
        """
        if self._is_over:
            raise _stopped()
        waiter = _Waiter(event, self._loop.create_future(), self._loop.time() + self._seconds)
        self._waiting.append(waiter)
        self._wake.set()
        return await waiter.accepted

    async def run(self) -> None:
        """Hand over what has gathered, until cancelled. When it ends, who waits is told, and so is who comes later."""
        batch: Sequence[_Waiter] = ()
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    await self._let_others_come()
                    batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                    if still_there := [waiter for waiter in batch if not waiter.accepted.done()]:
                        await self._hand_over(still_there)
        finally:
            self._is_over = True
            for waiter in (*batch, *self._waiting):
                waiter.fail(_stopped())

    async def _let_others_come(self) -> None:
        # A turn is as long as there is work: next to nothing for two requests, and for a hundred so long that those who
        # were just answered send again. No number of milliseconds would be right for both.
        for _ in range(_TURNS if len(self._waiting) > 1 else 0):
            await asyncio.sleep(0)

    async def _hand_over(self, batch: Sequence[_Waiter]) -> None:
        try:
            async with asyncio.timeout_at(batch[0].deadline):
                accepted = await self._context.emit_many([waiter.event for waiter in batch])
        except EventError as error:
            if len(batch) == 1:
                batch[0].fail(error)
            else:  # one of them spoils it for all, so each goes alone
                for waiter in batch:
                    await self._hand_over([waiter])
        except (JournalError, TimeoutError) as error:
            for waiter in batch:
                waiter.fail(error)
        else:
            for waiter, event in zip(batch, accepted, strict=True):
                if not waiter.accepted.done():
                    waiter.accepted.set_result(event)


def _stopped() -> JournalUnavailableError:
    return JournalUnavailableError("the input has stopped")
