"""The figures of the Postgres plugin: what it costs those who write, and how fast what they wrote is worked off."""

from __future__ import annotations

from tests.bench.measuring import Row, Suite
from tests.bench.postgres import latency, pipeline, queue, writers
from tests.bench.postgres.pipeline import watched

_MEASURES = {
    "pg_commits": watched(writers.commits),
    "pg_bulk": watched(writers.bulk_insert),
    "pg_sustained": watched(pipeline.sustain),
    "pg_drain": watched(pipeline.drain),
    "pg_queue": queue.drain,
    "pg_latency": watched(latency.latency),
    "pg_soak": watched(pipeline.soak),
}
_ROWS = [
    Row("single-row commits by 8 connections, no trigger", "pg_commits.plain"),
    Row(
        "… our trigger, the input handing over to nobody",
        "pg_commits.ours",
        per="pg_commits.plain",
        goal="≥ 0.80",
        holds=lambda _, ratio: ratio >= 0.8,
    ),
    Row("… the ancestor's trigger, NOTIFY for each row", "pg_commits.announced", per="pg_commits.plain"),
    Row(
        "… ours beside the ancestor's",
        "pg_commits.ours",
        per="pg_commits.announced",
        goal="≥ 2.5",
        holds=lambda _, ratio: ratio >= 2.5,
    ),
    Row("… while a pipeline on the same cores works it off", "pg_commits.pipeline", per="pg_commits.plain"),
    Row("INSERT … SELECT of 20,000 rows, no trigger", "pg_bulk.plain", "ms"),
    Row("… the ancestor's trigger", "pg_bulk.announced", "ms"),
    Row("… our trigger", "pg_bulk.orders", "ms", "pg_bulk.announced", "≤ 1.0", lambda _, ratio: ratio <= 1),
    Row(
        "insert → done while 8 connections write",
        "pg_sustained.rate",
        per="pg_commits.announced",
        goal="≥ 1.5, better 2",
        holds=lambda _, ratio: ratio >= 1.5,
    ),
    Row(f"drain of {queue.JOBS:,} jobs by pgqueuer", "pg_queue.rate"),
    Row(
        f"drain of {pipeline.BACKLOG:,} outbox rows",
        "pg_drain.rate",
        per="pg_queue.rate",
        goal="≥ 20,000 and ≥ 1",
        holds=lambda rate, ratio: rate >= 20_000 and ratio >= 1,
    ),
    Row("… memory", "pg_drain.memory", "MiB", goal="< 150", holds=lambda mib, _: mib < 150),
    Row("… more of it at the end than after a tenth", "pg_drain.growth", "MiB"),
    Row("commit → notification read by a bare loop at 200/s, p50", "pg_latency.bare_p50", "ms"),
    Row("… p99", "pg_latency.bare_p99", "ms"),
    Row("the disk's own flush", "pg_latency.flush", "ms"),
    Row("commit → process called at 200/s, p50", "pg_latency.p50", "ms", goal="≤ 2", holds=lambda ms, _: ms <= 2),
    Row("… p99", "pg_latency.p99", "ms", goal="≤ 10", holds=lambda ms, _: ms <= 10),
    Row(f"soak of {pipeline.SOAK:,} events, first tenth", "pg_soak.first"),
    Row("… last tenth", "pg_soak.last", per="pg_soak.first", goal="≥ 0.9", holds=lambda _, ratio: ratio >= 0.9),
    Row("… memory", "pg_soak.memory", "MiB", goal="< 150", holds=lambda mib, _: mib < 150),
    Row("… the outbox's table at the end", "pg_soak.outbox", "MiB"),
    Row("… the journal at the end", "pg_soak.journal", "MiB"),
]

SUITE = Suite(_MEASURES, _ROWS, once=frozenset({"pg_soak"}))
