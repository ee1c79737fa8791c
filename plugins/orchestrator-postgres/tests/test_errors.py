"""What is said when a database can't be reached or used: what was tried, and the setting or the SQL that mends it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import attrs
import psycopg
import pytest
from servers import Server, serving
from watching import new_context, watching

from orchestrator_postgres import PostgresInput
from orchestrator_postgres._errors import ConnectionStringError, PostgresError, UnreachableError, UnsafeServerError
from orchestrator_postgres._input import require_fit
from orchestrator_postgres._state import Server as Settings


@pytest.fixture
def anyio_backend() -> str:
    """What an error says does not depend on the event loop."""
    return "asyncio"


@pytest.fixture(scope="module")
def guarded(installed: str) -> Iterator[Server]:
    """A server that asks one role for a password, and shuts another one out."""
    with serving(installed) as server:
        hba = server.home / "data" / "pg_hba.conf"
        hba.write_text(f"local all keeper scram-sha-256\nlocal all stranger reject\n{hba.read_text()}")
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("CREATE ROLE keeper LOGIN PASSWORD 'right'; CREATE ROLE nologin; CREATE ROLE weak LOGIN")
            connection.execute("CREATE TABLE precipitation (id int PRIMARY KEY)")
        yield server


async def refusal(connection_string: str, **options: Any) -> PostgresError:
    """Return what `check` says."""
    with pytest.raises(PostgresError) as refused:
        await PostgresInput(connection_string, **options).check()
    return refused.value


@pytest.mark.parametrize(
    ("connection_string", "complaint"),
    [
        ("", r"connection_string is empty: write it like postgresql://user@host"),
        (
            "postgresql:/nonsense hunter2",
            r"connection_string is not one that libpq understands: write it like postgres",
        ),
        ("hunter2", r"connection_string is not one that libpq understands"),
    ],
    ids=["empty", "no-url", "no-pairs"],
)
@pytest.mark.anyio
async def test_a_wrong_connection_string_is_never_repeated(connection_string: str, complaint: str) -> None:
    """It may hold a password; the message shows how one is written instead."""
    error = await refusal(connection_string)
    assert isinstance(error, ConnectionStringError)
    assert re.search(complaint, str(error))
    assert "hunter2" not in str(error)


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ("port=1", "start the server, or correct host and port in connection_string"),
        ("host=127.0.0.1 port=1", "start the server, or correct host and port in connection_string"),
        ("host=nowhere.invalid", "correct the host in connection_string"),
        ("dbname=shopp", 'correct the database in connection_string, or run CREATE DATABASE "shopp"'),
        ("user=nobody_known", 'correct the user in connection_string, or run CREATE ROLE "nobody_known" LOGIN'),
        ("user=stranger", "add a line that lets it in to pg_hba.conf"),
        ("user=nologin", 'run ALTER ROLE "nologin" LOGIN'),
        ("user=keeper password=wrong", """run ALTER ROLE "keeper" PASSWORD '…'"""),
        ("user=keeper", "put the password into connection_string"),
    ],
    ids=["socket", "port", "host", "database", "user", "shut-out", "no-login", "password", "no-password"],
)
@pytest.mark.anyio
@pytest.mark.needs_postgres
async def test_a_refused_connection_names_its_remedy(guarded: Server, change: str, remedy: str) -> None:
    """The database, the server's words, and what mends it; never the password."""
    error = await refusal(f"{guarded.dsn()} {change} connect_timeout=5")
    assert isinstance(error, UnreachableError)
    assert re.match(r"can't reach database \w+ at \S+ as \w+: ", str(error))
    assert remedy in str(error)
    assert "wrong" not in str(error)


@pytest.mark.anyio
@pytest.mark.needs_postgres
async def test_a_role_that_may_not_look_is_told_the_grant(guarded: Server) -> None:
    """Installed by somebody else, with no right for this role: the SQL that gives it."""
    with guarded.database() as database:
        database.execute("CREATE SCHEMA orchestrator", "CREATE TABLE orchestrator.input (name text)")
        error = await refusal(database.as_user("weak"), tables=["*.*"], install="never")
    assert 'permission denied for schema orchestrator; run GRANT USAGE ON SCHEMA "orchestrator" TO "weak"' in str(error)


@pytest.mark.anyio
async def test_a_role_that_may_not_claim_is_told_the_command(guarded: Server) -> None:
    """As after an update that only the owner has installed."""
    with guarded.database() as database:
        database.execute("CREATE TABLE t (id int PRIMARY KEY)")
        async with watching(PostgresInput(database.dsn), new_context("raw")):
            pass
        database.execute(
            "GRANT USAGE ON SCHEMA orchestrator TO weak",
            "GRANT ALL ON ALL TABLES IN SCHEMA orchestrator TO weak",
        )
        component = PostgresInput(database.as_user("weak"), install="never")
        with pytest.raises(PostgresError) as refused, anyio.fail_after(60):
            async with component:
                await component.run(new_context("raw"))
        database.execute("DROP OWNED BY weak")
    assert 'let the role that owns it run `orchestrator postgres install --role "weak"`' in str(refused.value)


@pytest.mark.needs_postgres
@pytest.mark.parametrize(
    ("connection_string", "table", "complaint"),
    [
        ("host={home} port=1", "precipitation", r"can't reach database .*; start the server"),
        ("host={home} dbname=postgres user=postgres", "precipitaion", r"did you mean public.precipitation\? correct"),
    ],
    ids=["refused", "table"],
)
def test_check_names_the_input(
    guarded: Server, tmp_path: Path, connection_string: str, table: str, complaint: str
) -> None:
    """`orchestrator check --connect` says on one line which input can't be used, why, and what mends it."""
    (tmp_path / "work.py").write_text("def run(event, context): pass")
    (tmp_path / "pipeline.toml").write_text(
        f"""version = 1
[inputs.rain]
type = "postgres"
connection_string = "{connection_string.format(home=guarded.home)}"
options = {{ tables = ["{table}"] }}
[processes.work]
type = "python"
after = ["rain"]
execution_context = {{ function = "work:run" }}
"""
    )
    command = [sys.executable, "-m", "orchestrator_core.cli", "check", "--connect"]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert 0 != checked.returncode
    assert re.search(rf"^unreachable  rain  .*{complaint}", checked.stdout, re.MULTILINE), checked.stdout


FIT = Settings(version=150_000, read_only=False, fsync=True, prepared_transactions=0, database="shop", user="app")


@pytest.mark.parametrize(
    ("settings", "error", "complaint"),
    [
        (attrs.evolve(FIT, version=120_022), UnsafeServerError, "runs Postgres 12; 13 or newer is needed"),
        (attrs.evolve(FIT, read_only=True), UnreachableError, "it is a standby, still recovers or is set to read-only"),
        (attrs.evolve(FIT, fsync=False), UnsafeServerError, "set accept_fsync_off = true"),
    ],
    ids=["old", "standby", "fsync"],
)
def test_an_unfit_server_is_refused(settings: Settings, error: type[PostgresError], complaint: str) -> None:
    """Too old or unsafe is an error, a standby is waited for."""
    with pytest.raises(error, match=complaint):
        require_fit(settings, "database shop", accept_fsync_off=False)


def test_a_fit_server_is_taken() -> None:
    """Postgres 13 is the oldest; whoever accepts fsync = off gets it."""
    require_fit(attrs.evolve(FIT, version=130_000), "database shop", accept_fsync_off=False)
    require_fit(attrs.evolve(FIT, fsync=False), "database shop", accept_fsync_off=True)
