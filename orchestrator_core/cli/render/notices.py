"""Notices as JSON, for programs that follow a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from orchestrator_core.cli.render.figures import iso

if TYPE_CHECKING:
    from orchestrator_core._event import Event
    from orchestrator_core._json import JSON


def to_dict(notice: Notice, time: float) -> dict[str, JSON]:
    """Return a notice as a JSON object. Events are named rather than repeated: their data stays in the journal."""
    return {"time": iso(time), **_fields(notice)}


def _fields(notice: Notice) -> dict[str, JSON]:  # noqa: PLR0911 (one for each kind)
    match notice:
        case EventsAccepted(trigger, events, unrouted):
            named: list[JSON] = [_name(event) for event in events]
            return {"notice": "events_accepted", "trigger": trigger, "events": named, "unrouted": unrouted}
        case AttemptStarted():
            return {"notice": "attempt_started", **_delivery(notice)}
        case AttemptLogged(delivery, process, line):
            return {"notice": "attempt_logged", "delivery": delivery, "process": process, "line": line}
        case DeliverySettled():
            return {
                "notice": "delivery_settled",
                **_delivery(notice),
                "state": str(notice.state),
                "reason": notice.reason,
                "retry_in": notice.retry_in,
                "seconds": round(notice.seconds, 6),
            }
        case InputChanged(name, state, reason, restart_in):
            fields: dict[str, JSON] = {"input": name, "state": state, "reason": reason, "restart_in": restart_in}
            return {"notice": "input_changed", **fields}
        case Measured(node, name, value, labels):
            return {"notice": "measured", "node": node, "name": name, "value": value, "labels": dict(labels)}
        case LoopBlocked(seconds, where, process):
            return {"notice": "loop_blocked", "seconds": seconds, "where": where, "process": process}


def _delivery(notice: AttemptStarted | DeliverySettled) -> dict[str, JSON]:
    return {
        "delivery": notice.delivery_id,
        "process": notice.process,
        "attempt": notice.attempt,
        "event": _name(notice.event),
    }


def _name(event: Event) -> dict[str, JSON]:
    return {
        "uid": event.uid,
        "trigger": event.trigger,
        "location": event.location,
        "operation": event.operation.value,
        "id": event.id,
    }
