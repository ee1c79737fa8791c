"""The words in which the journal's tests are written: events, plans and outcomes in one line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from orchestrator_core._contracts import Claim, DeliveryQuery, Journal, Settlement
from orchestrator_core._delivery import Delivery, DeliveryState, Transition
from orchestrator_core._event import Event
from orchestrator_core._json import JSON
from orchestrator_core._plan import Edge, Join, On, OnDead, Plan, Step

NOW: Final = 1_700_000_000.0
LEASE: Final = 1_000.0
WORKER: Final = "worker-1"
RIVAL: Final = "worker-2"
NOWHERE: Final = Plan()

_MOMENT = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)


def event(
    id: str = "1",  # noqa: A002 (the field's name)
    *,
    uid: str | None = None,
    trigger: str = "in",
    key: str | None = None,
    data: JSON = None,
) -> Event:
    """Make a stamped event whose uid is its trigger and id unless given."""
    uid = f"{trigger}:{id}" if uid is None else uid
    fact = Event(location="orders", operation="create", id=id, uid=uid, key=key, data=data, time=_MOMENT)
    return fact.accepted_as(trigger)


def to(*processes: str) -> Plan:
    """Route to several processes side by side."""
    return Plan(tuple(Step(process) for process in processes))


def in_order(process: str = "a", *, on_dead: OnDead = "skip") -> Plan:
    """Route to one process that keeps the order of each key."""
    return Plan((Step(process, ordered=True, on_dead=on_dead),))


def chain(*processes: str, on: On = "success") -> Plan:
    """Route through several processes, one behind the other."""
    steps = (Step(process, (Edge(index - 1, on),) if index else ()) for index, process in enumerate(processes))
    return Plan(tuple(steps))


def diamond(join: Join = "all") -> Plan:
    """Route from ``a`` to ``b`` and ``c``, and from both to ``d``."""
    both = (Edge(1), Edge(2))
    return Plan((Step("a"), Step("b", (Edge(0),)), Step("c", (Edge(0),)), Step("d", both, join)))


def done(
    claim: Claim, output: JSON = None, *, logs: Sequence[str] = (), events: Sequence[tuple[Event, Plan]] = ()
) -> Settlement:
    """Say that the attempt succeeded."""
    delivery = claim.delivery
    success = Transition(DeliveryState.DONE, NOW, delivery.failures, delivery.interruptions, output=output)
    return Settlement(claim, success, NOW, logs, events)


def failed(claim: Claim, *, due_at: float = NOW, reason: str = "it failed", logs: Sequence[str] = ()) -> Settlement:
    """Say that the attempt failed and is to be tried again."""
    delivery = claim.delivery
    retry = Transition(DeliveryState.READY, due_at, delivery.failures + 1, delivery.interruptions, reason=reason)
    return Settlement(claim, retry, NOW, logs)


def postponed(claim: Claim, *, due_at: float, interrupted: bool = False) -> Settlement:
    """Say that the attempt asked to be run later."""
    delivery = claim.delivery
    later = Transition(DeliveryState.READY, due_at, delivery.failures, delivery.interruptions, interrupted, "not now")
    return Settlement(claim, later, NOW)


def dead(claim: Claim, *, reason: str = "hopeless", logs: Sequence[str] = ()) -> Settlement:
    """Say that the attempt failed for good."""
    delivery = claim.delivery
    end = Transition(DeliveryState.DEAD, NOW, delivery.failures + 1, delivery.interruptions, reason=reason)
    return Settlement(claim, end, NOW, logs)


def ids(claims: Sequence[Claim]) -> list[str]:
    """Return the events' ids of claims, in their order."""
    return [claim.event.id for claim in claims]


def one_each(*processes: str) -> Mapping[str, int]:
    """Ask for one delivery of each process."""
    return dict.fromkeys(processes, 1)


async def take(journal: Journal, *processes: str, worker: str = WORKER, now: float = NOW) -> Claim:
    """Claim the one delivery that there must be of these processes."""
    claims = (await journal.claim(worker, one_each(*processes), now=now)).claims
    assert len(claims) == 1, f"expected one delivery of {processes}, found {len(claims)}"
    return claims[0]


async def finish(journal: Journal, *processes: str, worker: str = WORKER, now: float = NOW) -> None:
    """Claim and settle as done one delivery of each of these processes, in this order."""
    for process in processes:
        await journal.settle(worker, [done(await take(journal, process, worker=worker, now=now))], now=now)


async def bury(journal: Journal, process: str, *, now: float = NOW) -> Delivery:
    """Make a dead letter of the one delivery there must be of a process."""
    claim = await take(journal, process, now=now)
    await journal.settle(WORKER, [dead(claim)], now=now)
    return await read(journal, claim.delivery.id)


async def read(journal: Journal, delivery_id: str) -> Delivery:
    """Read one delivery."""
    (delivery,) = await journal.deliveries(DeliveryQuery(ids=[delivery_id]))
    return delivery


async def states(journal: Journal) -> list[tuple[str, str, str]]:
    """Return (event id, process, state) of all deliveries in accept order."""
    found = await journal.deliveries(DeliveryQuery())
    names = {(record.event.trigger, record.event.uid): record.event.id for record in await journal.events()}
    return [(names[each.trigger, each.event_uid], each.process, each.state.value) for each in found]
