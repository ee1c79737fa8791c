"""Writers: programs of the user's that write into watched tables and note what they have committed."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import attrs
import psycopg
from servers import Database, until

Connection = psycopg.Connection[tuple[Any, ...]]
Transact = Callable[[Connection, random.Random, Callable[[], int]], None]
"""Makes the changes of one transaction, with a number for each."""

_TABLES = (
    "CREATE SCHEMA history",
    # In the transaction of each change, and behind it: so it has what was committed, each record's in commit order.
    """CREATE TABLE history.change (seq bigint GENERATED ALWAYS AS IDENTITY, id bigint, op text, change bigint,
       PRIMARY KEY (change, op))""",
    "CREATE TABLE item (id bigint PRIMARY KEY, change bigint NOT NULL, text text)",
)
_RECORDS = 200
# What another writer or a fault may do to a transaction that is not at fault itself.
_LOST = (psycopg.OperationalError, psycopg.InterfaceError)
_CROSSED = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)


def prepare(database: Database) -> None:
    """Create the tables that `mixed` and `note` write to."""
    database.execute(*_TABLES)


def note(connection: Connection, op: str, id_: int, change: int) -> None:
    """Note a change in the transaction that makes it."""
    connection.execute("INSERT INTO history.change (id, op, change) VALUES (%s, %s, %s)", [id_, op, change])


def mixed(connection: Connection, chance: random.Random, number: Callable[[], int]) -> None:
    """Insert, update and delete a few of the same records as everybody else; one transaction in five is rolled back."""
    for id_ in sorted(chance.sample(range(_RECORDS), chance.randint(1, 3))):
        if chance.random() < 0.2:
            rows = connection.execute("DELETE FROM item WHERE id = %s RETURNING change", [id_]).fetchall()
            for (change,) in rows:
                note(connection, "delete", id_, change)
            continue
        change = number()
        ((fresh,),) = connection.execute(
            """INSERT INTO item VALUES (%s, %s, 'x') ON CONFLICT (id) DO UPDATE SET change = excluded.change
               RETURNING xmax = 0""",
            [id_, change],
        ).fetchall()
        note(connection, "create" if fresh else "update", id_, change)
    if chance.random() < 0.2:
        raise psycopg.Rollback


@attrs.define
class Writers:
    """Some writers at work.

    Attributes:
        committed: how many transactions they have committed, as far as they know.
        errors: what failed for a reason of its own, which is none of the faults.
    """

    committed: int = 0
    errors: list[str] = attrs.field(factory=list)
    _numbers: count[int] = attrs.field(factory=lambda: count(1))
    _enough: threading.Event = attrs.field(factory=threading.Event)

    @contextmanager
    def at_work(
        self, database: Database, transact: Transact, seed: int, *, writers: int = 4, pause: float = 0.01
    ) -> Iterator[None]:
        """Write while the block runs; a writer whose connection breaks opens another one."""

        def work(chance: random.Random) -> None:
            while not self._enough.is_set():
                try:
                    with psycopg.connect(database.dsn, options="-c synchronous_commit=on", connect_timeout=10) as own:
                        self._write(own, transact, chance, pause)
                except _LOST:
                    self._enough.wait(0.05)

        threads = [threading.Thread(target=work, args=[random.Random(f"{seed}/{each}")]) for each in range(writers)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._enough.set()
            for thread in threads:
                thread.join()

    def wait_for(self, transactions: int) -> None:
        """Wait until so many transactions are committed."""
        until(lambda: self.committed >= transactions or self.errors, f"{transactions} transactions")

    def _write(self, connection: Connection, transact: Transact, chance: random.Random, pause: float) -> None:
        while not self._enough.is_set():
            try:
                with connection.transaction():
                    transact(connection, chance, self._numbers.__next__)
                self.committed += 1
            except (psycopg.Rollback, *_CROSSED):
                pass  # rolled back on purpose as the connection broke, or by the server in favour of another
            except _LOST:
                raise
            except psycopg.Error as error:
                self.errors.append(f"{type(error).__name__}: {error}")
            self._enough.wait(pause)
