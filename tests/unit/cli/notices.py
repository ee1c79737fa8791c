"""Notices and records for the tests of what is printed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from orchestrator_core import Delivery, DeliverySettled, DeliveryState, Event, EventRecord, EventsAccepted, Plan, Step

NOON = 1_767_265_200.0
HOSTILE = "a\r\nb\x1b[31mc\u202ed\u2028e\x9b2Jf"
ESCAPED = r"a\r\nb\x1b[31mc\u202ed\u2028e\x9b2Jf"


def event(id: str = "7", **fields: Any) -> Event:  # noqa: A002 (the field's name)
    """Make an event of the input ``raw`` about a reading."""
    given = {"location": "reading", "operation": "create", "trigger": "raw", "uid": f"u{id}"}
    return Event(**{**given, "id": id, "time": datetime(2026, 1, 1, tzinfo=UTC), **fields})


def settled(state: DeliveryState, reason: str | None = None, **fields: Any) -> DeliverySettled:
    """Make a notice that an attempt of ``clean`` was settled after 12 ms."""
    given: dict[str, Any] = {"event": event(), "attempt": 1, "retry_in": None, "seconds": 0.012}
    return DeliverySettled(delivery_id="d1", process="clean", state=state, reason=reason, **{**given, **fields})


def accepted(number: int = 1, unrouted: int = 0) -> EventsAccepted:
    """Make a notice that events were accepted."""
    return EventsAccepted("raw", [event(str(index)) for index in range(number)], unrouted)


def record(*processes: str, **fields: Any) -> EventRecord:
    """Make an accepted event that goes to these processes."""
    return EventRecord(event(**fields), NOON, Plan(tuple(Step(process) for process in processes)))


def delivery(state: DeliveryState, **fields: Any) -> Delivery:
    """Make a delivery of that event to ``clean``."""
    given: dict[str, Any] = {"id": "j-1.0", "event_uid": "u7", "trigger": "raw", "process": "clean", "attempt": 1}
    return Delivery(**{**given, "state": state, "accepted_at": NOON, **fields})
