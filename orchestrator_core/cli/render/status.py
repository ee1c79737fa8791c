"""How a pipeline stands, for a look and for a live view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from orchestrator_core._delivery import DeliveryState
from orchestrator_core.cli.render.figures import clock, count, iso
from orchestrator_core.cli.render.listing import counts_table
from orchestrator_core.cli.render.records import counts_dict
from orchestrator_core.cli.render.style import one_line

if TYPE_CHECKING:
    from orchestrator_core._contracts import Counts
    from orchestrator_core._json import JSON
    from orchestrator_core.cli.render.style import Look


@attrs.frozen
class Status:
    """How a pipeline stands at one moment.

    Attributes:
        name: the pipeline's name.
        processes: its processes, in the order of the file.
        counts: how much its journal holds.
        runner: the id of the process that runs it on this machine, if one does.
        at: when this was, in seconds since 1970 UTC.
        option: what to add to another command so that it is about the same file.
    """

    name: str
    processes: tuple[str, ...]
    counts: Counts
    runner: int | None
    at: float
    option: str = ""

    def total(self, state: DeliveryState) -> int:
        """Return how many deliveries are in a state, over all processes."""
        return sum(states.get(state, 0) for states in self.counts.deliveries.values())


def status_lines(status: Status, before: Status | None, look: Look) -> list[str]:
    """Return the status as text; with an earlier one, how fast it goes as well."""
    running = f"running as process {status.runner}" if status.runner is not None else "not running here"
    title = look.paint(one_line(status.name), "bold")
    lines = [f"{title}  {look.paint(running, 'green' if status.runner is not None else 'dim')}  {clock(status.at)}"]
    unrouted = f", {status.counts.unrouted:,} of them unrouted" if status.counts.unrouted else ""
    lines.append(f"{count(status.counts.events, 'event')} in the journal{unrouted}{_pace(status, before)}")
    lines += ["", *counts_table(status.counts, status.processes, look)]
    if dead := status.total(DeliveryState.DEAD):
        number = look.paint(count(dead, "dead letter"), "bold red")
        lines += ["", f"{number}: orchestrator dead-letters list{status.option}"]
    return lines


def _pace(status: Status, before: Status | None) -> str:
    if before is None or status.at <= before.at:
        return ""
    seconds = status.at - before.at
    accepted = max(0.0, (status.counts.events - before.counts.events) / seconds)
    done = max(0.0, (status.total(DeliveryState.DONE) - before.total(DeliveryState.DONE)) / seconds)
    return f"; {accepted:,.0f} accepted and {done:,.0f} done a second"


def status_dict(status: Status) -> dict[str, JSON]:
    """Return the status as a JSON object."""
    return {"time": iso(status.at), "name": status.name, "runner": status.runner, **counts_dict(status.counts)}
