"""The observers that show a run: as text that folds when there is too much of it, or as JSON without a gap."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Protocol

from orchestrator_core._clock import Clock, SystemClock
from orchestrator_core._notices import AttemptStarted, DeliverySettled, Notice
from orchestrator_core.cli.render import figures, flow, notices
from orchestrator_core.cli.render.json_lines import json_line
from orchestrator_core.cli.render.style import PLAIN, Look, one_line
from orchestrator_core.cli.render.summary import Ending, summary_dict, summary_lines
from orchestrator_core.cli.render.tally import Tally

if TYPE_CHECKING:
    from orchestrator_core.cli._writer import Writer

LINES_PER_SECOND = 300
LINES_AT_ONCE = 3_000
"""More than this nobody reads: beyond it, ordinary lines are folded into one line of counts."""

_URGENT_PER_SECOND = 50
_URGENT_AT_ONCE = 200
_LONG = 2.0


class Printer(Protocol):
    """An observer that shows what happens, and what it all came to."""

    tally: Tally

    def __call__(self, notice: Notice) -> None:
        """Show a notice."""

    def tick(self) -> None:
        """Show what is due without a notice; called several times a second."""

    def log(self, record: logging.LogRecord) -> None:
        """Show a record of `logging`."""

    def say(self, text: str) -> None:
        """Show what the command has to say about itself."""

    def end(self, ending: Ending) -> None:
        """Show the summary."""


class Gate:
    """Lets so many lines through each second, and a burst on top; once closed, it opens after a second that had room.

    Args:
        rate: lines a second that may go on for ever.
        burst: lines that may come at once.
    """

    def __init__(self, rate: int, burst: int) -> None:
        self.closed = False
        self._rate = rate
        self._burst = burst
        self._left = float(burst)
        self._seen = 0
        self._since = 0.0

    def admits(self, now: float) -> bool:
        """Tell whether one more line may be shown at this moment."""
        self.look(now)
        self._seen += 1
        self._left -= 1
        if self._left < 0:
            self.closed = True
        return not self.closed

    def look(self, now: float) -> None:
        """Notice that time has passed."""
        passed = now - self._since
        if passed >= 1.0:
            self._left = min(self._burst, max(0.0, self._left) + passed * self._rate)
            self.closed = self.closed and self._seen > passed * self._rate
            self._since, self._seen = now, 0


class TextPrinter:
    """One aligned line for each thing that happens, and counts when that would be too many."""

    def __init__(self, writer: Writer, look: Look = PLAIN, clock: Clock | None = None) -> None:
        self.tally = Tally()
        self._writer = writer
        self._look = look
        self._layout = flow.Layout(look)
        self._clock = clock or SystemClock()
        self._ordinary = Gate(LINES_PER_SECOND, LINES_AT_ONCE)
        self._urgent = Gate(_URGENT_PER_SECOND, _URGENT_AT_ONCE)
        self._folded: Tally | None = None
        self._folded_since = 0.0
        self._running: dict[str, tuple[float, AttemptStarted]] = {}

    def __call__(self, notice: Notice) -> None:
        """Show a notice, or count it."""
        self.tally.add(notice)
        now = self._clock.monotonic()
        if isinstance(notice, AttemptStarted):
            self._running[notice.delivery_id] = (now, notice)
            return
        if isinstance(notice, DeliverySettled):
            self._running.pop(notice.delivery_id, None)
        # Whether there is room is asked before the line is made: at 40,000 notices a second, making it is what costs.
        if self._ordinary.admits(now) and not self._writer.behind:
            line = flow.describe(notice)
        else:
            line = self._fold(notice, now)
        if line is not None:
            self._show(line)

    def tick(self) -> None:
        """Name attempts that take long, and show or end the line of counts."""
        now = self._clock.monotonic()
        for delivery, (started, notice) in list(self._running.items()):
            if now - started >= _LONG:
                self._running.pop(delivery)
                if not self._folded:
                    self._show(flow.running(notice, now - started))
        self._ordinary.look(now)
        if self._folded is not None:
            self._show_folded(self._folded, now)

    def log(self, record: logging.LogRecord) -> None:
        """Show a log record as a message."""
        style = "red" if record.levelno >= logging.ERROR else "yellow" if record.levelno >= logging.WARNING else "dim"
        note = f"{record.name}: {_message(record)}"
        self._writer.message(self._text(flow.Line(record.levelname.lower(), note, style=style)))

    def say(self, text: str) -> None:
        """Show what the command has to say about itself."""
        self._writer.message(text)

    def end(self, ending: Ending) -> None:
        """Show the summary as a table."""
        if self._folded is not None:
            self._unfold(self._folded)
        self._writer.line("")
        for line in summary_lines(self.tally, ending, self._look):
            self._writer.line(line)

    def _fold(self, notice: Notice, now: float) -> flow.Line | None:
        if self._folded is None:
            self._folded, self._folded_since = Tally(), now
        self._folded.add(notice)
        if isinstance(notice, DeliverySettled) and notice.retry_in is None and notice.reason is None:
            return None
        line = flow.describe(notice)
        return line if line is not None and line.urgent and self._urgent.admits(now) else None

    def _show_folded(self, folded: Tally, now: float) -> None:
        open_again = not self._ordinary.closed
        if self._look.width and not open_again:
            self._writer.progress = self._counts(folded)[: self._look.width - 1]
        elif open_again or now - self._folded_since >= 1.0:
            self._unfold(folded)

    def _unfold(self, folded: Tally) -> None:
        self._writer.progress = ""
        self._writer.line(self._counts(folded))
        self._folded = None

    def _counts(self, folded: Tally) -> str:
        return flow.Layout(PLAIN).text(flow.Line("busy", folded.sentence()), self._now())

    def _show(self, line: flow.Line) -> None:
        self._writer.line(self._text(line))

    def _text(self, line: flow.Line) -> str:
        return self._layout.text(line, self._now())

    def _now(self) -> str:
        return figures.clock(self._clock.time())


class JsonPrinter:
    """One JSON object for each notice; when nobody reads fast enough, the pipeline waits rather than leaves one out."""

    def __init__(self, writer: Writer, clock: Clock | None = None) -> None:
        self.tally = Tally()
        self._writer = writer
        self._clock = clock or SystemClock()

    def __call__(self, notice: Notice) -> None:
        """Write a notice."""
        self.tally.add(notice)
        self._writer.line(json_line(notices.to_dict(notice, self._clock.time())))
        if self._writer.behind:
            self._writer.flush()

    def tick(self) -> None:
        """Do nothing: everything is written as it happens."""

    def log(self, record: logging.LogRecord) -> None:
        """Write a log record as a message."""
        self._writer.message(
            json_line(
                {
                    "time": figures.iso(record.created),
                    "level": record.levelname.lower(),
                    "logger": record.name,
                    "message": _message(record),
                }
            )
        )

    def say(self, text: str) -> None:
        """Write what the command has to say about itself."""
        now = figures.iso(self._clock.time())
        self._writer.message(json_line({"time": now, "level": "info", "message": text}))

    def end(self, ending: Ending) -> None:
        """Write the summary."""
        self._writer.line(json_line({"time": figures.iso(self._clock.time()), **summary_dict(self.tally, ending)}))


class LogHandler(logging.Handler):
    """Hands records to a printer."""

    def __init__(self, printer: Printer, *, verbose: bool = False) -> None:
        super().__init__()
        self._printer = printer
        self._verbose = verbose

    def emit(self, record: logging.LogRecord) -> None:
        """Hand over a record."""
        try:
            self._printer.log(record)
            if self._verbose and record.exc_info:
                for part in traceback.format_exception(record.exc_info[1]):
                    for line in part.rstrip("\n").split("\n"):
                        self._printer.say(one_line(line))
        except Exception:  # noqa: BLE001 (logging's rule: a record that can't be shown must not break who logs)
            self.handleError(record)


def _message(record: logging.LogRecord) -> str:
    text = record.getMessage()
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        text = f"{text}: {type(error).__name__}: {error}"
    return text
