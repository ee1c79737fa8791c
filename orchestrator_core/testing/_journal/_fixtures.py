"""What every part of the journal's contract starts from: a journal that is open, with one worker registered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

import pytest

from orchestrator_core._contracts import Journal
from orchestrator_core.testing._scenario import LEASE, NOW, RIVAL, WORKER

MakeJournal: TypeAlias = Callable[[], Journal]
Reopen: TypeAlias = Callable[[Journal], Journal]


class JournalFixtures:
    """The fixtures; override `make_journal` and, for a store that outlives its process, `reopen`."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def make_journal(self) -> MakeJournal:
        """Return a function that makes a journal, not entered yet, over a new and empty store at each call."""
        pytest.fail("override the fixture make_journal: it returns a function that makes your journal, not entered yet")

    @pytest.fixture
    def reopen(self) -> Reopen | None:
        """Return a function from an open journal to a new one, not entered yet, over what a kill -9 would leave of it.

        Called only while no call of the journal is under way. The given journal stays open, so copy the files or
        connect a second time rather than close it. ``None`` for a store that ends with its process: those tests are
        skipped.
        """
        return None

    @pytest.fixture
    def crash(self, reopen: Reopen | None) -> Reopen:
        """Return `reopen`, or skip the test."""
        if reopen is None:
            pytest.skip("this journal does not outlive its process")
        return reopen

    @pytest.fixture
    async def journal(self, make_journal: MakeJournal) -> AsyncIterator[Journal]:
        """Open an empty journal in which two workers are registered."""
        async with make_journal() as journal:
            await journal.register(WORKER, now=NOW, lease=LEASE)
            await journal.register(RIVAL, now=NOW, lease=LEASE)
            yield journal
