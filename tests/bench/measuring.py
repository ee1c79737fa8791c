"""A measure is a function in a process of its own; rounds are interleaved, so that noise hits all of them alike."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

Figures = Mapping[str, float]
Measure = Callable[[Path], Figures]


@attrs.frozen
class Row:
    """One line of the report.

    Attributes:
        what: what was measured.
        figure: names the figure, ``measure.name``.
        unit: of the figure.
        per: the figure it is divided by, if it is a pair.
        goal: what it should reach, as text for the reader.
        holds: whether figure and ratio reach the goal; ``None`` where there is none.
    """

    what: str
    figure: str
    unit: str = "/s"
    per: str | None = None
    goal: str = ""
    holds: Callable[[float, float], bool] | None = None


@attrs.frozen
class Suite:
    """What belongs together: measures and the rows that report them.

    Attributes:
        measures: each in a process of its own, by a name that no other suite uses.
        rows: the lines of the table.
        once: measures that take too long to be repeated in each round.
    """

    measures: Mapping[str, Measure]
    rows: Sequence[Row]
    once: frozenset[str] = frozenset()


def measure_apart(name: str) -> Figures:
    """Run one measure in a fresh process and a fresh folder."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench", "--one", name, folder],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def medians(rounds: Sequence[Figures]) -> Figures:
    """Return the median of each figure."""
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}


def peak_memory() -> float:
    """Return the most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
