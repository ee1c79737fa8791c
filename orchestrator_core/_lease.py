"""Keeps a worker's lease alive, and notices a blocked event loop, from a thread of its own."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Callable

from orchestrator_core._clock import Clock
from orchestrator_core._contracts import Journal
from orchestrator_core._errors import JournalError
from orchestrator_core._notices import LoopBlocked

_LOG = logging.getLogger("orchestrator_core")

LEASE_SECONDS = 30.0
RENEW_SECONDS = 10.0
_LOOK_SECONDS = 1.0
_BLOCKED_SECONDS = 5.0


class LeaseKeeper:
    """Renews a lease every 10 s for 30 s, whatever the event loop is doing.

    Args:
        journal: where the lease is.
        worker: whose it is.
        clock: the time that the journal goes by.
        running: names the process whose attempt started last, if any.
        renew_every: seconds between two renewals.
        blocked_after: how many seconds without a beat make a blocked loop.
    """

    def __init__(
        self,
        journal: Journal,
        worker: str,
        clock: Clock,
        running: Callable[[], str | None],
        *,
        renew_every: float = RENEW_SECONDS,
        blocked_after: float = _BLOCKED_SECONDS,
    ) -> None:
        self._journal = journal
        self._worker = worker
        self._clock = clock
        self._running = running
        self._renew_every = renew_every
        self._blocked_after = blocked_after
        self._loop_thread = threading.get_ident()
        self._stopped = threading.Event()
        self._beaten_at = clock.monotonic()
        self._block: LoopBlocked | None = None
        self.is_lost = False
        self._thread = threading.Thread(target=self._keep, name="orchestrator-lease", daemon=True)

    def start(self) -> None:
        """Begin to renew; the calling thread is the event loop's."""
        self._thread.start()

    def stop(self) -> None:
        """Stop renewing; returns at once."""
        self._stopped.set()

    def beat(self) -> LoopBlocked | None:
        """Say, from the event loop, that it is running; return what had blocked it since the last beat."""
        self._beaten_at = self._clock.monotonic()
        block, self._block = self._block, None
        return block

    def _keep(self) -> None:
        renewed_at = self._clock.monotonic()
        while not self._stopped.wait(min(_LOOK_SECONDS, self._renew_every, self._blocked_after)):
            now = self._clock.monotonic()
            if now - renewed_at >= self._renew_every:
                renewed_at = now
                self._renew()
            if now - self._beaten_at >= self._blocked_after and self._block is None:
                self._tell(now - self._beaten_at)

    def _renew(self) -> None:
        try:
            if not self._journal.renew(self._worker, now=self._clock.time(), lease=LEASE_SECONDS):
                self.is_lost = True
                _LOG.error("this worker's lease was lost: another one has taken over its deliveries")
        except JournalError as error:
            _LOG.warning("the lease could not be renewed, trying again in %g s: %s", self._renew_every, error)

    def _tell(self, seconds: float) -> None:
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 (its documented use is debugging)
        where = "an unknown place"
        if frame is not None:
            last = traceback.extract_stack(frame, limit=1)[-1]
            where = f"{last.filename}:{last.lineno} in {last.name}"
        process = self._running()
        named = f' (the attempt that started last is of process "{process}")' if process else ""
        _LOG.warning("the event loop has been blocked for %.0f s by %s%s", seconds, where, named)
        self._block = LoopBlocked(seconds, where, process)
