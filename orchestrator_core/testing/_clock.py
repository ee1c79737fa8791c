"""`SimulatedClock`: time that stands still until a test moves it."""

from __future__ import annotations

import heapq
import itertools

import anyio
import anyio.lowlevel

_NANO = 1_000_000_000
_TURNS = 12  # on asyncio, anyio sleeps for 0.1 s if it finds a task that has not come to rest in so many turns


class SimulatedClock:
    """A `Clock` for tests: nothing happens at it until somebody calls `advance`.

    Pass it wherever a clock is asked for. Hours of retries then take no time. It counts whole nanoseconds, so that
    ten sleeps of 0.1 s end exactly after 1 s.

    >>> clock = SimulatedClock(start=0)
    >>> async def nap() -> float:
    ...     async with anyio.create_task_group() as tasks:
    ...         tasks.start_soon(clock.sleep, 3600)
    ...         await clock.advance(3600)
    ...     return clock.time()
    >>> anyio.run(nap)
    3600.0
    """

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._start = round(start * _NANO)
        self._elapsed = 0
        self._sleepers: list[tuple[int, int, anyio.Event]] = []
        self._numbers = itertools.count()

    @property
    def sleepers(self) -> int:
        """How many tasks sleep at this clock."""
        return len(self._sleepers)

    def time(self) -> float:
        """Return the seconds since 1970-01-01 UTC."""
        return (self._start + self._elapsed) / _NANO

    def monotonic(self) -> float:
        """Return the seconds that `advance` has let pass."""
        return self._elapsed / _NANO

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced by so much; zero or less only lets other tasks run."""
        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        sleeper = (self._elapsed + max(1, round(seconds * _NANO)), next(self._numbers), anyio.Event())
        heapq.heappush(self._sleepers, sleeper)
        try:
            await sleeper[-1].wait()
        finally:
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)
                heapq.heapify(self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Let time pass: wake whoever is due, in order, and let each run until everything waits again.

        What a woken task starts may sleep again and is woken in the same call if it is due by then. A task that waits
        for a thread counts as waiting, so where a thread does the work (a journal on disk), wait for its result before
        going on.
        """
        await _let_all_run()
        target = self._elapsed + round(seconds * _NANO)
        while self._sleepers and self._sleepers[0][0] <= target:
            self._elapsed, _, woken = heapq.heappop(self._sleepers)
            woken.set()
            await _let_all_run()
        self._elapsed = target

    def shift(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an operator does: `monotonic` and sleepers notice nothing."""
        self._start += round(seconds * _NANO)


async def _let_all_run() -> None:
    """Return when every other task waits for something."""
    for _ in range(_TURNS):
        await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()
