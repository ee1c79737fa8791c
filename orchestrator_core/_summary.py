"""What one run has done, counted while it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import attrs

from orchestrator_core._delivery import DeliveryState
from orchestrator_core._event import Event
from orchestrator_core._plan import Plan


@attrs.frozen
class ProcessSummary:
    """What one run has done for one process.

    Attributes:
        done: deliveries that succeeded.
        dead: deliveries that became dead letters.
        retried: attempts that are to be tried again.
    """

    done: int = 0
    dead: int = 0
    retried: int = 0


@attrs.frozen
class Summary:
    """What one run has done.

    Attributes:
        accepted: events that were accepted, without those known before.
        unrouted: how many of them match no process.
        parked: deliveries in the journal whose process is not in the pipeline, at the end.
        processes: what was done, by process.
    """

    accepted: int = 0
    unrouted: int = 0
    parked: int = 0
    processes: Mapping[str, ProcessSummary] = attrs.field(factory=dict)

    @property
    def done(self) -> int:
        """Deliveries that succeeded, over all processes."""
        return sum(each.done for each in self.processes.values())

    @property
    def dead(self) -> int:
        """Deliveries that became dead letters, over all processes."""
        return sum(each.dead for each in self.processes.values())


class Tally:
    """Counts for a `Summary`."""

    def __init__(self) -> None:
        self.accepted = 0
        self.unrouted = 0
        self._outcomes: Counter[tuple[str, DeliveryState]] = Counter()

    def accept(self, entries: Sequence[tuple[Event, Plan]]) -> None:
        """Count events that were accepted, given with their plans."""
        self.accepted += len(entries)
        self.unrouted += sum([not plan.steps for _, plan in entries])

    def count(self, outcomes: Iterable[tuple[str, DeliveryState]]) -> None:
        """Count the outcomes of attempts: process and the state that the delivery is in now."""
        self._outcomes.update(outcomes)

    def summary(self, parked: int) -> Summary:
        """Return what was counted so far."""
        names = dict.fromkeys(name for name, _ in self._outcomes)
        return Summary(self.accepted, self.unrouted, parked, {name: self._of(name) for name in names})

    def _of(self, name: str) -> ProcessSummary:
        states = (DeliveryState.DONE, DeliveryState.DEAD, DeliveryState.READY)
        return ProcessSummary(*(self._outcomes[name, state] for state in states))
