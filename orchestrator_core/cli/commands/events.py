"""``orchestrator events``: what was accepted, and what became of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import anyio
import click

from orchestrator_core.cli import _journals, _options, _output
from orchestrator_core.cli.render import listing
from orchestrator_core.cli.render.records import event_dict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator_core._contracts import EventRecord

_input = click.option(
    "--input", "trigger", metavar="NAME", help="Only events of this input, or emitted by this process."
)


@click.group()
def events() -> None:
    """List events, show one, trace what became of it."""


@events.command(name="list")
@_options.pipeline(argument=False)
@_input
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="At most so many, the newest.")
@_options.as_json
def list_(*, path: Path, trigger: str | None, limit: int, as_json: bool) -> None:
    """List the newest events, oldest of them first."""
    where, one_more = _journals.locate(path), min(limit, sys.maxsize - 1) + 1

    async def read() -> Sequence[EventRecord]:
        async with _journals.reader(where) as journal:
            return await journal.events(trigger=trigger, limit=one_more, newest_first=True)

    found = anyio.run(read)
    if not found and trigger is not None:
        _journals.require("input or process", trigger, [*where.inputs, *where.processes])
    records = found[:limit][::-1]
    if as_json:
        _output.objects(event_dict(record) for record in records)
    elif records:
        _output.data(listing.events_table(records, _output.look()))
    else:
        _output.message("no events")
    if len(found) > limit:
        _output.more(limit)


@events.command()
@click.argument("uid")
@_options.pipeline(argument=False)
@_input
@_options.as_json
def show(*, uid: str, path: Path, trigger: str | None, as_json: bool) -> None:
    """Show one event with its data."""

    async def read() -> EventRecord:
        async with _journals.reader(_journals.locate(path)) as journal:
            return await journal.event(uid, trigger=trigger)

    record = anyio.run(read)
    if as_json:
        _output.objects([event_dict(record)])
    else:
        _output.data(listing.event_page(record, _output.look()))


@events.command(short_help="Draw what became of one event.")
@click.argument("uid")
@_options.pipeline(argument=False)
@_input
@click.option("--logs", is_flag=True, help="Show what the processes wrote.")
@_options.as_json
def trace(*, uid: str, path: Path, trigger: str | None, logs: bool, as_json: bool) -> None:
    """Draw what became of one event: deliveries, attempts, reasons, and the events that came of it."""
    from orchestrator_core.cli import _tracing  # noqa: PLC0415 (its sisters do without)
    from orchestrator_core.cli.render.trace import EventTrace, trace_dict, trace_lines  # noqa: PLC0415

    async def read() -> EventTrace:
        async with _journals.reader(_journals.locate(path)) as journal:
            return await _tracing.trace(journal, await journal.event(uid, trigger=trigger))

    tree = anyio.run(read)
    if as_json:
        _output.objects([trace_dict(tree)])
    else:
        _output.data(trace_lines(tree, _output.look(), logs=logs))
