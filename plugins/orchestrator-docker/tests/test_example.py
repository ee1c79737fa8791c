"""The example runs with one command, and says what to do where no engine is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from engines import IMAGE, Dockerd
from pipelines import wait_until

EXAMPLE = Path(__file__).parents[3] / "examples" / "containers"
PROGRAM = [sys.executable, "-c", "import sys; from orchestrator_core.cli import main; sys.exit(main())"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the example, since running it leaves a journal and a file behind."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "containers"))


def test_example_counts_each_line(dockerd: Dockerd, folder: Path) -> None:
    """One command runs it; each line is counted once, by a container that is gone afterwards."""
    done = subprocess.run(
        [*PROGRAM, "run", "--until-idle", "--fail-on-dead"],
        cwd=folder,
        env={**os.environ, "IMAGE": IMAGE},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    counted = [json.loads(line) for line in (folder / "counted.jsonl").read_text("utf-8").splitlines()]
    assert [("1", 4), ("2", 5), ("3", 3)] == sorted((each["line"], each["words"]) for each in counted)
    assert [] == dockerd.client.containers(all=True)


def test_example_without_an_engine(folder: Path, tmp_path: Path) -> None:
    """Where no engine answers, the run says what to do, and waits for one."""
    environment = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    output = tmp_path / "output"
    with (
        output.open("wb") as file,
        subprocess.Popen([*PROGRAM, "run"], cwd=folder, env=environment, stdout=file, stderr=file) as program,
    ):
        try:
            wait_until(lambda: "systemctl start docker" in output.read_text(), "it says what to do")
            assert program.poll() is None
        finally:
            program.kill()
    assert "Traceback" not in output.read_text()


def test_check_without_an_engine(folder: Path, tmp_path: Path) -> None:
    """`check --connect` says it at once, and fails."""
    done = subprocess.run(
        [*PROGRAM, "check", "--connect"],
        cwd=folder,
        env={**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/none.sock"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 0 != done.returncode
    assert "no Docker Engine answers" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
