"""Who runs a pipeline on this machine."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from orchestrator_core._journal import SqliteJournal

if TYPE_CHECKING:
    from orchestrator_core._contracts import Journal


def find_runner(journal: Journal) -> int | None:
    """Return the id of the process that runs on a journal, ``None`` if none does or nobody can tell.

    The id stands in the journal's lock file, but a killed runner leaves it there and the system gives it to others:
    only while the lock is held does it mean anything.
    """
    if not isinstance(journal, SqliteJournal):
        return None
    try:
        lock = os.open(journal.path.with_name(f"{journal.path.name}.lock"), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(lock, 32).decode("ascii", errors="replace").strip()
        return int(text) if text.isdecimal() else None
    finally:
        os.close(lock)
    return None
