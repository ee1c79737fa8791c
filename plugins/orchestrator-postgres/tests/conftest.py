"""What the plugin's tests share: one real server of each kind for the whole run, a fresh database for each test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the helpers beside the tests; test folders are no packages

from servers import DEBIAN, EMBEDDED, Database, Server, serving
from writers import prepare


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark whatever uses a server."""
    for item in items:
        if {"server", "own_server", "stormy_server"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.needs_postgres)


@pytest.fixture(scope="session", params=[DEBIAN, EMBEDDED])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A real server: Debian's, and the newest as the embedded wheel has it."""
    with serving(request.param) as server:
        yield server


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server of the test's own, to be killed, frozen and set up as it likes."""
    with serving(DEBIAN) as server:
        yield server


@pytest.fixture
def database(server: Server) -> Iterator[Database]:
    """A fresh database."""
    with server.database() as database:
        yield database


@pytest.fixture(scope="session")
def stormy_server() -> Iterator[Server]:
    """A server that storms may kill, as long as they start it again."""
    with serving(DEBIAN) as server:
        yield server


@pytest.fixture
def loaded(stormy_server: Server) -> Iterator[Database]:
    """A fresh database with the tables of `writers`, to be stormed."""
    with stormy_server.database() as database:
        prepare(database)
        yield database


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of a storm's random moments; a failure names it, so that it can be repeated."""
    seed: int = request.config.getoption("--seed")
    print("seed:", seed)  # noqa: T201 (pytest shows it with a failure)
    return seed
