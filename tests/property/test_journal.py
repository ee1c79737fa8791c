"""Every journal of the core against a small model, over random histories."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

from hypothesis import settings

from orchestrator_core import Journal, MemoryJournal, SqliteJournal
from orchestrator_core.testing import JournalMachine


def test_memory_journal_agrees_with_the_model(anyio_backend_name: str) -> None:
    """No history of calls tells the memory journal from the model."""
    JournalMachine.check(MemoryJournal, backend=anyio_backend_name)


def test_sqlite_journal_agrees_with_the_model(anyio_backend_name: str, tmp_path: Path) -> None:
    """No history of calls and crashes tells the SQLite journal from the model."""
    numbers = itertools.count()

    def folder() -> Path:
        made = tmp_path / str(next(numbers))
        made.mkdir()
        return made

    def reopen(journal: Journal) -> Journal:
        assert isinstance(journal, SqliteJournal)
        copy = folder()
        for name in ("journal.db", "journal.db-wal"):
            if (file := journal.path.with_name(name)).exists():
                shutil.copy(file, copy)
        return SqliteJournal(copy / "journal.db")

    JournalMachine.check(
        lambda: SqliteJournal(folder() / "journal.db"),
        reopen,
        backend=anyio_backend_name,
        how=settings(max_examples=max(settings().max_examples // 3, 1), stateful_step_count=30),
    )
