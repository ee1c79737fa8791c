"""The input `jsonl`: what a line becomes, and how nothing is lost or repeated over restarts and rotation."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import anyio
import pytest

from orchestrator_core import Event, EventError, EventTooLargeError, JournalUnavailableError, Operation
from orchestrator_core._plugins import Plugins
from orchestrator_core.builtin._lines import LONGEST_LINE
from orchestrator_core.builtin._stdin import StandardInput
from orchestrator_core.builtin.jsonl import JsonLines
from orchestrator_core.testing import FakeInputContext
from tests.running import running

pytestmark = pytest.mark.anyio


@pytest.fixture
def context() -> FakeInputContext:
    """A context whose sleeps end when a fresh look is asked for."""
    return FakeInputContext("readings")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the lines stand."""
    return tmp_path / "readings.jsonl"


@pytest.fixture
def pipe() -> Iterator[tuple[int, BinaryIO]]:
    """A pipe: the end to read, and the end to write."""
    reader, writer = os.pipe()
    with os.fdopen(reader), os.fdopen(writer, "wb", buffering=0) as stream:
        yield reader, stream


def lines_of(first: int, last: int) -> str:
    """Return that many lines, numbered."""
    return "".join(f'{{"id":"{number}","rain":{number}}}\n' for number in range(first, last + 1))


def ids(context: FakeInputContext) -> list[str]:
    """Return the id of each accepted event."""
    return [event.id for event in context.events]


def numbers(first: int, last: int) -> list[str]:
    """Return the ids of `lines_of`."""
    return [str(number) for number in range(first, last + 1)]


async def emitted(text: str | bytes, file: Path, context: FakeInputContext, **options: Any) -> Sequence[Event]:
    """Write a file, read it to its end, and return the accepted events."""
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with anyio.fail_after(30):
        await JsonLines(path=str(file), **options).run(context)
    return context.events


async def test_an_object_becomes_the_data_of_an_event(file: Path, context: FakeInputContext) -> None:
    """Location is the file's name, the operation create, the id its own."""
    (event,) = await emitted('{"id":"a","rain":2}\n', file, context)
    expected = ("readings", Operation.CREATE, "a", "readings", {"id": "a", "rain": 2})
    assert expected == (event.location, event.operation, event.id, event.trigger, event.data)


async def test_location_and_operation_are_options(file: Path, context: FakeInputContext) -> None:
    """Operations are read in any of their spellings."""
    (event,) = await emitted('{"id":"a"}', file, context, location="rain", operation="remove")
    assert ("rain", Operation.DELETE) == (event.location, event.operation)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"id":"a"}', "a"),
        ('{"id":9007199254740993}', "9007199254740993"),
        ('{"id":1.10000000000000000001}', "1.10000000000000000001"),
        ('{"id":["x",1]}', '["x",1]'),
        ('{"rain":1}', "1"),
        ('{"id":null}', "1"),
    ],
)
async def test_the_id_is_exact_text(file: Path, context: FakeInputContext, line: str, expected: str) -> None:
    """A number keeps its digits; without an id the number of the line stands in."""
    (event,) = await emitted(line, file, context)
    assert expected == event.id


async def test_the_id_may_have_another_key(file: Path, context: FakeInputContext) -> None:
    """`id_field` names it."""
    (event,) = await emitted('{"id":"a","sensor":7}', file, context, id_field="sensor")
    assert "7" == event.id


async def test_an_event_is_taken_as_it_is(file: Path, context: FakeInputContext) -> None:
    """A line with location, operation and id, and no field that is foreign to events, is one."""
    line = '{"location":"rain","operation":"insert","id":"7","uid":"u","data":{"a":1}}'
    (event,) = await emitted(line, file, context)
    assert ("rain", Operation.CREATE, "7", "u", {"a": 1}) == (
        event.location,
        event.operation,
        event.id,
        event.uid,
        event.data,
    )


async def test_an_object_that_looks_like_an_event_has_something_more(file: Path, context: FakeInputContext) -> None:
    """A field that events do not have makes it an object."""
    line = '{"location":"Berlin","operation":"read","id":"7","rain":1}'
    (event,) = await emitted(line, file, context)
    assert ("readings", json.loads(line)) == (event.location, event.data)


async def test_the_format_can_be_said(file: Path, context: FakeInputContext) -> None:
    """`format = "object"` takes nothing for an event."""
    line = '{"location":"Berlin","operation":"read","id":"7"}'
    (event,) = await emitted(line, file, context, format="object")
    assert ("readings", json.loads(line)) == (event.location, event.data)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"id":"1"}\n{"id":"2"}', id="no-last-line-break"),
        pytest.param('{"id":"1"}\r\n{"id":"2"}\r\n', id="crlf"),
        pytest.param('\n{"id":"1"}\n\n  \n{"id":"2"}\n\n', id="empty-lines"),
        pytest.param('\ufeff{"id":"1"}\n{"id":"2"}\n', id="bom"),
    ],
)
async def test_ways_to_write_two_lines(file: Path, context: FakeInputContext, text: str) -> None:
    """All of them are read to the end, which ends the input."""
    await emitted(text, file, context)
    assert ["1", "2"] == ids(context)


async def test_a_killed_run_goes_on_where_it_was(file: Path, context: FakeInputContext) -> None:
    """The second batch is refused: the next run emits all that is missing, and nothing twice."""
    file.write_text(lines_of(1, 250))
    async with anyio.create_task_group() as tasks:
        context.hold()
        tasks.start_soon(JsonLines(path=str(file)).run, context)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    context.release()
    context.fail(JournalUnavailableError("full"))
    with pytest.raises(JournalUnavailableError):
        await JsonLines(path=str(file)).run(context)
    await JsonLines(path=str(file)).run(context)
    assert numbers(1, 250) == ids(context)


async def test_a_lost_reply_repeats_nothing(file: Path, context: FakeInputContext) -> None:
    """The batch was committed although the input has not heard of it."""
    file.write_text(lines_of(1, 250))
    context.fail(JournalUnavailableError("gone"), committed=True)
    with pytest.raises(JournalUnavailableError):
        await JsonLines(path=str(file)).run(context)
    assert 1 == len(context.checkpoints)
    context.checkpoints.clear()
    await JsonLines(path=str(file)).run(context)
    assert numbers(1, 250) == ids(context)


async def test_lines_added_since_are_read_alone(file: Path, context: FakeInputContext) -> None:
    """A run over a file that has grown emits what is new."""
    await emitted(lines_of(1, 3), file, context)
    await emitted(lines_of(1, 5), file, context)
    assert numbers(1, 5) == ids(context)


async def test_a_file_saved_by_an_editor_is_the_same_file(file: Path, context: FakeInputContext) -> None:
    """A copy with lines added to it, under a new inode, goes on where the old one ended."""
    await emitted(lines_of(1, 3), file, context)
    copy = file.with_suffix(".new")
    copy.write_text(lines_of(1, 4))
    copy.replace(file)
    await JsonLines(path=str(file)).run(context)
    assert numbers(1, 4) == ids(context)


@pytest.mark.parametrize(
    "text", [pytest.param(lines_of(7, 7), id="shorter"), pytest.param(lines_of(7, 1000), id="longer")]
)
async def test_a_file_written_anew_is_read_from_its_beginning(file: Path, context: FakeInputContext, text: str) -> None:
    """Other lines are other events, even if they stand where accepted ones stood."""
    await emitted(lines_of(1, 3), file, context)
    await emitted(text, file, context)
    assert text == "".join(f"{json.dumps(event.data, separators=(',', ':'))}\n" for event in context.events[3:])


async def test_the_same_lines_written_anew_are_new_events(file: Path, context: FakeInputContext) -> None:
    """A file that was cut short in between begins a new life; uids of offset and content alone would lose it."""
    await emitted(lines_of(1, 2), file, context)
    await emitted(lines_of(3, 3), file, context)
    await emitted(lines_of(1, 2), file, context)
    assert ["1", "2", "3", "1", "2"] == ids(context)


async def test_two_machines_with_one_journal_and_different_files(tmp_path: Path, context: FakeInputContext) -> None:
    """Lines at the same place of files with the same name are different events if they say different things."""
    for machine in ("one", "two"):
        (tmp_path / machine).mkdir()
        context.checkpoints.clear()
        await emitted(f'{{"id":"{machine}"}}\n', tmp_path / machine / "log.jsonl", context)
    assert ["one", "two"] == ids(context)


async def test_two_machines_with_one_journal_and_one_file(file: Path, context: FakeInputContext) -> None:
    """Each line is accepted once, whoever reads it."""
    for _ in range(2):
        context.checkpoints.clear()
        await emitted(lines_of(1, 3), file, context)
    assert numbers(1, 3) == ids(context)


@pytest.mark.parametrize(
    ("line", "options", "problem"),
    [
        ("{nonsense", {}, "not JSON"),
        ("[1]", {}, "a line is a JSON object, found list"),
        ("NaN", {}, "not JSON"),
        ('{"location":"l","operation":"x","id":"1"}', {}, 'Unknown operation "x"'),
        ('{"rain":1}', {"id_field": "sensor"}, 'the object has no "sensor" for its id'),
        ('{"rain":1}', {"format": "event"}, "an event needs location and operation and id"),
        (b'{"id":"\xff"}', {}, "not JSON"),
        ('{"id":"\\ud800"}', {}, "can't be stored"),
    ],
)
async def test_a_bad_line_is_reported_and_holds_up_no_other(  # noqa: PLR0917 (fixtures and parameters)
    file: Path,
    context: FakeInputContext,
    caplog: pytest.LogCaptureFixture,
    line: str | bytes,
    options: dict[str, str],
    problem: str,
) -> None:
    """The log names file and line, the health turns red, a figure counts."""
    good = '{"location":"l","operation":"read","id":"1"}' if "format" in options else '{"sensor":1,"id":"1"}'
    bad = line if isinstance(line, bytes) else line.encode()
    await emitted(b"\n".join([good.encode(), bad, good.encode()]), file, context, **options)
    assert 2 == len(context.events)
    (message,) = caplog.messages
    assert message.startswith(f"{file}:2: ")
    assert problem in message
    assert "1 bad line passed over, see the log" == context.problem
    assert [("bad_lines", 1)] == [(figure.name, figure.value) for figure in context.measured]


async def test_a_bad_line_can_stop_the_input(file: Path, context: FakeInputContext) -> None:
    """It fails at that line until the line is mended; what stands before it is accepted."""
    with pytest.raises(EventError, match=r"readings\.jsonl:2: not JSON"):
        await emitted('{"id":"1"}\n{\n{"id":"3"}\n', file, context, bad_lines="stop")
    assert ["1"] == ids(context)
    await emitted('{"id":"1"}\n{"id":"2"}\n{"id":"3"}\n', file, context, bad_lines="stop")
    assert ["1", "2", "3"] == ids(context)


async def test_an_event_that_the_engine_refuses_holds_up_no_other(
    file: Path, context: FakeInputContext, caplog: pytest.LogCaptureFixture
) -> None:
    """One that is too large makes the whole batch fail: it is found, reported, and the rest accepted."""
    context.fail(EventTooLargeError(11, 10))  # the batch
    context.fail(EventTooLargeError(11, 10))  # its first line
    await emitted(lines_of(1, 3), file, context)
    assert numbers(2, 3) == ids(context)
    assert caplog.messages[0].startswith(f"{file}:1: the event is 11 bytes of JSON")


async def test_a_line_that_is_far_too_long_is_a_bad_line(
    file: Path, context: FakeInputContext, caplog: pytest.LogCaptureFixture
) -> None:
    """It is passed over in pieces, and never in memory as a whole."""
    endless = b"x" * (2 * LONGEST_LINE + 1)
    await emitted(b'{"id":"1"}\n' + endless + b'\n{"id":"3"}\n', file, context)
    assert ["1", "3"] == ids(context)
    assert [f"{file}:2: the line is longer than 16,777,216 bytes; the line is passed over"] == caplog.messages


async def test_a_missing_file_is_an_error(tmp_path: Path, context: FakeInputContext) -> None:
    """Unless it is followed, nothing says that it will come."""
    with pytest.raises(FileNotFoundError):
        await JsonLines(path="missing.jsonl", directory=tmp_path).run(context)


async def test_a_pipe_is_refused(tmp_path: Path, context: FakeInputContext) -> None:
    """Opening it would wait for ever."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match='is no regular file: pipe it into the engine and use path = "-"'):
        await JsonLines(path="fifo", directory=tmp_path).run(context)


async def test_a_relative_path_begins_at_the_directory(file: Path, context: FakeInputContext) -> None:
    """Which is the configuration's folder."""
    file.write_text(lines_of(1, 1))
    await JsonLines(path="readings.jsonl", directory=file.parent).run(context)
    assert ["1"] == ids(context)


async def test_the_check_reads_the_file(tmp_path: Path) -> None:
    """A file that is missing is named before the pipeline runs; one that is followed may appear later."""
    with pytest.raises(FileNotFoundError):
        await JsonLines(path="missing.jsonl", directory=tmp_path).check()
    await JsonLines(path="missing.jsonl", directory=tmp_path, follow=True).check()
    await JsonLines(path="-").check()


class TestFollow:
    """A file that is followed."""

    async def test_lines_that_are_added_are_emitted(self, file: Path, context: FakeInputContext) -> None:
        """Each look finds them; a look that finds nothing says so."""
        file.write_text(lines_of(1, 2))
        async with running(JsonLines(path=str(file), follow=True), context):
            await context.until(lambda: context.looks == 1)
            with file.open("a") as stream:
                stream.write(lines_of(3, 4))
            context.ask_for_a_look()
            await context.until(lambda: context.looks == 2)
        assert numbers(1, 4) == ids(context)

    async def test_half_a_line_waits_for_its_other_half(self, file: Path, context: FakeInputContext) -> None:
        """A writer is caught in the middle of it."""
        file.write_text('{"id":"1"}\n{"id":')
        async with running(JsonLines(path=str(file), follow=True), context):
            await context.until(lambda: context.looks == 1)
            assert ["1"] == ids(context)
            with file.open("a") as stream:
                stream.write('"2"}\n')
            context.ask_for_a_look()
            await context.until(lambda: context.looks == 2)
        assert ["1", "2"] == ids(context)
        assert context.problem is None

    async def test_a_file_that_does_not_exist_yet_is_waited_for(
        self, file: Path, context: FakeInputContext, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The log says that it is missing, once."""
        async with running(JsonLines(path=str(file), follow=True), context):
            await context.until(lambda: context.looks == 1)
            file.write_text(lines_of(1, 1))
            context.ask_for_a_look()
            await context.until(lambda: context.looks == 2)
        assert ["1"] == ids(context)
        assert [f"{file} does not exist yet: waiting for it"] == caplog.messages

    async def test_a_rotated_file_is_read_to_its_end_first(self, file: Path, context: FakeInputContext) -> None:
        """Lines written between the last look and the rotation, one without a line break among them, are not lost."""
        file.write_text(lines_of(1, 2))
        async with running(JsonLines(path=str(file), follow=True), context):
            await context.until(lambda: context.looks == 1)
            with file.open("a") as stream:
                stream.write(lines_of(3, 4).rstrip("\n"))
            file.rename(file.with_suffix(".1"))
            file.write_text(lines_of(5, 6))
            context.ask_for_a_look()
            await context.until(lambda: context.looks == 2)
        assert numbers(1, 6) == ids(context)

    async def test_a_rotated_file_whose_successor_is_late(self, file: Path, context: FakeInputContext) -> None:
        """Between the two there may be no file of that name at all."""
        file.write_text(lines_of(1, 2))
        async with running(JsonLines(path=str(file), follow=True), context):
            await context.until(lambda: context.looks == 1)
            file.rename(file.with_suffix(".1"))
            context.ask_for_a_look()
            await context.until(lambda: context.looks == 2)
            file.write_text(lines_of(3, 3))
            context.ask_for_a_look()
            await context.until(lambda: context.looks == 3)
        assert numbers(1, 3) == ids(context)

    async def test_a_rotation_while_nothing_ran(self, file: Path, context: FakeInputContext) -> None:
        """The rest of the old file is found beside the new one, by its inode."""
        file.write_text(lines_of(1, 2))
        async with running(JsonLines(path=str(file), follow=True), context):
            await context.until(lambda: context.looks == 1)
        with file.open("a") as stream:
            stream.write(lines_of(3, 4))
        file.rename(file.with_suffix(".1"))
        file.write_text(lines_of(5, 6))
        async with running(JsonLines(path=str(file), follow=True), context):
            await context.until(lambda: context.looks == 2)
        assert numbers(1, 6) == ids(context)

    async def test_a_successor_that_begins_with_the_same_lines(self, file: Path, context: FakeInputContext) -> None:
        """It is another file all the same, since its inode is; comparing content alone would lose its lines."""
        file.write_text(lines_of(1, 2))
        async with running(JsonLines(path=str(file), follow=True), context):
            await context.until(lambda: context.looks == 1)
        shutil.move(file, file.with_suffix(".1"))
        file.write_text(lines_of(1, 2))
        async with running(JsonLines(path=str(file), follow=True), context):
            await context.until(lambda: context.looks == 2)
        assert [*numbers(1, 2), *numbers(1, 2)] == ids(context)

    async def test_a_file_that_is_cut_short_is_read_from_its_beginning(
        self, file: Path, context: FakeInputContext, caplog: pytest.LogCaptureFixture
    ) -> None:
        """As a log is that is copied and emptied; the log says so."""
        file.write_text(lines_of(1, 3))
        async with running(JsonLines(path=str(file), follow=True), context):
            await context.until(lambda: context.looks == 1)
            file.write_text(lines_of(1, 1))
            context.ask_for_a_look()
            await context.until(lambda: context.looks == 2)
        assert [*numbers(1, 3), "1"] == ids(context)
        assert [f"{file} was cut short: it is read from its beginning"] == caplog.messages

    async def test_a_strangers_file_under_the_old_inode_is_left_alone(
        self, file: Path, context: FakeInputContext
    ) -> None:
        """A file system uses inodes again: what has the old one but not what was read is not the old file."""
        file.write_text(lines_of(1, 2))
        async with running(JsonLines(path=str(file), follow=True), context):
            await context.until(lambda: context.looks == 1)
        stranger = file.with_name("stranger")
        file.rename(stranger)
        stranger.write_text(lines_of(100, 200))
        file.write_text(lines_of(3, 3))
        async with running(JsonLines(path=str(file), follow=True), context):
            await context.until(lambda: context.looks == 2)
        assert numbers(1, 3) == ids(context)


class TestStandardInput:
    """`path = "-"`."""

    async def test_lines_are_emitted_as_they_come(self, pipe: tuple[int, BinaryIO], context: FakeInputContext) -> None:
        """It ends with its writer; the location is stdin."""
        reader, writer = pipe
        async with running(JsonLines(path="-", stdin=StandardInput(reader)), context):
            writer.write(b'{"id":"1"}\n{"id"')
            await context.until(lambda: ids(context) == ["1"])
            writer.write(b':"2"}\n{"id":"3"}')
            await context.until(lambda: ids(context) == ["1", "2"])
            writer.close()
            await context.until(lambda: ids(context) == ["1", "2", "3"])
        assert {"stdin"} == {event.location for event in context.events}

    async def test_equal_lines_are_different_events(
        self, pipe: tuple[int, BinaryIO], context: FakeInputContext
    ) -> None:
        """Nothing tells them apart but that they came twice."""
        reader, writer = pipe
        writer.write(b'{"id":"1"}\n{"id":"1"}\n')
        writer.close()
        await JsonLines(path="-", stdin=StandardInput(reader)).run(context)
        assert ["1", "1"] == ids(context)

    async def test_lines_that_were_not_accepted_are_kept(
        self, pipe: tuple[int, BinaryIO], context: FakeInputContext
    ) -> None:
        """Nobody can read them a second time, so the next start of the input has them."""
        reader, writer = pipe
        writer.write(b'{"id":"1"}\n{"id":"2"}\n')
        writer.close()
        component = JsonLines(path="-", stdin=StandardInput(reader))
        context.fail(JournalUnavailableError("full"))
        with pytest.raises(JournalUnavailableError):
            await component.run(context)
        await component.run(context)
        assert ["1", "2"] == ids(context)

    async def test_waiting_for_a_line_can_be_cancelled(
        self, pipe: tuple[int, BinaryIO], context: FakeInputContext
    ) -> None:
        """No thread is left that waits at the terminal and keeps the program from ending."""
        reader, _writer = pipe
        async with running(JsonLines(path="-", stdin=StandardInput(reader)), context):
            await anyio.wait_all_tasks_blocked()

    @pytest.mark.parametrize(("text", "expected"), [(b"", []), (b'{"id":"1"}\n{"id":"2"}', ["1", "2"])])
    async def test_it_may_be_a_file(
        self, file: Path, context: FakeInputContext, text: bytes, expected: list[str]
    ) -> None:
        """As in `orchestrator run < readings.jsonl`, which no event loop can watch."""
        file.write_bytes(text)
        with file.open("rb") as stream:
            await JsonLines(path="-", stdin=StandardInput(stream.fileno())).run(context)
        assert expected == ids(context)

    async def test_a_line_that_is_far_too_long(
        self, file: Path, context: FakeInputContext, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is a bad line, and never in memory as a whole."""
        file.write_bytes(b"x" * (2 * LONGEST_LINE + 1) + b'\n{"id":"2"}\n')
        with file.open("rb") as stream:
            await JsonLines(path="-", stdin=StandardInput(stream.fileno())).run(context)
        assert ["2"] == ids(context)
        assert [
            "standard input:1: the line is longer than 16,777,216 bytes; the line is passed over"
        ] == caplog.messages


async def test_it_is_found_by_its_entry_point() -> None:
    """`type = "jsonl"`, as anybody's."""
    assert JsonLines is Plugins.load(["jsonl"]).inputs["jsonl"].factory
