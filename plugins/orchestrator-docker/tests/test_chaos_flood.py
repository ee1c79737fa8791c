"""Containers that write and make more than anybody can keep: the memory stays flat, and nothing is left of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from engines import Dockerd
from pipelines import PipelineFolder, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.needs_docker]

Times = Callable[[str, int], int]

_STEPS = "echo start $PIPELINE_DELIVERY_ID >> /effects/log; {}; echo end $PIPELINE_DELIVERY_ID >> /effects/log; echo 7"
_OPTIONS = ['output = "last_line"']
_GROWTH = 64 * 1024
_WITHIN = 600.0


def run(pipeline: PipelineFolder) -> int:
    """Run a pipeline of one container to its end; return by how many KiB its program has grown from its start on."""
    peaks = [0]

    def has_ended() -> bool:
        peaks.append(pipeline.peak())
        return not pipeline.is_running

    with pipeline.start().ended_at_last():
        wait_until(lambda: bool(pipeline.marks("start")), "the container runs")
        before = pipeline.peak()
        wait_until(has_ended, "the pipeline ends", _WITHIN)
        pipeline.succeed()
    (delivery,) = pipeline.deliveries()
    assert ("done", 0, 7) == (delivery["state"], delivery["failures"], delivery["output"])
    assert [] == pipeline.dockerd.client.containers(all=True)
    return max(peaks) - before


def test_d83_a_line_without_an_end(dockerd: Dockerd, tmp_path: Path, times: Times) -> None:
    """D83: a container prints 1 GB without a line break; the memory stays flat, and the last line is the output.

    Catches: a line put together before it is cut.
    """
    writes = f"head -c {times('megabytes', 1_000)}000000 /dev/zero | tr '\\0' x; echo"
    pipeline = PipelineFolder(tmp_path, dockerd, count=1, script=_STEPS.format(writes), options=_OPTIONS)
    assert _GROWTH > run(pipeline)


def test_d83_a_flood_of_lines(dockerd: Dockerd, tmp_path: Path, times: Times) -> None:
    """D83: a container prints 2 million short lines as fast as it can; the memory stays flat.

    Catches: lines that wait for a slow reader.
    """
    writes = f"seq {times('lines', 2_000_000)}"
    pipeline = PipelineFolder(tmp_path, dockerd, count=1, script=_STEPS.format(writes), options=_OPTIONS)
    assert _GROWTH > run(pipeline)


def test_d93_a_flood_of_files_goes_with_its_container(dockerd: Dockerd, tmp_path: Path, times: Times) -> None:
    """D93: a container makes files by the hundred thousand; however long that takes, it is removed with all of them."""
    makes = f"mkdir /tmp/x; cd /tmp/x; seq {times('files', 300_000)} | busybox xargs touch"
    pipeline = PipelineFolder(tmp_path, dockerd, count=1, script=_STEPS.format(makes), options=_OPTIONS)
    run(pipeline)
    assert [] == list((dockerd.folder / "data" / "overlay2").glob("*/diff/tmp/x"))
