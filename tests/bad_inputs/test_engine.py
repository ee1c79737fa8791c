"""Bad input that only a running engine meets: C22, C23 and G81 of the catalogue."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from orchestrator_core import (
    DeliveryQuery,
    DeliveryState,
    Event,
    MemoryJournal,
    Orchestrator,
    SqliteJournal,
    SystemClock,
)
from orchestrator_core._config import ConfigurationProblems, load
from orchestrator_core._lease import LeaseKeeper
from orchestrator_core.testing import RecordingProcess, ScriptedInput

_FILE = """
version = 1
[journal]
url = "sqlite:journal.db"
[inputs.lines]
type = "jsonl"
options = {{ path = "lines.jsonl" }}
[processes.{process}]
type = "command"
after = ["lines"]
execution_context = {{ argv = ["{program}"] }}
"""


def write(folder: Path, process: str, program: str = "true") -> Path:
    """Write a pipeline of one input and one process, and return its file."""
    (folder / "lines.jsonl").touch()
    file = folder / "pipeline.toml"
    file.write_text(_FILE.format(process=process, program=program))
    return file


@pytest.mark.anyio
async def test_c22_reload_with_an_invalid_file(tmp_path: Path) -> None:
    """A bad file is refused as a whole, and the old pipeline goes on. Catches: a reload that applies what it can."""
    file = write(tmp_path, "first")
    async with Orchestrator.from_toml(file) as orchestrator:
        before = orchestrator.pipeline
        file.write_text(file.read_text().replace("command", "comand"))
        with pytest.raises(ConfigurationProblems):
            await orchestrator.apply(load(file))
        summary = await orchestrator.run(until_idle=True)

    assert (before, 0) == (orchestrator.pipeline, summary.accepted)


@pytest.mark.anyio
async def test_c23_node_removed_while_deliveries_are_queued(tmp_path: Path) -> None:
    """They are parked, visibly, and go on when the process is back. Catches: a retry in a hot loop, a lost delivery."""
    event = Event(location="orders", operation="create", id="1")
    async with Orchestrator(journal=SqliteJournal(tmp_path / "journal.db")) as first:
        first.add_input("in", ScriptedInput([]))
        first.add_process("work", RecordingProcess())
        first.add_link("in", "work")
        await first.emit(Event.from_dict({**event.to_dict(), "trigger": "in"}))
    async with Orchestrator(journal=SqliteJournal(tmp_path / "journal.db")) as second:
        second.add_input("in", ScriptedInput([]))
        summary = await second.run(until_idle=True)
        (parked,) = await second.journal.deliveries(DeliveryQuery())
        work = RecordingProcess()
        second.add_process("work", work)
        second.add_link("in", "work")
        again = await second.run(until_idle=True)

    assert (1, DeliveryState.PARKED) == (summary.parked, parked.state)
    assert "not in the pipeline" in (parked.reason or "")
    assert (1, 0, ["1"]) == (again.done, again.parked, [run.event.id for run in work.runs])


class _Leases(MemoryJournal):
    """Lets a lease be renewed, and tells when it was."""

    def __init__(self) -> None:
        super().__init__()
        self.renewals = 0

    def renew(self, worker: str, *, now: float, lease: float) -> bool:
        self.renewals += 1
        return super().renew(worker, now=now, lease=lease)


def test_g81_blocked_loop(caplog: pytest.LogCaptureFixture) -> None:
    """What blocks the loop is named in the log, and the lease is renewed meanwhile. Catches: renewal on the loop."""
    journal = _Leases()
    keeper = LeaseKeeper(journal, "worker", SystemClock(), lambda: "greedy", renew_every=0.05, blocked_after=0.1)
    keeper.start()
    began = time.monotonic()
    while (journal.renewals < 3 or not caplog.records) and time.monotonic() - began < 30:
        pass  # the event loop's thread is kept here, as a call without await keeps it
    keeper.stop()
    block = keeper.beat()

    assert journal.renewals >= 3
    assert block is not None
    assert ("greedy", True) == (block.process, "test_engine.py" in block.where)
    assert 'process "greedy"' in caplog.text
