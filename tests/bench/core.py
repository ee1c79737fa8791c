"""The figures of the core: what the engine adds to what the disk, the database and the interpreter take."""

from __future__ import annotations

from tests.bench import ledger, plain, startup
from tests.bench.engine import BACKLOG, CHAIN, FAN_OUT, Batches, Singles, backlog, durable, in_memory, latency
from tests.bench.measuring import Row, Suite

_MEASURES = {
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
_ROWS = [
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
    Row("from orchestrator_core import Orchestrator", "imports.used", "ms", "imports.below"),
    Row("import click", "help.below", "ms"),
    Row("orchestrator --help", "help.own", "ms", "help.below", "≤ 2", lambda _, ratio: ratio <= 2),
]

SUITE = Suite(_MEASURES, _ROWS, once=frozenset({"long_backlog"}))
