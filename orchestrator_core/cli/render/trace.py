"""The whole tree of one event: its deliveries, their attempts, and the events that came of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from orchestrator_core._delivery import DeliveryState
from orchestrator_core.cli.render.figures import count, moment
from orchestrator_core.cli.render.listing import attempt_line, due, tries
from orchestrator_core.cli.render.records import delivery_details, event_dict
from orchestrator_core.cli.render.style import STATE_STYLES, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator_core._contracts import Attempt, EventRecord
    from orchestrator_core._delivery import Delivery
    from orchestrator_core._json import JSON
    from orchestrator_core.cli.render.style import Look


@attrs.frozen
class DeliveryTrace:
    """A delivery and what came of it.

    Attributes:
        delivery: the delivery.
        attempts: its history.
        waits_for: the processes upstream of it that are not finished.
        derived: the events that it emitted.
        left_out: how many more of these there are.
    """

    delivery: Delivery
    attempts: Sequence[Attempt] = ()
    waits_for: Sequence[str] = ()
    derived: Sequence[EventTrace] = ()
    left_out: int = 0


@attrs.frozen
class EventTrace:
    """An event and its deliveries, in the order of its plan."""

    record: EventRecord
    deliveries: Sequence[DeliveryTrace] = ()


def trace_lines(trace: EventTrace, look: Look, *, logs: bool = False) -> list[str]:
    """Return the tree line by line; `logs` adds what the processes wrote."""
    return [_event_line(trace.record, look), *_branches(trace, look, "", logs=logs)]


def _event_line(record: EventRecord, look: Look) -> str:
    event = record.event
    name = look.paint(f"{event.operation} {one_line(event.location)}/{one_line(event.id)}", "bold")
    about = f"from {one_line(event.trigger)}  {moment(record.accepted_at)}"
    unrouted = "" if record.plan.steps else f"  {look.paint('unrouted', 'yellow')}"
    return f"{name}  {about}  {look.paint(one_line(event.uid), 'dim')}{unrouted}"


def _branches(trace: EventTrace, look: Look, lead: str, *, logs: bool) -> Iterator[str]:
    for index, branch in enumerate(trace.deliveries):
        last = index == len(trace.deliveries) - 1
        below = lead + ("   " if last else "│  ")
        yield _guide(lead, last=last, look=look) + _delivery_line(branch, look)
        notes = list(_notes(branch, look, logs=logs))
        stem = "│  " if branch.derived or branch.left_out else "   "
        for note in notes:
            yield f"{look.paint(below + stem, 'dim')}{note}"
        for at, event in enumerate(branch.derived):
            end = at == len(branch.derived) - 1 and not branch.left_out
            yield _guide(below, last=end, look=look) + _event_line(event.record, look)
            yield from _branches(event, look, below + ("   " if end else "│  "), logs=logs)
        if branch.left_out:
            yield _guide(below, last=True, look=look) + f"and {count(branch.left_out, 'event')} more"


def _guide(lead: str, *, last: bool, look: Look) -> str:
    return look.paint(f"{lead}{'└─ ' if last else '├─ '}", "dim")


def _delivery_line(branch: DeliveryTrace, look: Look) -> str:
    delivery = branch.delivery
    state = look.paint(delivery.state.value, STATE_STYLES[delivery.state])
    waits = f"for {', '.join(branch.waits_for)}" if branch.waits_for else ""
    again = f"next at {due(delivery)}" if delivery.failures and due(delivery) else ""
    name, number = one_line(delivery.process), look.paint(one_line(delivery.id), "dim")
    return "  ".join(part for part in (name, state, waits, tries(delivery), again, number) if part)


def _notes(branch: DeliveryTrace, look: Look, *, logs: bool) -> Iterator[str]:
    """Return a line for each attempt, unless the delivery went through at the first; then its logs alone, if asked."""
    smooth = branch.delivery.state is DeliveryState.DONE and len(branch.attempts) == 1
    for attempt in branch.attempts:
        if not smooth:
            yield attempt_line(attempt, look)
        if logs:
            for line in attempt.logs:
                yield f"{look.paint('│', 'dim')} {one_line(line)}"
    if branch.delivery.reason and not branch.attempts:
        yield one_line(branch.delivery.reason)


def trace_dict(trace: EventTrace) -> dict[str, JSON]:
    """Return the tree as a JSON object."""
    deliveries: list[JSON] = []
    for branch in trace.deliveries:
        derived: list[JSON] = [trace_dict(event) for event in branch.derived]
        deliveries.append({**delivery_details(branch.delivery, branch.attempts), "derived": derived})
    return {"event": event_dict(trace.record), "deliveries": deliveries}
