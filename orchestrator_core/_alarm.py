"""`Alarm`: one task's wait for the earliest of many moments."""

from __future__ import annotations

from math import inf

import anyio

from orchestrator_core._clock import Clock


class Alarm:
    """Sleeps until a moment that others may move forward meanwhile.

    Args:
        clock: whose time it goes by.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at = inf
        self._scope: anyio.CancelScope | None = None

    def ring_at(self, moment: float) -> None:
        """Make sure that the wait ends at that moment (seconds since 1970 UTC) or before."""
        if moment < self._at:
            self._at = moment
            if self._scope is not None:
                self._scope.cancel()

    async def wait(self, at_most: float) -> None:
        """Wait for the next moment, or for so many seconds; forgets the moments that were set."""
        limit = self._clock.monotonic() + at_most  # which holds if the clock is set back meanwhile
        while (left := min(self._at - self._clock.time(), limit - self._clock.monotonic())) > 0:
            with anyio.CancelScope() as self._scope:
                await self._clock.sleep(left)
        self._scope = None
        self._at = inf
