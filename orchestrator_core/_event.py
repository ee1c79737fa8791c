"""What happened: `Event` and `Operation`, and their JSON."""

from __future__ import annotations

import enum
import os
import time as _time
from datetime import UTC, datetime
from random import Random
from typing import Any

import attrs

from orchestrator_core._errors import EventError
from orchestrator_core._json import JSON, SURROGATES, dump_json, load_json, own, quote

HOP_LIMIT = 16
"""How often an event may be derived from another before the engine takes the pipeline for a loop."""

_ALIASES = {"insert": "create", "remove": "delete"}


class Operation(enum.Enum):
    """What was done to the record an event is about.

    >>> Operation("INSERT")
    <Operation.CREATE: 'create'>
    """

    UNKNOWN = "unknown"
    CREATE = "create"
    READ = "read"
    UPDATE = "update"
    DELETE = "delete"

    @classmethod
    def _missing_(cls, value: object) -> Operation | None:
        if not isinstance(value, str):
            return None
        name = value.strip().lower()
        name = _ALIASES.get(name, name)
        return next((member for member in cls if member.value == name), None)

    def __str__(self) -> str:
        return self.value


_NAME = {member: member.value for member in Operation}


def _operation(value: Operation | str) -> Operation:
    if type(value) is Operation:
        return value
    try:
        return Operation(value)
    except ValueError:
        known = ", ".join(str(member) for member in Operation)
        raise EventError(f'Unknown operation "{value}": use one of {known}') from None


# Seeded by the system; a forked child must not go on with its parent's sequence.
_chance = Random()  # noqa: S311 (an identity, not a secret)
os.register_at_fork(after_in_child=_chance.seed)
_FIXED = 7 << 76 | 0b10 << 62  # version and variant
_RANDOM = (1 << 76) - 1 & ~(0b11 << 62)


def new_uid() -> str:
    """Make a random identity that sorts by time: UUID version 7 (RFC 9562, section 5.7).

    Neighbours in time are neighbours in an index, which is worth a factor of two to a journal.
    """
    millis = _time.time_ns() // 1_000_000
    digits = (millis << 80 | _chance.getrandbits(76) & _RANDOM | _FIXED).to_bytes(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


@attrs.frozen(init=False)
class Event:
    """An immutable fact from an input.

    Its JSON is a superset of ``{"location", "operation", "id", "trigger"}``: those four round-trip exactly, and a field
    that nobody gave is left out.

    >>> Event(location="public.orders", operation="insert", id="7", trigger="shop").to_json()
    '{"location":"public.orders","operation":"create","id":"7","trigger":"shop"}'

    Attributes:
        location: table, topic or path; input and process agree on its meaning.
        operation: what was done; text is parsed, so ``"insert"`` is `Operation.CREATE`.
        id: the record's id, text end to end.
        trigger: name of the input; stamped by the engine.
        uid: the event's own identity, random if not given. The same (trigger, uid) is accepted once.
        data: the record after the change, a request's body, and the like.
        before: the record before an update or delete.
        key: ordering key; ``None`` means location and id.
        time: when it happened, in UTC; now if not given.
        traceparent: W3C trace context, carried along.
        hops: how often a process's effect became an event again on the way here.

    Raises:
        EventError: a field has the wrong type or can't be stored; the message names it.
    """

    location: str
    operation: Operation
    id: str
    trigger: str
    uid: str
    data: JSON
    before: JSON
    key: str | None
    time: datetime
    traceparent: str | None
    hops: int
    _implied: frozenset[str] = attrs.field(init=False, eq=False, repr=False)
    _text: str | None = attrs.field(init=False, eq=False, repr=False)

    # By hand, since what may be left out is never absent afterwards, and since every event passes here twice.
    def __init__(
        self,
        *,
        location: str,
        operation: Operation | str,
        id: str,  # noqa: A002 (the field's name)
        trigger: str = "",
        uid: str | None = None,
        data: JSON = None,
        before: JSON = None,
        key: str | None = None,
        time: datetime | None = None,
        traceparent: str | None = None,
        hops: int = 0,
    ) -> None:
        _set_location(self, location)
        _set_operation(self, operation if type(operation) is Operation else _operation(operation))
        _set_id(self, id)
        _set_trigger(self, trigger)
        _set_uid(self, new_uid() if uid is None else uid)
        _set_data(self, data)
        _set_before(self, before)
        _set_key(self, key)
        _set_time(self, datetime.now(UTC) if time is None else time)
        _set_traceparent(self, traceparent)
        _set_hops(self, hops)
        _set_implied(self, _IMPLIED[uid is None, time is None])
        _set_text(self, None)
        try:
            given = (location, id, trigger, self.uid)
            texts = "".join(
                given
                if key is None and traceparent is None
                else (*given, *(each for each in (key, traceparent) if each is not None))
            )
        except TypeError:
            self._check_texts()
        else:
            if not texts.isascii() or "\0" in texts:  # almost no event gets to the closer look
                self._check_texts()
        if not (location and self.uid and type(hops) is int and hops >= 0 and _has_zone(self.time)):
            self._check_values()

    def _check_values(self) -> None:
        if not self.location:
            raise EventError("location is empty: name the table, topic or path the event is about")
        if not self.uid:
            raise EventError("uid is empty: leave it out to get a random one")
        if type(self.hops) is not int or self.hops < 0:
            raise EventError(f"hops must be a whole number from 0, found {self.hops!r}")
        if not _has_zone(self.time):
            raise EventError(f"time must be a datetime with a zone, found {self.time!r}: use datetime.now(UTC)")

    def _check_texts(self) -> None:
        for name in ("location", "id", "trigger", "uid", "key", "traceparent"):
            value = getattr(self, name)
            if value is not None or name not in {"key", "traceparent"}:
                _check_text(name, value)

    @property
    def ordering_key(self) -> str:
        """What ``ordered_by = "key"`` orders by: `key`, or location and id."""
        return self.key if self.key is not None else f"{self.location}\x1f{self.id}"

    def accepted_as(self, trigger: str) -> Event:
        """Return the event as the journal keeps it: with its trigger, uid and time settled, and data of its own."""
        time = self.time if self.time.tzinfo is UTC else _utc(self.time)
        return self._copy(trigger, time, _NOTHING, None)

    def copy(self) -> Event:
        """Return the event with data of its own: whoever changes that in place changes no other's."""
        if self.data is None and self.before is None:
            return self
        return self._copy(self.trigger, self.time, self._implied, self._text)

    def _copy(self, trigger: str, time: datetime, implied: frozenset[str], text: str | None) -> Event:
        copy: Event = object.__new__(Event)  # what was checked once is not checked again
        _set_location(copy, self.location)
        _set_operation(copy, self.operation)
        _set_id(copy, self.id)
        _set_trigger(copy, trigger)
        _set_uid(copy, self.uid)
        _set_data(copy, own(self.data))
        _set_before(copy, own(self.before))
        _set_key(copy, self.key)
        _set_time(copy, time)
        _set_traceparent(copy, self.traceparent)
        _set_hops(copy, self.hops)
        _set_implied(copy, implied)
        _set_text(copy, text)
        return copy

    def derive(
        self,
        *,
        location: str | None = None,
        operation: Operation | str | None = None,
        id: str | None = None,  # noqa: A002 (the field's name)
        uid: str | None = None,
        data: JSON = None,
        before: JSON = None,
        key: str | None = None,
    ) -> Event:
        """Make a follow-up event: it keeps the trace context and counts one more hop.

        Location, operation and id are this event's unless given; data and before are not carried over.
        """
        return Event(
            location=self.location if location is None else location,
            operation=self.operation if operation is None else operation,
            id=self.id if id is None else id,
            uid=uid,
            data=data,
            before=before,
            key=key,
            traceparent=self.traceparent,
            hops=self.hops + 1,
        )

    def to_dict(self) -> dict[str, JSON]:
        """Return the event as a JSON object, without the fields that are at their default."""
        fields: dict[str, JSON] = {
            "location": self.location,
            "operation": _NAME[self.operation],
            "id": self.id,
            "trigger": self.trigger,
        }
        if "uid" not in self._implied:
            fields["uid"] = self.uid
        if self.data is not None:
            fields["data"] = self.data
        if self.before is not None:
            fields["before"] = self.before
        if self.key is not None:
            fields["key"] = self.key
        if self.traceparent is not None:
            fields["traceparent"] = self.traceparent
        if "time" not in self._implied:
            fields["time"] = self.time.isoformat()
        if self.hops:
            fields["hops"] = self.hops
        return fields

    def to_json(self) -> str:
        """Return `to_dict` as compact JSON text.

        Raises:
            EventError: data or before hold something that is not JSON.
        """
        if self._text is None:
            _set_text(self, self._dump())  # computed once: several readers need it
        return self._text  # type: ignore[return-value]

    def _dump(self) -> str:
        """Write the text of `to_dict`, in its order: as a template, which takes a third of an encoder's time."""
        implied = self._implied
        uid = "" if implied and "uid" in implied else f',"uid":{quote(self.uid)}'
        data = "" if self.data is None else f',"data":{dump_json(self.data)}'
        before = "" if self.before is None else f',"before":{dump_json(self.before)}'
        key = "" if self.key is None else f',"key":{quote(self.key)}'
        trace = "" if self.traceparent is None else f',"traceparent":{quote(self.traceparent)}'
        time = "" if implied and "time" in implied else f',"time":"{self.time.isoformat()}"'
        hops = f',"hops":{self.hops}' if self.hops else ""
        return (
            f'{{"location":{quote(self.location)},"operation":"{_NAME[self.operation]}","id":{quote(self.id)}'
            f',"trigger":{quote(self.trigger)}{uid}{data}{before}{key}{trace}{time}{hops}}}'
        )

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Event:
        """Make an event of a JSON object; the inverse of `to_dict`.

        Raises:
            EventError: a required field is missing, a field is unknown, or one has the wrong type.
        """
        if missing := [name for name in ("location", "operation", "id") if name not in fields]:
            raise EventError(f"an event needs {' and '.join(missing)}")
        if unknown := sorted(fields.keys() - _FIELDS):
            raise EventError(f"unknown field {unknown[0]!r}: an event has {', '.join(sorted(_FIELDS))}")
        if isinstance(stamp := fields.get("time"), str):
            fields = {**fields, "time": _parse_time(stamp)}
        return cls(**fields)

    @classmethod
    def from_json(cls, text: str | bytes) -> Event:
        """Parse JSON text; the inverse of `to_json`.

        Raises:
            EventError: not JSON, not an object, or not an event.
        """
        fields = load_json(text)
        if not isinstance(fields, dict):
            raise EventError(f"an event is a JSON object, found {type(fields).__name__}")
        return cls.from_dict(fields)


_FIELDS = frozenset(field.name for field in attrs.fields(Event) if not field.name.startswith("_"))

# The slots behind a frozen event's attributes.
(
    _set_location,
    _set_operation,
    _set_id,
    _set_trigger,
    _set_uid,
    _set_data,
    _set_before,
    _set_key,
    _set_time,
    _set_traceparent,
    _set_hops,
    _set_implied,
    _set_text,
) = (vars(Event)[field.name].__set__ for field in attrs.fields(Event))

# Which of uid and time were left out, and so stay out of the JSON until the event is accepted.
_NOTHING = frozenset[str]()
_IMPLIED = {
    (False, False): _NOTHING,
    (True, False): frozenset({"uid"}),
    (False, True): frozenset({"time"}),
    (True, True): frozenset({"uid", "time"}),
}


def _has_zone(moment: object) -> bool:
    return isinstance(moment, datetime) and moment.tzinfo is not None


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise EventError(f"{name} must be text, found {type(value).__name__} {value!r:.80}")
    if value.isascii():
        if "\0" not in value:
            return
    elif "\0" not in value and not SURROGATES.search(value):
        return
    raise EventError(f"{name} has a character that can't be stored (NUL or half of a surrogate pair): {value!r:.80}")


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is UTC:
        return moment
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise EventError(f"time {moment.isoformat()} is outside the years 1 to 9999 in UTC") from None


def _parse_time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise EventError(f'time {text!r:.80} is not ISO 8601 such as "2026-05-04T12:30:00+00:00"') from None
    if moment.tzinfo is None:
        raise EventError(f'time "{text}" has no zone: append "Z" or an offset')
    return moment
