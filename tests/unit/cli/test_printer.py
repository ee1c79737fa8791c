"""How a run is shown when much happens, and when nothing does."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from orchestrator_core import AttemptLogged, AttemptStarted, DeliveryState, InputChanged
from orchestrator_core.cli._printer import LINES_AT_ONCE, LINES_PER_SECOND, JsonPrinter, LogHandler, TextPrinter
from orchestrator_core.cli._writer import Writer
from orchestrator_core.cli.render.style import PLAIN, Look
from orchestrator_core.cli.render.summary import Ending
from orchestrator_core.testing import SimulatedClock
from tests.unit.cli.notices import ESCAPED, HOSTILE, NOON, accepted, event, settled


class Shown:
    """A printer at a simulated clock, and what it wrote."""

    def __init__(self, look: Look = PLAIN) -> None:
        self.clock = SimulatedClock(start=NOON)
        self.out, self.err = io.StringIO(), io.StringIO()
        self.writer = Writer(self.out, self.err, self.clock)
        self.text = TextPrinter(self.writer, look, self.clock)
        self.json = JsonPrinter(self.writer, self.clock)

    @property
    def lines(self) -> list[str]:
        """What was written to stdout so far."""
        self.writer.flush()
        return self.out.getvalue().splitlines()

    @property
    def messages(self) -> list[str]:
        """What was written to stderr so far."""
        self.writer.flush()
        return self.err.getvalue().splitlines()


def _done(shown: Shown, number: int) -> None:
    for index in range(number):
        shown.text(settled(DeliveryState.DONE, event=event(str(index))))


def test_what_can_be_read_is_shown_line_by_line() -> None:
    """A short run has a line for each thing that happens."""
    shown = Shown()
    _done(shown, LINES_AT_ONCE)
    assert len(shown.lines) == LINES_AT_ONCE


@pytest.mark.anyio
async def test_a_flood_is_folded_into_counts() -> None:
    """A long one has one line of counts a second, and nothing is left out of it."""
    shown = Shown()
    _done(shown, 10_000)
    for _ in range(3):
        await shown.clock.advance(1.0)
        shown.text.tick()
        _done(shown, 10_000)
    folded = shown.lines[LINES_AT_ONCE:]
    assert folded == [
        f"{shown.lines[0][:6]}{second:02}  busy                 {done} done"
        for second, done in ((1, f"{10_000 - LINES_AT_ONCE:,}"), (2, "10,000"), (3, "10,000"))
    ]


@pytest.mark.anyio
async def test_lines_return_when_the_flood_is_over() -> None:
    """After a second that had room, each thing that happens has its line again."""
    shown = Shown()
    _done(shown, 10_000)
    for _ in range(3):
        await shown.clock.advance(1.0)
        shown.text.tick()
    before = len(shown.lines)
    _done(shown, 5)
    assert len(shown.lines) == before + 5


@pytest.mark.anyio
async def test_some_hundreds_a_second_may_go_on() -> None:
    """A steady flow that can be scrolled through is never folded."""
    shown = Shown()
    for _ in range(60):
        _done(shown, LINES_PER_SECOND)
        await shown.clock.advance(1.0)
        shown.text.tick()
        shown.writer.flush()
    assert len(shown.lines) == 60 * LINES_PER_SECOND


def test_a_reader_that_is_slow_folds_lines() -> None:
    """When lines are not written as fast as they come, they are counted rather than kept: memory stays bounded."""
    shown = Shown()
    for _ in range(20_000):
        shown.writer.line("another")
    _done(shown, 100)
    shown.text.tick()
    shown.writer.flush()
    assert shown.lines[20_000:] == [f"{shown.lines[-1][:8]}  busy                 100 done"]


def test_dead_letters_and_inputs_show_through_a_flood() -> None:
    """What somebody should act on is never folded away by what goes well."""
    shown = Shown()
    _done(shown, 10_000)
    shown.text(settled(DeliveryState.DEAD, "no such place"))
    shown.text(InputChanged("raw", "failed", "refused", 2.0))
    assert [line[10:14] for line in shown.lines[-2:]] == ["dead", "fail"]


def test_even_dead_letters_do_not_flood() -> None:
    """Ten thousand dead letters in a second are counts as well."""
    shown = Shown()
    for _ in range(10_000):
        shown.text(settled(DeliveryState.DEAD, "no such place"))
    assert len(shown.lines) <= LINES_AT_ONCE + 200


@pytest.mark.anyio
async def test_a_terminal_has_one_progress_line() -> None:
    """On a terminal the counts are rewritten in place, never wider than the terminal."""
    shown = Shown(Look(width=60))
    for _ in range(3):
        _done(shown, 10_000)
        await shown.clock.advance(0.5)
        shown.text.tick()
        shown.writer.flush()
    progress = shown.out.getvalue().split("\r\x1b[2K")
    assert [part.rpartition("  ")[2] for part in progress[1:]] == [
        f"{number - LINES_AT_ONCE:,} done" for number in (20_000, 30_000)
    ]
    assert max(len(part.splitlines()[-1]) for part in progress) < 60


@pytest.mark.anyio
async def test_a_long_attempt_is_named_once() -> None:
    """An attempt that runs for more than two seconds gets a line, and only one."""
    shown = Shown()
    shown.text(AttemptStarted("d1", "clean", event(), 1))
    for _ in range(5):
        await shown.clock.advance(1.0)
        shown.text.tick()
    assert [line[10:] for line in shown.lines] == ["running       2.0 s  raw/reading/7 → clean"]


@pytest.mark.anyio
async def test_a_short_attempt_is_not_named() -> None:
    """An attempt that was settled in time has no line but its outcome."""
    shown = Shown()
    shown.text(AttemptStarted("d1", "clean", event(), 1))
    shown.text(settled(DeliveryState.DONE))
    await shown.clock.advance(5.0)
    shown.text.tick()
    assert len(shown.lines) == 1


def test_the_summary_comes_last_even_in_a_flood() -> None:
    """The counts that were not shown yet come before the summary."""
    shown = Shown()
    _done(shown, 10_000)
    shown.text.end(Ending(("clean",), 1.0, 0, 0, 0))
    tail = shown.lines[LINES_AT_ONCE:]
    assert f"{10_000 - LINES_AT_ONCE:,} done" in tail[0]
    assert tail[-1].split() == ["clean", "10,000", "0", "0", "12", "ms"]


def test_json_leaves_nothing_out() -> None:
    """With JSON there is an object for each notice, however many there are."""
    shown = Shown()
    for index in range(25_000):
        shown.json(AttemptLogged("d1", "clean", str(index)))
    assert [json.loads(line)["line"] for line in shown.lines] == [str(index) for index in range(25_000)]


def test_json_names_events_without_their_data() -> None:
    """An accepted event is named: who, what and which; its data stays in the journal."""
    shown = Shown()
    shown.json(accepted())
    found = json.loads(shown.lines[0])
    named = {"uid": "u0", "trigger": "raw", "location": "reading", "operation": "create", "id": "0"}
    assert found == {
        "time": "2026-01-01T11:00:00.000Z",
        "notice": "events_accepted",
        "trigger": "raw",
        "events": [named],
        "unrouted": 0,
    }


def _logged(shown: Shown, printer: str, say: Callable[[logging.Logger], Any], *, verbose: bool = False) -> list[str]:
    handler = LogHandler(shown.text if printer == "text" else shown.json, verbose=verbose)
    logger = logging.getLogger("orchestrator_core.input.raw")
    logger.addHandler(handler)
    try:
        say(logger)
    finally:
        logger.removeHandler(handler)
    return shown.messages


def test_log_records_are_messages() -> None:
    """What is logged goes to stderr, in the columns of everything else."""
    shown = Shown()
    messages = _logged(shown, "text", lambda logger: logger.warning("%d rows left", 7))
    assert [message[10:] for message in messages] == ["warning              orchestrator_core.input.raw: 7 rows left"]
    assert shown.lines == []


def test_log_records_as_json() -> None:
    """With JSON a log record is an object too, on stderr."""
    messages = _logged(Shown(), "json", lambda logger: logger.error("broken"))
    assert {**json.loads(messages[0]), "time": ""} == {
        "time": "",
        "level": "error",
        "logger": "orchestrator_core.input.raw",
        "message": "broken",
    }


@pytest.mark.parametrize("printer", ["text", "json"])
def test_e57_log_records_stay_on_their_line(printer: str) -> None:
    """E57: a logged value can neither break the line nor drive the terminal."""
    messages = _logged(Shown(), printer, lambda logger: logger.warning("saw %s", HOSTILE))
    assert len(messages) == 1
    assert messages[0].isprintable()
    assert ESCAPED.split("[", maxsplit=1)[0] in messages[0] or json.loads(messages[0])["message"] == f"saw {HOSTILE}"


def _fail(logger: logging.Logger) -> None:
    logger.error("it failed", exc_info=ValueError(HOSTILE))


def test_an_exception_is_one_line() -> None:
    """A logged exception shows its type and message; no traceback."""
    messages = _logged(Shown(), "text", _fail)
    assert [message[10:] for message in messages] == [
        f"error                orchestrator_core.input.raw: it failed: ValueError: {ESCAPED}"
    ]


def test_verbose_adds_the_traceback() -> None:
    """With --verbose the traceback follows, line by line, escaped as well."""
    messages = _logged(Shown(), "text", _fail, verbose=True)
    assert messages[1:] == ["ValueError: a\\r", ESCAPED.removeprefix("a\\r\\n")]


def test_messages_and_data_keep_their_order() -> None:
    """What was said before a line is written before it, to its own stream."""
    both = io.StringIO()
    writer = Writer(both, both)
    for text, add in (("1", writer.line), ("2", writer.message), ("3", writer.message), ("4", writer.line)):
        add(text)
    writer.flush()
    assert both.getvalue() == "1\n2\n3\n4\n"


@pytest.mark.anyio
async def test_lines_are_written_while_it_runs() -> None:
    """A running writer writes within a tenth of a second, from another thread."""
    clock = SimulatedClock()
    out = io.StringIO()
    writer = Writer(out, out, clock)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(writer.run)
            writer.line("1")
            while not out.getvalue():
                await clock.advance(0.1)
            tasks.cancel_scope.cancel()
    assert out.getvalue() == "1\n"


def test_a_reader_that_goes_away_stops_nothing() -> None:
    """When nobody reads the pipe any more, that is said once, and lines go nowhere from then on."""
    reading, writing = os.pipe()
    os.close(reading)
    err = io.StringIO()
    with os.fdopen(writing, "w") as out:
        writer = Writer(out, err)
        for _ in range(3):
            writer.line("1")
            writer.flush()
    assert err.getvalue() == "the output can't be written (Broken pipe): the run goes on without it\n"
