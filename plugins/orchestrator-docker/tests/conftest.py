"""What the plugin's tests share: one real engine for the whole run, empty for each test."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the modules beside the tests; test folders are no packages

from absent import missing
from answers import Serve, recorded
from engines import Dockerd, EngineMissing, engine

_ENGINES = {"dockerd", "own_dockerd", "lasting_dockerd"}

# The SDK leaves a socket open that it could not connect, until the garbage is collected.
_LEFT_OPEN = r"ignore:unclosed <socket\.socket fd=\d+, family=1, type=1, proto=0>:ResourceWarning"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark whatever uses an engine, and leave the SDK its sockets."""
    for item in items:
        if _ENGINES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.needs_docker)
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.filterwarnings(_LEFT_OPEN))


@pytest.fixture(autouse=True, scope="module")
def collected() -> Iterator[None]:
    """Let no test of another module hear of the sockets that the SDK left open."""
    yield
    gc.collect()


@pytest.fixture(
    params=[pytest.param(("asyncio", {"debug": False}), id="asyncio"), pytest.param(("trio", {}), id="trio")]
)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Run each test on both event loops."""
    return request.param


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Return a function that runs an engine which answers by script."""
    return lambda script: recorded(tmp_path / "e.sock", script)


@pytest.fixture(scope="session")
def shared_dockerd() -> Iterator[Dockerd]:
    """A real engine."""
    try:
        with engine() as dockerd:
            yield dockerd
    except EngineMissing as error:
        missing(error)


@pytest.fixture
def dockerd(shared_dockerd: Dockerd, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dockerd]:
    """A real engine without containers, named by DOCKER_HOST."""
    monkeypatch.setenv("DOCKER_HOST", shared_dockerd.host)
    yield shared_dockerd
    shared_dockerd.remove_all()


@pytest.fixture
def own_dockerd(monkeypatch: pytest.MonkeyPatch) -> Iterator[Dockerd]:
    """An engine of the test's own, to be killed and frozen as it likes."""
    try:
        with engine() as dockerd:
            monkeypatch.setenv("DOCKER_HOST", dockerd.host)
            yield dockerd
    except EngineMissing as error:
        missing(error)


@pytest.fixture
def lasting_dockerd(monkeypatch: pytest.MonkeyPatch) -> Iterator[Dockerd]:
    """An engine whose containers go on when it is killed."""
    try:
        with engine("--live-restore") as dockerd:
            monkeypatch.setenv("DOCKER_HOST", dockerd.host)
            yield dockerd
    except EngineMissing as error:
        missing(error)
