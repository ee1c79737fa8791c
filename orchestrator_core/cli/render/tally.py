"""What a run has done so far, counted from its notices."""

from __future__ import annotations

import attrs

from orchestrator_core._delivery import DeliveryState
from orchestrator_core._notices import AttemptLogged, AttemptStarted, DeliverySettled, EventsAccepted, Notice
from orchestrator_core.cli.render.figures import count


@attrs.define
class ProcessTally:
    """What the attempts of one process came to.

    Attributes:
        done: deliveries that succeeded.
        dead: deliveries that became dead letters.
        retried: attempts that are to be followed by another.
        seconds: how long all of these attempts took.
    """

    done: int = 0
    dead: int = 0
    retried: int = 0
    seconds: float = 0.0

    @property
    def attempts(self) -> int:
        """How many attempts were settled."""
        return self.done + self.dead + self.retried


@attrs.define
class Tally:
    """What happened so far.

    Attributes:
        accepted: events that the journal has committed.
        unrouted: how many of them match no process.
        logged: lines that processes have written.
        running: attempts that have started and are not settled.
        processes: what their attempts came to, by name.
    """

    accepted: int = 0
    unrouted: int = 0
    logged: int = 0
    running: int = 0
    processes: dict[str, ProcessTally] = attrs.field(factory=dict)

    def add(self, notice: Notice) -> None:
        """Count a notice."""
        if isinstance(notice, AttemptStarted):
            self.running += 1
        elif isinstance(notice, DeliverySettled):
            self._settle(notice)
        elif isinstance(notice, EventsAccepted):
            self.accepted += len(notice.events)
            self.unrouted += notice.unrouted
        elif isinstance(notice, AttemptLogged):
            self.logged += 1

    def _settle(self, notice: DeliverySettled) -> None:
        self.running -= 1
        process = self.processes.get(notice.process)
        if process is None:
            process = self.processes[notice.process] = ProcessTally()
        process.seconds += notice.seconds
        if notice.state is DeliveryState.DONE:
            process.done += 1
        elif notice.state is DeliveryState.DEAD:
            process.dead += 1
        else:
            process.retried += 1

    @property
    def done(self) -> int:
        """Deliveries that succeeded."""
        return sum(process.done for process in self.processes.values())

    @property
    def dead(self) -> int:
        """Deliveries that became dead letters."""
        return sum(process.dead for process in self.processes.values())

    @property
    def retried(self) -> int:
        """Attempts that are to be followed by another."""
        return sum(process.retried for process in self.processes.values())

    def sentence(self) -> str:
        """Return the counts in a line; what is zero is left out."""
        parts = [
            (self.accepted, f"{self.accepted:,} accepted"),
            (self.done, f"{self.done:,} done"),
            (self.dead, f"{self.dead:,} dead"),
            (self.retried, count(self.retried, "retry", "retries")),
            (self.unrouted, f"{self.unrouted:,} unrouted"),
            (self.logged, count(self.logged, "log line")),
        ]
        return ", ".join(text for number, text in parts if number)
