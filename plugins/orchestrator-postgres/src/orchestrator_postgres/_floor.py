"""`Floor`: below which number nothing is left in the outbox, so that a look need not wade through what was deleted."""

from __future__ import annotations

import attrs

_WHOLE_EVERY = 1.0
"""Seconds between two looks that begin at the very bottom, whatever is believed to be there."""


@attrs.define
class Floor:
    """Where a look at the outbox may begin. Under load, ten thousands of deleted rows lie below until VACUUM comes.

    This is no cursor: a row that commits late has a low number, and must not be passed over. A look that began here and
    found a first row saw nothing below that one; what may still appear there is of transactions that were running then.
    Once all of those have ended, that row's number is the new floor. Numbers that start again, and rows that somebody
    had locked, are found by the looks at the whole.

    Attributes:
        at: the number to begin at; 0 for the whole.
    """

    at: int = 0
    _believed: int = 0
    _next: tuple[int, int] | None = None
    _next_whole: float = 0.0

    def choose(self, now: float) -> int:
        """Return where the next look begins; every now and then at the bottom."""
        self.at = self._believed
        if now >= self._next_whole:
            self.at, self._next_whole = 0, now + _WHOLE_EVERY
        return self.at

    def found(self, first: int | None, oldest: int, newest: int) -> None:
        """Take note of a look.

        Args:
            first: the lowest number that it found; ``None`` if it found nothing.
            oldest: the oldest transaction that was running.
            newest: the first transaction that had not begun.
        """
        if first is None:
            self._believed, self._next, self._next_whole = 0, None, 0.0
            return
        if self._next is not None and oldest >= self._next[1]:
            self._believed, self._next = self._next[0], None
        if self._next is None:
            self._next = (first, newest)
