"""`Breaker`: spares a receiver that is down, and delays what was to be sent to it."""

from __future__ import annotations

import attrs


@attrs.define
class Breaker:
    """Counts failures in a row; when there are too many it lets one request at a time try, after a growing pause.

    It decides by the moments that it is told, so it needs no clock and no task of its own.

    >>> breaker = Breaker(threshold=1, first=1.0)
    >>> breaker.failed(100.0)
    >>> breaker.wait(100.5), breaker.wait(101.0), breaker.wait(101.0)
    (0.5, 0.0, 2.0)

    Attributes:
        threshold: after so many failures in a row it opens.
        first: the first pause, in seconds; each further one is twice as long.
        longest: the longest pause, in seconds.
    """

    threshold: int = 5
    first: float = 1.0
    longest: float = 60.0
    _failures: int = attrs.field(init=False, default=0)
    _until: float = attrs.field(init=False, default=0.0)
    _pause: float = attrs.field(init=False, default=0.0)

    @property
    def is_open(self) -> bool:
        """Whether the receiver is taken to be down."""
        return self._failures >= self.threshold

    def wait(self, now: float) -> float:
        """Return how long to wait before sending; 0 lets this request through."""
        if now < self._until:
            return self._until - now
        if self.is_open:
            # This one tries. The others wait for what it comes to, or for the next pause if that is never known.
            self._pause = min(self._pause * 2, self.longest)
            self._until = now + self._pause
        return 0.0

    def succeeded(self) -> None:
        """Note that the receiver is up."""
        self._failures = 0
        self._until = 0.0

    def failed(self, now: float) -> None:
        """Note that the receiver has not answered, or only that it can't."""
        self._failures += 1
        if self._failures == self.threshold:
            self._pause = self.first
        if self.is_open:
            self._until = max(self._until, now + self._pause)

    def hold(self, now: float, seconds: float) -> None:
        """Send nothing for a time, since the receiver has asked for it."""
        self._until = max(self._until, now + min(seconds, self.longest))
