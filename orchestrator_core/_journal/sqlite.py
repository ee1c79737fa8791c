"""`SqliteJournal`: the ledger as one file, with every commit on the disk before it counts."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import anyio
import anyio.to_thread

from orchestrator_core._contracts import (
    Appended,
    Attempt,
    Claim,
    Claimed,
    Counts,
    DeliveryQuery,
    EventRecord,
    Settled,
    Settlement,
    Slots,
)
from orchestrator_core._delivery import Delivery
from orchestrator_core._errors import JournalBrokenError, JournalError
from orchestrator_core._event import Event
from orchestrator_core._journal import _reading, _upkeep
from orchestrator_core._journal._appending import Append, append
from orchestrator_core._journal._claiming import claim
from orchestrator_core._journal._commit import GroupCommit, Request
from orchestrator_core._journal._file import RunnerLock, identity, open_for_reading, open_for_writing, translated
from orchestrator_core._journal._rows import Names
from orchestrator_core._journal._session import Session
from orchestrator_core._journal._settling import Settle, settle
from orchestrator_core._json import JSON
from orchestrator_core._plan import Plan

P = ParamSpec("P")
T = TypeVar("T")


class SqliteReader:
    """Reads a journal's file beside whoever runs on it; can change nothing."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()  # a program may change its folder meanwhile
        self._reads: sqlite3.Connection | None = None
        self._read_names = Names("")
        self._one_read = anyio.CapacityLimiter(1)

    async def __aenter__(self) -> Self:
        await anyio.to_thread.run_sync(self._open_reads)
        return self

    async def __aexit__(self, *exc_info: object) -> bool | None:
        if self._reads is not None:
            self._reads.close()
            self._reads = None
        return None

    def _open_reads(self) -> None:
        self._reads, self._read_names = open_for_reading(self.path)

    async def _read(
        self, read: Callable[Concatenate[sqlite3.Connection, Names, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        connection = self._reads
        if connection is None:
            raise JournalError(f"{self.path} is not open: use it in an async with block")

        def call() -> T:
            with translated(self.path):
                return read(connection, self._read_names, *args, **kwargs)

        return await anyio.to_thread.run_sync(call, limiter=self._one_read)

    async def counts(self) -> Counts:
        """See `Journal.counts`."""
        return await self._read(_reading.counts)

    async def events(
        self, *, trigger: str | None = None, limit: int = 1_000, newest_first: bool = False
    ) -> Sequence[EventRecord]:
        """See `Journal.events`."""
        return await self._read(_reading.events, trigger, limit, newest_first)

    async def event(self, uid: str, *, trigger: str | None = None) -> EventRecord:
        """See `Journal.event`."""
        return await self._read(_reading.event, uid, trigger)

    async def deliveries(self, query: DeliveryQuery) -> Sequence[Delivery]:
        """See `Journal.deliveries`."""
        return await self._read(_reading.deliveries, query)

    async def attempts(self, delivery_id: str) -> Sequence[Attempt]:
        """See `Journal.attempts`."""
        return await self._read(_reading.attempts, delivery_id)

    async def derived(self, uid: str) -> Sequence[EventRecord]:
        """See `Journal.derived`."""
        return await self._read(_reading.derived, uid)

    async def load_checkpoint(self, input: str) -> JSON:  # noqa: A002 (the contract's name)
        """See `Journal.load_checkpoint`."""
        return await self._read(_reading.checkpoint, input)


class SqliteJournal(SqliteReader):
    """A journal in one SQLite file, for one running orchestrator at a time; others may read and emit beside it.

    >>> journal = SqliteJournal(".orchestrator/journal.db")

    Every commit is flushed to the disk (WAL, ``synchronous = FULL``). Calls that wait together share one.

    Args:
        path: the file; it and its folder are made if they are not there. Its lock lies beside it as ``<path>.lock``.

    Raises (on entering):
        JournalLockedError: another process runs on it.
        JournalError: it is on a network filesystem, is not a journal, or was written by a newer engine.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self._lock: RunnerLock | None = RunnerLock(self.path)
        self._connection: sqlite3.Connection | None = None
        self._session: Session | None = None
        self._commits = GroupCommit(self._transact)
        self._workers: set[str] = set()
        self._data_version = 0
        self._file: tuple[int, int] | None = None
        self._has_news = False
        self._pruned_up_to = 0
        self._broken: JournalBrokenError | None = None

    @classmethod
    def reader(cls, path: str | Path) -> SqliteReader:
        """Return a reader, which works beside a running orchestrator."""
        return SqliteReader(path)

    @classmethod
    def writer(cls, path: str | Path) -> SqliteJournal:
        """Return a journal for a few short writes beside a running orchestrator: it takes no lock and runs nothing."""
        journal = cls(path)
        journal._lock = None
        return journal

    async def __aenter__(self) -> Self:
        await anyio.to_thread.run_sync(self._open)
        return await super().__aenter__()

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self._lock is not None:
            self._lock.acquire()
        with ExitStack() as on_failure:
            on_failure.callback(self._close)
            self._connection, names = open_for_writing(self.path)
            self._session = Session(self._connection, names)
            if self._lock is None:
                self._connection.execute("PRAGMA wal_autocheckpoint = 0")  # that is the runner's work
            else:
                self._run([Request(_expire_all)])
            self._file = identity(self.path)
            self._data_version = self._read_data_version()
            on_failure.pop_all()

    async def __aexit__(self, *exc_info: object) -> bool | None:
        with anyio.CancelScope(shield=True):
            await super().__aexit__(*exc_info)
            await anyio.to_thread.run_sync(self._close)
        return None

    def _close(self) -> None:
        if self._connection is not None:
            if self._broken is None and self._session is not None:
                self._transact([Request(partial(_expire, workers=self._workers))])
            self._connection.close()
            self._connection = None
        if self._lock is not None:
            self._lock.release()

    def _transact(self, requests: Sequence[Request]) -> None:
        """Run the steps of some requests in one transaction; if that fails, each in one of its own."""
        try:
            with translated(self.path):
                self._run(requests)
        except JournalBrokenError as error:
            self._broken = error
            self._fail(requests, error)
        # One caller's step must not fail the others: each finds its own error below.
        except Exception as error:  # noqa: BLE001
            if len(requests) == 1 or isinstance(error, JournalError):
                self._fail(requests, error)
                return
            for request in requests:
                self._transact([request])

    @staticmethod
    def _fail(requests: Sequence[Request], error: Exception) -> None:
        for request in requests:
            request.error = error

    def _run(self, requests: Sequence[Request]) -> None:
        connection, session = self._connection, self._session
        if self._broken is not None:
            raise self._broken
        if connection is None or session is None:
            raise JournalError(f"{self.path} is not open: use it in an async with block")
        connection.execute("BEGIN IMMEDIATE")
        is_committed = False
        try:
            appends = [request for request in requests if type(request.step) is Append]
            for request in requests:
                if type(request.step) is not Append:
                    request.result = request.step(session)
            for request, result in zip(appends, append(session, [each.step for each in appends]), strict=True):
                request.result = result
            connection.execute("COMMIT")
            is_committed = True
        finally:
            if not is_committed:
                session.forget()
            if connection.in_transaction:  # else SQLite has rolled back by itself, as it does when the disk is full
                connection.execute("ROLLBACK")

    async def register(self, worker: str, *, now: float, lease: float) -> None:
        """See `Journal.register`."""
        await self._commits.submit(partial(_upkeep.register, worker=worker, expires=now + lease))
        self._workers.add(worker)

    def renew(self, worker: str, *, now: float, lease: float) -> bool:
        """See `Journal.renew`. On a connection of its own: the journal's is the writer's."""
        with translated(self.path):
            connection, names = open_for_writing(self.path)
            try:
                return Session(connection, names).change("renew", (now + lease, worker)) == 1
            finally:
                connection.close()

    async def reap(self, *, now: float) -> int:
        """See `Journal.reap`."""
        return await self._submit(_upkeep.reap, now=now)

    async def append(
        self,
        entries: Sequence[tuple[Event, Plan]],
        *,
        now: float,
        checkpoint: tuple[str, JSON] | None = None,
        worker: str | None = None,
        slots: Slots | None = None,
    ) -> Appended:
        """See `Journal.append`."""
        result: Appended = await self._commits.submit(Append(entries, now, checkpoint, worker, slots or {}))
        return result

    async def claim(self, worker: str, slots: Slots, *, now: float) -> Claimed:
        """See `Journal.claim`."""
        return await self._submit(claim, worker=worker, slots=slots, now=now)

    async def settle(
        self, worker: str, settlements: Sequence[Settlement], *, now: float, slots: Slots | None = None
    ) -> Settled:
        """See `Journal.settle`."""
        return await self._submit(settle, call=Settle(worker, settlements, now, slots or {}))

    async def log(self, worker: str, lines: Sequence[tuple[Claim, Sequence[str]]]) -> None:  # noqa: ARG002
        """See `Journal.log`."""
        await self._submit(_upkeep.log, lines=lines)

    async def park(self, processes: frozenset[str]) -> int:
        """See `Journal.park`."""
        return await self._submit(_upkeep.park, processes=processes)

    async def redrive(self, query: DeliveryQuery, *, now: float) -> int:
        """See `Journal.redrive`."""
        redriven = await self._submit(_upkeep.redrive, query=query, now=now)
        self._has_news = True
        return redriven

    async def cancel(self, query: DeliveryQuery, *, reason: str, now: float) -> int:
        """See `Journal.cancel`."""
        cancelled = await self._submit(_upkeep.cancel, query=query, reason=reason, now=now)
        self._has_news = True  # the next of a key may go on
        return cancelled

    async def prune(self, *, before: float, limit: int = 1_000) -> int:
        """See `Journal.prune`. Goes on where it stopped, so that events it must keep are not looked at each time."""
        pruned = await self._submit(_upkeep.prune, before=before, limit=limit, after=self._pruned_up_to)
        self._pruned_up_to = pruned[-1] if len(pruned) == limit else 0
        return len(pruned)

    async def is_idle(self) -> bool:
        """See `Journal.is_idle`."""
        return await self._read(_reading.is_idle)

    async def changed(self) -> bool:
        """See `Journal.changed`."""
        seen = await self._commits.between(self._read_data_version)
        changed = self._has_news or seen != self._data_version
        self._data_version, self._has_news = seen, False
        return changed

    def _read_data_version(self) -> int:
        """Return a number that changes when another connection commits: https://sqlite.org/pragma.html#pragma_data_version."""
        if self._connection is None:
            return self._data_version
        if identity(self.path) != self._file:
            raise JournalBrokenError(f"{self.path} was removed or replaced while in use: put it back and start again")
        with translated(self.path):
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    async def _submit(self, step: Callable[..., T], **values: Any) -> T:  # noqa: ANN401 (the step's own)
        result: T = await self._commits.submit(partial(step, **values))
        return result


def _expire_all(session: Session) -> None:
    """End every lease: the lock is ours, so nobody else can be running."""
    session.change("expire_all")


def _expire(session: Session, workers: set[str]) -> None:
    for worker in workers:
        session.change("expire", (worker,))
