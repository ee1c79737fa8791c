"""Where one event goes: `Plan`, and the pure function that lets its deliveries go on as their upstream settles."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import attrs

from orchestrator_core._delivery import FINISHED, DeliveryState
from orchestrator_core._event import Event
from orchestrator_core._filters import Where
from orchestrator_core._json import JSON

Join: TypeAlias = Literal["all", "any"]
On: TypeAlias = Literal["success", "dead", "settled", "event"]
OnDead: TypeAlias = Literal["skip", "hold"]


@attrs.frozen
class Edge:
    """Why a step waits for another one.

    Attributes:
        upstream: index of the step it waits for.
        on: what of it lets the event through.
        where: a condition that reads its output, if the link has one.
    """

    upstream: int
    on: On = "success"
    where: Where | None = None


@attrs.frozen
class Step:
    """One process of a plan; its index in the plan is its index among the event's deliveries.

    Attributes:
        process: the name of the process.
        after: the steps it waits for; none means that the input itself lets the event through.
        join: whether it waits for all of them or for the first.
        ordered: whether deliveries of one key keep their order.
        on_dead: whether a dead letter holds back its key.
    """

    process: str
    after: tuple[Edge, ...] = ()
    join: Join = "all"
    ordered: bool = False
    on_dead: OnDead = "skip"


@attrs.frozen(eq=False)
class Plan:
    """The deliveries of one event and what they wait for, in topological order.

    Attributes:
        steps: the deliveries; empty for an event that matches nothing.
        dependents: by step, the steps that wait for it.
        first: the processes of the steps that wait for nothing.
        text: the plan as JSON, as a journal keeps it; two plans are equal exactly when their texts are.
    """

    steps: tuple[Step, ...] = ()
    dependents: tuple[tuple[int, ...], ...] = attrs.field(init=False, repr=False)
    first: tuple[str, ...] = attrs.field(init=False, repr=False)
    text: str = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        below: list[list[int]] = [[] for _ in self.steps]
        for index, step in enumerate(self.steps):
            for edge in step.after:
                below[edge.upstream].append(index)
        object.__setattr__(self, "dependents", tuple(tuple(each) for each in below))
        object.__setattr__(self, "first", tuple(step.process for step in self.steps if not step.after))
        object.__setattr__(self, "text", _dump(self.steps))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plan) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    @property
    def roots(self) -> tuple[int, ...]:
        """The steps that wait for nothing."""
        return tuple(index for index, step in enumerate(self.steps) if not step.after)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Parse a plan's `text`."""
        return cls(tuple(_load_step(step) for step in json.loads(text)))


@attrs.frozen
class Upstream:
    """What is known of one step while its dependents are decided.

    Attributes:
        state: its state.
        output: what its process returned.
    """

    state: DeliveryState
    output: JSON = None


class _Gate(enum.Enum):
    OPEN = enum.auto()
    CLOSED = enum.auto()
    UNDECIDED = enum.auto()


_OPENS: Mapping[On, frozenset[DeliveryState]] = {
    "success": frozenset({DeliveryState.DONE}),
    "dead": frozenset({DeliveryState.DEAD}),
    "settled": frozenset({DeliveryState.DONE, DeliveryState.DEAD, DeliveryState.CANCELLED}),
}


def resolve(plan: Plan, known: Sequence[Upstream], event: Callable[[], Event]) -> dict[int, DeliveryState]:
    """Decide the steps that wait or were skipped, from what is known of the others.

    Pure; the answer holds only the steps whose state changes: to ``ready``, to ``skipped``, or from ``skipped`` back to
    ``waiting`` when a dead letter upstream was redriven. Skips cascade, so one call settles a whole event.

    Args:
        plan: the event's plan.
        known: what is known of each step, by index.
        event: gives the event; called only if a link's `where` needs it.
    """
    now = list(known)
    changes: dict[int, DeliveryState] = {}
    for index, step in enumerate(plan.steps):
        before = known[index].state
        if not step.after or before not in {DeliveryState.WAITING, DeliveryState.SKIPPED}:
            continue
        state = _decide(step, [_gate(edge, now[edge.upstream], event) for edge in step.after])
        if state is not before:
            changes[index] = state
            now[index] = Upstream(state)
    return changes


def _decide(step: Step, gates: Sequence[_Gate]) -> DeliveryState:
    decisive, verdict, otherwise = (
        (_Gate.CLOSED, DeliveryState.SKIPPED, DeliveryState.READY)
        if step.join == "all"
        else (_Gate.OPEN, DeliveryState.READY, DeliveryState.SKIPPED)
    )
    if decisive in gates:
        return verdict
    return DeliveryState.WAITING if _Gate.UNDECIDED in gates else otherwise


def _gate(edge: Edge, upstream: Upstream, event: Callable[[], Event]) -> _Gate:
    if upstream.state not in FINISHED:
        return _Gate.UNDECIDED
    if upstream.state not in _OPENS[edge.on]:
        return _Gate.CLOSED
    if edge.where is None:
        return _Gate.OPEN
    fact = event()
    record = {"data": fact.data, "before": fact.before, "output": upstream.output}
    return _Gate.OPEN if edge.where.matches(record) else _Gate.CLOSED


def _dump(steps: tuple[Step, ...]) -> str:
    return json.dumps([_dump_step(step) for step in steps], separators=(",", ":"))


def _dump_step(step: Step) -> list[Any]:
    after = [[edge.upstream, edge.on, edge.where and edge.where.condition] for edge in step.after]
    return [step.process, after, step.join, step.ordered, step.on_dead]


def _load_step(fields: list[Any]) -> Step:
    process, after, join, ordered, on_dead = fields
    edges = (Edge(upstream, on, Where(where) if where else None) for upstream, on, where in after)
    return Step(process, tuple(edges), join, ordered, on_dead)
