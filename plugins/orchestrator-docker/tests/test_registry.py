"""Images from a real registry: who may pull, what a digest pins, and what a terminal shows of it."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pexpect
import pytest
import registry
from engines import Dockerd
from pipelines import wait_until

from orchestrator_core import Event, Secret
from orchestrator_core.testing import FakeAttemptContext
from orchestrator_docker import DockerProcess, ImagePullError, RegistryAuth

PUBLIC, PRIVATE = f"{registry.OPEN}/a/job", f"{registry.CLOSED}/a/job"
AUTH = RegistryAuth(registry.USER, Secret(registry.PASSWORD))
EVENT = Event(location="rain", operation="create", id="7")


@pytest.fixture
def anyio_backend() -> str:
    """Once is enough: a pull is a worker thread's."""
    return "asyncio"


@pytest.fixture(scope="session")
def digest(shared_dockerd: Dockerd) -> str:
    """A registry in the engine's own network; the digest of its image."""
    ready = shared_dockerd.folder / "registry"
    program = shared_dockerd.inside(sys.executable, registry.__file__, str(ready))
    wait_until(lambda: ready.exists() or program.poll() is not None, "the registry listens")
    return ready.read_text()


@pytest.fixture(autouse=True)
def without_the_image(dockerd: Dockerd, digest: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An engine that has not pulled yet, for a user who has not logged in."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    yield
    dockerd.remove_all()
    client = dockerd.client
    for image in client.images():
        if any("/a/job" in name for name in [*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())]):
            client.remove_image(image["Id"], force=True)
    client.close()


async def run(image: str, **options: Any) -> list[str]:
    """Run a container of an image; return what it has logged."""
    context = FakeAttemptContext()
    command = ["/bin/busybox", "echo", "pulled"]
    async with DockerProcess(image=image, command=command, **options) as process:
        await process.run(EVENT, context)
    return list(context.lines)


@pytest.mark.anyio
async def test_image_is_pulled_before_its_container_is_made() -> None:
    """B30, against a real registry: a missing image is there when the container needs it."""
    assert ["pulled"] == await run(f"{PUBLIC}:1")


@pytest.mark.anyio
async def test_image_by_digest(digest: str) -> None:
    """A digest pins what is run, whatever becomes of the tag."""
    assert ["pulled"] == await run(f"{PUBLIC}@{digest}")


@pytest.mark.anyio
async def test_digest_that_is_not_there() -> None:
    """A digest that the registry does not have is not replaced by whatever a tag points to."""
    with pytest.raises(ImagePullError, match="correct the image's name or tag"):
        await run(f"{PUBLIC}@sha256:{'0' * 64}")


@pytest.mark.anyio
async def test_registry_auth() -> None:
    """`registry_auth` is who pulls."""
    assert ["pulled"] == await run(f"{PRIVATE}:1", registry_auth=AUTH)


@pytest.mark.anyio
async def test_credentials_of_docker_login(tmp_path: Path) -> None:
    """Without it, who has logged in pulls."""
    auth = base64.b64encode(f"{registry.USER}:{registry.PASSWORD}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.CLOSED: {"auth": auth}}}))
    assert ["pulled"] == await run(f"{PRIVATE}:1")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "auth", [None, RegistryAuth(registry.USER, Secret("wrong"))], ids=["no credentials", "a wrong password"]
)
async def test_who_may_not_pull(auth: RegistryAuth | None) -> None:
    """Who may not pull is told how to log in, and the password is not repeated."""
    with pytest.raises(ImagePullError, match="run docker login for that registry, or give registry_auth") as caught:
        await run(f"{PRIVATE}:1", registry_auth=auth)
    assert "wrong" not in str(caught.value)


def pipeline(folder: Path, image: str) -> None:
    """Write a pipeline that needs an image."""
    (folder / "pipeline.toml").write_text(
        f"version = 1\n[inputs.t]\ntype = 'timer'\noptions = {{ every = '1s' }}\n"
        f"[processes.job]\ntype = 'docker'\nafter = ['t']\nexecution_context = {{ image = '{image}' }}\n"
    )


def test_pull_on_a_terminal(dockerd: Dockerd, tmp_path: Path) -> None:
    """`orchestrator docker pull` shows each layer's bytes while they come, and then that it is done."""
    pipeline(tmp_path, f"{PUBLIC}:1")
    child: pexpect.spawn[str] = pexpect.spawn(
        sys.executable, ["-m", "orchestrator_core.cli", "docker", "pull"],
        cwd=str(tmp_path), encoding="utf-8", timeout=60, dimensions=(40, 120),
    )  # fmt: skip
    with contextlib.closing(child):
        child.expect(f"pulled {re.escape(PUBLIC)}:1")
        shown = str(child.before)
        child.expect(pexpect.EOF)
    assert 0 == child.exitstatus
    assert re.search(r"[0-9a-f]{12} (Downloading|Extracting|Pull complete).*/\d+\.\d .?B", shown), shown


def test_pull_into_a_file(dockerd: Dockerd, tmp_path: Path) -> None:
    """Where nobody looks, a pull is one line."""
    pipeline(tmp_path, f"{PUBLIC}:1")
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator_core.cli", "docker", "pull"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (0, f"pulled {PUBLIC}:1\n") == (done.returncode, done.stderr)
    assert dockerd.client.inspect_image(f"{PUBLIC}:1")


def test_pull_that_fails_on_the_command_line(dockerd: Dockerd, tmp_path: Path) -> None:
    """A pull that fails says why and what to do."""
    pipeline(tmp_path, f"{PUBLIC}:none")
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator_core.cli", "docker", "pull"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert 1 == done.returncode
    assert "correct the image's name or tag" in done.stderr
    with pytest.raises(docker.errors.ImageNotFound):
        dockerd.client.inspect_image(f"{PUBLIC}:none")
