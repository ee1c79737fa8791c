"""What is put into the database, when, and how it comes out again."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.to_thread
import psycopg
import pytest
from click.testing import CliRunner, Result
from servers import Database, until
from watching import new_context, settled, watching

from orchestrator_core import OrchestratorError
from orchestrator_core.testing import FakeInputContext
from orchestrator_postgres import PostgresInput
from orchestrator_postgres._commands import postgres
from orchestrator_postgres._errors import NotInstalledError


@pytest.fixture
def anyio_backend() -> str:
    """What is installed does not depend on the event loop."""
    return "asyncio"


@pytest.fixture
def table(database: Database) -> Database:
    """A database with one table."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    return database


@pytest.fixture
def pipeline(table: Database, tmp_path: Path) -> Path:
    """A pipeline's file about that database."""
    path = tmp_path / "pipeline.toml"
    path.write_text(
        f"""version = 1
[inputs.raw]
type = "postgres"
connection_string = "{table.dsn}"
[processes.noop]
type = "python"
after = ["raw"]
execution_context = {{ function = "noop:noop" }}
"""
    )
    (tmp_path / "noop.py").write_text("def noop(event, context):\n    pass\n")
    return path


def run(pipeline: Path, *arguments: str) -> Result:
    """Run ``orchestrator postgres …`` on a pipeline's file."""
    return CliRunner().invoke(postgres, [*arguments, "-c", str(pipeline)])


def dump(database: Database) -> str:
    """Return the schema of a database as SQL."""
    command = [database.server.client("pg_dump"), "--schema-only", "-d", database.dsn]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return "\n".join(line for line in text.splitlines() if not line.startswith("\\"))  # a random key of newer versions


async def start_fails(component: PostgresInput, context: FakeInputContext) -> OrchestratorError:
    """Start an input that can't, and return its error."""
    with pytest.raises(OrchestratorError) as raised, anyio.fail_after(60):
        async with component:
            await component.run(context)
    return raised.value


@pytest.mark.anyio
async def test_b13_several_orchestrators_may_start_at_once(table: Database) -> None:
    """B13: they install one after the other, and all of them run."""
    contexts = [new_context(f"input_{number}") for number in range(4)] * 2
    async with anyio.create_task_group() as tasks:
        for context in contexts:

            async def start(context: FakeInputContext = context) -> None:
                async with watching(PostgresInput(table.dsn), FakeInputContext(context.name)):
                    pass

            tasks.start_soon(start)
    assert [(16,)] == table.execute("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal")


@pytest.mark.anyio
async def test_b14_an_open_writer_holds_the_start_up_but_no_other_writer(table: Database) -> None:
    """B14: the installation waits 2 s at a time for the table; writers queue no longer than that, and it goes on."""
    context = new_context()
    with table.connect() as writer:
        writer.execute("BEGIN")
        writer.execute("INSERT INTO t VALUES (1)")
        async with anyio.create_task_group() as tasks:

            async def start() -> None:
                async with watching(PostgresInput(table.dsn), context):
                    pass

            tasks.start_soon(start)
            await anyio.to_thread.run_sync(_wait_for_lock, table)
            await anyio.to_thread.run_sync(table.execute, "SET statement_timeout = '5s'; INSERT INTO t VALUES (2)")
            writer.execute("COMMIT")
    assert context.is_ready


def _wait_for_lock(database: Database) -> None:
    waiting = "SELECT FROM pg_locks WHERE NOT granted AND mode = 'ShareRowExclusiveLock'"
    while not database.execute(waiting):
        pass


@pytest.mark.anyio
async def test_nothing_is_touched_when_everything_is_in_place(table: Database) -> None:
    """A second start takes no lock at all, even while somebody has the table locked."""
    context = new_context()
    async with watching(PostgresInput(table.dsn), context):
        pass
    before = table.execute("SELECT oid, xmin FROM pg_trigger ORDER BY oid")
    with table.connect() as owner, owner.transaction():
        owner.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        async with watching(PostgresInput(table.dsn), context):
            pass
    assert before == table.execute("SELECT oid, xmin FROM pg_trigger ORDER BY oid")


@pytest.mark.anyio
async def test_changed_options_change_what_is_installed(table: Database) -> None:
    """Fewer operations drop triggers, another table is watched, the old one is left alone."""
    table.execute("CREATE TABLE u (id int PRIMARY KEY)")
    context = new_context()
    async with watching(PostgresInput(table.dsn, tables=["t"]), context):
        pass
    async with watching(PostgresInput(table.dsn, tables=["u"], operations=["create"], key_only=True), context):
        table.execute("INSERT INTO t VALUES (1)", "INSERT INTO u VALUES (2)", "DELETE FROM u")
        await settled(context)
    assert [("public.u", "2")] == [(event.location, event.id) for event in context.events]
    assert [("u", 1)] == table.execute("SELECT tgrelid::regclass::text, count(*) FROM pg_trigger GROUP BY 1")


@pytest.mark.anyio
async def test_install_never_says_what_is_missing_and_changes_nothing(table: Database) -> None:
    """`install = "never"` is for runtime roles that may not; the message names the command that mends it."""
    error = await start_fails(PostgresInput(table.dsn, install="never"), new_context())
    assert "orchestrator postgres install" in str(error)
    assert [] == table.execute("SELECT FROM pg_namespace WHERE nspname = 'orchestrator'")


@pytest.mark.anyio
async def test_a_check_sees_an_installation_that_is_older(table: Database) -> None:
    """Before the run, which would wait for it. Fails if only the version is looked at."""
    async with watching(PostgresInput(table.dsn), new_context()):
        table.execute("DROP FUNCTION orchestrator.claim")
        async with PostgresInput(table.dsn, install="never") as component:
            with pytest.raises(NotInstalledError, match=r"orchestrator\.claim is missing"):
                await component.check()


@pytest.mark.anyio
async def test_a_role_without_rights_is_told_what_to_run(table: Database) -> None:
    """A missing right: one message with the input, what was tried and the remedy."""
    table.execute("DROP ROLE IF EXISTS weak", "CREATE ROLE weak LOGIN")
    error = await start_fails(PostgresInput(table.as_user("weak")), new_context("raw"))
    table.execute("DROP ROLE weak")
    assert 'input "raw" can\'t be installed' in str(error)
    assert "permission denied" in str(error)
    assert "orchestrator postgres install" in str(error)


@pytest.mark.anyio
async def test_a_table_that_is_not_there_is_named_with_the_nearest_one(table: Database) -> None:
    """A named table must exist; a glob may match later."""
    table.execute("CREATE TABLE precipitation (id int)")
    error = await start_fails(PostgresInput(table.dsn, tables=["public.precipitaion"]), new_context())
    assert "no table public.precipitaion" in str(error)
    assert "did you mean public.precipitation?" in str(error)


_EACH = """DO $$ BEGIN
    EXECUTE (SELECT format('{}', tgname) FROM pg_trigger WHERE tgrelid = 't'::regclass AND tgname LIKE '%insert');
END $$"""
_MUTE = """CREATE OR REPLACE FUNCTION orchestrator.capture_insert() RETURNS trigger LANGUAGE plpgsql
           AS $$ BEGIN RETURN NULL; END $$"""
_ALTER = "ALTER FUNCTION orchestrator.capture_insert {}"
_CHANGED = "the function orchestrator.capture_insert is missing or has been changed"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        ("ALTER TABLE t DISABLE TRIGGER ALL", "is disabled"),
        (_EACH.format("ALTER TABLE t ENABLE REPLICA TRIGGER %I"), "is disabled"),
        (_EACH.format("DROP TRIGGER %I ON t"), "has no trigger"),
        (_EACH.format("ALTER TRIGGER %I ON t RENAME TO zz"), "has no trigger"),
        ("UPDATE orchestrator.input SET key_only = true", 'the row of input "raw" is not as configured'),
        (_MUTE, _CHANGED),
        ("DROP FUNCTION orchestrator.capture_delete CASCADE", "the function orchestrator.capture_delete is missing"),
        (_ALTER.format("SECURITY INVOKER"), _CHANGED),
        (_ALTER.format("RESET ALL"), _CHANGED),
        ("GRANT EXECUTE ON FUNCTION orchestrator.capture_insert TO PUBLIC", _CHANGED),
        ("DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY)", "has no trigger"),
        ("CREATE TABLE created_later (id int PRIMARY KEY)", "public.created_later has no trigger"),
        ("ALTER TABLE t RENAME TO s", "public.s has no trigger"),
        ("ALTER TABLE t DROP CONSTRAINT t_pkey, ADD COLUMN k int PRIMARY KEY", "has been changed"),
    ],
    ids=[
        "disabled",
        "replica",
        "dropped",
        "trigger-renamed",
        "row",
        "muted",
        "no-function",
        "invoker",
        "settings",
        "open-to-all",
        "replaced",
        "created-later",
        "renamed",
        "new-key",
    ],
)
async def test_damage_turns_the_input_red_and_doctor_names_it(
    table: Database, pipeline: Path, damage: str, complaint: str
) -> None:
    """The check finds triggers that were disabled, dropped or changed and tables without one; so does the doctor."""
    context = new_context()
    async with watching(PostgresInput(table.dsn, check_every=timedelta(milliseconds=50)), context):
        table.execute(damage)
        await context.until(lambda: context.problem is not None)
    assert complaint in str(context.problem)
    result = await anyio.to_thread.run_sync(run, pipeline, "doctor")
    assert 1 == result.exit_code
    assert complaint in result.output
    await anyio.to_thread.run_sync(run, pipeline, "install")
    assert 0 == (await anyio.to_thread.run_sync(run, pipeline, "doctor")).exit_code


@pytest.mark.anyio
@pytest.mark.parametrize("version", ["orchestrator-postgres objects, version 1", ""], ids=["older", "unknown"])
async def test_older_objects_are_brought_up_to_date(table: Database, version: str) -> None:
    """At the next start, in place: rows that wait are kept, and the outbox gets the settings of a new one."""
    context = new_context()
    async with watching(PostgresInput(table.dsn), context):
        pass
    settings = "SELECT reloptions FROM pg_class WHERE oid = 'orchestrator.outbox'::regclass"
    new = table.execute(settings)
    table.execute("INSERT INTO t VALUES (1)", f"COMMENT ON SCHEMA orchestrator IS '{version}'", _MUTE)
    table.execute("ALTER TABLE orchestrator.outbox RESET (vacuum_truncate)")
    assert new != table.execute(settings)
    error = await start_fails(PostgresInput(table.dsn, install="never"), context)
    assert "the objects in schema orchestrator" in str(error)
    async with watching(PostgresInput(table.dsn), context):
        table.execute("INSERT INTO t VALUES (2)")
        await settled(context)
    assert ["1", "2"] == [event.id for event in context.events]
    assert new == table.execute(settings)


def test_newer_objects_are_left_alone(table: Database, pipeline: Path) -> None:
    """An older plugin works with them, changes nothing, and the doctor says so."""
    run(pipeline, "install")
    table.execute("COMMENT ON SCHEMA orchestrator IS 'orchestrator-postgres objects, version 99'", _MUTE)
    assert "everything is in place" in run(pipeline, "install").output
    examined = run(pipeline, "doctor")
    assert 0 == examined.exit_code
    assert "a newer plugin has installed version 99" in examined.output


def test_nobody_may_call_our_functions(table: Database, pipeline: Path) -> None:
    """They read and write with their owner's rights, so they are for the triggers alone."""
    run(pipeline, "install")
    ours = "SELECT FROM pg_proc WHERE pronamespace = 'orchestrator'::regnamespace"
    assert [] == table.execute(f"{ours} AND has_function_privilege('public', oid, 'EXECUTE')")
    assert [] != table.execute(ours)


@pytest.mark.anyio
async def test_b16_a_start_up_that_fails_leaves_no_transaction_and_tells_the_first_error(table: Database) -> None:
    """B16: half-way through, with the role's own objects made and the table refused; the next role finishes it."""
    table.execute("DROP ROLE IF EXISTS halfway", "CREATE ROLE halfway LOGIN")
    table.execute(f"GRANT CREATE ON DATABASE {table.name} TO halfway")
    context = new_context("raw")
    for _ in range(2):
        error = await start_fails(PostgresInput(table.as_user("halfway")), context)
        assert 'input "raw" can\'t be installed' in str(error)
        assert "permission denied for table t" in str(error)
    ours = "SELECT FROM pg_stat_activity WHERE usename = 'halfway'"
    await anyio.to_thread.run_sync(until, lambda: [] == table.execute(ours), "the end of the sessions")
    table.execute("INSERT INTO t VALUES (1)", "GRANT TRIGGER ON t TO halfway")
    async with watching(PostgresInput(table.as_user("halfway")), context):
        table.execute("INSERT INTO t VALUES (2)")
        await settled(context)
    table.execute("DROP OWNED BY halfway CASCADE", "DROP ROLE halfway")
    assert ["2"] == [event.id for event in context.events]


def test_uninstall_leaves_nothing(table: Database, pipeline: Path) -> None:
    """The database's schema is afterwards what it was before, to the letter."""
    table.execute(
        "CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id)",
        "CREATE TABLE part PARTITION OF parted DEFAULT",
    )
    before = dump(table)
    assert 0 == run(pipeline, "install", "--role", "postgres").exit_code
    assert before != dump(table)
    assert 0 == run(pipeline, "doctor").exit_code
    result = run(pipeline, "uninstall")
    assert 0 == result.exit_code, result.output
    assert before == dump(table)


def test_uninstall_loses_no_row_unless_told_how_many(table: Database, pipeline: Path) -> None:
    """Rows that were not handed over stop it; their number must be said."""
    run(pipeline, "install")
    table.execute("INSERT INTO t VALUES (1), (2)")
    refused = run(pipeline, "uninstall")
    assert "2 rows that were not handed over" in str(refused.exception)
    assert 1 == len(table.execute("SELECT FROM pg_namespace WHERE nspname = 'orchestrator'"))
    assert 0 == run(pipeline, "uninstall", "--discard", "2").exit_code
    assert [] == table.execute("SELECT FROM pg_namespace WHERE nspname = 'orchestrator'")


def test_dry_runs_change_nothing(table: Database, pipeline: Path) -> None:
    """`sql` and `--dry-run` print what would be run, with its locks."""
    before = dump(table)
    printed = run(pipeline, "sql", "--role", "app").output
    assert "takes SHARE ROW EXCLUSIVE" in printed
    assert 'TO "app"' in printed
    assert 0 == run(pipeline, "install", "--dry-run").exit_code
    assert before == dump(table)
    run(pipeline, "install")
    installed = dump(table)
    assert "DROP TABLE" in run(pipeline, "uninstall", "--dry-run").output
    assert installed == dump(table)


def test_what_was_done_is_said_in_a_line_each(table: Database, pipeline: Path) -> None:
    """Who wants the SQL asks for it; here it would hide whether it went well."""
    installed = run(pipeline, "install", "--role", "postgres")
    assert [
        "done  create the schema orchestrator with its tables and functions",
        "done  write the row of input raw",
        'done  create our triggers on "public"."t"',
        "done  grant the role postgres what a pipeline needs",
    ] == installed.stdout.splitlines()
    assert [
        'done  drop our triggers on "public"."t"',
        "done  drop the rows of input raw and all that inputs share",
    ] == run(pipeline, "uninstall").stdout.splitlines()


def test_the_printed_sql_is_what_install_runs(table: Database, pipeline: Path) -> None:
    """A database administrator may run the printed script instead."""
    script = CliRunner().invoke(postgres, ["sql", "-c", str(pipeline)]).stdout
    table.execute(script)
    assert "everything is in place" in run(pipeline, "install").output


@pytest.mark.anyio
async def test_a_runtime_role_needs_no_right_on_the_users_tables(table: Database, pipeline: Path) -> None:
    """After `install --role`, a role without any other right runs the pipeline, the backfill too."""
    table.execute("DROP ROLE IF EXISTS runner", "CREATE ROLE runner LOGIN", "INSERT INTO t VALUES (1)")
    result = await anyio.to_thread.run_sync(run, pipeline, "install", "--role", "runner")
    assert 0 == result.exit_code, result.output
    context = new_context()
    component = PostgresInput(table.as_user("runner"), install="never", backfill=True)
    async with watching(component, context):
        table.execute("INSERT INTO t VALUES (2)")
        await settled(context)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            table.execute("SELECT FROM t", user="runner")
    table.execute("DROP OWNED BY runner", "DROP ROLE runner")
    assert {("create", "2"), ("read", "1")} == {(event.operation.value, event.id) for event in context.events}


def test_backfill_command_reads_and_says_so(table: Database, pipeline: Path) -> None:
    """It puts the rows into the outbox, is done afterwards, and begins again when told."""
    table.execute("INSERT INTO t SELECT generate_series(1, 7)")
    run(pipeline, "install")
    assert "to read  public.t" in run(pipeline, "backfill", "--dry-run").output
    assert "7 rows read" in run(pipeline, "backfill", "--page", "3").output
    assert "done     public.t" in run(pipeline, "backfill").output
    run(pipeline, "backfill", "--restart", "--table", "public.t")
    assert [("read", 14)] == table.execute("SELECT op, count(*) FROM orchestrator.outbox GROUP BY op")


@pytest.mark.parametrize("command", ["sql", "install", "doctor", "backfill", "uninstall"])
def test_every_command_refuses_a_pipeline_without_a_postgres_input(tmp_path: Path, command: str) -> None:
    """To examine nothing and be content would look like health."""
    pipeline = tmp_path / "pipeline.toml"
    pipeline.write_text(WITHOUT, encoding="utf-8")
    assert f"{pipeline} has no input of type postgres" == str(run(pipeline, command).exception)


WITHOUT = """
version = 1
[inputs.tick]
type = "timer"
options = { every = "1m" }
[processes.p]
type = "command"
after = ["tick"]
execution_context = { argv = ["true"] }
"""


@pytest.mark.parametrize("command", ["sql", "install", "doctor", "backfill", "uninstall"])
def test_every_command_refuses_a_server_that_is_too_old(table: Database, pipeline: Path, command: str) -> None:
    """It says so, not which column of the catalogue it misses. The server lies about its version by a function."""
    table.execute(
        "CREATE SCHEMA lies",
        """CREATE FUNCTION lies.current_setting(name text) RETURNS text LANGUAGE sql AS
           $$ SELECT CASE name WHEN 'server_version_num' THEN '120022' ELSE pg_catalog.current_setting(name) END $$""",
        f"ALTER DATABASE {table.name} SET search_path = lies, pg_catalog, public",
    )
    assert "runs Postgres 12; 13 or newer is needed" in str(run(pipeline, command).exception)


@pytest.mark.anyio
async def test_fsync_off_is_refused_unless_told(table: Database) -> None:
    """A server that can lose what it confirmed is refused; whoever knows may say so."""
    table.execute("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
    try:
        error = await start_fails(PostgresInput(table.dsn), new_context())
        assert "fsync = off" in str(error)
        context = new_context()
        async with watching(PostgresInput(table.dsn, accept_fsync_off=True), context):
            pass
    finally:
        table.execute("ALTER SYSTEM RESET fsync", "SELECT pg_reload_conf()")


@pytest.mark.anyio
async def test_a_setup_file_makes_the_tables_first(database: Database, tmp_path: Path) -> None:
    """`setup` runs before the tables are looked for, several components at once included."""
    (tmp_path / "setup.sql").write_text("CREATE TABLE IF NOT EXISTS made (id int PRIMARY KEY); SELECT 1;")
    context = new_context()
    component = PostgresInput(database.dsn, tables=["made"], setup=Path("setup.sql"), directory=tmp_path)
    async with watching(component, context):
        database.execute("INSERT INTO made VALUES (1)")
        await settled(context)
    assert ["1"] == [event.id for event in context.events]
