"""What a journal holds as JSON objects, the same for every command that prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator_core.cli.render.figures import iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator_core._contracts import Attempt, Counts, EventRecord
    from orchestrator_core._delivery import Delivery
    from orchestrator_core._json import JSON


def event_dict(record: EventRecord) -> dict[str, JSON]:
    """Return an accepted event: the event's own JSON, when it was accepted, and where it goes."""
    processes: list[JSON] = [step.process for step in record.plan.steps]
    return {**record.event.to_dict(), "accepted_at": iso(record.accepted_at), "processes": processes}


def delivery_dict(delivery: Delivery) -> dict[str, JSON]:
    """Return a delivery."""
    return {
        "id": delivery.id,
        "event": delivery.event_uid,
        "trigger": delivery.trigger,
        "process": delivery.process,
        "state": delivery.state.value,
        "attempt": delivery.attempt,
        "failures": delivery.failures,
        "interruptions": delivery.interruptions,
        "accepted_at": iso(delivery.accepted_at),
        "due_at": iso(delivery.due_at),
        "settled_at": iso(delivery.settled_at),
        "reason": delivery.reason,
        "output": delivery.output,
    }


def attempt_dict(attempt: Attempt) -> dict[str, JSON]:
    """Return one entry of a delivery's history."""
    return {
        "number": attempt.number,
        "state": attempt.state,
        "reason": attempt.reason,
        "started_at": iso(attempt.started_at),
        "settled_at": iso(attempt.settled_at),
        "logs": list(attempt.logs),
    }


def delivery_details(delivery: Delivery, attempts: Sequence[Attempt]) -> dict[str, JSON]:
    """Return a delivery with its history."""
    return {**delivery_dict(delivery), "attempts": [attempt_dict(attempt) for attempt in attempts]}


def counts_dict(counts: Counts) -> dict[str, JSON]:
    """Return how much a journal holds."""
    deliveries: dict[str, JSON] = {
        process: {state.value: number for state, number in states.items()}
        for process, states in counts.deliveries.items()
    }
    return {"events": counts.events, "unrouted": counts.unrouted, "deliveries": deliveries}
