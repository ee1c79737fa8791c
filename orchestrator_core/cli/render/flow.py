"""One line of text for each thing that happens in a run, aligned to be read at a glance."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

import attrs

from orchestrator_core._delivery import DeliveryState
from orchestrator_core._notices import (
    AttemptLogged,
    AttemptStarted,
    DeliverySettled,
    EventsAccepted,
    InputChanged,
    LoopBlocked,
    Measured,
    Notice,
)
from orchestrator_core.cli.render.figures import count, duration
from orchestrator_core.cli.render.style import Look, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator_core._event import Event

_HEAD = 30
_WIDEST = 48
_BELOW = " " * 10 + "└ "


@attrs.frozen
class Line:
    """What there is to say about one notice; the texts are as they came, not yet escaped.

    Attributes:
        what: the word at the start.
        subject: whom it happened to.
        target: the process, where an event goes to one.
        seconds: how long it took.
        note: why, how often, when again.
        style: the colour of the word.
        urgent: to be shown even when there is too much to show.
    """

    what: str
    subject: str
    target: str = ""
    seconds: float | None = None
    note: str = ""
    style: str = ""
    urgent: bool = False


def describe(notice: Notice) -> Line | None:
    """Return the line for a notice, ``None`` if it is not one that people follow."""
    match notice:
        case EventsAccepted():
            return _accepted(notice)
        case DeliverySettled():
            return _settled(notice)
        case AttemptLogged(_, process, line):
            return Line("log", f"{process} -> {line}", style="dim")
        case InputChanged():
            return _input(notice)
        case LoopBlocked(seconds, where, process):
            note = f'the attempt of "{process}" started last' if process else ""
            return Line("blocked", where, seconds=seconds, note=note, style="yellow", urgent=True)
        case AttemptStarted() | Measured():
            return None


def running(notice: AttemptStarted, seconds: float) -> Line:
    """Return the line for an attempt that has been running for a while."""
    note = f"attempt {notice.attempt}" if notice.attempt > 1 else ""
    return Line("running", _record(notice.event), notice.process, seconds, note, "cyan")


def _accepted(notice: EventsAccepted) -> Line:
    total = len(notice.events)
    if total == 1:
        subject, note = _record(notice.events[0]), str(notice.events[0].operation)
        note = f"{note}, goes nowhere" if notice.unrouted else note
    else:
        subject, note = notice.trigger, count(total, "event")
        note = f"{note}, {notice.unrouted:,} of them go nowhere" if notice.unrouted else note
    return Line("accepted", subject, note=note, style="yellow" if notice.unrouted else "")


def _settled(notice: DeliverySettled) -> Line:
    record, reason = _record(notice.event), notice.reason or ""
    if notice.state is DeliveryState.DONE:
        note = f"attempt {notice.attempt}" if notice.attempt > 1 else ""
        return Line("done", record, notice.process, notice.seconds, note, "green")
    if notice.state is DeliveryState.DEAD:
        note = f"{reason} (attempt {notice.attempt})" if notice.attempt > 1 else reason
        return Line("dead", record, notice.process, notice.seconds, note, "bold red", urgent=True)
    again = f"attempt {notice.attempt + 1} in {duration(notice.retry_in)}" if notice.retry_in else "again at once"
    note = f"{reason}; {again}" if reason else again
    return Line("retry", record, notice.process, notice.seconds, note, "yellow")


_INPUT_STYLES = {"starting": "dim", "ready": "cyan", "failed": "bold red", "ended": "dim", "unhealthy": "yellow"}


def _input(notice: InputChanged) -> Line:
    parts = [notice.reason] if notice.reason else []
    if notice.restart_in is not None:
        parts.append(f"starts again in {duration(notice.restart_in)}")
    return Line(notice.state, notice.name, note="; ".join(parts), style=_INPUT_STYLES[notice.state], urgent=True)


def _record(event: Event) -> str:
    return f"{event.trigger}/{event.location}/{event.id}"


class Layout:
    """Puts lines into columns; the column of the subjects grows with what it has seen."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._widest = 0

    def text(self, line: Line, clock: str) -> str:
        """Return a line as text: escaped, aligned, and coloured if that can be shown."""
        paint = self._look.paint
        took = duration(line.seconds) if line.seconds is not None else ""
        note = one_line(line.note)
        subject = one_line(line.subject)
        if line.target:
            self._widest = max(self._widest, min(len(subject), _WIDEST))
            subject = f"{subject.ljust(self._widest)} → {line.target}"
        head = f"{paint(clock, 'dim')}  {paint(line.what.ljust(9), line.style)} {took:>9}  "
        if not note:
            return f"{head}{subject}".rstrip()
        if self._look.width and _HEAD + len(subject) + 2 + len(note) > self._look.width:
            return "\n".join([f"{head}{subject}", *self._below(note, line.style)])
        return f"{head}{subject}  {paint(note, line.style)}"

    def _below(self, note: str, style: str) -> Iterator[str]:
        """Return a note that does not fit beside its subject, wrapped to the terminal."""
        width = max(20, (self._look.width or 0) - len(_BELOW))
        for index, part in enumerate(wrap(note, width)):
            lead = _BELOW if index == 0 else " " * len(_BELOW)
            yield f"{self._look.paint(lead, 'dim')}{self._look.paint(part, style)}"
