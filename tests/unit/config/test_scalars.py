"""Durations and rates."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrator_core._config.references import Mistake
from orchestrator_core._config.scalars import format_duration, format_rate, parse_duration, parse_rate


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("5s", timedelta(seconds=5)),
        ("10m", timedelta(minutes=10)),
        ("1h30m", timedelta(minutes=90)),
        ("7d", timedelta(days=7)),
        ("250ms", timedelta(milliseconds=250)),
        ("1.5h", timedelta(minutes=90)),
        ("1w", timedelta(days=7)),
        ("36500d", timedelta(days=36_500)),
    ],
)
def test_a_duration(text: str, duration: timedelta) -> None:
    """One or more numbers with units."""
    assert duration == parse_duration(text)


@pytest.mark.parametrize(
    "text", ["", "5", "s", "-5s", "+5s", "5 s", "5S", "1e3s", "nan", "0s", "0.0001ms", "\u0665s", "5s "]
)
def test_what_is_no_duration(text: str) -> None:
    """No unit, no number, no time at all."""
    with pytest.raises(Mistake, match=r"^expected a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(days=1, seconds=1), "1d1s"),
        (timedelta(milliseconds=1_500), "1s500ms"),
        (timedelta(microseconds=1_500), "1.5ms"),
        (timedelta(0), "0s"),
    ],
)
def test_a_duration_as_text(duration: timedelta, text: str) -> None:
    """The largest units first, none that is zero."""
    assert text == format_duration(duration)


@pytest.mark.parametrize(("text", "rate"), [("10/s", 10), ("90/m", 1.5), ("36/h", 0.01), ("0.5/s", 0.5)])
def test_a_rate(text: str, rate: float) -> None:
    """Starts per second."""
    assert rate == parse_rate(text)


@pytest.mark.parametrize(
    "text", ["", "10", "10/", "/s", "-1/s", "0/s", "10/ms", "10/w", "1e9/s", "10 / s", "9999999/s"]
)
def test_what_is_no_rate(text: str) -> None:
    """No unit, no number, none at all, more than anybody can start."""
    with pytest.raises(Mistake, match=r"^expected a rate"):
        parse_rate(text)


@pytest.mark.parametrize("text", ["10/s", "100/m", "5/h", "1/d"])
def test_a_rate_as_text(text: str) -> None:
    """By the unit that makes it a whole number."""
    assert text == format_rate(parse_rate(text))
