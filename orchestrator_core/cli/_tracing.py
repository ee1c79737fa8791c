"""Reads the whole tree of one event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from orchestrator_core._contracts import DeliveryQuery
from orchestrator_core._delivery import FINISHED, DeliveryState
from orchestrator_core.cli.render.trace import DeliveryTrace, EventTrace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator_core._contracts import EventRecord, JournalReader
    from orchestrator_core._delivery import Delivery
    from orchestrator_core._plan import Plan

_MOST_DELIVERIES = 100_000
EVENTS_LIMIT = 500
"""A tree of more events is cut: one attempt may emit thousands."""


@attrs.define
class _Budget:
    left: int = EVENTS_LIMIT


async def trace(journal: JournalReader, record: EventRecord, budget: _Budget | None = None) -> EventTrace:
    """Return an event with its deliveries and everything that came of them.

    The depth is that of the engine's hop limit; the events are counted down over the whole tree.
    """
    budget = budget or _Budget()
    deliveries = await deliveries_of(journal, record)
    derived: dict[str, list[EventRecord]] = {}
    for each in await journal.derived(record.event.uid):
        derived.setdefault(each.event.trigger, []).append(each)
    states = {delivery.process: delivery.state for delivery in deliveries}
    branches = []
    for delivery in deliveries:
        events = derived.get(delivery.process, [])
        shown = events[: max(0, budget.left)]
        budget.left -= len(shown)
        branches.append(
            DeliveryTrace(
                delivery,
                await journal.attempts(delivery.id),
                _waits_for(record.plan, delivery, states),
                [await trace(journal, each, budget) for each in shown],
                len(events) - len(shown),
            )
        )
    return EventTrace(record, branches)


async def deliveries_of(journal: JournalReader, record: EventRecord) -> Sequence[Delivery]:
    """Return the deliveries of one event, in the order of its plan."""
    found = await journal.deliveries(DeliveryQuery(event_uid=record.event.uid, limit=_MOST_DELIVERIES))
    # Two inputs may use the same uid.
    own = {delivery.process: delivery for delivery in found if delivery.trigger == record.event.trigger}
    return [own[step.process] for step in record.plan.steps if step.process in own]


def _waits_for(plan: Plan, delivery: Delivery, states: Mapping[str, DeliveryState]) -> Sequence[str]:
    if delivery.state is not DeliveryState.WAITING:
        return ()
    step = next((step for step in plan.steps if step.process == delivery.process), None)
    upstream = [plan.steps[edge.upstream].process for edge in step.after] if step else []
    return [process for process in upstream if states.get(process) not in FINISHED]
