"""``kill -9`` of the orchestrator under load: nothing is lost, nothing repeated, and no effect happens twice."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from servers import Database
from stormed import Pipeline, assert_every_committed_row_came_to_its_end
from writers import Writers, mixed

pytestmark = pytest.mark.chaos

Times = Callable[[str, int], int]


def test_kills_of_the_orchestrator(loaded: Database, tmp_path: Path, times: Times, seed: int) -> None:
    """However often the running command is killed, what was committed comes to its end, and its effect happens once.

    Catches: a hand-over that commits before the journal has accepted; an event whose identity is made when it is read;
    a note of a delivery apart from its work.
    """
    loaded.execute("CREATE SCHEMA effect", "CREATE TABLE effect.done (op text, change bigint)")
    pipeline, writers, chance = Pipeline.over(loaded.dsn, tmp_path), Writers(), random.Random(seed)
    pipeline.add_sql(
        "INSERT INTO effect.done VALUES (%(operation)s, coalesce(%(data.change)s::bigint, %(before.change)s::bigint))"
    )
    with writers.at_work(loaded, mixed, seed, writers=2, pause=0.03):
        for _ in range(times("kills", 100)):
            with pipeline.running() as command:
                pipeline.move_on(chance.choice([1, chance.randrange(1, 2_000)]))
                command.kill()
    pipeline.finish()

    assert [] == writers.errors
    assert_every_committed_row_came_to_its_end(pipeline, loaded)
    changes = loaded.execute("SELECT op, change FROM history.change ORDER BY 1, 2")
    assert changes == loaded.execute("SELECT op, change FROM effect.done ORDER BY 1, 2")
