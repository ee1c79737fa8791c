"""Every journal of the core against the one contract."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator_core import Journal, MemoryJournal, SqliteJournal
from orchestrator_core.testing import JournalContract


class TestMemoryJournal(JournalContract):
    """The journal that ends with its process."""

    @pytest.fixture
    def make_journal(self) -> Callable[[], Journal]:
        """Make a new one at each call."""
        return MemoryJournal


class TestSqliteJournal(JournalContract):
    """The journal in a file."""

    @pytest.fixture
    def folders(self, tmp_path: Path) -> Callable[[], Path]:
        """Return a function that makes a new folder at each call."""
        numbers = itertools.count()

        def make() -> Path:
            folder = tmp_path / str(next(numbers))
            folder.mkdir()
            return folder

        return make

    @pytest.fixture
    def make_journal(self, folders: Callable[[], Path]) -> Callable[[], Journal]:
        """Make one over a new file at each call."""
        return lambda: SqliteJournal(folders() / "journal.db")

    @pytest.fixture
    def reopen(self, folders: Callable[[], Path]) -> Callable[[Journal], Journal]:
        """Copy the database with its write-ahead log, which is what a kill leaves: shared memory is made anew."""

        def copy(journal: Journal) -> Journal:
            assert isinstance(journal, SqliteJournal)
            folder = folders()
            for name in ("journal.db", "journal.db-wal"):
                if (file := Path(journal.path).with_name(name)).exists():
                    shutil.copy(file, folder)
            return SqliteJournal(folder / "journal.db")

        return copy
