"""``orchestrator docker …`` as an operator types it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from engines import IMAGE, Dockerd
from pipelines import PipelineFolder

from orchestrator_docker._naming import Owner, name_of

LATER = 4_102_444_800.0


def orchestrator(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder."""
    return subprocess.run(
        [sys.executable, "-c", "import sys; from orchestrator_core.cli import main; sys.exit(main())", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def leave(dockerd: Dockerd, delivery_id: str) -> str:
    """Leave a container behind; return its name."""
    owner = Owner(delivery_id=delivery_id, attempt=1, process="job", deadline=LATER)
    name = name_of(delivery_id)
    dockerd.client.create_container(IMAGE, ["true"], name=name, labels=dict(owner.labels()))
    return name


def names(dockerd: Dockerd) -> Sequence[str]:
    """Return the names of all containers."""
    return [each["Names"][0].removeprefix("/") for each in dockerd.client.containers(all=True)]


def test_ps_lists_ours_only(dockerd: Dockerd, tmp_path: Path) -> None:
    """`ps` shows what pipelines have here, and no stranger."""
    dockerd.client.create_container(IMAGE, ["true"], name="stranger")
    name = leave(dockerd, "k1-7.0")
    lines = orchestrator(tmp_path, "docker", "ps").stdout.splitlines()
    assert ["NAME", "PROCESS", "ATTEMPT", "STATUS", "DEADLINE"] == lines[0].split()
    assert [name, "job", "1", "Created"] == lines[1].split()[:4]
    assert 2 == len(lines)


def test_ps_in_json(dockerd: Dockerd, tmp_path: Path) -> None:
    """`ps --json` prints one object a line, with the installation's name for `sweep --install`."""
    leave(dockerd, "k1-7.0")
    found = json.loads(orchestrator(tmp_path, "docker", "ps", "--json").stdout)
    assert ("k1", "k1-7.0", "job", "1") == tuple(found[key] for key in ("install", "delivery", "process", "attempt"))


def test_ps_without_an_engine(tmp_path: Path) -> None:
    """Without an engine the message says what to do, and the exit code that it failed."""
    done = orchestrator(tmp_path, "docker", "ps", "--host", f"unix://{tmp_path}/none.sock")
    assert 1 == done.returncode
    assert "systemctl start docker" in done.stderr
    assert "Traceback" not in done.stderr


def test_sweep_removes_what_no_delivery_needs(dockerd: Dockerd, tmp_path: Path) -> None:
    """`sweep` asks the pipeline's journal, and leaves other installations alone."""
    pipeline = PipelineFolder(tmp_path, dockerd, count=1, script="true")
    pipeline.start().succeed()
    (delivery,) = pipeline.deliveries()
    orphan, other = leave(dockerd, delivery["id"]), leave(dockerd, "other-1.0")
    assert [orphan] == orchestrator(tmp_path, "docker", "sweep", "--dry-run").stdout.split()
    assert {orphan, other} == set(names(dockerd))
    assert [orphan] == orchestrator(tmp_path, "docker", "sweep").stdout.split()
    assert [other] == names(dockerd)


def test_sweep_of_a_lost_installation(dockerd: Dockerd, tmp_path: Path) -> None:
    """`sweep --install` removes all that an installation has left, without its journal."""
    gone, other = leave(dockerd, "lost-1.0"), leave(dockerd, "other-1.0")
    assert [gone] == orchestrator(tmp_path, "docker", "sweep", "--install", "lost").stdout.split()
    assert [other] == names(dockerd)


@pytest.mark.parametrize(
    ("table", "why"),
    [("[journal]\nurl = 'memory:'", "memory:"), ("", "the pipeline has not run")],
    ids=["memory", "never run"],
)
def test_sweep_without_a_journal(dockerd: Dockerd, tmp_path: Path, table: str, why: str) -> None:
    """Without a journal to ask nothing is removed."""
    (tmp_path / "pipeline.toml").write_text(
        f"version = 1\n{table}\n[inputs.t]\ntype = 'timer'\noptions = {{ every = '1s' }}\n"
        f"[processes.job]\ntype = 'docker'\nafter = ['t']\nexecution_context = {{ image = '{IMAGE}' }}\n"
    )
    done = orchestrator(tmp_path, "docker", "sweep")
    assert 2 == done.returncode
    assert why in done.stderr
