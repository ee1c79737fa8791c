"""What the trigger keeps out: `where` and `changed`, as a link's filter would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from servers import Database, Server
from watching import new_context, settled, watching

from orchestrator_core import FilterError, Where, dump_json
from orchestrator_postgres import PostgresInput
from orchestrator_postgres._condition import to_jsonpath

COUNTRIES: Mapping[str, Any] = {"field": "data.country", "exact": "NL"}


@pytest.fixture
def anyio_backend() -> str:
    """What a trigger records does not depend on the event loop."""
    return "asyncio"


@pytest.fixture
def table(database: Database) -> Database:
    """A database with one table."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY, country text, v int, j json)")
    return database


async def changes(database: Database, *statements: str, **options: Any) -> list[tuple[str, str]]:
    """Install an input, run the statements, and return the operation and id of each event."""
    context = new_context()
    async with watching(PostgresInput(database.dsn, **options), context):
        database.execute(*statements)
        await settled(context)
    return [(event.operation.value, event.id) for event in context.events]


@pytest.mark.anyio
async def test_where_keeps_changes_out_of_the_outbox(table: Database) -> None:
    """Of each kind of change, by the row after it or before it, in one statement or many."""
    found = await changes(
        table,
        "INSERT INTO t VALUES (1, 'NL', 1), (2, 'DE', 1), (3, NULL, 1)",
        "UPDATE t SET v = 2",
        "UPDATE t SET country = 'NL' WHERE id = 2",
        "DELETE FROM t",
        where=COUNTRIES,
    )
    assert [("create", "1"), ("update", "1"), ("update", "2")] == found


@pytest.mark.anyio
async def test_where_on_what_was_there_before(table: Database) -> None:
    """`before` is the row before an update or delete."""
    found = await changes(
        table,
        "INSERT INTO t VALUES (1, 'NL', 1), (2, 'DE', 1)",
        "UPDATE t SET country = 'BE'",
        "DELETE FROM t",
        where={"any": [{"field": "before.country", "exact": "NL"}, {"field": "before.v", "gt": 5}]},
    )
    assert [("update", "1")] == found


@pytest.mark.anyio
async def test_where_in_a_partitioned_table(database: Database) -> None:
    """Row triggers filter as statement triggers do."""
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, country text) PARTITION BY RANGE (id)",
        "CREATE TABLE t1 PARTITION OF t DEFAULT",
    )
    found = await changes(database, "INSERT INTO t VALUES (1, 'NL'), (2, 'DE')", where=COUNTRIES)
    assert [("create", "1")] == found


@pytest.mark.anyio
async def test_what_can_not_be_looked_into_passes(table: Database) -> None:
    """A row that is too wide, or holds what jsonb refuses, is not lost: it is for the link to decide."""
    found = await changes(
        table,
        "INSERT INTO t SELECT 1, string_agg(md5(g::text), '') FROM generate_series(1, 20000) AS g",
        r"""INSERT INTO t VALUES (2, 'DE', 1, '"\u0000"')""",
        "INSERT INTO t VALUES (3, 'DE')",
        where=COUNTRIES,
    )
    assert [("create", "1"), ("create", "2")] == found


@pytest.mark.anyio
async def test_where_filters_a_backfill(table: Database) -> None:
    """Rows that were there before are filtered as new ones are."""
    table.execute("INSERT INTO t VALUES (1, 'NL'), (2, 'DE')")
    assert [("read", "1")] == await changes(table, where=COUNTRIES, backfill=True)


@pytest.mark.anyio
async def test_changed_asks_for_updates_of_certain_columns(table: Database) -> None:
    """Other updates are kept out; inserts and deletes are not asked; an update to the same value changes nothing."""
    found = await changes(
        table,
        "INSERT INTO t VALUES (1, 'NL', 1)",
        "UPDATE t SET country = 'DE'",
        "UPDATE t SET v = 1",
        "UPDATE t SET v = 2",
        "UPDATE t SET v = NULL",
        """UPDATE t SET j = '{"a": 1}'""",
        "DELETE FROM t",
        changed=["v", "j", "no_such_column"],
    )
    assert [("create", "1"), ("update", "1"), ("update", "1"), ("update", "1"), ("delete", "1")] == found


@pytest.mark.parametrize(
    "condition",
    [
        {"field": "output.x", "exact": 1},
        {"field": "data.x", "exact": [1]},
        {"field": "data.x", "exact": "nul\0"},
    ],
    ids=["output", "list", "nul"],
)
def test_what_the_trigger_can_not_test_is_refused(condition: Mapping[str, Any]) -> None:
    """It is said when the file is read, with where to put the filter instead."""
    with pytest.raises(FilterError):
        PostgresInput("dbname=x", where=condition)


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.just(Decimal("1.50")),
    st.sampled_from(["", "a", "ab", "ba", "A", "1", "ä", "a.b", "'", '"', "\\", "$", "a\nb", "^a", "%"]),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "1", "x"]), inner, max_size=2),
    max_leaves=4,
)
_FIELDS = st.sampled_from(["data.a", "data.1", "data.a.a", "data.a.1", "data.x", "before.a"])
_TEXT = st.sampled_from(["", "a", "b", "ab", "$", "\\", ".", "'"])
_TESTS = st.one_of(
    st.fixed_dictionaries({"exact": _SCALARS}),
    st.fixed_dictionaries({"prefix": _TEXT}),
    st.fixed_dictionaries({"suffix": _TEXT}),
    st.fixed_dictionaries({"in": st.lists(_SCALARS, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"exists": st.booleans()}),
    st.fixed_dictionaries({"gt": st.integers(-3, 3) | _TEXT}),
    st.fixed_dictionaries({"lt": st.integers(-3, 3) | _TEXT}),
)
_FIELD = st.builds(lambda field, test: {"field": field, **test}, _FIELDS, _TESTS)
_CONDITIONS = st.recursive(
    _FIELD,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"not": inner}),
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=2)}),
    ),
    max_leaves=3,
)
_ROWS = st.dictionaries(st.sampled_from(["a", "1", "x"]), _VALUES, max_size=3)


@pytest.fixture(scope="module")
def asked(stormy_server: Server) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A connection on which jsonpaths are evaluated."""
    with psycopg.connect(stormy_server.dsn(), autocommit=True) as connection:
        yield connection


@given(_CONDITIONS, _ROWS, st.none() | _ROWS)
@example({"not": {"field": "data.a", "gt": 1}}, {"a": "text"}, None)
@example({"field": "data.a.1", "exact": 2}, {"a": [1, 2]}, None)
@example({"field": "data.a", "exact": None}, {}, None)
@example({"field": "data.a", "suffix": "b"}, {"a": "a\nb"}, None)
def test_the_trigger_lets_through_what_the_filter_would(
    asked: psycopg.Connection[tuple[Any, ...]], condition: Mapping[str, Any], data: Any, before: Any
) -> None:
    """Whatever the condition and whatever the row, Postgres and the engine decide alike."""
    where = Where.parse(condition)
    fact = {"data": data, "before": before}
    ((passed,),) = asked.execute(
        "SELECT coalesce(jsonb_path_match(%s::jsonb, %s::jsonpath, '{}', true), false)",
        [dump_json(fact), to_jsonpath(where)],
    ).fetchall()
    assert where.matches(fact) == passed
