"""`Event` over all the events there can be."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core import JSON, Event, EventError, Operation, dump_json, load_json

_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
_numbers = (
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False, places=20)
)
_anything: st.SearchStrategy[JSON] = st.recursive(
    st.none() | st.booleans() | _numbers | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=12,
)
# Values as a reader gives them: numbers that a float can say are floats, and only the others are exact.
_values: st.SearchStrategy[JSON] = _anything.map(lambda value: load_json(dump_json(value)))
_zones = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(
    lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
)
_times = st.datetimes(timezones=st.just(UTC) | _zones)
_events = st.builds(
    Event,
    location=_texts.filter(bool),
    operation=st.sampled_from(Operation),
    id=_texts,
    trigger=_texts,
    uid=st.none() | _texts.filter(bool),
    data=_values,
    before=_values,
    key=st.none() | _texts,
    time=st.none() | _times,
    traceparent=st.none() | _texts,
    hops=st.integers(0, 2**40),
)


@given(_events)
def test_json_round_trips(event: Event) -> None:
    """What is written is read back with the same content, and written the same again."""
    again = Event.from_json(event.to_json())
    assert event.to_json() == again.to_json()
    assert (event.data == again.data, event.before == again.before) == (True, True)


@given(_events)
def test_text_and_object_are_one(event: Event) -> None:
    """The JSON text is the JSON object's compact text, to the letter. Catches: a field that only one of them has."""
    assert dump_json(event.to_dict()) == event.to_json()


@given(_events, _texts)
def test_an_accepted_event_round_trips_exactly(event: Event, trigger: str) -> None:
    """Once accepted, reading it back gives an equal event, in UTC."""
    try:
        accepted = event.accepted_as(trigger)
    except EventError:
        assert event.time.year in {1, 9999}  # at the edge of the calendar UTC may be outside of it
        return
    again = Event.from_json(accepted.to_json())
    assert (accepted, event.uid, trigger, UTC) == (again, again.uid, again.trigger, again.time.tzinfo)
    assert event.time == again.time


@given(_events)
def test_json_is_one_line_that_utf8_can_hold(event: Event) -> None:
    """Whatever an event holds, its JSON fits into a line of a file."""
    text = event.to_json()
    assert "\n" not in text
    assert text == text.encode().decode()


@given(_anything)
def test_reading_and_writing_is_stable(value: JSON) -> None:
    """What was read once is written and read again without a change."""
    once = load_json(dump_json(value))
    assert (once, dump_json(once)) == (load_json(dump_json(once)), dump_json(load_json(dump_json(once))))


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", fullmatch=True))
def test_numbers_are_read_exactly(text: str) -> None:
    """Every number that JSON can write is read as itself, however many digits it has."""
    found = load_json(text)
    assert Decimal(text) == Decimal(repr(found) if isinstance(found, float) else found)


@given(st.text() | st.binary())
def test_any_text_is_an_event_or_an_event_error(text: str | bytes) -> None:
    """No text makes another exception than the one that is documented."""
    try:
        Event.from_json(text)
    except EventError:
        return


@given(
    st.dictionaries(st.sampled_from(["location", "operation", "id", "trigger", "uid", "key", "time", "hops"]), _values)
)
def test_any_fields_are_an_event_or_an_event_error(fields: dict[str, JSON]) -> None:
    """No field makes another exception than the one that is documented."""
    try:
        Event.from_dict({"location": "t", "operation": "create", "id": "1", **fields})
    except EventError:
        return


@given(st.tuples(_texts.filter(bool), _texts), st.tuples(_texts.filter(bool), _texts))
def test_ordering_keys_of_different_records_differ(first: tuple[str, str], second: tuple[str, str]) -> None:
    """Two records share a key only if they are the same, as long as nobody uses the separator in a location."""
    keys = [Event(location=location, operation="read", id=each).ordering_key for location, each in (first, second)]
    if "\x1f" not in first[0] + second[0]:
        assert (first == second) == (keys[0] == keys[1])
