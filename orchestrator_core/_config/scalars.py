"""Single values: from what TOML can say to what a field is typed as, with the reason where that can't be."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NewType, get_args

from orchestrator_core._config.problems import describe, nearest, quote
from orchestrator_core._config.references import Mistake
from orchestrator_core._secret import Secret

Rate = NewType("Rate", float)
"""Starts per second, written ``"10/s"``, ``"100/m"`` or ``"5/h"``."""

DURATION_PATTERN = r"(\d+(\.\d+)?(ms|s|m|h|d|w))+"
RATE_PATTERN = r"\d+(\.\d+)?/(s|m|h|d)"
LONGEST = timedelta(days=36_500)
FASTEST = 1_000_000.0

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_DURATION = 'a duration such as "30s", "1h30m" or "250ms", more than zero and at most 36500d'
_RATE = 'a rate such as "10/s", "100/m" or "5/h", more than zero and at most 1000000/s'


def parse_duration(text: str) -> timedelta:
    """Return a duration of its text.

    Raises:
        Mistake: it is none, or out of range.
    """
    # Bounded before the pattern sees it: no duration needs more.
    if len(text) <= 64 and re.fullmatch(DURATION_PATTERN, text, re.ASCII):  # noqa: PLR2004
        parts = re.findall(r"([\d.]+)(ms|[smhdw])", text)
        seconds = math.fsum(float(number) * _SECONDS[unit] for number, unit in parts)
        if 0 < seconds <= LONGEST.total_seconds() and (duration := timedelta(seconds=seconds)):
            return duration
    raise Mistake(f"expected {_DURATION}")


def format_duration(duration: timedelta) -> str:
    """Return the shortest text that `parse_duration` reads as this duration.

    >>> format_duration(timedelta(minutes=90)), format_duration(timedelta(milliseconds=250))
    ('1h30m', '250ms')
    """
    rest = duration // timedelta(microseconds=1)
    text = ""
    for unit, size in (("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000)):
        count, rest = divmod(rest, size)
        if unit == "ms" and rest:
            return f"{text}{count + rest / 1_000}ms"
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def parse_rate(text: str) -> Rate:
    """Return starts per second.

    Raises:
        Mistake: it is no rate, or out of range.
    """
    if len(text) <= 64 and re.fullmatch(RATE_PATTERN, text, re.ASCII):  # noqa: PLR2004 (as above)
        number, unit = text.split("/")
        per_second = float(number) / _SECONDS[unit]
        if 0 < per_second <= FASTEST:
            return Rate(per_second)
    raise Mistake(f"expected {_RATE}")


def format_rate(rate: float) -> str:
    """Return a rate as `parse_rate` reads it, by the unit that makes it a whole number if there is one."""
    for unit in ("s", "m", "h", "d"):
        if math.isclose(number := rate * _SECONDS[unit], round(number)) and round(number):
            return f"{round(number)}/{unit}"
    return f"{rate:f}/s"


def _text(value: object, _: Any) -> str:  # noqa: ANN401 (a hook is handed the type)
    if isinstance(value, str):
        return value
    raise Mistake("expected text", _unquoted(value), found=describe(value))


def _unquoted(value: object) -> str:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return f'put it in quotes: "{value}"' if plain else ""


def _secret(value: object, _: Any) -> Secret:  # noqa: ANN401
    if isinstance(value, str):
        return Secret(value)
    raise Mistake('expected text, best kept elsewhere: { env = "NAME" } or { file = "/path" }')


def _path(value: object, _: Any) -> Path:  # noqa: ANN401
    text = _text(value, str)
    if text and "\0" not in text:
        return Path(text)
    raise Mistake("expected a path", found="an empty one or one with a NUL")


def _boolean(value: object, _: Any) -> bool:  # noqa: ANN401
    if isinstance(value, bool):
        return value
    raise Mistake("expected true or false", found=describe(value))


def _integer(value: object, _: Any) -> int:  # noqa: ANN401
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    numeric = isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value, re.ASCII)
    raise Mistake("expected a whole number", f"write {value}" if numeric else "", found=describe(value))


def _number(value: object, _: Any) -> float:  # noqa: ANN401
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise Mistake("expected a number", found=describe(value))


def _moment(value: object, kind: type) -> Any:  # noqa: ANN401
    # A datetime is a date to Python, not to a configuration.
    if type(value) is kind:
        return value
    raise Mistake(f"expected a {kind.__name__} such as {_MOMENTS[kind]}", found=describe(value))


_MOMENTS = {datetime: "2026-05-04T12:30:00Z", date: "2026-05-04", time: "12:30:00"}


def _duration(value: object, _: Any) -> timedelta:  # noqa: ANN401
    try:
        return parse_duration(value if isinstance(value, str) else "")
    except Mistake as mistake:
        raise Mistake(mistake.message, _with_unit(value), found=describe(value)) from None


def _with_unit(value: object) -> str:
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 < value < LONGEST.total_seconds()
    return f'if seconds are meant, write "{value}s"' if whole else ""


def _rate(value: object, _: Any) -> Rate:  # noqa: ANN401
    try:
        return parse_rate(value if isinstance(value, str) else "")
    except Mistake as mistake:
        raise Mistake(mistake.message, found=describe(value)) from None


def structure_enum(value: object, kind: type[enum.Enum]) -> enum.Enum:
    """Return the member with that value."""
    try:
        return kind(value)
    except ValueError:
        names = [str(member.value) for member in kind]
        raise Mistake(f"expected one of {choices(names)}", _meant(value, names), found=describe(value)) from None


def structure_literal(value: object, kind: object) -> object:
    """Return the value if it is one of those that a `typing.Literal` lists."""
    allowed = get_args(kind)
    # 1 == True, but not in a configuration.
    if any(type(value) is type(each) and value == each for each in allowed):
        return value
    names = [str(each) for each in allowed]
    raise Mistake(f"expected {choices(names)}", _meant(value, names), found=describe(value))


def _meant(value: object, names: list[str]) -> str:
    near = nearest(value, names) if isinstance(value, str) else None
    return f"did you mean {quote(near)}?" if near else ""


def choices(names: list[str]) -> str:
    """Return names as they would be written, joined by "or"."""
    *first, last = [quote(name) for name in names]
    return f"{', '.join(first)} or {last}" if first else last


SCALARS: Mapping[Any, Callable[[Any, Any], Any]] = {
    str: _text,
    Secret: _secret,
    Path: _path,
    bool: _boolean,
    int: _integer,
    float: _number,
    timedelta: _duration,
    Rate: _rate,
    datetime: _moment,
    date: _moment,
    time: _moment,
}
"""How each type of a single value is made of what TOML says."""
