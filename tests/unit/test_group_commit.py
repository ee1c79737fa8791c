"""Steps that share a transaction, and tasks that are cancelled past every shield, as only asyncio does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest
from anyio import wait_all_tasks_blocked

from orchestrator_core._journal._commit import GroupCommit, Request

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The event loop on which a task can be cancelled from outside of every scope."""
    return "asyncio"


class Disk:
    """Runs transactions that take until the test says so, and counts how many run at one time."""

    def __init__(self) -> None:
        self.is_free = threading.Event()
        self.most = 0
        self.steps: list[str] = []
        self._running = 0

    def transact(self, requests: Sequence[Request]) -> None:
        """Do the steps of some requests, each of which is a word."""
        self._running += 1
        self.most = max(self.most, self._running)
        assert self.is_free.wait(30)
        for request in requests:
            self.steps.append(request.step)
            request.result = request.step.upper()
        self._running -= 1


async def test_who_is_cut_off_holds_up_nobody() -> None:
    """One is cut off in its transaction, one before its turn: the next goes on. Catches: a group that nobody leads."""
    disk = Disk()
    commits = GroupCommit(disk.transact)
    under_way, queued = (asyncio.create_task(commits.submit(word)) for word in ("first", "second"))
    await wait_all_tasks_blocked()
    follower = asyncio.create_task(commits.submit("third"))
    await wait_all_tasks_blocked()
    under_way.cancel()
    queued.cancel()
    await wait_all_tasks_blocked()
    disk.is_free.set()
    assert "THIRD" == await asyncio.wait_for(follower, 30)
    assert "FOURTH" == await asyncio.wait_for(commits.submit("fourth"), 30)
    assert (True, True) == (under_way.cancelled(), queued.cancelled())


async def test_no_second_transaction_begins_beside_one_that_was_cut_off() -> None:
    """The thread goes on after its caller is gone. Catches: two threads in one connection."""
    disk = Disk()
    commits = GroupCommit(disk.transact)
    cut_off = asyncio.create_task(commits.submit("first"))
    await wait_all_tasks_blocked()
    cut_off.cancel()
    others = [asyncio.create_task(commits.submit(word)) for word in ("second", "third")]
    await wait_all_tasks_blocked()
    disk.is_free.set()
    assert ["SECOND", "THIRD"] == await asyncio.wait_for(asyncio.gather(*others), 30)
    assert (1, ["first", "second", "third"]) == (disk.most, disk.steps)
