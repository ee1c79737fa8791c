"""The server is killed, its sessions ended and its backends frozen under load: nothing is lost, nothing repeated."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from servers import Database
from stormed import Pipeline, assert_every_committed_row_came_to_its_end, linger
from writers import Writers, mixed

pytestmark = pytest.mark.chaos

Times = Callable[[str, int], int]

_OURS = "FROM pg_stat_activity WHERE application_name = 'orchestrator'"


def test_restarts_of_the_server(loaded: Database, tmp_path: Path, times: Times, seed: int) -> None:
    """However often Postgres is restarted or killed, every committed row comes to its end, and no other is seen.

    Catches: a hand-over that commits before the journal has accepted, and an input that does not connect again.
    """
    pipeline, writers, chance = Pipeline.over(loaded.dsn, tmp_path), Writers(), random.Random(seed)
    with writers.at_work(loaded, mixed, seed), pipeline.running():
        for number in range(times("restarts", 20)):
            pipeline.move_on(chance.randrange(1, 3_000))
            loaded.server.stop(signal.SIGINT if number % 4 == 3 else signal.SIGQUIT)
            loaded.server.start()
        pipeline.move_on()
    pipeline.finish()

    assert [] == writers.errors
    assert_every_committed_row_came_to_its_end(pipeline, loaded)


def test_ends_of_our_sessions(loaded: Database, tmp_path: Path, times: Times, seed: int) -> None:
    """However often our sessions are terminated, one of them or all, the input opens others and goes on.

    Catches: an event that is taken for handed over when its session ended.
    """
    pipeline, writers, chance = Pipeline.over(loaded.dsn, tmp_path), Writers(), random.Random(seed)
    ended = 0
    with writers.at_work(loaded, mixed, seed), pipeline.running():
        while ended < times("terminations", 200):
            pipeline.move_on(chance.randrange(1, 600))
            most = chance.choice([1, 2])
            ended += len(
                loaded.execute(
                    f"SELECT pg_terminate_backend(pid) FROM (SELECT pid {_OURS} ORDER BY random() LIMIT {most}) AS s"
                )
            )
        pipeline.move_on()
    pipeline.finish()

    assert [] == writers.errors
    assert_every_committed_row_came_to_its_end(pipeline, loaded)


def test_frozen_backends(loaded: Database, tmp_path: Path, times: Times, seed: int) -> None:
    """A backend that stands still for up to 30 s holds its caller up until the deadline, and loses nothing.

    Catches: a call without a deadline, and a session that is used again after it was given up.
    """
    pipeline, writers, chance = Pipeline.over(loaded.dsn, tmp_path), Writers(), random.Random(seed)
    freezes = times("freezes", 10)
    with writers.at_work(loaded, mixed, seed, pause=0.05), pipeline.running():
        for _ in range(freezes):
            pipeline.move_on(chance.randrange(1, 600))
            (pid,) = chance.choice(loaded.execute(f"SELECT pid {_OURS}"))
            os.kill(pid, signal.SIGSTOP)
            try:
                linger(chance.choice([0.5, 2.0]) if freezes == 1 else chance.uniform(0, 30))
            finally:
                os.kill(pid, signal.SIGCONT)
        pipeline.move_on()
    pipeline.finish()

    assert [] == writers.errors
    assert_every_committed_row_came_to_its_end(pipeline, loaded)
