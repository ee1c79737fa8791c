"""How often things are killed, and by which dice: ``--kills`` and ``--seed``."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How often the command is killed: 50 times in CI, a few times elsewhere."""
    return request.config.getoption("--kills") or (50 if "CI" in os.environ else 5)


@pytest.fixture
def chaos_seed(request: pytest.FixtureRequest) -> int:
    """The seed of the random moments; a failure names it, so that it can be repeated."""
    seed = request.config.getoption("--seed")
    print("seed:", seed)  # noqa: T201 (pytest shows it with a failure)
    return int(seed)
