"""`HandOver`: looks at the outbox, hands over what it finds, and waits; for as long as its connections hold."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import anyio
import attrs

from orchestrator_core import EventError
from orchestrator_postgres._bell import Bell
from orchestrator_postgres._errors import PostgresError, UnreachableError
from orchestrator_postgres._outbox import Outbox, reduce
from orchestrator_postgres._state import read_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator_core import Event, InputContext
    from orchestrator_postgres._backfill import Backfill
    from orchestrator_postgres._pace import Pace
    from orchestrator_postgres._session import Session
    from orchestrator_postgres._target import Target
    from orchestrator_postgres._watch import Watch

PING_EVERY = 10.0
"""Seconds between two tests of the bell."""
_DEAF_MOST = 300.0
"""The most seconds between two tries at a bell that can't be heard, as behind a pooler; each holds the hand-over up."""
DEAF_POLL = 0.1
"""Seconds between looks while the bell does not work."""
MEASURE_EVERY = 10.0
"""Seconds between two measurements of what waits in the outbox."""
_BLOCKED = 0.1
"""Seconds between two tries at a page of the backfill that somebody else holds."""


@attrs.define
class HandOver:
    """One input's hand-over.

    Attributes:
        context: what the engine gave the input.
        target: the database.
        watch: what the input wants of it.
        session: the session for the hand-over.
        pace: when to look again.
        limit: the most rows to claim at a time.
        check_every: seconds between two looks at the triggers.
        backfill: the rows that were there before; ``None`` to leave them alone.
    """

    context: InputContext
    target: Target
    watch: Watch
    session: Session
    pace: Pace
    limit: int
    check_every: float
    backfill: Backfill | None = None
    _bell: Bell | None = None
    _bell_session: Session | None = None
    _bell_delay: float = PING_EVERY
    _next_bell: float = 0.0
    _next_check: float = 0.0
    _next_measure: float = 0.0

    async def run(self) -> None:
        """Hand over until cancelled.

        Raises:
            UnreachableError: the session broke. What was not committed is still in the outbox.
        """
        outbox = Outbox(self.session, self.watch.schema, self.watch.name)
        self._next_check = anyio.current_time() + self.check_every
        try:
            await self._tend_bell()
            first = True
            while True:
                wait = await self._look(outbox)
                if first:
                    self.context.ready()
                    first = False
                await self._tend(outbox)
                if wait > 0:
                    await self._wait(wait)
        finally:
            if self._bell_session is not None:
                self._bell_session.sever()

    async def _look(self, outbox: Outbox) -> float:
        """Hand over one batch; return the seconds until the next look."""
        batch = await outbox.claim(self.limit)
        rows = len(batch.events)
        if batch.events:
            await self._emit(batch.events)
            self.context.measure("handover_rows", rows)
        self.pace.found(rows, anyio.current_time())
        if batch.held:
            return self.pace.wait(rows, self.limit, held=True)
        turns = self.pace.asleep != batch.asleep
        await outbox.commit(asleep=self.pace.asleep if turns else None)
        if turns and self.pace.asleep:
            return 0.0  # a commit that saw the reader busy has not rung: look once more after saying so
        if self.backfill is not None and self.backfill.pending and rows < self.limit:
            return 0.0 if await self.backfill.step() is not None else _BLOCKED
        if not rows and not batch.whole:
            return 0.0  # nothing above the floor: whether there is nothing at all, a look at the whole tells
        if not rows:
            self.context.caught_up()
        return self.pace.wait(rows, self.limit, held=False)

    async def _emit(self, events: Sequence[Event]) -> None:
        """Hand events to the engine. One that can't be accepted must not hold up those around it for ever.

        It is looked for by halves: one by one, a batch takes a slow journal longer than its transaction may stay open.
        """
        try:
            await self.context.emit_many(events)
        except EventError as error:
            if len(events) > 1:
                half = len(events) // 2
                await self._emit(events[:half])
                await self._emit(events[half:])
            else:
                (event,) = events
                self.context.log.warning("%s %s goes without its row: %s", event.location, event.id, error)
                await self.context.emit(reduce(event))

    async def _wait(self, seconds: float) -> None:
        bell = self._bell
        if bell is None:
            deaf = self.pace.asleep
            await self.context.sleep(min(seconds, DEAF_POLL) if deaf else seconds)
            return
        broken: list[UnreachableError] = []
        async with anyio.create_task_group() as group:

            async def listen() -> None:
                try:
                    await bell.wait()
                except UnreachableError as error:
                    broken.append(error)
                group.cancel_scope.cancel()

            group.start_soon(listen)
            await self.context.sleep(seconds)
            group.cancel_scope.cancel()
        if broken:
            self._lose_bell(broken[0])

    async def _tend(self, outbox: Outbox) -> None:
        """Do what is due besides the hand-over."""
        now = anyio.current_time()
        if now >= self._next_bell:
            await self._tend_bell()
        if now >= self._next_measure:
            self._next_measure = now + MEASURE_EVERY
            rows, seconds = await outbox.backlog()
            self.context.measure("outbox_rows", rows)
            self.context.measure("outbox_oldest_seconds", seconds)
        if now >= self._next_check:
            self._next_check = now + self.check_every
            await self._check()

    async def _check(self) -> None:
        """Notice triggers and tables that were changed behind our back."""
        state = await self.session.call(partial(read_state, watch=self.watch), "checking the triggers")
        problems = state.problems(self.watch)
        remedy = "; `orchestrator postgres install` mends it, and so does a restart" if problems else ""
        self.context.healthy("; ".join(problems) + remedy if problems else None)

    async def _tend_bell(self) -> None:
        """Connect the bell, or test it."""
        if self.pace.wake == "poll":
            self._next_bell = math.inf
            return
        try:
            if self._bell is None:
                self._bell_session = await self.target.connect()
                self._bell = Bell(self._bell_session, self.watch.channel, self.session)
                await self._bell.listen()
            else:
                await self._bell.ping()
            self._bell_delay = PING_EVERY
            self.context.measure("listener_connected", 1.0)
        except PostgresError as error:
            self._lose_bell(error)
            self._bell_delay = min(self._bell_delay * 2, _DEAF_MOST)
        self._next_bell = anyio.current_time() + self._bell_delay

    def _lose_bell(self, error: PostgresError) -> None:
        self.context.log.info("listening by polling for now: %s", error)
        if self._bell_session is not None:
            self._bell_session.sever()
        self._bell = self._bell_session = None
        self.context.measure("listener_connected", 0.0)
