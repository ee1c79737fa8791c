"""Where a look at the outbox may begin without passing over a row that commits late."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from servers import Database
from watching import events, new_context, settled, watching

from orchestrator_core import Event, Secret
from orchestrator_postgres import PostgresInput
from orchestrator_postgres._floor import Floor
from orchestrator_postgres._outbox import Outbox
from orchestrator_postgres._target import Target


def risen() -> Floor:
    """A floor at 100: a look saw that number first, and what was running then has ended."""
    floor = Floor()
    floor.choose(now=0.0)
    floor.found(100, oldest=7, own=9)
    floor.found(150, oldest=9, own=12)
    return floor


def test_it_rises_once_what_was_running_has_ended() -> None:
    """From then on nothing can appear below."""
    assert 100 == risen().choose(now=0.5)


def test_it_waits_for_a_transaction_that_may_still_write_below() -> None:
    """Fails if it rises with each look, as a cursor would."""
    floor = Floor()
    floor.choose(now=0.0)
    for first in (100, 200, 300):
        floor.found(first, oldest=8, own=9)
    assert 0 == floor.choose(now=0.5)


def test_it_stays_below_what_came_late_and_was_not_all_taken() -> None:
    """The look that can tell that all have ended may itself have taken a part only. Fails if it rises all the same."""
    floor = Floor()
    floor.choose(now=0.0)
    floor.found(5000, oldest=10, own=12)
    floor.found(1, oldest=12, own=13)
    assert 0 == floor.choose(now=0.5)
    floor.found(501, oldest=13, own=14)
    assert 1 == floor.choose(now=0.6)


def test_it_falls_to_a_number_below_it() -> None:
    """Such as a look at the whole may see: numbers that started again are not left to those looks alone."""
    floor = risen()
    floor.found(20, oldest=20, own=21)
    assert 20 == floor.choose(now=0.5)


def test_it_counts_for_nothing_on_another_server() -> None:
    """A failover may bring back lower numbers, and a session behind a pooler outlives it."""
    floor = risen()
    floor.found(150, oldest=20, own=21, server="another")
    assert 0 == floor.choose(now=0.5)


def test_the_whole_is_looked_at_every_now_and_then() -> None:
    """For numbers that started again."""
    floor = risen()
    assert (100, 0, 100) == (floor.choose(now=0.9), floor.choose(now=1.0), floor.choose(now=1.1))


def test_a_look_that_found_nothing_is_followed_by_one_at_the_whole() -> None:
    """That there is nothing more is said of the whole only."""
    floor = risen()
    assert 100 == floor.choose(now=0.5)
    floor.found(None, oldest=20, own=20)
    assert 0 == floor.choose(now=0.6)


@asynccontextmanager
async def opened(database: Database, floor: Floor) -> AsyncIterator[Outbox]:
    """An outbox whose looks begin at the floor, not at the whole unless nothing is found; a table with a row 0."""
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (0, 0)", "CREATE TABLE elsewhere (id int)"
    )
    async with watching(PostgresInput(database.dsn, tables=["public.t"]), new_context("raw")):
        pass
    async with Target(Secret(database.dsn), Path()) as target, await target.connect() as session:
        yield Outbox(session, "orchestrator", "raw", floor)


async def look(outbox: Outbox) -> list[Event]:
    """Hand over up to three rows."""
    batch = await outbox.claim(3)
    await outbox.commit()
    return list(batch.events)


async def drain(outbox: Outbox) -> list[object]:
    """Hand over until a look at the whole finds nothing; return what became of row 0, in order."""
    values: list[object] = []
    while True:
        batch = await outbox.claim(3)
        await outbox.commit()
        if batch.whole and not batch.events:
            return values
        values += [event.data["v"] for event in batch.events if event.id == "0" and isinstance(event.data, dict)]


@pytest.mark.anyio
async def test_what_commits_late_keeps_its_place_though_it_is_more_than_a_look_takes(database: Database) -> None:
    """Fails if the floor rises above what the look that lets it rise has left."""
    async with opened(database, Floor(next_whole=math.inf)) as outbox:
        with database.connect() as slow, slow.transaction():
            slow.execute("INSERT INTO t SELECT generate_series(101, 130)")
            slow.execute("UPDATE t SET v = 1 WHERE id = 0")
            database.execute("INSERT INTO t SELECT generate_series(201, 206)")
            await look(outbox)
        database.execute("UPDATE t SET v = 2 WHERE id = 0")
        assert [1, 2] == await drain(outbox)


@pytest.mark.anyio
async def test_a_transaction_younger_than_all_that_have_ended_is_waited_for(database: Database) -> None:
    """A snapshot tells the youngest that has ended, not the youngest that runs. Fails if the floor goes by it."""
    async with opened(database, Floor(next_whole=math.inf)) as outbox:
        with database.connect() as slow, slow.transaction():
            with database.connect() as older, older.transaction():
                older.execute("INSERT INTO elsewhere VALUES (1)")  # has its number from here on
                slow.execute("UPDATE t SET v = 1 WHERE id = 0")
                older.execute("INSERT INTO t SELECT generate_series(201, 230)")
            await look(outbox)
            await look(outbox)
        database.execute("UPDATE t SET v = 2 WHERE id = 0")
        assert [1, 2] == await drain(outbox)


@pytest.mark.anyio
async def test_a_row_that_somebody_has_locked_keeps_the_floor_down(database: Database) -> None:
    """It is skipped, and comes before whatever is written after it was let go. Fails if only what was taken counts."""
    async with opened(database, Floor(next_whole=math.inf)) as outbox:
        database.execute("UPDATE t SET v = 1 WHERE id = 0", "INSERT INTO t SELECT generate_series(201, 230)")
        for _ in range(2):
            with database.connect() as other, other.transaction():
                other.execute("SELECT FROM orchestrator.outbox WHERE id = '0' FOR UPDATE")
                await look(outbox)
        database.execute("UPDATE t SET v = 2 WHERE id = 0")
        assert [1, 2] == await drain(outbox)


@pytest.mark.anyio
async def test_a_look_on_another_server_begins_at_the_bottom(database: Database) -> None:
    """The first one there already, which can't know. Fails if the floor is put in whatever the server."""
    async with opened(database, Floor(server="another", believed=1_000_000, next_whole=math.inf)) as outbox:
        database.execute("UPDATE t SET v = 1 WHERE id = 0")
        assert ["0"] == [event.id for event in await look(outbox)]


@pytest.mark.anyio
async def test_a_row_that_commits_late_keeps_its_place(database: Database) -> None:
    """Under load, too, the changes of one row come in commit order. Fails if the floor rises with each look."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (0, 0)")
    context = new_context()
    async with watching(PostgresInput(database.dsn, batch=3), context):
        with database.connect() as slow, slow.transaction():
            slow.execute("INSERT INTO t SELECT generate_series(101, 110)")
            slow.execute("UPDATE t SET v = 1 WHERE id = 0")
            database.execute("INSERT INTO t SELECT generate_series(1, 60)")
            await events(context, 9)
            context.hold()
        database.execute("UPDATE t SET v = 2 WHERE id = 0")
        context.release()
        await settled(context)
    assert [{"id": 0, "v": 1}, {"id": 0, "v": 2}] == [event.data for event in context.events if event.id == "0"]
