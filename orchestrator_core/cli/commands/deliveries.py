"""``orchestrator deliveries``: the ledger, row by row."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import anyio
import attrs
import click

from orchestrator_core._contracts import DeliveryQuery
from orchestrator_core._delivery import DeliveryState
from orchestrator_core.cli import _journals, _options, _output
from orchestrator_core.cli.render import listing
from orchestrator_core.cli.render.records import delivery_details, delivery_dict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator_core._contracts import Attempt, JournalReader
    from orchestrator_core._delivery import Delivery

process = click.option("--process", metavar="NAME", help="Only those of this process.")
limit = click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1), help="At most so many, the newest."
)


@click.group()
def deliveries() -> None:
    """List deliveries, show one with its attempts and logs."""


@deliveries.command(name="list")
@_options.pipeline(argument=False)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in DeliveryState]),
    help="Only those in this state; may be repeated.",
)
@process
@click.option("--event", metavar="UID", help="Only those of this event.")
@limit
@_options.as_json
def list_(
    *, path: Path, states: Sequence[str], process: str | None, event: str | None, limit: int, as_json: bool
) -> None:
    """List the newest deliveries, oldest of them first."""
    wanted = frozenset(map(DeliveryState, states)) or None
    query = DeliveryQuery(states=wanted, process=process, event_uid=event, limit=limit, newest_first=True)
    found, more = find(path, query)
    if as_json:
        _output.objects(delivery_dict(delivery) for delivery in found)
    elif found:
        _output.data(listing.deliveries_table(found, _output.look()))
    else:
        _output.message("no deliveries")
    if more:
        _output.more(limit)


@deliveries.command()
@click.argument("delivery", metavar="ID")
@_options.pipeline(argument=False)
@_options.as_json
def show(*, delivery: str, path: Path, as_json: bool) -> None:
    """Show one delivery with its attempts, reasons and logs."""
    print_one(path, delivery, as_json=as_json)


def find(path: Path, query: DeliveryQuery) -> tuple[Sequence[Delivery], bool]:
    """Return what a query for the newest finds, oldest of them first, and whether there are more."""
    limit, where = query.limit, _journals.locate(path)
    one_more = attrs.evolve(query, limit=min(limit, sys.maxsize - 1) + 1)

    async def read() -> Sequence[Delivery]:
        async with _journals.reader(where) as journal:
            found = await journal.deliveries(one_more)
            if not found and query.process is not None:
                await require_process(journal, where, query.process)
            return found

    found = anyio.run(read)
    return found[:limit][::-1], len(found) > limit


async def require_process(journal: JournalReader, where: _journals.Located, name: str) -> None:
    """Refuse a process that is not in the file, unless the journal has deliveries of it."""
    if name not in where.processes:
        _journals.require("process", name, [*where.processes, *(await journal.counts()).deliveries])


def print_one(path: Path, delivery: str, *, as_json: bool) -> None:
    """Print one delivery with its history."""

    async def read() -> tuple[Delivery, Sequence[Attempt]]:
        async with _journals.reader(_journals.locate(path)) as journal:
            attempts = await journal.attempts(delivery)
            return (await journal.deliveries(DeliveryQuery(ids=[delivery])))[0], attempts

    found, attempts = anyio.run(read)
    if as_json:
        _output.objects([delivery_details(found, attempts)])
    else:
        _output.data(listing.delivery_page(found, attempts, _output.look()))
