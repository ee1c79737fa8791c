from __future__ import annotations

from pathlib import Path

import pytest

from tests.configuring import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An empty folder for a configuration file."""
    return Folder(tmp_path)
