"""`Event`: what it may hold, its identity, and its JSON."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import attrs
import pytest

from orchestrator_core import Event, EventError, Operation, dump_json, load_json, new_uid

_BARE = '{"location":"orders","operation":"create","id":"7","trigger":"shop"}'
_MOMENT = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)


def make(**fields: Any) -> Event:
    """Make an event whose required fields are given unless the test gives them."""
    return Event(**{"location": "orders", "operation": "create", "id": "7", "trigger": "shop", **fields})


def test_the_four_fields_round_trip_exactly() -> None:
    """Text of the four fields alone comes back as it was."""
    assert _BARE == Event.from_json(_BARE).to_json()


def test_a_field_that_nobody_gave_is_left_out() -> None:
    """Neither the random uid nor the assumed time shows before the event is accepted."""
    assert _BARE == make().to_json()


def test_all_fields_round_trip() -> None:
    """Every field that was given comes back equal."""
    event = make(
        uid="u",
        data={"rain": Decimal("0.12345678901234567890"), "tags": ["a", None, True]},
        before=[1, 2.5],
        key="k",
        time=_MOMENT,
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        hops=3,
    )
    assert event == Event.from_json(event.to_json())


def test_bytes_parse_as_well() -> None:
    """JSON off the wire need not be decoded first."""
    assert _BARE == Event.from_json(_BARE.encode()).to_json()


def test_accepted_event_has_everything_settled() -> None:
    """Once accepted, uid and time are part of the JSON, and the trigger is the input's."""
    accepted = make().accepted_as("other")
    assert ["location", "operation", "id", "trigger", "uid", "time"] == list(accepted.to_dict())
    assert ("other", accepted) == (accepted.trigger, Event.from_json(accepted.to_json()))


def test_acceptance_keeps_the_identity() -> None:
    """The uid that an event has before is the one it is accepted under."""
    event = make()
    assert event.uid == event.accepted_as("shop").uid


def test_accepted_time_is_utc() -> None:
    """The same moment, said in UTC."""
    event = make(time=datetime(2026, 5, 4, 14, 30, tzinfo=timezone(timedelta(hours=2))))
    assert "2026-05-04T12:30:00+00:00" == event.accepted_as("shop").to_dict()["time"]


def test_accepted_json_is_not_that_of_before() -> None:
    """JSON that was made before the acceptance does not stand for the accepted event. Catches: text kept too long."""
    event = make()
    event.to_json()
    assert event.uid == load_json(event.accepted_as("shop").to_json())["uid"]


def test_two_events_are_two_events() -> None:
    """Without a uid each event has its own identity."""
    assert make().uid != make().uid


def test_events_are_values() -> None:
    """Equal fields make equal events; nothing can be changed afterwards."""
    first, second = (make(uid="u", time=_MOMENT) for _ in range(2))
    assert (first, hash(first)) == (second, hash(second))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        first.id = "8"  # type: ignore[misc]


def test_evolve() -> None:
    """`attrs.evolve` makes a changed copy, as of any attrs value. Catches: fields that its constructor has not."""
    event = make(uid="u", time=_MOMENT)
    assert make(uid="u", time=_MOMENT, hops=2) == attrs.evolve(event, hops=2)


def test_uid_is_a_version_7_uuid() -> None:
    """RFC 9562: version 7, variant 10, and 48 bits of Unix time in milliseconds."""
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", new_uid())


def test_uids_sort_by_time() -> None:
    """The front of a later uid is not smaller, so neighbours in time are neighbours in an index."""
    fronts = [new_uid()[:13] for _ in range(1_000)]
    assert sorted(fronts) == fronts


def test_ordering_key_defaults_to_location_and_id() -> None:
    """Without a key, events of one record have one key, and of two records two."""
    keys = [make().ordering_key, make(data=1).ordering_key, make(id="8").ordering_key, make(location="t").ordering_key]
    assert [True, False, False] == [keys[0] == key for key in keys[1:]]


def test_ordering_key_does_not_confuse_location_and_id() -> None:
    """Where location ends and id begins matters."""
    assert make(location="a", id="b/c").ordering_key != make(location="a/b", id="c").ordering_key


def test_ordering_key_is_the_key() -> None:
    """A given key is used as it is, the empty one too."""
    assert ["k", ""] == [make(key="k").ordering_key, make(key="").ordering_key]


def test_derived_event_carries_the_trace_and_one_more_hop() -> None:
    """A follow-up is about the same record unless told, keeps the trace context and nothing else."""
    parent = make(uid="u", data=1, before=2, key="k", traceparent="00-1-2-01", hops=2)
    child = parent.derive(data={"rows": 3})
    expected = ("orders", Operation.CREATE, "7", "", {"rows": 3}, None, None, "00-1-2-01", 3)
    found = (child.location, child.operation, child.id, child.trigger, child.data, child.before, child.key)
    assert expected == (*found, child.traceparent, child.hops)
    assert parent.uid != child.uid


def test_derived_event_says_what_is_different() -> None:
    """What is given replaces what is carried over."""
    child = make().derive(location="clean", operation="update", id="8", uid="mine", key="k", before=1)
    found = (child.location, child.operation, child.id, child.uid, child.key, child.before)
    assert ("clean", Operation.UPDATE, "8", "mine", "k", 1) == found


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"location": ""}, "location is empty"),
        ({"location": None}, "location must be text, found NoneType None"),
        ({"location": 7}, "location must be text, found int 7"),
        ({"id": 1.0}, "id must be text, found float 1.0"),
        ({"id": None}, "id must be text, found NoneType None"),
        ({"trigger": 1}, "trigger must be text, found int 1"),
        ({"uid": ""}, "uid is empty"),
        ({"uid": 7}, "uid must be text, found int 7"),
        ({"key": 7}, "key must be text, found int 7"),
        ({"traceparent": b"00"}, "traceparent must be text, found bytes b'00'"),
        ({"id": "a\0b"}, "id has a character that can't be stored"),
        ({"location": "\ud800"}, "location has a character that can't be stored"),
        ({"key": "☃\0"}, "key has a character that can't be stored"),
        ({"traceparent": "\udfff"}, "traceparent has a character that can't be stored"),
        ({"hops": -1}, "hops must be a whole number from 0, found -1"),
        ({"hops": True}, "hops must be a whole number from 0, found True"),
        ({"hops": "1"}, "hops must be a whole number from 0, found '1'"),
        ({"time": datetime(2026, 5, 4)}, "time must be a datetime with a zone"),  # noqa: DTZ001
        ({"time": "2026-05-04T12:30:00Z"}, "time must be a datetime with a zone"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_field_that_cannot_be_kept_is_refused(fields: dict[str, Any], message: str) -> None:
    """The error names the field and what was found in it."""
    with pytest.raises(EventError, match=re.escape(message)):
        make(**fields)


def test_empty_texts_that_may_be_empty() -> None:
    """Only location and uid need something in them."""
    event = make(id="", trigger="", key="")
    assert ("", "", "") == (event.id, event.trigger, event.key)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[]", "an event is a JSON object, found list"),
        ("null", "an event is a JSON object, found NoneType"),
        ("{}", "an event needs location and operation and id"),
        ('{"location":"t","id":"1"}', "an event needs operation"),
        ('{"location":"t","operation":"create","id":"1","lcation":"t"}', "unknown field 'lcation'"),
        ('{"location":"t","operation":"create","id":1}', "id must be text, found int 1"),
        ('{"location":"t","operation":"create","id":"1","time":"yesterday"}', "time 'yesterday' is not ISO 8601"),
        ('{"location":"t","operation":"create","id":"1","time":"2026-05-04T12:30:00"}', "has no zone"),
        ('{"location":"t","operation":"create","id":"1","time":0}', "time must be a datetime with a zone"),
        ('{"location":"t","operation":"create","id":"1","_text":"x"}', "unknown field '_text'"),
    ],
)
def test_json_that_is_no_event_is_refused(text: str, message: str) -> None:
    """The error says what is missing or wrong."""
    with pytest.raises(EventError, match=re.escape(message)):
        Event.from_json(text)


def test_z_is_a_zone() -> None:
    """ISO 8601 with Z is what most of the world writes."""
    text = '{"location":"t","operation":"create","id":"1","time":"2026-05-04T12:30:00Z"}'
    assert _MOMENT == Event.from_json(text).time


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "-0.0",
        "9007199254740993",
        "123456789012345678901234567890123456789",
        "0.1",
        "0.1000000000000000055511151231257827",
        "1234567890.123456789012345678901234567890",
        "1E+400",
        "-1E-400",
        '"\\u0000"',
        '"☃"',
        '{"a":[{"b":null},true,false]}',
    ],
)
def test_numbers_and_texts_keep_every_digit(text: str) -> None:
    """What was read is written again, digit by digit. Catches: numbers that went through a float."""
    assert text == dump_json(load_json(text))


def test_a_decimal_is_written_as_a_number() -> None:
    """Exact numbers are numbers in JSON, not texts."""
    assert '{"rain":0.10}' == dump_json({"rain": Decimal("0.10")})


def test_a_text_that_looks_like_a_number_stays_a_text() -> None:
    """Quotes are lost by exact numbers only."""
    assert '["0.10","\\"7\\""]' == dump_json(["0.10", '"7"'])


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), Decimal("NaN"), Decimal("Infinity"), object(), b"bytes", {1, 2}, {"a": "\ud800"}],
    ids=["nan", "infinity", "decimal-nan", "decimal-infinity", "object", "bytes", "set", "surrogate"],
)
def test_what_is_not_json_is_refused(value: Any) -> None:
    """Nothing is written that a reader could not read."""
    with pytest.raises(EventError):
        dump_json(value)


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-Infinity", "{", "'a'", b"\xff", b"\xff\xfe{\x00", "1e9999999999999999999"]
)
def test_text_that_is_not_json_is_refused(text: str | bytes) -> None:
    """Python reads more than JSON; we do not."""
    with pytest.raises(EventError, match="not JSON"):
        load_json(text)


def test_nesting_without_end_is_refused() -> None:
    """A hundred thousand brackets are an error, not a crash, both ways."""
    with pytest.raises(EventError, match="not JSON"):
        load_json("[" * 100_000)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(EventError, match="not JSON"):
        dump_json(deep)
