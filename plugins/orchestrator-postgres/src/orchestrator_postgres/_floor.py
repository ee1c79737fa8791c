"""`Floor`: below which number nothing is left in the outbox, so that a look need not wade through what was deleted."""

from __future__ import annotations

import attrs

_WHOLE_EVERY = 1.0
"""Seconds between two looks that begin at the very bottom, whatever is believed to be there."""


@attrs.define
class Floor:
    """Where a look at the outbox may begin. Under load, ten thousands of deleted rows lie below until VACUUM comes.

    This is no cursor: a row that commits late has a low number, and must not be passed over. A look that began here and
    saw a first row saw nothing below that one; what may still appear there is of transactions that were running then,
    for numbers are taken in order, and by transactions that have one of their own. Once all of those have ended, and no
    look since has seen anything lower, the row's number is the new floor. Whatever is seen lower starts this afresh:
    of what such a look saw, it may have taken only a part.

    Attributes:
        at: the number to begin at; 0 for the whole.
        server: the server that this is true of. Behind a pooler, a session outlives a failover, which may bring back
            lower numbers.
    """

    at: int = 0
    server: str = ""
    _believed: int = 0
    _mark: tuple[int, int] | None = None
    _next_whole: float = 0.0

    def choose(self, now: float) -> int:
        """Return where the next look begins; every now and then at the bottom."""
        self.at = self._believed
        if now >= self._next_whole:
            self.at, self._next_whole = 0, now + _WHOLE_EVERY
        return self.at

    def found(self, first: int | None, oldest: int, own: int, server: str = "") -> None:
        """Take note of a look.

        Args:
            first: the lowest number that it saw, taken or not; ``None`` if it took nothing.
            oldest: the oldest transaction that was running.
            own: the look's own transaction, which has got its number after the look has seen what it saw: whatever was
                running then has a lower one.
            server: tells the server from all others.
        """
        if server != self.server:
            self._believed, self._mark, self.server = 0, None, server
        if first is None:
            self._believed, self._mark, self._next_whole = 0, None, 0.0
        elif self._mark is None or first < self._mark[0]:
            self._believed, self._mark = min(self._believed, first), (first, own)
        elif oldest >= self._mark[1]:
            self._believed, self._mark = self._mark[0], (first, own)
