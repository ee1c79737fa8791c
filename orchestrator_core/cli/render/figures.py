"""Durations, moments and counts as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

_FAR = 2.5e11
"""Seconds to the end of the years that a calendar of four digits has."""

_STEPS = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))


def duration(seconds: float) -> str:
    """Return a length of time in at most two units.

    >>> [duration(each) for each in (0.0004, 0.012, 1.25, 42, 125, 7_384, 190_000)]
    ['<1 ms', '12 ms', '1.2 s', '42 s', '2 min 5 s', '2 h 3 min', '2 d 4 h']
    """
    if seconds < 0.0005:  # noqa: PLR2004 (what rounds to nothing)
        return "<1 ms"
    if seconds < 0.9995:  # noqa: PLR2004 (what rounds to a second)
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:  # noqa: PLR2004 (a digit after the point while it says something)
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, smaller, lesser in _STEPS:
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit} {rest} {lesser}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def count(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun.

    >>> count(1, "event"), count(1_200, "delivery", "deliveries")
    ('1 event', '1,200 deliveries')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def moment(epoch: float | None) -> str:
    """Return seconds since 1970 as local date and time, or nothing for ``None`` and for what no calendar has."""
    return "" if epoch is None or abs(epoch) > _FAR else _local(epoch).strftime("%Y-%m-%d %H:%M:%S")


def clock(epoch: float) -> str:
    """Return seconds since 1970 as the local time of day."""
    return _local(epoch).strftime("%H:%M:%S")


def iso(epoch: float | None) -> str | None:
    """Return seconds since 1970 as ISO 8601 in UTC, for programs.

    >>> iso(0)
    '1970-01-01T00:00:00.000Z'
    """
    if epoch is None or abs(epoch) > _FAR:
        return None
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _local(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, UTC).astimezone()
