"""The orchestrator and the engine killed -9 again and again: nothing is lost, and hardly anything is done twice."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from engines import Dockerd
from pipelines import STEPS, PipelineFolder, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.needs_docker]

Times = Callable[[str, int], int]

_SOME_SECONDS = "$(( $(echo $PIPELINE_DELIVERY_ID | tr -dc 0-9 | tail -c 2) % 5 + 1 ))"
_AT_ONCE = 8


def assert_done(pipeline: PipelineFolder, count: int) -> None:
    """Every delivery is done, has left its last mark, and has no container any more."""
    assert {"done"} == {each["state"] for each in pipeline.deliveries()}
    assert count == len(pipeline.marks("end"))
    assert [] == pipeline.dockerd.client.containers(all=True)


def test_orchestrator_killed_again_and_again(
    dockerd: Dockerd, tmp_path: Path, request: pytest.FixtureRequest, times: Times
) -> None:
    """Of the containers of 1 to 5 s that its kills interrupt, 95 % are adopted or harvested, and none is left.

    Catches: a name that the next start does not find, an ended container swept before its result is taken.
    """
    kills = times("kills", 100)
    count = kills * 4
    rng = random.Random(request.config.getoption("--seed"))
    pipeline = PipelineFolder(tmp_path, dockerd, count=count, script=STEPS.format(_SOME_SECONDS))
    interrupted = 0
    with pipeline.ended_at_last():
        for _ in range(kills):
            pipeline.start()
            goal = len(pipeline.marks("end")) + rng.randrange(5)
            wait_until(lambda goal=goal: pipeline.has_done(goal), "containers end")  # type: ignore[misc]
            pipeline.kill()
            interrupted += len(pipeline.running())
        pipeline.start().succeed(1_200)
    assert_done(pipeline, count)
    assert interrupted > 0
    repeated = sum(pipeline.marks("start").values()) - count
    assert repeated <= 0.05 * interrupted, f"{repeated} of {interrupted} that were interrupted were run again"


@pytest.fixture(params=["own_dockerd", "lasting_dockerd"], ids=["takes containers down", "live-restore"])
def any_dockerd(request: pytest.FixtureRequest) -> Dockerd:
    """An engine of either kind."""
    dockerd: Dockerd = request.getfixturevalue(request.param)
    return dockerd


def test_engine_killed_again_and_again(any_dockerd: Dockerd, tmp_path: Path, times: Times) -> None:
    """Dockerd killed under load and started again: every delivery is done, none has failed, no container is left."""
    kills = times("engine_kills", 10)
    count = (kills + 1) * _AT_ONCE
    pipeline = PipelineFolder(tmp_path, any_dockerd, count=count, script=STEPS.format(1))
    with pipeline.start().ended_at_last():
        for _ in range(kills):
            goal = len(pipeline.marks("end")) + 3
            wait_until(lambda goal=goal: pipeline.has_done(goal), "containers end", 120)  # type: ignore[misc]
            any_dockerd.kill()
            any_dockerd.start()
        pipeline.succeed(600)
    assert_done(pipeline, count)
    assert [] == [each for each in pipeline.deliveries() if each["failures"]]
