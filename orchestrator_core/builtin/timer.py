"""The input `timer`: an event at every tick of a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any, Literal

import attrs

from orchestrator_core import Clock, Event, InputContext, InputType, Operation, SystemClock, hookimpl
from orchestrator_core.builtin._schedule import Schedule, check_cron, check_every, schedule, zone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LONGEST_NAP = 60.0
_BATCH = 100


def _given(check: Callable[[Any], object]) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    """Return a field's validator: what is given must pass the check, each field by itself."""
    return attrs.validators.optional(lambda _timer, _field, value: check(value))


@attrs.frozen(kw_only=True)
class Timer:
    """Emits an event at every tick of a schedule.

    An event's `id`, `uid` and `time` are the tick's scheduled moment in UTC, so a tick is accepted once, however often
    the engine is restarted and on however many machines the pipeline runs. Ticks do not drift. The last tick is kept
    as the checkpoint; `missed` says what becomes of those that fell due while nothing ran.

    Attributes:
        every: the time from tick to tick, for example ``5s``. Ticks are at its whole multiples since 1970 UTC, so
            ``1h`` ticks at full hours.
        cron: instead of `every`, a cron expression of five fields, for example ``*/5 * * * *``; with six, the first is
            seconds.
        timezone: the zone of `cron`, for example ``Europe/Berlin``; UTC if not given. As cron has it, a fixed time in
            the hour that the change to summer time leaves out ticks right after it, in the hour that comes twice once.
        location: the events' location.
        missed: which ticks to make up for after the timer was not running, or the journal was behind: the ``latest``
            only, ``all``, or ``none`` of those before the start.
    """

    every: timedelta | None = attrs.field(default=None, validator=_given(check_every))
    cron: str | None = attrs.field(default=None, validator=_given(check_cron))
    timezone: str | None = attrs.field(default=None, validator=_given(zone))
    location: str = "timer"
    missed: Literal["latest", "all", "none"] = "latest"
    _clock: Clock = attrs.field(factory=SystemClock, repr=False, eq=False)
    _schedule: Schedule = attrs.field(init=False, repr=False, eq=False)

    @_schedule.default
    def _make_schedule(self) -> Schedule:
        return schedule(self.every, self.cron, self.timezone)

    async def run(self, context: InputContext) -> None:
        """Emit each tick when it is due, without an end."""
        last = await self._resume(context)
        context.ready()
        while True:
            now = self._now()
            # Where the clock was set back, ticks come up again: the journal knows them by their uid.
            last = min(last, now)
            if ticks := self._due(last, now):
                last = ticks[-1]
                await context.emit_many([self._event(tick) for tick in ticks], checkpoint=last.isoformat())
            else:
                context.caught_up()
                # Never a long nap: the clock may be set forward, and a laptop may sleep.
                wait = (self._schedule.after(now) - now).total_seconds()
                await context.sleep(min(wait, _LONGEST_NAP))

    async def _resume(self, context: InputContext) -> datetime:
        checkpoint = await context.load_checkpoint()
        if isinstance(checkpoint, str) and self.missed != "none":
            return datetime.fromisoformat(checkpoint)
        now = self._now()
        # The very first start is noted too: a tick that falls due before the second one is missed, not unknown.
        await context.emit_many([], checkpoint=now.isoformat())
        return now

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.time(), UTC)

    def _due(self, last: datetime, now: datetime) -> Sequence[datetime]:
        first = self._schedule.after(last)
        if first > now:
            return ()
        if self.missed == "all":
            return list(islice(takewhile(lambda tick: tick <= now, self._ticks(first)), _BATCH))
        return [max(first, self._schedule.latest(now))]

    def _ticks(self, tick: datetime) -> Iterator[datetime]:
        while True:
            yield tick
            tick = self._schedule.after(tick)

    def _event(self, tick: datetime) -> Event:
        moment = tick.isoformat()
        return Event(location=self.location, operation=Operation.CREATE, id=moment, uid=moment, time=tick)


@hookimpl
def orchestrator_register_inputs() -> list[InputType]:
    """Register the timer. It is not replayable: by default it makes up for the latest missed tick only."""
    return [InputType("timer", Timer, summary="An event at every tick of a schedule", durable_ack=True, ordered=True)]
