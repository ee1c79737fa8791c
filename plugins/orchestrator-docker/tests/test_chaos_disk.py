"""The engine's disk is full: that is nobody's failure, and it passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from absent import missing
from engines import Dockerd, EngineMissing, engine
from pipelines import STEPS, PipelineFolder, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.needs_docker]

_FULL = "no space left on device"
_MEGABYTES = 48


@pytest.fixture
def small_dockerd() -> Iterator[Dockerd]:
    """An engine with a small disk of its own."""
    try:
        with engine(megabytes=_MEGABYTES) as dockerd:
            yield dockerd
    except EngineMissing as error:
        missing(error)


def test_disk_of_the_engine_full_again_and_again(
    small_dockerd: Dockerd, tmp_path: Path, times: Callable[[str, int], int]
) -> None:
    """While the disk is full attempts are postponed; once there is room every delivery is done, and none has failed.

    Catches: an engine's own trouble counted against the job.
    """
    fills = times("full_disks", 10)
    count = (fills + 1) * 32
    pipeline = PipelineFolder(tmp_path, small_dockerd, count=count, script=STEPS.format(0.2))
    with pipeline.start().ended_at_last():
        for number in range(1, fills + 1):
            wait_until(lambda number=number: pipeline.has_done(8 * number), "containers end")  # type: ignore[misc]
            seen = pipeline.output.count(_FULL)

            def is_full(enough: int = seen + 8) -> bool:
                small_dockerd.fill_disk()
                return pipeline.output.count(_FULL) >= enough

            wait_until(is_full, "the disk is full")
            small_dockerd.free_disk()
        pipeline.succeed(600)
    deliveries = pipeline.deliveries()
    assert [("done", 0)] * count == [(each["state"], each["failures"]) for each in deliveries]
    assert count == len(pipeline.marks("end"))
    assert [] == small_dockerd.client.containers(all=True)
