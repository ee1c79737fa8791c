"""A journal's file: what is written safely, what is refused, and what a full disk does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from orchestrator_core import (
    JournalBrokenError,
    JournalError,
    JournalLockedError,
    JournalUnavailableError,
    SqliteJournal,
)
from orchestrator_core.testing._scenario import NOW, event, to

pytestmark = pytest.mark.anyio


def change(path: Path, statement: str) -> None:
    """Run one statement on a database without the engine."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


@contextmanager
def full_disk(journal: SqliteJournal) -> Iterator[None]:
    """Let a journal's file grow no further while the block runs."""
    assert journal._connection is not None
    (pages,) = journal._connection.execute("PRAGMA page_count").fetchone()
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")
    yield
    journal._connection.execute("PRAGMA max_page_count = 1000000")


async def test_every_commit_is_flushed(tmp_path: Path) -> None:
    """WAL with ``synchronous = FULL`` (2). Catches: a build's own default, with which power loss takes commits."""
    async with SqliteJournal(tmp_path / "journal.db") as journal:
        assert journal._connection is not None
        found = [
            journal._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
        ]
    assert ["wal", 2] == found


async def test_one_runner(tmp_path: Path) -> None:
    """Catches: two engines that claim from one file."""
    async with SqliteJournal(tmp_path / "journal.db"):
        with pytest.raises(JournalLockedError, match="process"):
            await SqliteJournal(tmp_path / "journal.db").__aenter__()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE meta SET value = 2 WHERE key = 'format'", "journal format 2; this engine knows 1: upgrade"),
        ("DELETE FROM meta WHERE key = 'format'", "is not a journal"),
        ("DROP TABLE meta", "is not a journal"),
        ("UPDATE meta SET value = CAST(x'ff' AS TEXT)", "is not a journal"),
    ],
    ids=["newer", "without a format", "something else's", "without text"],
)
async def test_other_files_are_refused(tmp_path: Path, statement: str, message: str) -> None:
    """Catches: a database that is not this engine's, and is written into."""
    async with SqliteJournal(tmp_path / "journal.db"):
        pass
    change(tmp_path / "journal.db", statement)
    with pytest.raises(JournalError, match=message):
        await SqliteJournal(tmp_path / "journal.db").__aenter__()


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_file_that_is_taken_away_is_noticed(tmp_path: Path, replaced: bool) -> None:
    """What is still accepted would be gone with the process. Catches: a run that goes on in a file without a name."""
    path = tmp_path / "journal.db"
    async with SqliteJournal(path) as journal:
        path.rename(tmp_path / "aside.db")
        if replaced:
            path.touch()
        with pytest.raises(JournalBrokenError, match="was removed or replaced while in use"):
            await journal.changed()


async def test_a_look_that_sqlite_refuses_is_an_outage(tmp_path: Path) -> None:
    """It may be busy or short of memory there too. Catches: an error of SQLite's own, which ends the run."""
    async with SqliteJournal(tmp_path / "journal.db") as journal:
        assert journal._connection is not None
        journal._connection.set_progress_handler(lambda: 1, 1)
        with pytest.raises(JournalUnavailableError, match="interrupted"):
            await journal.changed()
        journal._connection.set_progress_handler(None, 1)
        assert not await journal.changed()


async def test_a_full_disk_takes_nothing_and_loses_nothing(tmp_path: Path) -> None:
    """What does not fit is refused as a whole; what was accepted stays, and there is room again later.

    Catches: a full disk taken for the end of the journal, or half a batch kept.
    """
    async with SqliteJournal(tmp_path / "journal.db") as journal:
        await journal.append([(event("1"), to("a"))], now=NOW)
        with full_disk(journal), pytest.raises(JournalUnavailableError, match="full"):
            await journal.append([(event(str(number), data="x" * 5_000), to("a")) for number in (2, 3)], now=NOW)
        refused = (await journal.counts()).events
        await journal.append([(event("4"), to("a"))], now=NOW)
        assert [1, 2] == [refused, (await journal.counts()).events]


async def test_a_full_disk_takes_no_plan_back_unnoticed(tmp_path: Path) -> None:
    """SQLite itself rolls back what does not fit: a plan that was new in it is stored again with the next event.

    Catches: events that name a plan which is not there, or in time another one's.
    """
    async with SqliteJournal(tmp_path / "journal.db") as journal:
        await journal.append([(event("1"), to("a"))], now=NOW)
        with full_disk(journal), pytest.raises(JournalUnavailableError, match="full"):
            await journal.append([(event("2", data="x" * 50_000), to("b"))], now=NOW)
        await journal.append([(event("3"), to("c"))], now=NOW)
        await journal.append([(event("4"), to("b"))], now=NOW)
        found = [(each.event.id, each.plan.first) for each in await journal.events()]
    assert [("1", to("a").first), ("3", to("c").first), ("4", to("b").first)] == found
