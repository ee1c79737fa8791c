"""A journal's file: opening it durably, locking it for one runner, and telling its failures apart."""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestrator_core._errors import (
    JournalBrokenError,
    JournalError,
    JournalLockedError,
    JournalUnavailableError,
)
from orchestrator_core._journal._rows import Names
from orchestrator_core._journal._statements import load_text

FORMAT = 1
_BUSY_SECONDS = 10.0

# Locks of a network filesystem are not to be relied on, and neither is shared memory: https://sqlite.org/wal.html
_NETWORK = frozenset({"9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "nfs", "nfs4", "smb3", "smbfs"})

_PASSING = frozenset({"SQLITE_BUSY", "SQLITE_FULL", "SQLITE_LOCKED", "SQLITE_NOMEM", "SQLITE_INTERRUPT"})


def open_for_writing(path: Path) -> tuple[sqlite3.Connection, Names]:
    """Open or create a journal.

    Raises:
        JournalError: it can't be opened, is not a journal, or is one of a newer format.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _refuse_network(path)
    with translated(path):
        connection = sqlite3.connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # the default, but a build may have another
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
        connection.execute("PRAGMA cache_size = -16000")
        _create(connection)
        return connection, _names(connection, path)


def open_for_reading(path: Path) -> tuple[sqlite3.Connection, Names]:
    """Open a journal that is there already, without the right to change it.

    Raises:
        JournalError: there is none, or it can't be read.
    """
    if not path.exists():
        raise JournalError(f"there is no journal at {path}: nothing has run here yet")
    with translated(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS, check_same_thread=False
        )
        connection.execute("PRAGMA query_only = 1")
        return connection, _names(connection, path)


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one of its name; ``None`` if there is none.

    Raises:
        JournalUnavailableError: it can't be looked at.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise JournalUnavailableError(f"{path}: {error.strerror}") from error
    return found.st_dev, found.st_ino


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
        for statement in load_text("schema.sql").split(";\n"):
            connection.execute(statement)
        facts = [("format", FORMAT), ("journal", secrets.token_hex(5)), ("next_event", 1)]
        connection.executemany("INSERT INTO meta VALUES (?, ?)", facts)
    connection.execute("COMMIT")


def _names(connection: sqlite3.Connection, path: Path) -> Names:
    try:
        facts = dict(connection.execute("SELECT key, value FROM meta"))
    except sqlite3.OperationalError as error:
        # What Python itself raises, as of text that is not UTF-8, has no such name.
        if getattr(error, "sqlite_errorname", "SQLITE_ERROR") != "SQLITE_ERROR":
            raise  # it can't be opened at all, as on a disk where SQLite may not put its log beside it
        raise JournalError(f"{path} is not a journal ({error}): choose another file") from error
    if "format" not in facts:
        raise JournalError(f"{path} is not a journal (it names no format): choose another file")
    if facts["format"] != FORMAT:
        raise JournalError(
            f"{path} has journal format {facts['format']}; this engine knows {FORMAT}: upgrade the engine"
        )
    return Names(facts["journal"])


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise SQLite's errors as the journal's: passing ones apart from those that only a restart mends."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        if "_".join(name.split("_")[:2]) in _PASSING:
            raise JournalUnavailableError(f"{path}: {error}") from error
        raise JournalBrokenError(f"{path}: {error} ({name or type(error).__name__})") from error


class RunnerLock:
    """The right to run on a journal; the operating system gives it back however the process ends."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._path = journal.with_name(f"{journal.name}.lock")
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock, and leave the process id in its file for whoever wants to know.

        Raises:
            JournalLockedError: another process, or another journal object of this one, has it.
        """
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(file, 32).decode(errors="replace").strip()
            os.close(file)
            raise JournalLockedError(str(self._journal), f"process {holder}" if holder else "another process") from None
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode())
        self._file = file

    def release(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            with suppress(OSError):
                os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None


def _refuse_network(path: Path) -> None:
    kind = _filesystem(path.absolute().parent)
    if kind in _NETWORK:
        raise JournalError(
            f"{path} is on a network filesystem ({kind}), where file locks can't be relied on: "
            "put the journal on a local disk, or use a journal that is a server"
        )


def _filesystem(folder: Path) -> str:
    """Return the type of the filesystem that holds a folder, empty where the system does not say."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    mounts = [line.split(" ")[1:3] for line in lines]
    holding = [(where, kind) for where, kind in mounts if folder.resolve().is_relative_to(where.replace("\\040", " "))]
    return max(holding, key=lambda mount: len(mount[0]), default=("", ""))[1]
