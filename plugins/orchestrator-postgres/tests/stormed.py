"""A pipeline in a storm: the real command over a database, and the oracle on what became of each committed row."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from textwrap import dedent

import attrs
from servers import PATIENCE, Database, until

REJECTED_EVERY = 97
"""One change in so many is refused by the process, and so a dead letter."""

_PIPELINE = """
    version = 1
    [defaults]
    retry = {{ initial = "10ms", max = "50ms", interruptions = 1000 }}
    [inputs.raw]
    type = "postgres"
    connection_string = "{dsn}"
    options = {{ tables = ["public.*"], check_every = "1s" }}
    [processes.work]
    type = "python"
    after = ["raw"]
    execution_context = {{ function = "work:run" }}
"""
_SQL = """
    [processes.effect]
    type = "postgres.sql"
    after = ["raw"]
    execution_context = {{ connection_string = "{dsn}", statement = "{statement}" }}
"""
_WORK = f"""
    import os
    from orchestrator_core import Reject

    effects = os.open("effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def run(event, context):
        row = event.data or event.before
        os.write(effects, f"{{event.operation.value}} {{row.get('change', '*')}}\\n".encode())
        if row.get("change", 1) % {REJECTED_EVERY} == 0:
            raise Reject("refused on purpose")
"""
_CLI = [sys.executable, "-m", "orchestrator_core.cli"]
_DONE, _DEAD = 3, 4


@attrs.frozen
class Pipeline:
    """A pipeline in a folder of its own, run by the real command.

    Attributes:
        folder: where its file, its journal and its messages are.
        dsn: the database that it watches.
    """

    folder: Path
    dsn: str

    @classmethod
    def over(cls, dsn: str, folder: Path) -> Pipeline:
        """Write a pipeline that watches a database through a connection string, and put in its triggers."""
        (folder / "pipeline.toml").write_text(dedent(_PIPELINE.format(dsn=dsn)))
        (folder / "work.py").write_text(dedent(_WORK))
        subprocess.run([*_CLI, "postgres", "install"], cwd=folder, check=True, capture_output=True)
        return cls(folder, dsn)

    def add_sql(self, statement: str) -> None:
        """Let a statement run for each event as well."""
        with (self.folder / "pipeline.toml").open("a") as file:
            file.write(dedent(_SQL.format(dsn=self.dsn, statement=statement)))

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run the command while the block runs, from its first event on; then drain it, unless it was killed."""
        process = self.start()
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            code = process.wait(PATIENCE)
        assert code in {0, -9}, self.messages()[-2_000:]

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the command."""
        with (self.folder / "messages").open("ab") as messages:
            command = [*_CLI, "run", "--log-format", "json", *arguments]
            return subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=messages)

    def finish(self) -> None:
        """Let the command run to its end."""
        assert 0 == self.start("--until-idle").wait(PATIENCE), self.messages()[-2_000:]

    def messages(self) -> str:
        """Return what the command has said so far."""
        return (self.folder / "messages").read_text("utf-8")

    def effects(self) -> int:
        """Return how much the process has done so far, in bytes."""
        file = self.folder / "effects"
        return file.stat().st_size if file.exists() else 0

    def move_on(self, by: int = 1) -> None:
        """Wait until the process has written so many bytes more."""
        goal = self.effects() + by
        until(lambda: self.effects() >= goal, f"more effects; the command says: {self.messages()[-2_000:]}")


def linger(seconds: float) -> None:
    """Let a fault last."""
    threading.Event().wait(seconds)


def assert_every_committed_row_came_to_its_end(pipeline: Pipeline, database: Database) -> None:
    """Hold the journal of a finished pipeline, read without the engine, against what the writers committed.

    For each record, the events are the committed changes in the order of their commits: none is lost, none comes twice,
    none was rolled back. Each one finally succeeded, or is a dead letter for the one reason there is.
    """
    committed = defaultdict(list)
    for id_, op, change in database.execute("SELECT id, op, change FROM history.change ORDER BY seq"):
        committed[str(id_)].append((op, change))
    accepted = defaultdict(list)
    ends: Counter[tuple[bool, int]] = Counter()
    for body, state in _ledger(pipeline.folder):
        event = json.loads(body)
        if event["id"] == "*":
            assert _DONE == state  # a TRUNCATE
            continue
        change = (event.get("data") or event["before"])["change"]
        accepted[event["id"]].append((event["operation"], change))
        ends[change % REJECTED_EVERY == 0, state] += 1
    differing = {id_ for id_ in committed.keys() | accepted.keys() if committed[id_] != accepted[id_]}
    assert not differing, {id_: {"committed": committed[id_], "accepted": accepted[id_]} for id_ in differing}
    assert set(ends) <= {(False, _DONE), (True, _DEAD)}, ends
    assert 0 == database.execute("SELECT count(*) FROM orchestrator.outbox")[0][0]
    effects = {tuple(line.split()) for line in (pipeline.folder / "effects").read_text().splitlines()}
    assert set() == {(op, str(change)) for changes in accepted.values() for op, change in changes} - effects


def _ledger(folder: Path) -> list[tuple[str, int]]:
    """Return each accepted event and the state of its delivery, in the order of acceptance."""
    with closing(sqlite3.connect(f"file:{folder}/.orchestrator/journal.db?mode=ro", uri=True)) as journal:
        return journal.execute(
            "SELECT e.body, d.state FROM events AS e JOIN deliveries AS d ON d.id / 1024 = e.seq"
            " WHERE d.process = 'work' ORDER BY e.seq"
        ).fetchall()
