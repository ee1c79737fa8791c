"""Where a look at the outbox may begin without passing over a row that commits late."""

from __future__ import annotations

import pytest
from servers import Database
from watching import events, new_context, settled, watching

from orchestrator_postgres import PostgresInput
from orchestrator_postgres._floor import Floor


def risen() -> Floor:
    """A floor at 100: a look found that number first, and what was running then has ended."""
    floor = Floor()
    floor.choose(now=0.0)
    floor.found(100, oldest=7, newest=9)
    floor.found(150, oldest=9, newest=12)
    return floor


def test_it_rises_once_what_was_running_has_ended() -> None:
    """From then on nothing can appear below."""
    assert 100 == risen().choose(now=0.5)


def test_it_waits_for_a_transaction_that_may_still_write_below() -> None:
    """Fails if it rises with each look, as a cursor would."""
    floor = Floor()
    floor.choose(now=0.0)
    for first in (100, 200, 300):
        floor.found(first, oldest=8, newest=9)
    assert 0 == floor.choose(now=0.5)


def test_the_whole_is_looked_at_every_now_and_then() -> None:
    """For numbers that started again, and rows that somebody had locked."""
    floor = risen()
    assert (100, 0, 100) == (floor.choose(now=0.9), floor.choose(now=1.0), floor.choose(now=1.1))


def test_a_look_that_found_nothing_is_followed_by_one_at_the_whole() -> None:
    """That there is nothing more is said of the whole only."""
    floor = risen()
    assert 100 == floor.choose(now=0.5)
    floor.found(None, oldest=20, newest=20)
    assert 0 == floor.choose(now=0.6)


@pytest.mark.anyio
async def test_a_row_that_commits_late_keeps_its_place(database: Database) -> None:
    """Under load, too, the changes of one row come in commit order. Fails if the floor rises with each look."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (0, 0)")
    context = new_context()
    async with watching(PostgresInput(database.dsn, batch=3), context):
        with database.connect() as slow, slow.transaction():
            slow.execute("UPDATE t SET v = 1 WHERE id = 0")
            database.execute("INSERT INTO t SELECT generate_series(1, 60)")
            await events(context, 9)
            context.hold()
        database.execute("UPDATE t SET v = 2 WHERE id = 0")
        context.release()
        await settled(context)
    assert [{"id": 0, "v": 1}, {"id": 0, "v": 2}] == [event.data for event in context.events if event.id == "0"]
