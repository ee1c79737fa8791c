"""The input `jsonl`: an event for every line of a file, or of the standard input."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import attrs
from anyio import to_thread

from orchestrator_core import (
    JSON,
    Event,
    EventError,
    InputContext,
    InputType,
    Operation,
    dump_json,
    hookimpl,
    load_json,
)
from orchestrator_core.builtin._lines import LONGEST_LINE, Line, LineFile, Position
from orchestrator_core.builtin._stdin import StandardInput

_BATCH = 100
_EVENT_NEEDS = frozenset({"location", "operation", "id"})
_EVENT_HAS = frozenset(field.name for field in attrs.fields(Event) if not field.name.startswith("_"))


@attrs.frozen(kw_only=True)
class JsonLines:
    """Emits an event for every line of a file.

    A line is an event, if it is an object with `location`, `operation`, `id` and no field that an event does not have.
    Any other object becomes the `data` of an event. Empty lines are passed over.

    How far the file was read is stored in the same transaction as the events, so a killed run goes on with the next
    line. A file that was written anew or cut short is read from its beginning. Of a file that is followed, a rotated
    predecessor is read to its end first. The standard input can be read only once: lines that were not accepted before
    a crash are lost with it.

    Attributes:
        path: the file, relative to `directory`; ``-`` is the standard input.
        directory: where a relative path begins; the folder of the configuration file if it is not given there.
        follow: go on at the end of the file, as ``tail -F`` does: wait for more, for the line break of a last line,
            for the file to appear, and for its successor when it was rotated.
        poll: how long to wait at the end of a file that is followed before the next look.
        format: ``event``: each line is an event; ``object``: none is, and each is the data of one; ``auto``: a line
            with `location`, `operation`, `id` and no field that an event does not have is one, any other is data.
        location: the location of objects' events; the file's name without its suffix if not given.
        id_field: the key of an object's id, which it then must have. If not given, it is ``id`` where an object has
            one, else the number of the line.
        operation: the operation of objects' events.
        bad_lines: what to do with a line that is no event: ``skip`` writes it to the log with its file and line, turns
            the input's health red and goes on; ``stop`` fails there, again and again, until the line is mended.
    """

    path: str
    directory: Path = attrs.field(default=Path(), converter=Path)
    follow: bool = False
    poll: timedelta = timedelta(seconds=1)
    format: Literal["auto", "event", "object"] = "auto"
    location: str | None = None
    id_field: str | None = None
    operation: Operation = attrs.field(default=Operation.CREATE, converter=Operation)
    bad_lines: Literal["skip", "stop"] = "skip"
    _stdin: StandardInput = attrs.field(factory=StandardInput, repr=False, eq=False)

    async def check(self) -> None:
        """Raise if the file can't be read; one that is followed may appear later."""
        if self.path != "-" and not (self.follow and not self._file.exists()):
            await to_thread.run_sync(self._read_nothing)

    async def run(self, context: InputContext) -> None:
        """Emit the lines; return at the end, unless the file is followed."""
        if self.path == "-":
            await self._run_stdin(context)
        else:
            await self._run_file(context)

    @property
    def _file(self) -> Path:
        return self.directory / self.path

    def _read_nothing(self) -> None:
        file = LineFile(self._file, Position(), grows=False)
        try:
            file.read(0)
        finally:
            file.close()

    async def _run_stdin(self, context: InputContext) -> None:
        batches = _Batches(self, "standard input", context)
        context.ready()
        while lines := await self._stdin.read(_BATCH):
            await batches.emit(lines, None, _random_uid)
            self._stdin.done(lines)

    async def _run_file(self, context: InputContext) -> None:
        checkpoint: Any = await context.load_checkpoint()
        file = LineFile(self._file, Position(**checkpoint) if checkpoint else Position(), grows=self.follow)
        batches = _Batches(self, self.path, context)
        if self.follow and not self._file.exists():
            context.log.warning("%s does not exist yet: waiting for it", self.path)
        context.ready()
        try:
            while True:
                lines = await self._look(file, context)
                if lines:
                    uid = partial(_uid, file.position.generation)
                    await batches.emit(lines, attrs.asdict(file.position), uid)
                elif self.follow:
                    context.caught_up()
                    await context.sleep(self.poll.total_seconds())
                else:
                    return
        finally:
            file.close()

    async def _look(self, file: LineFile, context: InputContext) -> Sequence[Line]:
        try:
            lines, why_anew = await to_thread.run_sync(file.read, _BATCH)
        except FileNotFoundError:
            if not self.follow:
                raise
            return ()
        if why_anew:
            context.log.warning("%s %s: it is read from its beginning", self.path, why_anew)
        return lines

    def event(self, line: Line, uid: str | None) -> Event | None:
        """Return what a line says, ``None`` if it is empty.

        Raises:
            EventError: it is no event.
        """
        if line.text is None:
            raise EventError(f"the line is longer than {LONGEST_LINE:,} bytes")
        if not line.text.strip():
            return None
        # The signature that some editors put in front of UTF-8.
        fields = load_json(line.text.removeprefix(b"\xef\xbb\xbf") if line.number == 1 else line.text)
        if not isinstance(fields, dict):
            raise EventError(f"a line is a JSON object, found {type(fields).__name__}")
        identity = {} if uid is None else {"uid": uid}
        if self._is_event(fields):
            return Event.from_dict({**identity, **fields})
        return Event.from_dict(
            {
                "location": self.location or ("stdin" if self.path == "-" else Path(self.path).stem),
                "operation": self.operation,
                "id": self._id(fields, line),
                "data": fields,
                **identity,
            }
        )

    def _is_event(self, fields: dict[str, JSON]) -> bool:
        return self.format == "event" or (self.format == "auto" and _EVENT_NEEDS <= fields.keys() <= _EVENT_HAS)

    def _id(self, fields: dict[str, JSON], line: Line) -> str:
        value = fields.get(self.id_field or "id")
        if value is None:
            if self.id_field is not None:
                raise EventError(f'the object has no "{self.id_field}" for its id')
            return str(line.number)
        return value if isinstance(value, str) else dump_json(value)


class _Batches:
    """Turns lines into events and has them accepted, without letting one bad line hold up the others."""

    def __init__(self, component: JsonLines, name: str, context: InputContext) -> None:
        self._component = component
        self._name = name
        self._context = context
        self._bad = 0

    async def emit(self, lines: Sequence[Line], checkpoint: JSON, uid: Callable[[Line], str | None]) -> None:
        bad_before = self._bad
        events: list[tuple[Line, Event]] = []
        for line in lines:
            try:
                event = self._component.event(line, uid(line))
            except EventError as error:
                # What stands before the bad line is accepted before that line may stop the input.
                if self._component.bad_lines == "stop":
                    await self._accept(events)
                self._pass_over(line, error)
            else:
                if event is not None:
                    events.append((line, event))
        await self._accept(events, checkpoint)
        if self._bad > bad_before:
            self._context.measure("bad_lines", self._bad)
            self._context.healthy(f"{self._bad} bad line{'s' * (self._bad > 1)} passed over, see the log")

    async def _accept(self, events: Sequence[tuple[Line, Event]], checkpoint: JSON = None) -> None:
        try:
            await self._context.emit_many([event for _, event in events], checkpoint=checkpoint)
        except EventError:
            # None of them was accepted because of one of them, which is too large for example: find it.
            for line, event in events:
                try:
                    await self._context.emit(event)
                except EventError as error:
                    self._pass_over(line, error)
            await self._context.emit_many([], checkpoint=checkpoint)

    def _pass_over(self, line: Line, error: EventError) -> None:
        where = f"{self._name}:{line.number}"
        if self._component.bad_lines == "stop":
            raise EventError(f"{where}: {error}") from error
        self._bad += 1
        self._context.log.error("%s: %s; the line is passed over", where, error)


def _uid(generation: int, line: Line) -> str:
    # Where a line stands and what it says: the same on every start and every machine that reads the same file, and
    # never the same for two files that have one path on two machines.
    text = hashlib.sha256(line.text or b"").hexdigest()
    return f"{generation}:{line.offset}:{text[:32]}"


def _random_uid(_line: Line) -> None:
    return None


@hookimpl
def orchestrator_register_inputs() -> list[InputType]:
    """Register the input. All that is promised holds for files; the standard input is not replayable."""
    return [
        InputType(
            "jsonl",
            JsonLines,
            summary="An event for every line of a JSON Lines file",
            replayable=True,
            durable_ack=True,
            ordered=True,
        )
    ]
