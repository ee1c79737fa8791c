"""``orchestrator postgres …``: for people who look after the database."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import click

from orchestrator_core import Configuration, ConfigurationError
from orchestrator_postgres._input import PostgresInput, require_known
from orchestrator_postgres._target import Target, secret

if TYPE_CHECKING:
    from orchestrator_postgres._install import Step
    from orchestrator_postgres._session import Session
    from orchestrator_postgres._watch import Watch

Work = Callable[["Session", "Watch"], Awaitable[None]]


@click.group()
def postgres() -> None:
    """Look after the databases that a pipeline watches."""


def _shared(command: Callable[..., None]) -> Callable[..., None]:
    """Add what each command takes: the file, the inputs, and whose connection to use."""
    options = (
        click.argument("names", metavar="[INPUT]...", nargs=-1),
        click.option(
            "-c", "--config", metavar="FILE", default="pipeline.toml", show_default=True, help="The pipeline's file."
        ),
        click.option(
            "--connection-env",
            metavar="VARIABLE",
            help="Take the connection string from this environment variable, for a role with more rights.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


_dry_run = click.option("--dry-run", is_flag=True, help="Print the SQL instead of running it.")
_role = click.option("--role", help="Grant this role what it needs to run the pipeline.")


@postgres.command(short_help="Print the SQL that `install` would run.")
@_shared
@_role
def sql(names: Sequence[str], config: str, connection_env: str | None, role: str | None) -> None:
    """Print the SQL that `install` would run, with the locks that it takes."""
    _each(names, config, connection_env, partial(_install, role=role, dry_run=True))


@postgres.command(short_help="Put in what is missing.")
@_shared
@_role
@_dry_run
def install(names: Sequence[str], config: str, connection_env: str | None, role: str | None, *, dry_run: bool) -> None:
    """Put in what is missing: our schema, and the triggers on the tables."""
    _each(names, config, connection_env, partial(_install, role=role, dry_run=dry_run))


@postgres.command(short_help="Take everything out again.")
@_shared
@click.option("--discard", metavar="ROWS", default=0, help="Lose this many rows that were not handed over.")
@click.option("--applied", is_flag=True, help="Drop the table of deliveries of postgres.sql as well.")
@_dry_run
def uninstall(
    names: Sequence[str], config: str, connection_env: str | None, discard: int, *, applied: bool, dry_run: bool
) -> None:
    """Take everything out again: the triggers first, and with the last input our schema."""
    _each(names, config, connection_env, partial(_uninstall, discard=discard, applied=applied, dry_run=dry_run))


@postgres.command(short_help="Say whether something loses or holds up events.")
@_shared
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
def doctor(names: Sequence[str], config: str, connection_env: str | None, *, as_json: bool) -> None:
    """Examine the databases: exit code 1 if something loses or holds up events."""
    wrong: list[str] = []
    _each(names, config, connection_env, partial(_doctor, as_json=as_json, wrong=wrong))
    sys.exit(1 if wrong else 0)


@postgres.command(short_help="Emit the rows that are there already.")
@_shared
@click.option("--table", "tables", multiple=True, help="Only this table, as schema.name; may be repeated.")
@click.option("--restart", is_flag=True, help="Begin again, even what is done.")
@click.option("--page", default=500, show_default=True, type=click.IntRange(1, 10_000), help="Rows at a time.")
@click.option("--dry-run", is_flag=True, help="Say what there is to do.")
def backfill(
    names: Sequence[str],
    config: str,
    connection_env: str | None,
    tables: Sequence[str],
    page: int,
    *,
    restart: bool,
    dry_run: bool,
) -> None:
    """Put the rows that are there already into the outbox as read events; a running pipeline takes them from there."""
    work = partial(_backfill, tables=tables, page=page, restart=restart, dry_run=dry_run)
    _each(names, config, connection_env, work)


def _each(names: Sequence[str], config: str, connection_env: str | None, work: Work) -> None:
    """Do something with each input that was named, or with all of them."""
    for name, component in _inputs(names, config, connection_env).items():
        anyio.run(_on_session, name, component, work)


def _inputs(names: Sequence[str], config: str, connection_env: str | None) -> Mapping[str, PostgresInput]:
    configuration = Configuration.load(Path(config))
    known = {
        name: component
        for name, each in configuration.inputs.items()
        if isinstance(component := each.build(configuration.plugins), PostgresInput)
    }
    for name in names:
        if name not in known:
            have = f"it has {', '.join(known)}" if known else "it has none"
            raise ConfigurationError(f'{config} has no postgres input "{name}": {have}')
    if not known:
        raise ConfigurationError(f"{config} has no input of type postgres")
    chosen = {name: known[name] for name in names or known}
    if connection_env is None:
        return chosen
    return {
        name: attrs.evolve(each, connection_string=_from_environment(connection_env)) for name, each in chosen.items()
    }


def _from_environment(variable: str) -> str:
    if variable not in os.environ:
        raise ConfigurationError(f"the environment variable {variable} is not set")
    return os.environ[variable]


async def _on_session(name: str, component: PostgresInput, work: Work) -> None:
    from orchestrator_postgres._state import read_server  # noqa: PLC0415 (brings psycopg)

    target = Target(secret(component.connection_string), component.directory, "orchestrator postgres")
    async with target, await target.connect() as session:
        click.echo(f"-- input {name}, {session.where}", err=True)
        require_known(await session.call(read_server, "reading the server's settings"), session.where)
        await work(session, component.watch(name))


async def _install(session: Session, watch: Watch, *, role: str | None, dry_run: bool) -> None:
    from orchestrator_postgres._errors import MissingTableError  # noqa: PLC0415
    from orchestrator_postgres._install import grant_step, run_step, steps  # noqa: PLC0415
    from orchestrator_postgres._state import read_state  # noqa: PLC0415

    state = await session.call(partial(read_state, watch=watch), "reading the catalogue")
    if state.missing:
        raise MissingTableError(state.missing, session.where, state.known)
    todo = [*steps(state, watch), *([grant_step(watch.schema, role)] if role else [])]
    for step in todo:
        if not dry_run:
            work = partial(run_step, step=step, watch=watch, where=session.where)
            await session.call(work, "installing", within=60.0)
        _print(step, dry_run=dry_run)
    if not todo:
        click.echo("-- everything is in place", err=True)


async def _uninstall(session: Session, watch: Watch, *, discard: int, applied: bool, dry_run: bool) -> None:
    from orchestrator_postgres._uninstall import uninstall  # noqa: PLC0415

    done = await uninstall(session, watch, discard=discard, with_applied=applied, dry_run=dry_run)
    for step in done:
        _print(step, dry_run=dry_run)
    if not done:
        click.echo("-- nothing is installed", err=True)


async def _doctor(session: Session, watch: Watch, *, as_json: bool, wrong: list[str]) -> None:
    from orchestrator_postgres._doctor import examine  # noqa: PLC0415

    for finding in await examine(session, watch):
        if finding.grade == "wrong":
            wrong.append(finding.text)
        if as_json:
            click.echo(json.dumps({"input": watch.name, **attrs.asdict(finding)}, ensure_ascii=False))
        else:
            click.echo(f"{finding.grade:<5}  {finding.text}")


async def _backfill(
    session: Session, watch: Watch, *, tables: Sequence[str], page: int, restart: bool, dry_run: bool
) -> None:
    from orchestrator_postgres._backfill import Backfill  # noqa: PLC0415
    from orchestrator_postgres._errors import MissingTableError  # noqa: PLC0415
    from orchestrator_postgres._install import ensure_installed  # noqa: PLC0415

    state = await ensure_installed(session, watch, may_change=False)
    locations = [table.location for table in state.tables]
    if unknown := [name for name in tables if name not in locations]:
        raise MissingTableError(unknown, f"input {watch.name}", locations)
    chosen = [table for table in state.tables if not tables or table.location in tables]
    backfill = await Backfill.resume(session, watch, chosen, page)
    if restart and not dry_run:
        await backfill.restart(chosen)
    for table in chosen:
        click.echo(f"{'to read' if restart or table in backfill.pending else 'done   '}  {table.location}")
    if not dry_run:
        await _read_all(backfill)


async def _read_all(backfill: Any) -> None:  # noqa: ANN401 (a Backfill, whose module brings psycopg)
    total = 0
    while backfill.pending:
        rows = await backfill.step()
        if rows is None:
            await anyio.sleep(0.1)
            continue
        total += rows
        click.echo(f"-- {total} rows read", err=True)


def _print(step: Step, *, dry_run: bool) -> None:
    """Say what was done, in a line, or print the SQL that would do it."""
    for line in _sql(step) if dry_run else [f"done  {step.what}"]:
        click.echo(line)


def _sql(step: Step) -> Iterator[str]:
    from orchestrator_postgres._install import LOCK_TIMEOUT  # noqa: PLC0415 (brings psycopg)

    yield f"-- {step.what}: {step.locks}"
    yield "BEGIN;"
    yield f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}';"
    yield from (f"{statement.rstrip().rstrip(';')};" for statement in step.statements)
    yield "COMMIT;"
    yield ""
