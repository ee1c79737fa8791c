"""What a test does where there is no engine."""

from __future__ import annotations

import os

import pytest
from engines import EngineMissing


def missing(error: EngineMissing) -> None:
    """Fail where `CI` is set, skip loudly elsewhere."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no Docker Engine: {error}")
