"""What the trigger records, whatever the shape of the table."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from servers import DEBIAN, Database, Server
from watching import new_context, settled, watching

from orchestrator_core import Event, Operation
from orchestrator_postgres import PostgresInput

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """What a trigger records does not depend on the event loop."""
    return "asyncio"


async def changes(database: Database, *statements: str, **options: Any) -> list[Event]:
    """Install an input, run the statements, and return what it emits."""
    context = new_context()
    async with watching(PostgresInput(database.dsn, **options), context):
        database.execute(*statements)
        await settled(context)
    return context.events


def brief(events: list[Event]) -> list[tuple[str, str, str]]:
    """Return operation, location and id of each event."""
    return [(event.operation.value, event.location, event.id) for event in events]


async def test_all_three_operations_carry_the_row_before_and_after(database: Database) -> None:
    """An insert has data, a delete has before, an update has both."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    events = await changes(database, "INSERT INTO t VALUES (1, 'a')", "UPDATE t SET v = 'b'", "DELETE FROM t")
    assert [
        (Operation.CREATE, "1", {"id": 1, "v": "a"}, None),
        (Operation.UPDATE, "1", {"id": 1, "v": "b"}, {"id": 1, "v": "a"}),
        (Operation.DELETE, "1", None, {"id": 1, "v": "b"}),
    ] == [(event.operation, event.id, event.data, event.before) for event in events]


async def test_p61_keys_of_every_kind(database: Database) -> None:
    """P61, B3: the id is the key as text, of any type; a composite key is a JSON array; without a key it is empty."""
    database.execute(
        "CREATE TABLE composite (a int, b text, PRIMARY KEY (b, a))",
        "CREATE TABLE of_uuid (id uuid PRIMARY KEY)",
        "CREATE TABLE of_bytea (id bytea PRIMARY KEY)",
        "CREATE TABLE of_numeric (id numeric PRIMARY KEY)",
        "CREATE TABLE of_text (id text PRIMARY KEY)",
        "CREATE TABLE of_time (id timestamptz PRIMARY KEY)",
        "CREATE TABLE without (v int UNIQUE)",
    )
    events = await changes(
        database,
        "INSERT INTO composite VALUES (7, 'x\"y')",
        "INSERT INTO of_uuid VALUES ('6ba7b810-9dad-11d1-80b4-00c04fd430c8')",
        "INSERT INTO of_bytea VALUES ('\\xdeadbeef')",
        "INSERT INTO of_numeric VALUES (1.10)",
        "INSERT INTO of_text VALUES ('')",
        "SET TimeZone = 'Asia/Tokyo'; INSERT INTO of_time VALUES ('2026-05-04 12:30+02')",
        "INSERT INTO without VALUES (NULL), (NULL)",
    )
    assert [
        '["x\\"y", 7]',
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "\\xdeadbeef",
        "1.10",
        "",
        "2026-05-04T10:30:00+00:00",
        "",
        "",
    ] == [event.id for event in events]


async def test_p61_an_update_of_the_key_carries_both(database: Database) -> None:
    """P61: the event is about the new key, and `before` has the old one."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)")
    events = await changes(database, "UPDATE t SET id = id + 10")
    assert [("11", {"id": 1}), ("12", {"id": 2})] == [(event.id, event.before) for event in events]


AWKWARD = [
    'Ord"ers',
    "with space",
    "; drop table x; --",
    "MixedCase",
    "x" * 63,
    "select",
    "größe",
    "100%",
    "a.b",
    "it's",
]


@pytest.mark.parametrize("name", AWKWARD)
async def test_p62_names_that_need_quotes(database: Database, name: str) -> None:
    """P62, B15: schema, table and key of any name are watched, and called in events what they are called."""
    quoted = '"' + name.replace('"', '""') + '"'
    table = f"{quoted}.{quoted}"
    database.execute(f"CREATE SCHEMA {quoted}", f"CREATE TABLE {table} ({quoted} int PRIMARY KEY)")
    events = await changes(database, f"INSERT INTO {table} VALUES (1)", tables=[f"{name}.{name}"])
    assert [("create", f"{name}.{name}", "1")] == brief(events)
    assert {name: 1} == events[0].data


async def test_p63_types_that_json_does_not_have(database: Database) -> None:
    """P63: what JSON has no number for is text, in one form whatever the writer's session settings are."""
    xml = "text" if database.server.binaries.match("*/pginstall/bin") else "xml"  # the wheel is built without libxml
    database.execute(
        "CREATE TYPE mood AS ENUM ('ok')",
        "CREATE TYPE pair AS (a int, b text)",
        "CREATE EXTENSION IF NOT EXISTS hstore",
        f"""CREATE TABLE t (id int PRIMARY KEY, nan numeric, inf float8, ts timestamptz, old date, span interval,
           cash money, bits bit(3), h hstore, r int4range, c pair, e mood, a int[], x {xml}, p point)""",
    )
    (event,) = await changes(
        database,
        """SET IntervalStyle = 'postgres_verbose'; SET DateStyle = 'SQL, DMY'; SET bytea_output = 'escape';
           INSERT INTO t VALUES (1, 'NaN', 'Infinity', 'infinity', '0044-03-15 BC', '1 day 2 h', 12.5, B'101', 'k=>v',
           '[1,5)', (1, 'x'), 'ok', '[0:1]={7,8}', '<a/>', '(1,2)')""",
    )
    assert isinstance(event.data, dict)
    money = event.data.pop("cash")
    assert "12.50" in str(money)
    assert {
        "id": 1,
        "nan": "NaN",
        "inf": "Infinity",
        "ts": "infinity",
        "old": "0044-03-15 BC",
        "span": "P1DT2H",
        "bits": "101",
        "h": {"k": "v"},
        "r": "[1,5)",
        "c": {"a": 1, "b": "x"},
        "e": "ok",
        "a": [7, 8],
        "x": "<a/>",
        "p": "(1,2)",
    } == event.data


async def test_p64_numbers_keep_every_digit(database: Database) -> None:
    """P64, B4: a bigint beyond 2^53 and a numeric of 40 digits survive, as id and as data."""
    exact = "1234567890123456789012345678901234567890.5"
    database.execute("CREATE TABLE t (id bigint PRIMARY KEY, n numeric)")
    events = await changes(
        database, f"INSERT INTO t VALUES (9007199254740993, {exact})", "INSERT INTO t VALUES (1000000, 1)"
    )
    assert ["9007199254740993", "1000000"] == [event.id for event in events]
    assert {"id": 9007199254740993, "n": Decimal(exact)} == events[0].data


@pytest.mark.parametrize(
    ("type", "value"),
    [
        ("bytea", "decode(repeat('00', 1000000), 'hex')"),
        ("text", "repeat('x', 300000)"),
        ("text", "repeat(chr(1), 60000000)"),
        ("json", "('\"' || repeat('y', 300000) || '\"')::json"),
    ],
    ids=["bytea", "text", "text-that-grows-in-json", "json"],
)
async def test_p65_an_oversize_row_is_reduced_to_its_key(database: Database, type: str, value: str) -> None:  # noqa: A002
    """P65: the user's write succeeds, and the event has the key and says that it is not all."""
    database.execute(f"CREATE TABLE t (id int PRIMARY KEY, v {type})")
    events = await changes(
        database,
        f"INSERT INTO t SELECT 1, {value} UNION ALL SELECT 2, NULL",
        "UPDATE t SET id = id + 2",
        "DELETE FROM t",
    )
    cut = [{"id": 1, "truncated": True}, {"id": 3, "truncated": True}]
    by_id = {(event.operation.value, event.id): (event.data, event.before) for event in events}
    assert {
        ("create", "1"): (cut[0], None),
        ("create", "2"): ({"id": 2, "v": None}, None),
        ("update", "3"): (cut[1], cut[0]),
        ("update", "4"): ({"id": 4, "v": None}, {"id": 2, "v": None}),
        ("delete", "3"): (None, cut[1]),
        ("delete", "4"): (None, {"id": 4, "v": None}),
    } == by_id


@pytest.mark.chaos
@pytest.mark.parametrize(("kind", "most"), [("text", 300), ("bytea", 100)])
async def test_p65_hundreds_of_megabytes(
    stormy_server: Server, times: Callable[[str, int], int], kind: str, most: int
) -> None:
    """P65: text beyond what jsonb takes, and bytes whose JSON is twice as long; a tenth of it in CI."""
    with stormy_server.database() as database:
        database.execute(f"CREATE TABLE t (id int PRIMARY KEY, v {kind})")
        value = f"repeat('x', {times('megabytes', most)}000000)::{kind}"
        events = await changes(database, f"INSERT INTO t VALUES (1, {value})")
    assert [{"id": 1, "truncated": True}] == [event.data for event in events]


async def test_p66_a_table_may_change_its_shape(database: Database) -> None:
    """P66, B3: renames, drops, type changes and generated columns never fail a write, and the id stays right."""
    database.execute(
        "CREATE TABLE t (a int, id int PRIMARY KEY, v text, twice int GENERATED ALWAYS AS (id * 2) STORED)"
    )
    events = await changes(
        database,
        "INSERT INTO t (id) VALUES (1)",
        "ALTER TABLE t RENAME COLUMN id TO ident",
        "INSERT INTO t (ident) VALUES (2)",
        "ALTER TABLE t DROP COLUMN a",
        "ALTER TABLE t ADD COLUMN extra json",
        "INSERT INTO t (ident, extra) VALUES (3, '{}')",
        "ALTER TABLE t ALTER COLUMN v TYPE int USING 0",
        "INSERT INTO t (ident, v) VALUES (4, 4)",
        "ALTER TABLE t RENAME TO s",
        "INSERT INTO s (ident) VALUES (5)",
    )
    assert [("public.t", "1"), ("public.t", "2"), ("public.t", "3"), ("public.t", "4"), ("public.s", "5")] == [
        (event.location, event.id) for event in events
    ]


async def test_p66_one_session_survives_changes_by_another(database: Database) -> None:
    """P66: a writer that has its plans cached goes on after somebody else has changed the table."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v text, w text)")
    context = new_context()
    async with watching(PostgresInput(database.dsn), context):
        with database.connect() as writer:
            for number, change in enumerate(
                [
                    "SELECT 1",
                    "ALTER TABLE t RENAME v TO x",
                    "ALTER TABLE t DROP COLUMN w",
                    "ALTER TABLE t RENAME id TO k",
                ]
            ):
                database.execute(change)
                for _ in range(7):  # beyond the five runs after which a generic plan is kept
                    writer.execute(f"INSERT INTO t VALUES ({number}) ON CONFLICT DO NOTHING")
                writer.execute(f"UPDATE t SET {'k' if number == 3 else 'id'} = {number}+10 WHERE ctid = ctid AND true")
                writer.execute("DELETE FROM t")
        await settled(context)
    assert ["0", "10", "10", "1", "11", "11", "2", "12", "12", "3", "13", "13"] == [
        event.id for event in context.events
    ]


async def test_p66_row_security_and_column_grants_hide_nothing(database: Database) -> None:
    """P66, P70: a role that has no rights on our schema and sees no row writes on, and the event is whole."""
    database.execute(
        "DROP ROLE IF EXISTS app",
        "CREATE ROLE app LOGIN",
        "CREATE TABLE t (id int PRIMARY KEY, v text)",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY write ON t FOR INSERT TO app WITH CHECK (true)",
        "GRANT INSERT (id, v) ON t TO app",
    )
    context = new_context()
    async with watching(PostgresInput(database.dsn), context):
        database.execute("INSERT INTO t VALUES (1, 'a')", user="app")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            database.execute("SELECT * FROM orchestrator.outbox", user="app")
        await settled(context)
    database.execute("DROP OWNED BY app", "DROP ROLE app")
    assert [{"id": 1, "v": "a"}] == [event.data for event in context.events]


async def test_p67_copy(database: Database) -> None:
    """P67: rows that COPY brings are recorded, all of them."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    context = new_context()
    async with watching(PostgresInput(database.dsn), context):
        with database.connect() as writer, writer.cursor().copy("COPY t FROM STDIN") as copy:
            for number in range(5_000):
                copy.write_row([number])
        await settled(context)
    assert [str(number) for number in range(5_000)] == [event.id for event in context.events]


@pytest.mark.chaos
@pytest.mark.parametrize("server", [DEBIAN], indirect=True)
async def test_p67_a_million_rows_in_one_statement(database: Database, times: Callable[[str, int], int]) -> None:
    """P67: COPY and UPDATE of 1,000,000 rows (a tenth in CI) are each recorded, row by row and once."""
    rows = times("rows", 1_000_000)
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
    async with watching(PostgresInput(database.dsn), new_context()):
        pass
    with database.connect() as writer:
        with writer.cursor().copy("COPY t FROM STDIN") as copy:
            for number in range(rows):
                copy.write_row([number, 0])
        writer.execute("UPDATE t SET v = 1")
    assert [("create", rows, rows), ("update", rows, rows)] == database.execute(
        "SELECT op, count(*), count(DISTINCT id) FROM orchestrator.outbox GROUP BY op ORDER BY op"
    )


async def test_p67_bulk_statements(database: Database) -> None:
    """P67, B5, B6: bulk updates, ON CONFLICT, cascades and TRUNCATE CASCADE are each recorded row by row."""
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v int)",
        "CREATE TABLE child (id int PRIMARY KEY, t int REFERENCES t ON DELETE CASCADE)",
    )
    events = await changes(
        database,
        "INSERT INTO t SELECT g, 0 FROM generate_series(1, 500) g",
        "UPDATE t SET v = id",
        "INSERT INTO t VALUES (1, 9), (501, 9) ON CONFLICT (id) DO UPDATE SET v = 9",
        "INSERT INTO child VALUES (1, 501)",
        "DELETE FROM t WHERE id = 501",
        "TRUNCATE t CASCADE",
    )
    updates = events[500:1000]
    assert [(str(n), {"id": n, "v": n}, {"id": n, "v": 0}) for n in range(1, 501)] == sorted(
        ((event.id, event.data, event.before) for event in updates), key=lambda update: int(update[0])
    )
    assert [
        ("create", "public.t", "501"),
        ("update", "public.t", "1"),
        ("create", "public.child", "1"),
        ("delete", "public.child", "1"),
        ("delete", "public.t", "501"),
        ("delete", "public.child", "*"),
        ("delete", "public.t", "*"),
    ] == sorted(brief(events)[1000:1002]) + brief(events)[1002:1003] + sorted(brief(events)[1003:1005]) + sorted(
        brief(events)[1005:]
    )


async def test_p67_merge(database: Database) -> None:
    """P67: MERGE is recorded by what it did to each row."""
    if database.server.version < 15:
        pytest.skip("PostgreSQL has MERGE from version 15 on")
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 0), (2, 0)")
    events = await changes(
        database,
        """MERGE INTO t USING (VALUES (1, 1), (2, NULL), (3, 3)) AS s (id, v) ON t.id = s.id
           WHEN MATCHED AND s.v IS NULL THEN DELETE WHEN MATCHED THEN UPDATE SET v = s.v
           WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.v)""",
    )
    assert {("update", "1"), ("delete", "2"), ("create", "3")} == {(e.operation.value, e.id) for e in events}


async def test_p68_partitions(database: Database) -> None:
    """P68: rows written through the root or straight to a partition are events of the root, also of a late one."""
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v int) PARTITION BY RANGE (id)",
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10)",
    )
    events = await changes(
        database,
        "INSERT INTO t VALUES (1, 0)",
        "INSERT INTO t1 VALUES (2, 0)",
        "CREATE TABLE t2 (id int PRIMARY KEY, v int)",
        "ALTER TABLE t ATTACH PARTITION t2 FOR VALUES FROM (10) TO (20)",
        "INSERT INTO t2 VALUES (11, 0)",
        "UPDATE t SET id = 12 WHERE id = 1",
        "ALTER TABLE t DETACH PARTITION t2",
        "INSERT INTO t2 VALUES (13, 0)",
        "DELETE FROM t1",
    )
    assert [
        ("create", "public.t", "1"),
        ("create", "public.t", "2"),
        ("create", "public.t", "11"),
        ("delete", "public.t", "1"),
        ("create", "public.t", "12"),
        ("delete", "public.t", "2"),
    ] == brief(events)


async def test_p68_truncate_of_a_partition(database: Database) -> None:
    """P68: it does not fire the trigger of the root, so the partition has one of its own, which says so."""
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id)",
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE t2 PARTITION OF t DEFAULT",
    )
    events = await changes(database, "TRUNCATE t1", "TRUNCATE t")
    assert {
        ("public.t", "*", "public.t1"),
        ("public.t", "*", "public.t2"),
        ("public.t", "*", None),
    } == {(event.location, event.id, event.data.get("partition")) for event in events if isinstance(event.data, dict)}


async def test_p68_inheritance(database: Database) -> None:
    """A row of an inherited table is an event of the table that holds it, through whichever table it was written."""
    database.execute(
        "CREATE TABLE parent (id int PRIMARY KEY)", "CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent)"
    )
    events = await changes(
        database, "INSERT INTO parent VALUES (1)", "INSERT INTO child VALUES (2)", "UPDATE parent SET id = id + 10"
    )
    assert [
        ("create", "public.parent", "1"),
        ("create", "public.child", "2"),
        ("update", "public.child", "12"),
        ("update", "public.parent", "11"),
    ] == brief(events)[:2] + sorted(brief(events)[2:], key=lambda update: update[1])


async def test_p69_what_is_rolled_back_is_never_seen(database: Database) -> None:
    """P69: neither a rolled back transaction nor a rolled back savepoint makes an event."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    events = await changes(
        database,
        "BEGIN; INSERT INTO t VALUES (1); ROLLBACK",
        "BEGIN; INSERT INTO t VALUES (2); SAVEPOINT s; INSERT INTO t VALUES (3); ROLLBACK TO s; COMMIT",
    )
    assert ["2"] == [event.id for event in events]


async def test_p69_isolation_levels_and_deferred_constraints(database: Database) -> None:
    """P69: serialisable and repeatable-read writers and deferred constraints change nothing about it."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY, parent int REFERENCES t DEFERRABLE INITIALLY DEFERRED)")
    events = await changes(
        database,
        "BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO t VALUES (2, 1); INSERT INTO t VALUES (1, NULL); COMMIT",
        "BEGIN ISOLATION LEVEL REPEATABLE READ; INSERT INTO t VALUES (3, 1); COMMIT",
    )
    assert ["2", "1", "3"] == [event.id for event in events]


async def test_p69_a_serialisable_transaction_that_is_tried_again_is_seen_once(database: Database) -> None:
    """P69: the try that the server refused leaves nothing behind."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 0)")
    context = new_context()
    async with watching(PostgresInput(database.dsn), context):
        with database.connect() as one:
            one.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
            one.execute("SELECT v FROM t")
            database.execute("UPDATE t SET v = 1")
            with pytest.raises(psycopg.errors.SerializationFailure):
                one.execute("UPDATE t SET v = v + 10")
            one.execute("ROLLBACK")
            one.execute("BEGIN ISOLATION LEVEL SERIALIZABLE; UPDATE t SET v = v + 10; COMMIT")
        await settled(context)
    assert [{"id": 1, "v": 1}, {"id": 1, "v": 11}] == [event.data for event in context.events]


async def test_p69_a_replica_session_fires_no_trigger(database: Database) -> None:
    """P69: `session_replication_role = replica` asks for no triggers; the write succeeds, and there is no event."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    events = await changes(
        database,
        "BEGIN; SET LOCAL session_replication_role = replica; INSERT INTO t VALUES (1); COMMIT",
        "INSERT INTO t VALUES (2)",
    )
    assert ["2"] == [event.id for event in events]


async def test_p70_a_hostile_session_can_not_divert_the_trigger(database: Database) -> None:
    """P70: neither search_path, nor temporary tables of our names, nor SET ROLE change what is recorded."""
    database.execute(
        "DROP ROLE IF EXISTS nobody_much",
        "CREATE ROLE nobody_much",
        "CREATE TABLE t (id int PRIMARY KEY)",
        "GRANT INSERT ON t TO nobody_much",
        "CREATE SCHEMA evil",
        "CREATE FUNCTION evil.pg_column_size(anyelement) RETURNS int LANGUAGE sql AS 'SELECT 1 / 0'",
        "CREATE FUNCTION evil.strpos(text, text) RETURNS int LANGUAGE sql AS 'SELECT 1 / 0'",
        "GRANT USAGE ON SCHEMA evil TO nobody_much",
    )
    events = await changes(
        database,
        """CREATE TEMP TABLE outbox (x int); CREATE TEMP TABLE input (x int); CREATE TEMP TABLE after_rows (x int);
           SET search_path = evil, pg_temp, public, pg_catalog; SET ROLE nobody_much; INSERT INTO t VALUES (1)""",
    )
    database.execute("DROP OWNED BY nobody_much", "DROP ROLE nobody_much")
    assert [{"id": 1}] == [event.data for event in events]


async def test_a_json_column_may_hold_what_text_can_not(database: Database) -> None:
    """P36, for rows: NUL and half a surrogate pair in a user's json fail neither the write nor the id; NUL is kept."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY, j json)")
    events = await changes(
        database,
        r"""INSERT INTO t VALUES (1, '{"x":"a\u0000b"}')""",
        r"""INSERT INTO t VALUES (2, '{"x":"\ud800"}')""",
        """INSERT INTO t VALUES (3, '{"x":1e999999999}')""",
        "INSERT INTO t VALUES (4, '1')",
    )
    assert ["1", "2", "3", "4"] == [event.id for event in events]
    assert {"id": 1, "j": {"x": "a\0b"}} == events[0].data
    assert [{"truncated": True}, {"id": 3, "j": {"x": Decimal("1e999999999")}}] == [event.data for event in events[1:3]]


async def test_columns_choose_what_events_carry(database: Database) -> None:
    """`columns` keeps the others out of both images, and a chosen column that is dropped breaks nothing."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v text, secret text, j json)")
    events = await changes(
        database,
        r"""INSERT INTO t VALUES (1, 'a', 's', '"\u0000"')""",
        "UPDATE t SET v = 'b', j = NULL",
        "ALTER TABLE t DROP COLUMN v",
        "DELETE FROM t",
        columns=["v", "j"],
    )
    assert [({"v": "a", "j": "\0"}, None), ({"v": "b", "j": None}, {"v": "a", "j": "\0"}), (None, {"j": None})] == [
        (event.data, event.before) for event in events
    ]


async def test_key_only_carries_nothing_but_the_key(database: Database) -> None:
    """`key_only` is for tables whose rows must not leave the database."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY, secret text)")
    events = await changes(database, "INSERT INTO t VALUES (1, 's')", "UPDATE t SET secret = 'x'", key_only=True)
    assert [({"id": 1}, None), ({"id": 1}, {"id": 1})] == [(event.data, event.before) for event in events]


async def test_b20_operations_are_filtered_in_the_trigger(database: Database) -> None:
    """B20: what is not asked for never reaches the outbox."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    events = await changes(
        database, "INSERT INTO t VALUES (1)", "UPDATE t SET id = 2", "DELETE FROM t", operations=["update"]
    )
    assert ["update"] == [event.operation.value for event in events]
    assert [(0,)] == database.execute("SELECT count(*) FROM pg_trigger WHERE tgname ~ 'insert|delete|truncate'")


async def test_b19_tables_of_several_schemas_by_glob(database: Database) -> None:
    """B19: globs choose over schemas; what they do not match gets no trigger."""
    database.execute(
        "CREATE SCHEMA sales",
        "CREATE TABLE sales.a (id int PRIMARY KEY)",
        "CREATE TABLE sales.b (id int PRIMARY KEY)",
        "CREATE TABLE other (id int PRIMARY KEY)",
        "CREATE TABLE plain (id int PRIMARY KEY)",
    )
    events = await changes(
        database,
        *(f"INSERT INTO {table} VALUES (1)" for table in ("sales.a", "sales.b", "other", "plain")),
        tables=["sales.*", "plain"],
    )
    assert ["public.plain", "sales.a", "sales.b"] == sorted(event.location for event in events)
