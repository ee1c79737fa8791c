"""``orchestrator dead-letters``: what will not be tried again by itself, and what to do about it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import anyio
import click

from orchestrator_core._clock import SystemClock
from orchestrator_core._contracts import DeliveryQuery
from orchestrator_core._delivery import DeliveryState
from orchestrator_core._errors import NotFoundError
from orchestrator_core.cli import _journals, _options, _output
from orchestrator_core.cli._failures import Refused
from orchestrator_core.cli.commands.deliveries import find, limit, print_one, process, require_process
from orchestrator_core.cli.render.figures import count
from orchestrator_core.cli.render.listing import dead_letters_table
from orchestrator_core.cli.render.records import delivery_dict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator_core._contracts import Journal
    from orchestrator_core._delivery import Delivery

_DEAD = frozenset({DeliveryState.DEAD})
_BATCH = 500

_ids = click.argument("ids", nargs=-1, metavar="[ID]...")
_all = click.option("--all", "everything", is_flag=True, help="All dead letters of the pipeline.")


@click.group(name="dead-letters")
def dead_letters() -> None:
    """List, show, redrive and discard dead letters."""


@dead_letters.command(name="list")
@_options.pipeline(argument=False)
@process
@limit
@_options.as_json
def list_(*, path: Path, process: str | None, limit: int, as_json: bool) -> None:
    """List the newest dead letters, oldest of them first."""
    query = DeliveryQuery(states=_DEAD, process=process, limit=limit, newest_first=True)
    found, more = find(path, query)
    if as_json:
        _output.objects(delivery_dict(delivery) for delivery in found)
    elif found:
        _output.data(dead_letters_table(found, _output.look()))
    else:
        _output.message("no dead letters")
    if more:
        _output.more(limit)


@dead_letters.command()
@click.argument("delivery", metavar="ID")
@_options.pipeline(argument=False)
@_options.as_json
def show(*, delivery: str, path: Path, as_json: bool) -> None:
    """Show one dead letter with its attempts, reasons and logs."""
    print_one(path, delivery, as_json=as_json)


@dead_letters.command(short_help="Try dead letters again, with fresh counts.")
@_ids
@_options.pipeline(argument=False)
@process
@_all
def redrive(*, ids: Sequence[str], path: Path, process: str | None, everything: bool) -> None:
    """Try dead letters again, with fresh counts, and what they held back with them.

    Works whether the pipeline runs or not; if not, the next run tries them.
    """
    _require_choice(ids, process, everything=everything)

    where = _journals.locate(path)

    async def write() -> int:
        async with _journals.writer(where) as journal:
            chosen = await _choose(journal, where, ids, process)
            total = 0
            for batch in _batches(chosen):
                total += await journal.redrive(DeliveryQuery(ids=batch, states=_DEAD), now=SystemClock().time())
            return total

    _output.message(f"{count(anyio.run(write), 'dead letter')} to be tried again")


@dead_letters.command(short_help="Give dead letters up.")
@_ids
@_options.pipeline(argument=False)
@process
@_all
@click.option("--reason", default="discarded from the command line", help="Kept with them.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def discard(*, ids: Sequence[str], path: Path, process: str | None, everything: bool, reason: str, yes: bool) -> None:
    """Give dead letters up: they become "cancelled", and are deleted when they are old enough."""
    _require_choice(ids, process, everything=everything)

    where = _journals.locate(path)

    async def write() -> int:
        async with _journals.writer(where) as journal:
            chosen = await _choose(journal, where, ids, process)
            if chosen and not ids and not yes:
                _confirm(len(chosen))
            total = 0
            for batch in _batches(chosen):
                query = DeliveryQuery(ids=batch, states=_DEAD)
                total += await journal.cancel(query, reason=reason, now=SystemClock().time())
            return total

    _output.message(f"{count(anyio.run(write), 'dead letter')} discarded")


def _require_choice(ids: Sequence[str], process: str | None, *, everything: bool) -> None:
    if sum([bool(ids), process is not None, everything]) != 1:
        raise click.UsageError("say which ones: ids, or --process NAME, or --all")


async def _choose(journal: Journal, where: _journals.Located, ids: Sequence[str], process: str | None) -> list[str]:
    """Return the ids of the dead letters that are meant.

    They are read first and written by id: one that dies again meanwhile is not tried for ever.
    """
    if not ids:
        query = DeliveryQuery(states=_DEAD, process=process, limit=sys.maxsize)
        dead = [delivery.id for delivery in await journal.deliveries(query)]
        if not dead and process is not None:
            await require_process(journal, where, process)
        return dead
    found: dict[str, Delivery] = {}
    for batch in _batches(list(dict.fromkeys(ids))):
        query = DeliveryQuery(ids=batch, limit=len(batch))
        found.update((delivery.id, delivery) for delivery in await journal.deliveries(query))
    for each in ids:
        if each not in found:
            raise NotFoundError("delivery", each)
        if found[each].state is not DeliveryState.DEAD:
            raise Refused(f'delivery "{each}" is no dead letter, it is {found[each].state}')
    return list(found)


def _batches(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH)]


def _confirm(number: int) -> None:
    if not sys.stdin.isatty():
        raise Refused(f"this discards {count(number, 'dead letter')}: add --yes if that is meant")
    click.confirm(f"Discard {count(number, 'dead letter')}?", abort=True, err=True)
