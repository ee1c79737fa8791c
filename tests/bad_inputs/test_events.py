"""Bad events, E51 to E60 of the catalogue.

E52, a content type that lies, is the webhook input's to refuse; here stands what becomes of a body that is no JSON.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core import (
    JSON,
    AttemptContext,
    AttemptLogged,
    DeliveryQuery,
    DeliveryState,
    Event,
    EventError,
    EventTooLargeError,
    FilterError,
    HopLimitError,
    MemoryJournal,
    Orchestrator,
    PipelineError,
    RetryPolicy,
    Where,
)
from orchestrator_core.cli._printer import JsonPrinter, TextPrinter
from orchestrator_core.cli._writer import Writer
from orchestrator_core.testing import RecordingProcess, ScriptedInput, ScriptedProcess, SimulatedClock

HOSTILE = "a\r\nb\x1b[2J\x1b]52;c;aGk=\x07\u202egnp\u2028\x85"
_ONCE = RetryPolicy(attempts=1)
INERT = [
    "{0.__class__}",
    "{event.__init__.__globals__}",
    "%n%s%(password)s",
    "${HOME}",
    "{{7*7}}",
    "'; DROP TABLE events; --",
]


def event(**fields: Any) -> Event:
    """Make an event whose required fields are given unless the test gives them."""
    return Event(**{"location": "t", "operation": "create", "id": "1", "trigger": "in", "uid": "u", **fields})


@pytest.fixture
def process() -> RecordingProcess:
    """A process that remembers what it was given."""
    return RecordingProcess()


@pytest.fixture
async def orchestrator(process: RecordingProcess) -> AsyncIterator[Orchestrator]:
    """A pipeline of one input and one process."""
    async with Orchestrator(journal=MemoryJournal(), max_event_bytes=1_000) as orchestrator:
        orchestrator.add_input("in", ScriptedInput([]))
        orchestrator.add_process("work", process)
        orchestrator.add_link("in", "work")
        yield orchestrator


async def run(orchestrator: Orchestrator) -> None:
    """Run until nothing is left to do."""
    with anyio.fail_after(30):
        await orchestrator.run(until_idle=True)


def padded(size: int, letter: str) -> Event:
    """Make an event whose JSON is exactly so many bytes once it is accepted."""
    time = datetime(2026, 5, 4, tzinfo=UTC)
    missing = size - len(event(data="", time=time).accepted_as("in").to_json().encode())
    width = len(letter.encode())
    return event(data=letter * (missing // width) + "." * (missing % width), time=time)


@pytest.mark.anyio
@pytest.mark.parametrize("data", ["x", 0, "", [], {}], ids=repr)
async def test_e51_the_smallest_payloads(orchestrator: Orchestrator, process: RecordingProcess, data: JSON) -> None:
    """One byte, or nothing in it, is a payload like any other."""
    await orchestrator.emit(event(data=data))
    await run(orchestrator)
    assert [data] == [each.event.data for each in process.runs]


@pytest.mark.anyio
@pytest.mark.parametrize("letter", ["x", "☃"])
async def test_e51_the_largest_payload(orchestrator: Orchestrator, process: RecordingProcess, letter: str) -> None:
    """An event of exactly the limit, in bytes of UTF-8, is accepted and arrives whole."""
    largest = padded(1_000, letter)
    await orchestrator.emit(largest)
    await run(orchestrator)
    assert [largest.data] == [each.event.data for each in process.runs]


@pytest.mark.anyio
@pytest.mark.parametrize("letter", ["x", "☃"])
async def test_e51_one_byte_too_many(orchestrator: Orchestrator, letter: str) -> None:
    """An event over the limit is refused with both figures, and what was accepted before stays."""
    await orchestrator.emit(event())
    with pytest.raises(
        EventTooLargeError, match=r"1,001 bytes of JSON, over the limit of 1,000: send a reference"
    ) as caught:
        await orchestrator.emit(padded(1_001, letter))
    assert (1_001, 1_000) == (caught.value.size, caught.value.limit)
    assert ["u"] == [record.event.uid for record in await orchestrator.journal.events()]


@pytest.mark.parametrize(
    "body", [b"\x89PNG\r\n\x1a\n", b"\xff\xfe{\x00}\x00", b"location=t&id=1", b"<event/>", b"PK\x03\x04"]
)
def test_e52_a_body_that_is_no_json(body: bytes) -> None:
    """Whatever it was called, it is refused by what it is."""
    with pytest.raises(EventError, match=r"^not JSON"):
        Event.from_json(body)


@pytest.mark.anyio
async def test_e53_two_events_with_one_identity(orchestrator: Orchestrator, process: RecordingProcess) -> None:
    """The first stands, the caller is told what it was, and it runs once."""
    await orchestrator.emit(event(data="first"))
    again = await orchestrator.emit(event(data="second", id="2"))
    await run(orchestrator)
    assert ("first", "1", ["first"]) == (again.data, again.id, [each.event.data for each in process.runs])


@pytest.mark.anyio
async def test_e53_one_identity_at_two_inputs(orchestrator: Orchestrator, process: RecordingProcess) -> None:
    """Inputs do not share identities: both events are accepted."""
    orchestrator.add_input("other", ScriptedInput([]))
    orchestrator.add_link("other", "work")
    for trigger in ("in", "other"):
        await orchestrator.emit(event(trigger=trigger))
    await run(orchestrator)
    assert ["in", "other"] == sorted(each.event.trigger for each in process.runs)


_fields = st.sampled_from(["data", "data.a", "data.a.0", "before.b", "output", "data..", "data.a.b.c"])
_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["a", "b", "0", ""]), inner)
)
_tests = st.fixed_dictionaries(
    {"field": _fields},
    optional={
        "exact": _values,
        "prefix": st.text(),
        "suffix": st.text(),
        "in": st.lists(_values),
        "exists": st.booleans(),
        "gt": st.integers() | st.floats(allow_nan=False) | st.text(),
        "lt": st.integers() | st.floats(allow_nan=False) | st.text(),
    },
).filter(lambda test: len(test) > 1)
_conditions = st.recursive(
    _tests,
    lambda inner: (
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)})
        | st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)})
        | st.fixed_dictionaries({"not": inner})
    ),
    max_leaves=6,
)


@given(_conditions, _values, _values, _values)
def test_e54_no_condition_raises(condition: Mapping[str, Any], data: JSON, before: JSON, output: JSON) -> None:
    """Whatever the event holds, a condition that was accepted answers yes or no."""
    try:
        where = Where.parse(condition)
    except FilterError:
        return  # nested deeper than allowed
    assert where.matches({"data": data, "before": before, "output": output}) in {True, False}


@pytest.mark.anyio
async def test_e54_an_event_that_matches_nothing(orchestrator: Orchestrator, process: RecordingProcess) -> None:
    """It is accepted, kept and counted as unrouted; nothing runs."""
    orchestrator.remove_link("in", "work")
    orchestrator.add_link("in", "work", where={"field": "data.country", "exact": "NL"})
    await orchestrator.emit(event(data={"country": "BE"}))
    await run(orchestrator)
    counts = await orchestrator.journal.counts()
    assert (1, 1, []) == (counts.events, counts.unrouted, process.runs)


def test_e55_a_process_that_feeds_itself_is_refused() -> None:
    """Links of derived events count in the search for cycles."""
    orchestrator = Orchestrator()
    orchestrator.add_process("loop", RecordingProcess())
    with pytest.raises(PipelineError, match="the links form a cycle: loop → loop"):
        orchestrator.add_link("loop", "loop", on="event")


@pytest.mark.anyio
async def test_e55_an_event_that_produces_itself() -> None:
    """A loop through the outside world ends after 16 hops, in a dead letter that says so."""
    async with Orchestrator(journal=MemoryJournal()) as orchestrator:

        async def again(event: Event, _: AttemptContext) -> None:
            await orchestrator.emit(event.derive().accepted_as("in"))

        process = ScriptedProcess([again])
        orchestrator.add_input("in", ScriptedInput([]))
        orchestrator.add_process("loop", process)
        orchestrator.add_link("in", "loop")
        await orchestrator.emit(event())
        await run(orchestrator)
        (dead,) = await orchestrator.journal.deliveries(DeliveryQuery(states=frozenset({DeliveryState.DEAD})))
        assert (str(HopLimitError(17, 16)), list(range(17))) == (
            dead.reason,
            [each.event.hops for each in process.runs],
        )


@pytest.mark.anyio
async def test_e56_a_hundred_thousand_children() -> None:
    """One attempt may emit 10,000 events; with more it becomes a dead letter and none of them is accepted."""

    async def explode(event: Event, context: AttemptContext) -> None:
        for number in range(100_000):
            context.emit(event.derive(id=str(number)))

    async with Orchestrator(journal=MemoryJournal()) as orchestrator:
        orchestrator.add_input("in", ScriptedInput([]))
        orchestrator.add_process("explode", ScriptedProcess([explode]))
        orchestrator.add_link("in", "explode")
        await orchestrator.emit(event())
        await run(orchestrator)
        (dead,) = await orchestrator.journal.deliveries(DeliveryQuery())
        expected = "one attempt emitted 10,001 events, over the limit of 10,000: emit them from an input"
        assert (DeliveryState.DEAD, expected) == (dead.state, dead.reason)
        assert 1 == (await orchestrator.journal.counts()).events


@pytest.fixture
def out() -> io.StringIO:
    """Where the command line prints."""
    return io.StringIO()


@pytest.fixture(params=[TextPrinter, JsonPrinter], ids=["text", "json"])
def printer(request: pytest.FixtureRequest, out: io.StringIO) -> Callable[[Any], None]:
    """Show a notice as the command line does."""
    clock = SimulatedClock()
    writer = Writer(out, out, clock)
    show = request.param(writer, clock=clock)

    def print_(notice: Any) -> None:
        show(notice)
        writer.flush()

    return print_


@pytest.mark.anyio
@pytest.mark.parametrize("field", ["location", "id", "key", "uid", "data"])
async def test_e57_hostile_text_stays_on_its_line(printer: Callable[[Any], None], out: io.StringIO, field: str) -> None:
    """Line breaks, terminal sequences and direction marks in an event show as escapes on one line."""
    async with Orchestrator(journal=MemoryJournal(), observers=[printer]) as orchestrator:
        orchestrator.add_input("in", ScriptedInput([event(**{field: HOSTILE})]))
        orchestrator.add_process("fail", ScriptedProcess([ValueError(HOSTILE)]), retry=_ONCE)
        orchestrator.add_link("in", "fail")
        await run(orchestrator)
    text = out.getvalue()
    assert (True, True) == (text.replace("\n", "").isprintable(), "x1b[2J" in text or "u001b[2J" in text)


def test_e57_a_hostile_log_line(printer: Callable[[Any], None], out: io.StringIO) -> None:
    """What a process logs is shown as one line without any effect on the terminal."""
    printer(AttemptLogged("d-1", "work", HOSTILE))
    lines = out.getvalue().splitlines()
    assert (True, True) == (len(lines) <= 1, "".join(lines).isprintable())


@pytest.mark.anyio
@pytest.mark.parametrize("text", INERT)
async def test_e58_texts_that_look_like_formats_are_inert(
    orchestrator: Orchestrator, process: RecordingProcess, text: str
) -> None:
    """In every field they arrive as they were."""
    sent = event(location=text, id=text, key=text, uid=text, data={text: text})
    await orchestrator.emit(sent)
    await run(orchestrator)
    (found,) = process.runs
    fields = (found.event.location, found.event.id, found.event.key, found.event.uid, found.event.data)
    assert (text, text, text, text, {text: text}) == fields


@pytest.mark.anyio
@pytest.mark.parametrize("text", INERT)
async def test_e58_reasons_that_look_like_formats_are_inert(text: str) -> None:
    """What a process raises is kept word for word, and formatted by nobody."""
    async with Orchestrator(journal=MemoryJournal()) as orchestrator:
        orchestrator.add_input("in", ScriptedInput([]))
        orchestrator.add_process("fail", ScriptedProcess([EventError(text)]), retry=_ONCE)
        orchestrator.add_link("in", "fail")
        await orchestrator.emit(event())
        await run(orchestrator)
        (dead,) = await orchestrator.journal.deliveries(DeliveryQuery())
        assert f"EventError: {text}" == dead.reason


_EAST = timezone(timedelta(hours=14))
_WEST = timezone(timedelta(hours=-12))


@pytest.mark.anyio
@pytest.mark.parametrize(
    "time",
    [
        datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, tzinfo=_WEST),
    ],
    ids=str,
)
async def test_e59_a_clock_that_is_far_off(
    orchestrator: Orchestrator, process: RecordingProcess, time: datetime
) -> None:
    """The event's time is its own affair: it runs now, and its age counts from its acceptance."""
    await orchestrator.emit(event(time=time))
    await run(orchestrator)
    (delivery,) = await orchestrator.journal.deliveries(DeliveryQuery())
    assert ([time], DeliveryState.DONE) == ([each.event.time for each in process.runs], delivery.state)
    assert abs(delivery.accepted_at - datetime.now(UTC).timestamp()) < 60


@pytest.mark.anyio
@pytest.mark.parametrize("time", [datetime(9999, 12, 31, 23, tzinfo=_WEST), datetime(1, 1, 1, tzinfo=_EAST)], ids=str)
async def test_e59_a_moment_that_utc_does_not_have(orchestrator: Orchestrator, time: datetime) -> None:
    """Just outside of the calendar it is refused with a sentence."""
    with pytest.raises(EventError, match="is outside the years 1 to 9999 in UTC"):
        await orchestrator.emit(event(time=time))
    assert 0 == (await orchestrator.journal.counts()).events


@pytest.mark.parametrize(
    ("time", "message"),
    [
        (-1, "time must be a datetime with a zone, found -1"),
        (1e300, "time must be a datetime with a zone"),
        ("2026-05-04T12:30:00", "has no zone"),
        ("10000-01-01T00:00:00Z", "is not ISO 8601"),
        ("2026-02-30T00:00:00Z", "is not ISO 8601"),
        ("now", "is not ISO 8601"),
    ],
    ids=str,
)
def test_e59_a_time_that_is_none(time: object, message: str) -> None:
    """A time without a zone, or that is no time, is refused with what would be right."""
    with pytest.raises(EventError, match=message):
        Event.from_json(json.dumps({"location": "t", "operation": "create", "id": "1", "time": time}))


@pytest.mark.anyio
@pytest.mark.parametrize(
    "data", [b"\x89PNG", {"image": bytearray(b"\x00")}, [memoryview(b"\xff")]], ids=["bytes", "in", "view"]
)
async def test_e60_binary_data_is_refused(orchestrator: Orchestrator, data: Any) -> None:
    """An event holds JSON; bytes are told apart from text before anything is accepted."""
    with pytest.raises(EventError, match="is not JSON: use text"):
        await orchestrator.emit(event(data=data))
    assert 0 == (await orchestrator.journal.counts()).events


@pytest.mark.anyio
async def test_e60_base64_is_how_bytes_travel(orchestrator: Orchestrator, process: RecordingProcess) -> None:
    """As base64 they arrive bit by bit, in one printable line."""
    payload = bytes(range(256))
    await orchestrator.emit(event(data=base64.b64encode(payload).decode()))
    await run(orchestrator)
    (found,) = process.runs
    assert payload == base64.b64decode(str(found.event.data))
    assert found.event.to_json().isprintable()
