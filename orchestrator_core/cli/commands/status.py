"""``orchestrator status``: how things stand, once or live."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import click

from orchestrator_core._clock import SystemClock
from orchestrator_core.cli import _journals, _options, _output
from orchestrator_core.cli._runner import find_runner
from orchestrator_core.cli.render.status import Status, status_dict, status_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator_core.cli._journals import Located

_PERIOD = 1.0


@click.command()
@_options.pipeline(argument=True)
@click.option("--watch", is_flag=True, help="Go on showing it, every second, until Ctrl-C.")
@_options.as_json
def status(*, path: Path, watch: bool, as_json: bool) -> None:
    """Show how much is waiting, running, done and dead, and whether the pipeline runs."""
    where = _journals.locate(path)
    option = _options.repeated(path)
    if not watch:
        _print(anyio.run(_look, where, option), None, as_json=as_json)
        return
    with suppress(KeyboardInterrupt):
        if as_json or _output.look().width is None:
            anyio.run(_watch, where, option, lambda now, before: _print(now, before, as_json=as_json))
        else:
            _live(where, option)


def _print(now: Status, before: Status | None, *, as_json: bool) -> None:
    if as_json:
        _output.objects([status_dict(now)])
    else:
        _output.data([*([""] if before else []), *status_lines(now, before, _output.look())])


def _live(where: Located, option: str) -> None:
    from rich.console import Console  # noqa: PLC0415 (a look without --watch need not pay for it)
    from rich.live import Live  # noqa: PLC0415 (as above)
    from rich.text import Text  # noqa: PLC0415 (as above)

    with Live(console=Console(highlight=False), auto_refresh=False) as live:

        def show(now: Status, before: Status | None) -> None:
            live.update(Text.from_ansi("\n".join(status_lines(now, before, _output.look()))), refresh=True)

        anyio.run(_watch, where, option, show)


async def _watch(where: Located, option: str, show: Callable[[Status, Status | None], None]) -> None:
    before = None
    while True:
        now = await _look(where, option)
        show(now, before)
        before = now
        await anyio.sleep(_PERIOD)


async def _look(where: Located, option: str) -> Status:
    # Opened anew for each look: the file may come, go and be replaced while somebody watches.
    async with _journals.reader(where) as journal:
        return Status(
            name=where.name,
            processes=where.processes,
            counts=await journal.counts(),
            runner=await anyio.to_thread.run_sync(find_runner, where.journal),
            at=SystemClock().time(),
            option=option,
        )
