"""Runs the measures, interleaved, and prints the medians as a table for each suite."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from tests.bench import core, docker, postgres, webhook
from tests.bench.measuring import Figures, Suite, measure_apart, medians

SUITES: Mapping[str, Suite] = {
    "core": core.SUITE,
    "docker": docker.SUITE,
    "postgres": postgres.SUITE,
    "webhook": webhook.SUITE,
}
MEASURES = {name: measure for suite in SUITES.values() for name, measure in suite.measures.items()}
ONCE = {name for suite in SUITES.values() for name in suite.once}


def report(title: str, suite: Suite, found: Mapping[str, Figures]) -> Table:
    """Lay the medians out, each pair as a ratio and each goal as met or missed."""
    flat = {f"{name}.{figure}": value for name, figures in found.items() for figure, value in figures.items()}
    table = Table("what", "median", "of its bound", "goal", "", title=f"{title}, Python {platform.python_version()}")
    for row in suite.rows:
        if row.figure not in flat:
            continue
        value = flat[row.figure]
        ratio = value / flat[row.per] if row.per and row.per in flat else float("nan")
        verdict = "" if row.holds is None else "met" if row.holds(value, ratio) else "missed"
        shown = f"{value:,.0f} {row.unit}" if value >= 100 else f"{value:.2f} {row.unit}"
        table.add_row(row.what, shown, "" if isnan(ratio) else f"{ratio:.2f}", row.goal, verdict)
    return table


def chosen(names: Sequence[str]) -> list[str]:
    """Return the measures that these names of suites and measures stand for; all of them without a name."""
    return [name for each in names or SUITES for name in (SUITES[each].measures if each in SUITES else [each])]


@click.command()
@click.argument("names", nargs=-1, type=click.Choice([*SUITES, *sorted(MEASURES)]))
@click.option("--rounds", default=5, show_default=True, help="How often each measure is taken.")
@click.option("--one", nargs=2, hidden=True, help="Take one measure in this process: its name and a folder.")
def main(names: Sequence[str], rounds: int, one: tuple[str, str] | None) -> None:
    """Measure NAMES, which are suites or single measures, or everything."""
    if one is not None:
        print(json.dumps(MEASURES[one[0]](Path(one[1]))))
        return
    console, messages = Console(), Console(stderr=True)
    taken: dict[str, list[Figures]] = {name: [] for name in chosen(names)}
    for number in range(rounds):
        for name, figures in taken.items():
            if name not in ONCE or number == 0:
                messages.print(f"round {number + 1} of {rounds}: {name}")
                figures.append(measure_apart(name))
    found = {name: medians(figures) for name, figures in taken.items()}
    for title, suite in SUITES.items():
        if suite.measures.keys() & found.keys():
            console.print(report(title, suite, found))


if __name__ == "__main__":
    main()
    sys.exit()
