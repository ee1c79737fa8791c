"""The core's own journals: `MemoryJournal` for tests and throw-away runs, `SqliteJournal` for everything else."""

from __future__ import annotations

from orchestrator_core._journal.memory import MemoryJournal
from orchestrator_core._journal.sqlite import SqliteJournal

__all__ = ["MemoryJournal", "SqliteJournal"]
