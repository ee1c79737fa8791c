"""What is promised on the way from each input to each process that its events reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import attrs

from orchestrator_core._pipeline import Link, Pipeline
from orchestrator_core.hookspecs import InputType, ProcessType

Source: TypeAlias = Literal["at-least-once", "may lose at source"]
Effect: TypeAlias = Literal["effect once", "asked before a second run", "may run more than once"]
Order: TypeAlias = Literal["in order by key", "in any order"]


@attrs.frozen
class Guarantee:
    """What is promised for the events of one input at one process.

    Attributes:
        input: the input.
        process: the process.
        source: ``"at-least-once"`` if every fact at the source becomes an accepted event, else
            ``"may lose at source"``: what happens while nobody listens, or is not accepted yet at a crash, is gone.
        effect: ``"effect once"`` if running an attempt again changes nothing, ``"asked before a second run"`` if the
            process is asked after a crash what became of the attempt, else ``"may run more than once"``.
        order: whether attempts for one key start in the order in which its events happened.
        durable: whether accepted events outlive the engine's process.
    """

    input: str
    process: str
    source: Source
    effect: Effect
    order: Order
    durable: bool = True

    def __str__(self) -> str:
        kept = "" if self.durable else ", lost with the engine's process"
        return f"{self.input} → {self.process}: {self.source}, {self.effect}, {self.order}{kept}"


def guarantees(
    pipeline: Pipeline, inputs: Mapping[str, InputType], processes: Mapping[str, ProcessType], *, durable: bool
) -> tuple[Guarantee, ...]:
    """Work out the promise of each path from the flags of its ends and the engine's treatment."""
    plain = tuple(link for link in pipeline.links if link.on != "event")
    found: list[Guarantee] = []
    for source, kind in inputs.items():
        # Derived events are other events: their order is that in which attempts end.
        same_events = _reached(source, plain)
        for target in _reached(source, pipeline.links):
            in_order = kind.ordered and target in same_events and pipeline.processes[target].ordered_by == "key"
            order: Order = "in order by key" if in_order else "in any order"
            found.append(Guarantee(source, target, _source(kind), _effect(processes[target]), order, durable))
    return tuple(found)


def _source(kind: InputType) -> Source:
    return "at-least-once" if kind.replayable and kind.durable_ack else "may lose at source"


def _effect(kind: ProcessType) -> Effect:
    if kind.idempotent:
        return "effect once"
    return "asked before a second run" if kind.reconciles else "may run more than once"


def _reached(source: str, links: tuple[Link, ...]) -> tuple[str, ...]:
    reached: dict[str, None] = {source: None}
    while fresh := {link.target for link in links if link.source in reached and link.target not in reached}:
        reached.update(dict.fromkeys(sorted(fresh)))
    return tuple(reached)[1:]
