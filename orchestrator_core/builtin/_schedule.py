"""When a timer ticks: pure functions from a moment to the tick after it and the last one up to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

import attrs

from orchestrator_core import ConfigurationError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHORTEST, _LONGEST = timedelta(milliseconds=1), timedelta(days=3660)


class Schedule(Protocol):
    """The moments at which a timer ticks, in UTC."""

    def after(self, moment: datetime) -> datetime:
        """Return the first tick after the moment."""

    def latest(self, moment: datetime) -> datetime:
        """Return the last tick up to and including the moment."""


@attrs.frozen
class Every:
    """Ticks at the whole multiples of a period since 1970 UTC: the same ones on every machine, at every start.

    >>> Every(timedelta(seconds=5)).after(datetime(2026, 5, 4, 12, 30, 2, tzinfo=UTC)).isoformat()
    '2026-05-04T12:30:05+00:00'
    """

    period: timedelta

    def after(self, moment: datetime) -> datetime:
        """Return the first tick after the moment."""
        return self.latest(moment) + self.period

    def latest(self, moment: datetime) -> datetime:
        """Return the last tick up to and including the moment."""
        return _EPOCH + (moment - _EPOCH) // self.period * self.period


@attrs.frozen
class Cron:
    """Ticks where a cron expression says so, in the local time of a zone.

    >>> Cron("30 2 * * *", ZoneInfo("Europe/Berlin")).after(datetime(2026, 5, 4, tzinfo=UTC)).isoformat()
    '2026-05-04T00:30:00+00:00'
    """

    expression: str
    zone: ZoneInfo

    def after(self, moment: datetime) -> datetime:
        """Return the first tick after the moment."""
        return self._tick(moment, reverse=False)

    def latest(self, moment: datetime) -> datetime:
        """Return the last tick up to and including the moment."""
        # Backwards, cronsim takes a start with a fraction of a second as behind the tick at that second.
        return self._tick(moment.replace(microsecond=1), reverse=True)

    def _tick(self, moment: datetime, *, reverse: bool) -> datetime:
        from cronsim import CronSim  # noqa: PLC0415 (only a timer with `cron` needs it)

        tick: datetime = next(CronSim(self.expression, moment.astimezone(self.zone), reverse=reverse))
        return tick.astimezone(UTC)


def schedule(every: timedelta | None, cron: str | None, timezone: str | None) -> Schedule:
    """Make a timer's schedule of its options, each of which was checked.

    Raises:
        ConfigurationError: they do not go together.
    """
    if (every is None) == (cron is None):
        raise ConfigurationError('a timer needs either every = "5s" or cron = "*/5 * * * *"')
    if every is not None:
        if timezone is not None:
            raise ConfigurationError("timezone is the zone of cron: leave it out beside every")
        return Every(every)
    assert cron is not None
    return Cron(cron, zone(timezone or "UTC"))


def check_every(every: timedelta) -> None:
    """Refuse a period that is out of range."""
    if not _SHORTEST <= every <= _LONGEST:
        raise ConfigurationError(f"every is {every}: use 1 ms to {_LONGEST.days} days")


def zone(name: str) -> ZoneInfo:
    """Return a time zone, or refuse its name."""
    try:
        return ZoneInfo(name)
    # What zoneinfo raises for a name depends on the name: not found, not a name, a folder.
    except (KeyError, ValueError, OSError):
        raise ConfigurationError(
            f'timezone "{name}" is not known: use a name such as "Europe/Berlin", '
            "and install tzdata if the system brings no time zones"
        ) from None


def check_cron(expression: str) -> None:
    """Refuse an expression that is malformed or never ticks."""
    from cronsim import CronSimError  # noqa: PLC0415

    try:
        Cron(expression, ZoneInfo("UTC")).after(_EPOCH)
    except CronSimError as error:
        raise ConfigurationError(
            f'cron "{expression}": {error}; it has five fields: minute, hour, day of month, month, day of week'
        ) from error
    except StopIteration:
        raise ConfigurationError(f'cron "{expression}" never ticks: no such day exists') from None
