"""`Pace`: when to look at the outbox again, and whether writers shall ring; decided from what each look found."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import attrs

Wake: TypeAlias = Literal["auto", "notify", "poll"]

_BUSY_FROM = 500.0
"""So many rows a second turn the reader busy, and keep it so."""
_QUEUE_FROM, _QUEUED = 100.0, 1.25
"""From so many rows a second on, so many a look, on average, say that writers queue up to ring: one at a time, each for
a flush of the disk. They are then so slow that a sleeping reader keeps up with them, and does not learn how fast they
could be."""
_BREATH = 0.01
"""Seconds between two looks that found less than a full batch while busy; the database gets the processor."""
_HELD = 0.05
_MEMORY = 0.1
"""Seconds over which the rate is averaged."""
_SHARE = 0.1
"""How much the newest look counts in the average of rows a look."""
_MANY = 2
"""More rows in a look count as so many: one stall, of a disk or of a machine, brings many together."""


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
    _rate: float = 0.0
    _rows: float = 1.0
    _last_look: float = 0.0
    _busy: bool = False
    _last_busy: float = 0.0

    @property
    def asleep(self) -> bool:
        """Whether writers shall ring."""
        return self.wake == "notify" or (self.wake == "auto" and not self._busy)

    def found(self, rows: int, now: float) -> None:
        """Take note of a look: how many rows it found, and when."""
        self._rate = self._rate * math.exp((self._last_look - now) / _MEMORY) + rows / _MEMORY
        self._last_look = now
        if rows and self.asleep:
            self._rows += (min(rows, _MANY) - self._rows) * _SHARE
        queued = self.asleep and self._rate >= _QUEUE_FROM and self._rows >= _QUEUED
        if queued or self._rate >= _BUSY_FROM:
            self._busy, self._last_busy = True, now
        elif self._busy and now - self._last_busy >= self.linger:
            self._busy, self._rows = False, 1.0

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
