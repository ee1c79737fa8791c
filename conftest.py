"""What all tests share: both event loops, and how hard Hypothesis tries."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("local", deadline=None, max_examples=50)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=100, derandomize=True, print_blob=True)
hypothesis.settings.register_profile("deep", deadline=None, max_examples=2_000)
hypothesis.settings.load_profile("ci" if "CI" in os.environ else "local")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run each asynchronous test on both event loops."""
    backend: str = request.param
    return backend


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that others may enter, unlike pytest's own: as root, a private server's user is another one."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


@pytest.fixture
def times(request: pytest.FixtureRequest) -> Callable[[str, int], int]:
    """How often a fault strikes: `times("cuts", 50)` is 50 or what ``--times cuts=N`` says, or its ``--share``."""
    asked = dict(each.split("=", 1) for each in request.config.getoption("--times"))
    share = request.config.getoption("--share")

    def count(name: str, full: int) -> int:
        return int(asked[name]) if name in asked else max(1, round(full * share))

    return count


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the chaos tests be asked for more, or for the same again."""
    parser.addoption("--share", type=float, default=0.1, help="how much of each fault's full count (a tenth)")
    parser.addoption("--times", action="append", default=[], metavar="FAULT=N", help="how often one fault strikes")
    parser.addoption("--kills", type=int, default=0, help="how often the kill loop kills (50 in CI, else 5)")
    parser.addoption("--seed", type=int, default=20260504, help="seed of the kill loop's random moments")
    parser.addoption("--postgres", action="append", default=[], metavar="DIR", help="test the plugin on DIR/postgres")
