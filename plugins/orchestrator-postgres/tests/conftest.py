"""What the plugin's tests share: one real server of each kind for the whole run, a fresh database for each test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the helpers beside the tests; test folders are no packages

from servers import DEBIAN, EMBEDDED, Database, Server, serving
from writers import prepare


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let ``--postgres`` say which servers are the installed ones."""
    asked = metafunc.config.getoption("--postgres")
    if asked and "installed" in metafunc.fixturenames:
        metafunc.parametrize("installed", asked, indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark whatever uses a server; with ``--postgres``, leave out what would not use one of those."""
    for item in items:
        if "installed" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.needs_postgres)
    if config.getoption("--postgres"):
        others = [item for item in items if not _is_on_installed(item)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if _is_on_installed(item)]


def _is_on_installed(item: pytest.Item) -> bool:
    parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    return "installed" in parameters and parameters.get("server") != EMBEDDED


@pytest.fixture(scope="session")
def installed(request: pytest.FixtureRequest) -> str:
    """The server that is installed here: Debian's, or one that ``--postgres`` names."""
    kind: str = getattr(request, "param", DEBIAN)
    return kind


@pytest.fixture(scope="session", params=[DEBIAN, EMBEDDED])
def server(request: pytest.FixtureRequest, installed: str) -> Iterator[Server]:
    """A real server: the installed one, and the newest as the embedded wheel has it."""
    with serving(EMBEDDED if request.param == EMBEDDED else installed) as server:
        yield server


@pytest.fixture
def own_server(installed: str) -> Iterator[Server]:
    """A server of the test's own, to be killed, frozen and set up as it likes."""
    with serving(installed) as server:
        yield server


@pytest.fixture
def database(server: Server) -> Iterator[Database]:
    """A fresh database."""
    with server.database() as database:
        yield database


@pytest.fixture(scope="session")
def stormy_server(installed: str) -> Iterator[Server]:
    """A server that storms may kill, as long as they start it again."""
    with serving(installed) as server:
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
