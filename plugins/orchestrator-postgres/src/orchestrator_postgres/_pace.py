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
could be. If they are no faster without ringing, it was something else."""
_TRIAL = 0.3
"""Seconds for which writers need not ring, to see whether they are faster then."""
_DOUBT_FIRST, _DOUBT_MOST = 5.0, 300.0
"""Seconds between two such trials; doubled by each that was in vain."""
_BREATH, _SHORT_BREATH = 0.01, 0.005
"""Seconds between two looks that found less than a full batch while busy, with many rows and with few: the database
gets the processor."""
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
    _busy_until: float = 0.0
    _next_trial: float = 0.0
    _doubt: float = _DOUBT_FIRST

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
        if self._rate >= _BUSY_FROM:
            self._busy, self._busy_until = True, now + self.linger
            self._next_trial, self._doubt = now, _DOUBT_FIRST
        elif self._busy:
            if now >= self._busy_until:
                self._busy, self._rows = False, 1.0
        elif self.wake == "auto" and self._rate >= _QUEUE_FROM and self._rows >= _QUEUED and now >= self._next_trial:
            self._busy, self._busy_until = True, now + _TRIAL
            self._next_trial, self._doubt = now + self._doubt, min(self._doubt * 2, _DOUBT_MOST)

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
            return _BREATH if self._rate >= _BUSY_FROM else _SHORT_BREATH
        if rows and not self.asleep:
            return 0.0
        return self.poll  # while it sleeps, whatever was committed since the look has rung
