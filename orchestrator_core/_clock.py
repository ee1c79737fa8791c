"""Time as a constructor argument: the `Clock` contract and the system's own."""

from __future__ import annotations

import time as _time
from typing import Protocol

import anyio


class Clock(Protocol):
    """What the engine asks for the time; `orchestrator_core.testing.SimulatedClock` is the other implementation."""

    def time(self) -> float:
        """Return the seconds since 1970-01-01 UTC."""

    def monotonic(self) -> float:
        """Return seconds that never run backwards, from any start."""

    async def sleep(self, seconds: float) -> None:
        """Wait for that many seconds of this clock."""


class SystemClock:
    """The machine's clock."""

    time = staticmethod(_time.time)
    monotonic = staticmethod(_time.monotonic)

    async def sleep(self, seconds: float) -> None:
        """Wait for that many seconds."""
        await anyio.sleep(seconds)
