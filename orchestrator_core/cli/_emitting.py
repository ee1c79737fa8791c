"""Accepts events on behalf of an input, beside whoever runs the pipeline."""

from __future__ import annotations

from codecs import BOM_UTF8
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

import anyio.to_thread
import attrs

from orchestrator_core._clock import SystemClock
from orchestrator_core._config.problems import did_you_mean
from orchestrator_core._errors import EventError, EventTooLargeError, HopLimitError
from orchestrator_core._event import HOP_LIMIT, Event
from orchestrator_core._json import dump_json, load_json
from orchestrator_core.cli import _journals
from orchestrator_core.cli.render.figures import count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orchestrator_core._config import Configuration
    from orchestrator_core._json import JSON
    from orchestrator_core._plan import Plan

Line: TypeAlias = "tuple[str, str | bytes]"
"""Where a text comes from, for messages, and the text."""

_BATCH = 100
_CHUNK = 64 * 1024


@attrs.frozen
class Emitted:
    """An event that the journal has.

    Attributes:
        event: as the journal has it.
        fresh: whether it was accepted now; otherwise it was there before.
        processes: where it goes.
    """

    event: Event
    fresh: bool
    processes: Sequence[str]

    def to_dict(self) -> dict[str, JSON]:
        """Return it as a JSON object."""
        return {
            "uid": self.event.uid,
            "trigger": self.event.trigger,
            "accepted": self.fresh,
            "processes": list(self.processes),
        }


@attrs.define
class Total:
    """What an `emit_all` came to."""

    accepted: int = 0
    known: int = 0
    unrouted: int = 0

    def add(self, emitted: Emitted) -> None:
        """Count one."""
        self.accepted += emitted.fresh
        self.known += not emitted.fresh
        self.unrouted += emitted.fresh and not emitted.processes

    def sentence(self) -> str:
        """Return the counts in a line."""
        known = f", {self.known:,} known before" if self.known else ""
        unrouted = f"; {self.unrouted:,} of them go nowhere: no link lets them through" if self.unrouted else ""
        return f"{count(self.accepted, 'event')} accepted{known}{unrouted}"


def compose(location: str, operation: str, id: str, data: str | None) -> str:  # noqa: A002 (the field's name)
    """Return an event made of options as JSON."""
    fields: dict[str, JSON] = {"location": location, "operation": operation, "id": id}
    if data is not None:
        try:
            fields["data"] = load_json(data)
        except EventError as error:
            raise EventError(f"--data is {error}") from error
    return dump_json(fields)


def read_batches(stream: BinaryIO, longest: int) -> Iterator[Sequence[Line]]:
    """Return the lines of a stream in batches of what was there at once, so that a slow source waits for no company.

    Raises:
        EventError: a line is longer than any event may be; those before it were returned.
    """
    number, rest = 0, b""
    while chunk := stream.read1(_CHUNK):  # type: ignore[attr-defined]  # typeshed's BinaryIO lacks it
        *whole, rest = (rest + chunk).split(b"\n")
        if not number and whole:
            whole[0] = whole[0].removeprefix(BOM_UTF8)
        lines = [(f"line {number + at}: ", line) for at, line in enumerate(whole, 1) if line.strip()]
        number += len(whole)
        yield from (lines[start : start + _BATCH] for start in range(0, len(lines), _BATCH))
        if len(rest) > longest:
            raise EventError(f"line {number + 1}: longer than {longest:,} bytes: send a reference instead")
    if not number:
        rest = rest.removeprefix(BOM_UTF8)
    if rest.strip():
        yield [(f"line {number + 1}: ", rest)]


async def emit_all(
    configuration: Configuration,
    batches: Iterator[Sequence[Line]],
    trigger: str | None,
    show: Callable[[Emitted], None],
) -> None:
    """Accept events a batch at a time, in order, and show each once it is accepted.

    Raises:
        EventError: one can't be accepted; those before it were, and it and those behind it were not.
    """
    intake = _Intake(configuration, trigger)
    async with _journals.writer(_journals.located(configuration)) as journal:
        while batch := await anyio.to_thread.run_sync(lambda: next(batches, None), abandon_on_cancel=True):
            entries, wrong = intake.entries(batch)
            appended = await journal.append(entries, now=SystemClock().time())
            for event, fresh, (_, plan) in zip(appended.events, appended.fresh, entries, strict=True):
                show(Emitted(event, fresh, [step.process for step in plan.steps]))
            if wrong is not None:
                raise wrong


class _Intake:
    """Makes ledger entries of lines, by the same rules as the running engine."""

    def __init__(self, configuration: Configuration, trigger: str | None) -> None:
        self._pipeline = configuration.graph()
        self._limit = configuration.pipeline.max_event_bytes
        self._trigger = trigger

    def entries(self, lines: Sequence[Line]) -> tuple[list[tuple[Event, Plan]], Exception | None]:
        """Return entries up to the first line that is wrong, and what is wrong with it."""
        entries: list[tuple[Event, Plan]] = []
        for place, text in lines:
            try:
                entries.append(self._entry(text))
            except EventError as error:
                return entries, EventError(f"{place}{error}")
        return entries, None

    def _entry(self, text: str | bytes) -> tuple[Event, Plan]:
        event = Event.from_json(text)
        event = event.accepted_as(self._input_of(event))
        if event.hops > HOP_LIMIT:
            raise HopLimitError(event.hops, HOP_LIMIT)
        if (size := len(event.to_json().encode())) > self._limit:
            raise EventTooLargeError(size, self._limit)
        return event, self._pipeline.plan(event)

    def _input_of(self, event: Event) -> str:
        name = self._trigger or event.trigger
        inputs = self._pipeline.inputs
        if not name and len(inputs) == 1:
            return next(iter(inputs))
        if not name:
            names = ", ".join(sorted(inputs)) or "none"
            raise EventError(f"from which input? say --input NAME, or give the event a trigger; there are {names}")
        if name not in inputs:
            raise EventError(f'the pipeline has no input "{name}": {did_you_mean(name, sorted(inputs))}')
        return name
