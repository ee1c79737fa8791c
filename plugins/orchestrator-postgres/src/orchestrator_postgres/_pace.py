"""`Pace`: when to look at the outbox again, and whether writers shall ring; decided from what each look found."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

Wake: TypeAlias = Literal["auto", "notify", "poll"]

_BUSY_FROM = 4.0
"""So many rows a look, on average, turn the reader busy; with a breath between two looks they are 400 a second."""
_BREATH = 0.01
"""Seconds between two looks that found less than a full batch while busy; the database gets the processor."""
_HELD = 0.05
_MEMORY = 0.3


@attrs.define
class Pace:
    """How one reader goes about its looks.

    A NOTIFY in every commit makes commits three times slower, so writers ring only while the reader is asleep; under
    load it is busy and looks by itself.

    Attributes:
        wake: ``auto`` to turn busy under load, ``notify`` to be rung always, ``poll`` never.
        poll: seconds between looks when nothing rings.
        linger: seconds with fewer rows than make it busy after which a busy reader falls asleep.
    """

    wake: Wake
    poll: float
    linger: float = 1.0
    _average: float = 0.0
    _busy: bool = False
    _last_busy: float = 0.0

    @property
    def asleep(self) -> bool:
        """Whether writers shall ring."""
        return self.wake == "notify" or (self.wake == "auto" and not self._busy)

    def found(self, rows: int, now: float) -> None:
        """Take note of a look: how many rows it found, and when."""
        self._average += (rows - self._average) * _MEMORY
        if self._average >= _BUSY_FROM:
            self._busy, self._last_busy = True, now
        elif now - self._last_busy >= self.linger:
            self._busy = False

    def wait(self, rows: int, limit: int, *, held: bool) -> float:
        """Return the seconds to wait before the next look, unless somebody rings; 0 for at once.

        Args:
            rows: what the last look found.
            limit: what a full batch is.
            held: somebody else was handing over.
        """
        if held:
            return _HELD
        if rows >= limit:
            return 0.0
        if self._busy:
            return _BREATH
        if rows and not self.asleep:
            return 0.0
        return self.poll  # while it sleeps, whatever was committed since the look has rung
