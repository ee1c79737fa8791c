"""The pages that name tests name tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs import reference
from tests.docs.pages import ROOT

PAGES = [ROOT / "docs/guarantees.md", ROOT / "docs/ancestor.md"]
NAMED = re.compile(r"`((?:[a-z]+/)?\w+::test_\w+)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_test_that_is_named_exists(page: Path) -> None:
    """Whoever follows a promise to its test finds it."""
    existing = {name for name, _ in reference.tests()}
    named = set(NAMED.findall(page.read_text("utf-8")))
    assert sorted(named - existing) == []


def test_every_promise_names_a_test() -> None:
    """No row of a table stands without a test."""
    rows = [line for line in PAGES[0].read_text("utf-8").splitlines() if line.startswith("| ")]
    assert [row for row in rows if not NAMED.search(row) and row != "| Promise | Tests |"] == []
