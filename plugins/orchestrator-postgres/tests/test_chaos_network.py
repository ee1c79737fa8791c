"""The network between is cut under load, in each way in which networks fail: nothing is lost, nothing repeated."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from proxy import Cut, proxying
from servers import Database, until
from stormed import Pipeline, assert_every_committed_row_came_to_its_end, linger
from writers import Writers, mixed

pytestmark = pytest.mark.chaos

Times = Callable[[str, int], int]

_CUTS: list[Cut] = ["reset", "deaf", "mute", "silence"]


def test_cuts_of_the_network(loaded: Database, tmp_path: Path, times: Times, seed: int) -> None:
    """However the network fails, for a moment or until the deadlines are over, each committed row comes to its end.

    The first silence lasts until the input has said that it gets no answer. Catches: a call without a deadline, and a
    commit of unknown outcome that is taken for one that was made.
    """
    socket = loaded.server.home / f".s.PGSQL.{loaded.server.port}"
    writers, chance = Writers(), random.Random(seed)
    with proxying(socket) as proxy:
        dsn = f"host=127.0.0.1 port={proxy.port} dbname={loaded.name} user=postgres"
        pipeline = Pipeline.over(dsn, tmp_path)
        with writers.at_work(loaded, mixed, seed), pipeline.running():
            for number in range(times("cuts", 50)):
                pipeline.move_on(chance.randrange(1, 1_000))
                how = _CUTS[number % len(_CUTS)]
                with proxy.cut(how):
                    if number % 20 == 3:
                        until(lambda: "no answer within" in pipeline.messages(), "the deadline")
                    elif how != "reset":
                        linger(chance.uniform(0, 3))
            pipeline.move_on()
        pipeline.finish()

    assert [] == writers.errors
    assert_every_committed_row_came_to_its_end(pipeline, loaded)
