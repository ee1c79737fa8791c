"""What a run came to in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from orchestrator_core._delivery import FINISHED, DeliveryState
from orchestrator_core.cli.render.figures import count, duration
from orchestrator_core.cli.render.table import Cell, Column, table
from orchestrator_core.cli.render.tally import ProcessTally, Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchestrator_core._contracts import Counts
    from orchestrator_core._json import JSON
    from orchestrator_core.cli.render.style import Look


@attrs.frozen
class Ending:
    """How things stand when a run has ended.

    Attributes:
        processes: every process of the pipeline, in the order of the file.
        seconds: how long the run took.
        unfinished: deliveries that the next run goes on with.
        parked: deliveries whose process is not in the pipeline.
        dead: dead letters in the journal, those of earlier runs too.
        look_at: the command that lists the dead letters; empty if the journal ends with the run.
    """

    processes: tuple[str, ...]
    seconds: float
    unfinished: int
    parked: int
    dead: int
    look_at: str = ""

    @classmethod
    def of(cls, counts: Counts, processes: Iterable[str], seconds: float, look_at: str) -> Ending:
        """Find out from what the journal holds."""
        states = {state: sum(each.get(state, 0) for each in counts.deliveries.values()) for state in DeliveryState}
        unfinished = sum(number for state, number in states.items() if state not in FINISHED)
        parked, dead = states[DeliveryState.PARKED], states[DeliveryState.DEAD]
        return cls(tuple(processes), seconds, unfinished - parked, parked, dead, look_at)


_COLUMNS = (
    Column("PROCESS"),
    Column("DONE", right=True),
    Column("DEAD", right=True),
    Column("RETRIES", right=True),
    Column("MEAN TIME", right=True),
)


def summary_lines(tally: Tally, ending: Ending, look: Look) -> list[str]:
    """Return the summary: what was accepted, what each process did, and what to do next."""
    accepted = look.paint(f"{count(tally.accepted, 'event')} accepted", "bold")
    unrouted = f", {tally.unrouted:,} of them unrouted: no link lets them through" if tally.unrouted else ""
    lines = [f"{accepted} in {duration(ending.seconds)}{unrouted}"]
    names = list(dict.fromkeys([*ending.processes, *tally.processes]))
    if names:
        lines += ["", *table(_COLUMNS, [_row(name, tally.processes.get(name, ProcessTally())) for name in names], look)]
    return [*lines, *([""] if (steps := list(_next_steps(tally, ending, look))) else []), *steps]


def _row(name: str, process: ProcessTally) -> list[Cell]:
    return [
        name,
        (f"{process.done:,}", "green" if process.done else "dim"),
        (f"{process.dead:,}", "bold red" if process.dead else "dim"),
        (f"{process.retried:,}", "yellow" if process.retried else "dim"),
        duration(process.seconds / process.attempts) if process.attempts else "",
    ]


def _next_steps(tally: Tally, ending: Ending, look: Look) -> Iterator[str]:
    if ending.dead:
        before = max(0, ending.dead - tally.dead)
        older = " from before" if before == ending.dead else f", {before:,} of them from before" if before else ""
        number = look.paint(count(ending.dead, "dead letter"), "bold red")
        yield f"{number}{older}: {ending.look_at or 'gone with this run, whose journal was in memory'}"
    if ending.unfinished:
        number = look.paint(count(ending.unfinished, "delivery", "deliveries"), "yellow")
        yield f"{number} not finished: the next run goes on from there"
    if ending.parked:
        number = look.paint(count(ending.parked, "delivery", "deliveries"), "magenta")
        yield f"{number} parked until the process is in the pipeline again"


def summary_dict(tally: Tally, ending: Ending) -> dict[str, JSON]:
    """Return the summary as a JSON object."""
    processes: dict[str, JSON] = {
        name: {"done": process.done, "dead": process.dead, "retried": process.retried}
        for name, process in tally.processes.items()
    }
    return {
        "notice": "summary",
        "accepted": tally.accepted,
        "unrouted": tally.unrouted,
        "done": tally.done,
        "dead": tally.dead,
        "retried": tally.retried,
        "unfinished": ending.unfinished,
        "parked": ending.parked,
        "dead_in_journal": ending.dead,
        "seconds": round(ending.seconds, 3),
        "processes": processes,
    }
