"""An engine whose answers can't be trusted, and one that is not there: nothing is lost, and nothing done twice."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from breaking import BreakingProxy, breaking
from engines import Dockerd
from pipelines import STEPS, PipelineFolder, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.needs_docker]

Times = Callable[[str, int], int]


@pytest.fixture
def proxy(dockerd: Dockerd, request: pytest.FixtureRequest) -> Iterator[BreakingProxy]:
    """The engine behind a proxy that breaks what it is told to."""
    with breaking(dockerd.socket) as proxy:
        proxy.rng = random.Random(request.config.getoption("--seed"))
        yield proxy


def assert_done_once(pipeline: PipelineFolder, count: int) -> None:
    """Every delivery is done and has run once, without a failure, and has no container any more."""
    deliveries = pipeline.deliveries()
    assert [("done", 0)] * count == [(each["state"], each["failures"]) for each in deliveries]
    assert {1} == set(pipeline.marks("start").values())
    assert count == len(pipeline.marks("end"))
    assert [] == pipeline.dockerd.client.containers(all=True)


def test_d92_answers_that_break(proxy: BreakingProxy, dockerd: Dockerd, tmp_path: Path, times: Times) -> None:
    """D92: calls unheard, refused, answered by 500, or cut in their answer: each container runs once all the same.

    Catches: a start that is made again because its answer was lost, an output taken from half a log.
    """
    count = times("unsure_calls", 160)
    script = f"echo 1; {STEPS.format(0.5)}; echo '\"'$PIPELINE_DELIVERY_ID'\"'"
    options = ['output = "last_line"']
    pipeline = PipelineFolder(tmp_path, dockerd, count=count, script=script, host=proxy.host, options=options)
    proxy.share = 0.2
    with pipeline.start().ended_at_last():
        pipeline.succeed(600)
    assert_done_once(pipeline, count)
    assert [each["id"] for each in pipeline.deliveries()] == [each["output"] for each in pipeline.deliveries()]
    assert proxy.broken


def test_d92_nobody_listens_for_a_while(proxy: BreakingProxy, dockerd: Dockerd, tmp_path: Path, times: Times) -> None:
    """D92: while the socket refuses everybody, attempts wait, and go on when it is back."""
    away = times("away", 20)
    count = (away + 1) * 8
    pipeline = PipelineFolder(tmp_path, dockerd, count=count, script=STEPS.format(0.5), host=proxy.host)
    with pipeline.start().ended_at_last():
        for number in range(1, away + 1):
            wait_until(lambda number=number: pipeline.has_done(6 * number), "containers end")  # type: ignore[misc]
            proxy.close()
            wait_until(lambda: not pipeline.running(), "all that runs has ended")
            proxy.open()
        pipeline.succeed(600)
    assert_done_once(pipeline, count)
