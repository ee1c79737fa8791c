"""Runs the measures, interleaved, and prints the medians as a table."""

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

from tests.bench import ledger, plain, startup
from tests.bench.engine import BACKLOG, CHAIN, FAN_OUT, Batches, Singles, backlog, durable, in_memory, latency
from tests.bench.measuring import Figures, Measure, Row, measure_apart, medians

MEASURES: Mapping[str, Measure] = {
    "plain": plain.three_writes,
    "durable": durable(Batches(plain.EVENTS)),
    "singles": durable(Singles(20_000)),
    "fan_out": durable(Batches(15_000), FAN_OUT),
    "chain": durable(Batches(5_000), CHAIN),
    "plain_journal": plain.journal_writes,
    "journal": ledger.append_and_settle,
    "flushes": ledger.shared_flushes,
    "queue": plain.bare_queue,
    "memory_asyncio": in_memory("asyncio"),
    "memory_trio": in_memory("trio"),
    "latency": latency,
    "short_backlog": backlog(1_000, 1_000),
    "long_backlog": backlog(BACKLOG, 20_000),
    "imports": startup.imports,
    "help": startup.help_page,
}
ONCE = {"long_backlog"}

ROWS: Sequence[Row] = [
    Row("plain sqlite3, three writes an event, 1,000 a transaction", "plain.rate"),
    Row(
        "SQLite journal, batches of 100, one no-op process",
        "durable.rate",
        per="plain.rate",
        goal="≥ 0.3 of it",
        holds=lambda _, ratio: ratio >= 0.3,
    ),
    Row("… single emits, 64 in flight", "singles.rate", goal="≥ 12,000", holds=lambda rate, _: rate >= 12_000),
    Row("… fan-out to 4 processes, events", "fan_out.rate"),
    Row("… chain of 4 processes, events", "chain.rate"),
    Row("plain sqlite3, append of 100", "plain_journal.append"),
    Row("journal, append of 100", "journal.append", "/s", "plain_journal.append", "≥ 0.6", lambda _, r: r >= 0.6),
    Row("plain sqlite3, settle of 100", "plain_journal.settle"),
    Row("journal, settle of 100", "journal.settle", "/s", "plain_journal.settle", "≥ 0.6", lambda _, r: r >= 0.6),
    Row("events per flush, 64 in flight", "flushes.events", "", goal="≥ 32", holds=lambda count, _: count >= 32),
    Row("bare asyncio.Queue, 8 workers", "queue.rate"),
    Row("memory journal, asyncio", "memory_asyncio.rate", per="queue.rate"),
    Row("memory journal, trio", "memory_trio.rate", per="queue.rate"),
    Row("the disk's own flush", "latency.flush", "ms"),
    Row("emit → process called at 100/s, p50", "latency.p50", "ms"),
    Row("… beyond the flush", "latency.p50_beyond_flush", "ms", goal="≤ 3 ms", holds=lambda ms, _: ms <= 3),
    Row("… p99", "latency.p99", "ms"),
    Row("drain with 1,000 queued", "short_backlog.rate"),
    Row(
        "drain with 1,000,000 queued",
        "long_backlog.rate",
        per="short_backlog.rate",
        goal="≥ 0.8",
        holds=lambda _, ratio: ratio >= 0.8,
    ),
    Row("memory with 1,000,000 queued", "long_backlog.memory", "MiB", goal="< 200", holds=lambda mib, _: mib < 200),
    Row("import pluggy, anyio, attrs", "imports.below", "ms"),
    Row("import orchestrator_core", "imports.own", "ms", "imports.below", "≤ 1.3", lambda _, ratio: ratio <= 1.3),
    Row("import click", "help.below", "ms"),
    Row("orchestrator --help", "help.own", "ms", "help.below", "≤ 2", lambda _, ratio: ratio <= 2),
]


def report(found: Mapping[str, Figures]) -> Table:
    """Lay the medians out, each pair as a ratio and each goal as met or missed."""
    flat = {f"{name}.{figure}": value for name, figures in found.items() for figure, value in figures.items()}
    table = Table("what", "median", "of its bound", "goal", "", title=f"Python {platform.python_version()}")
    for row in ROWS:
        if row.figure not in flat:
            continue
        value = flat[row.figure]
        ratio = value / flat[row.per] if row.per and row.per in flat else float("nan")
        verdict = "" if row.holds is None else "met" if row.holds(value, ratio) else "missed"
        shown = f"{value:,.0f} {row.unit}" if value >= 100 else f"{value:.2f} {row.unit}"
        table.add_row(row.what, shown, "" if isnan(ratio) else f"{ratio:.2f}", row.goal, verdict)
    return table


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(sorted(MEASURES)))
@click.option("--rounds", default=5, show_default=True, help="How often each measure is taken.")
@click.option("--one", nargs=2, hidden=True, help="Take one measure in this process: its name and a folder.")
def main(names: Sequence[str], rounds: int, one: tuple[str, str] | None) -> None:
    """Measure NAMES, or everything."""
    if one is not None:
        print(json.dumps(MEASURES[one[0]](Path(one[1]))))
        return
    console, messages = Console(), Console(stderr=True)
    taken: dict[str, list[Figures]] = {name: [] for name in names or MEASURES}
    for number in range(rounds):
        for name, figures in taken.items():
            if name not in ONCE or number == 0:
                messages.print(f"round {number + 1} of {rounds}: {name}")
                figures.append(measure_apart(name))
    console.print(report({name: medians(figures) for name, figures in taken.items()}))


if __name__ == "__main__":
    main()
    sys.exit()
