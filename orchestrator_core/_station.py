"""What a runner holds for one process: claimed deliveries, free slots, and its pace."""

from __future__ import annotations

from collections import deque
from math import inf

import anyio
import attrs

from orchestrator_core._contracts import Claim, Process
from orchestrator_core._pipeline import ProcessOptions

READ_AHEAD_LIMIT = 1_024
_READ_AHEAD_SECONDS = 0.1


@attrs.define(eq=False)
class Station:
    """One process at work.

    Deliveries are claimed a little ahead of what may run at once, as many as the process gets through in 100 ms: a fast
    process then never waits for the journal, and a slow one leaves its deliveries to whoever is free.

    Attributes:
        name: the process's name.
        process: the component.
        options: how it is treated.
        limit: how many attempts may run at once.
        predecessor: the process that this one has replaced, while it finishes what it had started.
        queue: claimed deliveries that have not started.
        running: how many have.
        held: how many are claimed, or asked for, and not settled yet.
        backlog: whether the journal may have more that is due now.
        next_due: when it may have more, in seconds since 1970 UTC.
        next_start: when its rate lets the next attempt start, in seconds since 1970 UTC.
        has_turn: whether the workers know that there is something in the queue.
        is_open: whether it takes deliveries: its component was entered, and it was not removed.
        entered: set when its component was entered or can't be.
        error: why it can't be.
        closing: set when nothing runs any more.
    """

    name: str
    process: Process
    options: ProcessOptions
    limit: int
    predecessor: Station | None = None
    queue: deque[Claim] = attrs.field(factory=deque)
    running: int = 0
    held: int = 0
    backlog: bool = True
    next_due: float = inf
    next_start: float = 0.0
    has_turn: bool = False
    is_open: bool = False
    entered: anyio.Event = attrs.field(factory=anyio.Event)
    error: Exception | None = None
    closing: anyio.Event = attrs.field(factory=anyio.Event)
    _read_ahead: float = 0.0
    timeout: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.timeout = self.options.timeout.total_seconds()

    @property
    def free(self) -> int:
        """How many deliveries more it can take from the journal."""
        return max(0, self.limit + int(self._read_ahead) - self.held) if self.is_open else 0

    def may_start(self, now: float) -> bool:
        """Tell whether the next delivery of the queue may start at that moment."""
        running = self.running if self.predecessor is None else self.load
        return running < self.limit and (now >= self.next_start or self._was_set_back(now))

    def _was_set_back(self, now: float) -> bool:
        """Tell whether the clock was, since the next start is further away than any start leaves it."""
        return self.options.rate is not None and self.next_start - now > 2.0 / self.options.rate

    @property
    def load(self) -> int:
        """How many attempts run, those that its predecessors had started included."""
        return self.running if self.predecessor is None else self.running + self.predecessor.load

    def start(self, now: float) -> Claim:
        """Take the next delivery of the queue."""
        self.running += 1
        if self.options.rate:
            self.next_start = now + 1.0 / self.options.rate
        return self.queue.popleft()

    def settled(self, count: int, seconds: float) -> None:
        """Take note that so many deliveries were settled since as many seconds ago."""
        self.held -= count
        pace = count / seconds if seconds > 0 and not self.options.rate else 0.0
        self._read_ahead += (min(READ_AHEAD_LIMIT, pace * _READ_AHEAD_SECONDS) - self._read_ahead) / 2
