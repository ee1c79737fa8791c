"""``orchestrator docker …``: what this plugin has on a host, and how to be rid of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import anyio
import click

from orchestrator_core import (
    Configuration,
    ConfigurationError,
    JournalReader,
    MemoryJournal,
    SqliteJournal,
    SystemClock,
)
from orchestrator_docker._containers import Listed
from orchestrator_docker._engine import Engine
from orchestrator_docker._naming import INSTALL, PREFIX, PROCESS
from orchestrator_docker._process import DockerProcess
from orchestrator_docker._pulling import pull_shown
from orchestrator_docker._remover import Remover
from orchestrator_docker._sweeper import Sweeper

_HEADS = ("NAME", "PROCESS", "ATTEMPT", "STATUS", "DEADLINE")

_config = click.option(
    "-c",
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=Path("pipeline.toml"),
    show_default=True,
    help="The pipeline's file.",
)
_host = click.option("--host", default="", metavar="URL", help="Where the engine listens.  [default: DOCKER_HOST]")


@click.group()
def docker() -> None:
    """Look after the containers that pipelines have on this host."""


@docker.command(short_help="List the containers of all pipelines on an engine.")
@_host
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
def ps(host: str, *, as_json: bool) -> None:
    """List the containers of all pipelines on an engine, whichever pipeline they are of."""
    found = anyio.run(_owned, host)
    if as_json:
        for each in found:
            click.echo(json.dumps(_record(each), ensure_ascii=False))
    elif found:
        _print_table([_HEADS, *map(_row, found)])
    else:
        click.echo("no pipeline has a container here", err=True)


@docker.command()
@_config
@click.option("--install", metavar="NAME", help="Remove all that this installation has left, whatever its state.")
@_host
@click.option("--dry-run", is_flag=True, help="Say what would be removed.")
def sweep(config: Path, install: str | None, host: str, *, dry_run: bool) -> None:
    """Remove the containers that no delivery needs any more.

    The pipeline does so itself when it starts and every minute. What an installation has left whose journal is gone,
    only you can judge: name it with --install, as `orchestrator docker ps --json` does.
    """
    if install is not None:
        removed = anyio.run(_sweep_install, host, install, dry_run)
    else:
        removed = anyio.run(_sweep_pipeline, Configuration.load(config), dry_run)
    for name in removed:
        click.echo(name)
    click.echo(f"{len(removed)} {'to be removed' if dry_run else 'removed'}", err=True)


@docker.command(short_help="Pull the images of a pipeline.")
@_config
def pull(config: Path) -> None:
    """Pull the images of a pipeline, so that no attempt has to wait for them."""
    processes = _processes(Configuration.load(config))
    images = {(each.host, each.image): each for each in processes.values()}
    for process in images.values():
        anyio.run(_pull, process)


async def _owned(host: str) -> Sequence[Listed]:
    async with _engine(host) as engine:
        return await engine.owned()


async def _sweep_install(host: str, install: str, dry_run: bool) -> Sequence[str]:  # noqa: FBT001 (anyio.run hands over by position)
    async with _engine(host) as engine:
        found = await engine.owned(f"{INSTALL}={install}")
        if not dry_run:
            await _remove(engine, found)
        return [each.name for each in found]


async def _sweep_pipeline(configuration: Configuration, dry_run: bool) -> Sequence[str]:  # noqa: FBT001
    names: list[str] = []
    async with _reader(configuration) as journal:
        for host in dict.fromkeys(each.host for each in _processes(configuration).values()):
            async with _engine(host) as engine:
                found = await Sweeper(engine, Remover(engine), SystemClock(), "", journal).condemned()
                if not dry_run:
                    await _remove(engine, found)
                names += [each.name for each in found]
    return names


async def _remove(engine: Engine, containers: Sequence[Listed]) -> None:
    for each in containers:
        await engine.remove(each.id)


async def _pull(process: DockerProcess) -> None:
    async with _engine(process.host, process) as engine:
        await pull_shown(engine, process.image)


@asynccontextmanager
async def _engine(host: str, process: DockerProcess | None = None) -> AsyncIterator[Engine]:
    engine = Engine(host, process.registry_auth if process is not None else None)
    try:
        yield engine
    finally:
        engine.close()


@asynccontextmanager
async def _reader(configuration: Configuration) -> AsyncIterator[JournalReader]:
    journal = configuration.open_journal()
    if isinstance(journal, MemoryJournal):
        raise ConfigurationError('the journal is "memory:", which nobody but the run itself can see: use --install')
    if not isinstance(journal, SqliteJournal):
        async with journal:
            yield journal
    elif journal.path.exists():
        async with SqliteJournal.reader(journal.path) as reads:
            yield reads
    else:
        raise ConfigurationError(f"there is no journal at {journal.path}: the pipeline has not run, or use --install")


def _processes(configuration: Configuration) -> Mapping[str, DockerProcess]:
    found = {
        name: component
        for name, each in configuration.processes.items()
        if isinstance(component := each.build(configuration.plugins), DockerProcess)
    }
    if not found:
        raise ConfigurationError(f"{configuration.path} has no process of type docker")
    return found


def _record(listed: Listed) -> Mapping[str, object]:
    labels = {key.removeprefix(PREFIX): value for key, value in sorted(listed.labels.items()) if key.startswith(PREFIX)}
    return {
        "id": listed.id, "name": listed.name, "image": listed.image, "state": listed.state, "status": listed.status,
        **labels,
    }  # fmt: skip


def _row(listed: Listed) -> tuple[str, ...]:
    owner = listed.owner
    if owner is None:
        return (listed.name, listed.labels.get(PROCESS, ""), "warm", listed.status, "")
    deadline = datetime.fromtimestamp(owner.deadline, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return (listed.name, owner.process, str(owner.attempt), listed.status, deadline)


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
