"""What a run shows, line by line."""

from __future__ import annotations

import pytest

from orchestrator_core import (
    AttemptLogged,
    AttemptStarted,
    DeliveryState,
    InputChanged,
    LoopBlocked,
    Measured,
    Notice,
)
from orchestrator_core.cli.render.flow import Layout, describe, running
from orchestrator_core.cli.render.style import PLAIN, Look
from tests.unit.cli.notices import ESCAPED, HOSTILE, accepted, event, settled


def _text(notice: Notice, look: Look = PLAIN) -> str:
    line = describe(notice)
    assert line is not None
    return Layout(look).text(line, "12:00:00")


@pytest.mark.parametrize(
    ("notice", "expected"),
    [
        pytest.param(accepted(), "12:00:00  accepted             raw/reading/0  create", id="one event"),
        pytest.param(accepted(100), "12:00:00  accepted             raw  100 events", id="a batch"),
        pytest.param(
            accepted(1, unrouted=1), "12:00:00  accepted             raw/reading/0  create, goes nowhere", id="unrouted"
        ),
        pytest.param(
            accepted(9, unrouted=2),
            "12:00:00  accepted             raw  9 events, 2 of them go nowhere",
            id="a batch with unrouted ones",
        ),
        pytest.param(
            settled(DeliveryState.DONE), "12:00:00  done          12 ms  raw/reading/7 → clean", id="done at once"
        ),
        pytest.param(
            settled(DeliveryState.DONE, attempt=3),
            "12:00:00  done          12 ms  raw/reading/7 → clean  attempt 3",
            id="done in the end",
        ),
        pytest.param(
            settled(DeliveryState.READY, "refused", retry_in=2.0),
            "12:00:00  retry         12 ms  raw/reading/7 → clean  refused; attempt 2 in 2.0 s",
            id="to be tried again",
        ),
        pytest.param(
            settled(DeliveryState.READY, "stopped", retry_in=0.0),
            "12:00:00  retry         12 ms  raw/reading/7 → clean  stopped; again at once",
            id="to be tried at once",
        ),
        pytest.param(
            settled(DeliveryState.DEAD, "no such place"),
            "12:00:00  dead          12 ms  raw/reading/7 → clean  no such place",
            id="dead at once",
        ),
        pytest.param(
            settled(DeliveryState.DEAD, "refused", attempt=5),
            "12:00:00  dead          12 ms  raw/reading/7 → clean  refused (attempt 5)",
            id="dead in the end",
        ),
        pytest.param(
            AttemptLogged("d1", "clean", "3 mm"), "12:00:00  log                  clean -> 3 mm", id="a process's log"
        ),
        pytest.param(InputChanged("raw", "ready"), "12:00:00  ready                raw", id="an input listens"),
        pytest.param(
            InputChanged("raw", "failed", "refused", 4.0),
            "12:00:00  failed               raw  refused; starts again in 4.0 s",
            id="an input failed",
        ),
        pytest.param(InputChanged("raw", "ended"), "12:00:00  ended                raw", id="an input ended"),
        pytest.param(
            LoopBlocked(3.0, "a.py:7 in f", "clean"),
            '12:00:00  blocked       3.0 s  a.py:7 in f  the attempt of "clean" started last',
            id="the loop is blocked",
        ),
    ],
)
def test_each_notice_has_its_line(notice: Notice, expected: str) -> None:
    """Time, what happened, how long it took and whom it concerns stand in columns; the rest follows."""
    assert expected == _text(notice)


@pytest.mark.parametrize(
    "notice",
    [
        pytest.param(AttemptStarted("d1", "clean", event(), 1), id="start"),
        pytest.param(Measured("raw", "rows", 1.0), id="figure"),
    ],
)
def test_what_nobody_follows_has_no_line(notice: Notice) -> None:
    """The start of an attempt and a measured figure are not worth a line."""
    assert describe(notice) is None


def test_long_attempts_are_named() -> None:
    """An attempt that goes on for long has a line while it runs."""
    line = running(AttemptStarted("d1", "clean", event(), 2), 65)
    assert Layout(PLAIN).text(line, "12:00:00") == "12:00:00  running   1 min 5 s  raw/reading/7 → clean  attempt 2"


def test_arrows_stand_below_each_other() -> None:
    """The subjects' column grows to the longest one, so that the targets are aligned."""
    layout = Layout(PLAIN)
    texts = [
        layout.text(line, "12:00:00")
        for name in ("12345", "1")
        if (line := describe(settled(DeliveryState.DONE, event=event(name)))) is not None
    ]
    assert len({text.index("→") for text in texts}) == 1


@pytest.mark.parametrize("width", [80, 120])
def test_a_note_that_does_not_fit_is_wrapped_below(width: int) -> None:
    """On a terminal a long reason goes below its line, and no line is wider than the terminal."""
    text = _text(settled(DeliveryState.DEAD, "the sensor is broken " * 12), Look(width=width))
    lines = text.splitlines()
    assert lines[0] == "12:00:00  dead          12 ms  raw/reading/7 → clean"
    assert lines[1].startswith("          └ the sensor")
    assert max(map(len, lines)) <= width


def test_off_a_terminal_nothing_is_wrapped() -> None:
    """Off a terminal a notice is one line, however long."""
    text = _text(settled(DeliveryState.DEAD, "the sensor is broken " * 12))
    assert "\n" not in text
    assert text.count("sensor") == 12


def test_colours_only_where_they_show() -> None:
    """The word is coloured on a terminal that has colours, and nowhere else."""
    notice = settled(DeliveryState.DEAD, "no")
    assert "\x1b[1;31mdead" in _text(notice, Look(colour=True, width=80))
    assert "\x1b" not in _text(notice, Look(colour=False, width=80))


@pytest.mark.parametrize(
    "notice",
    [
        pytest.param(settled(DeliveryState.DEAD, HOSTILE), id="reason"),
        pytest.param(settled(DeliveryState.DONE, event=event(HOSTILE)), id="id"),
        pytest.param(settled(DeliveryState.DONE, event=event(location=HOSTILE)), id="location"),
        pytest.param(AttemptLogged("d1", "clean", HOSTILE), id="log line"),
        pytest.param(InputChanged("raw", "unhealthy", HOSTILE), id="problem of an input"),
    ],
)
def test_e57_data_stays_on_its_line(notice: Notice) -> None:
    """E57: line ends, escape sequences, bidirectional controls and U+2028 are shown as what they are."""
    text = _text(notice)
    assert ESCAPED in text
    assert text.isprintable()


@pytest.mark.parametrize("value", ["{0.__class__}", "%n%s", "[bold red]x[/]", "${HOME}", "{{7*7}}"])
def test_e58_values_are_inert(value: str) -> None:
    """E58: what looks like a format, markup or a variable is printed as it is."""
    assert value in _text(settled(DeliveryState.DEAD, value))
