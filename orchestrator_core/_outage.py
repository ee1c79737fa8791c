"""`Outage`: a journal that is away, waited for without a line at every try."""

from __future__ import annotations

import logging

from orchestrator_core._clock import Clock
from orchestrator_core._errors import JournalUnavailableError

_LOG = logging.getLogger("orchestrator_core")

_RETRY_SECONDS = 0.5
_REMIND_SECONDS = 60.0


class Outage:
    """Waits between two tries of one caller, and tells of the outage when it begins, each minute, and when it is over.

    Args:
        clock: the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: float | None = None
        self._told_at = 0.0

    @property
    def is_on(self) -> bool:
        """Whether the last try has failed."""
        return self._since is not None

    async def wait(self, error: JournalUnavailableError) -> None:
        """Wait for a moment, after a try that failed."""
        now = self._clock.monotonic()
        if self._since is None or now - self._told_at >= _REMIND_SECONDS:
            self._told_at = now
            _LOG.warning("the journal is unavailable, trying again: %s", error)
        self._since = now if self._since is None else self._since
        await self._clock.sleep(_RETRY_SECONDS)

    def end(self) -> None:
        """Take note of a try that succeeded."""
        if self._since is not None:
            _LOG.warning("the journal is available again, after %.0f s", self._clock.monotonic() - self._since)
            self._since = None
