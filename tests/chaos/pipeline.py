"""A pipeline to be killed: a fan-out and a diamond over lines of a file, whose processes write down each run."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent

import attrs

REJECTED_EVERY = 97
"""One event in so many is refused by the process ``left``."""

PIPELINE = """
    version = 1
    [defaults]
    retry = { initial = "10ms", max = "50ms", interruptions = 1000 }
    [inputs.lines]
    type = "jsonl"
    options = { path = "lines.jsonl" }
    [processes.alone]
    type = "python"
    after = ["lines"]
    execution_context = { function = "work:run" }
    [processes.top]
    type = "python"
    after = ["lines"]
    execution_context = { function = "work:run" }
    [processes.left]
    type = "python"
    after = ["top"]
    execution_context = { function = "work:run" }
    [processes.right]
    type = "python"
    after = ["top"]
    execution_context = { function = "work:run" }
    [processes.bottom]
    type = "python"
    after = ["left", "right"]
    execution_context = { function = "work:run" }
"""

WORK = f"""
    import os
    from orchestrator_core import Reject

    log = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def run(event, context):
        os.write(log, f"{{context.delivery_id}} {{context.attempt}} {{context.process}} {{event.id}}\\n".encode())
        if context.process == "left" and int(event.id) % {REJECTED_EVERY} == 0:
            raise Reject("refused on purpose")
        if context.process == "right" and int(event.id) % 50 == 0 and context.attempt == 1:
            raise RuntimeError("fails the first time")
"""


def write_pipeline(folder: Path, events: int) -> None:
    """Write the pipeline, its module and so many lines."""
    (folder / "pipeline.toml").write_text(dedent(PIPELINE))
    (folder / "work.py").write_text(dedent(WORK))
    with (folder / "lines.jsonl").open("w") as lines:
        for number in range(1, events + 1):
            lines.write(json.dumps({"location": "lines", "operation": "create", "id": str(number)}) + "\n")


@attrs.frozen
class Run:
    """One run of a process, as it wrote it down itself."""

    delivery: str
    attempt: int
    process: str
    event: int


def read_runs(folder: Path) -> list[Run]:
    """Read what the processes wrote; the last line may be cut off by a kill."""
    file = folder / "effects"
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return [
        Run(delivery, int(number), process, int(event)) for delivery, number, process, event in map(str.split, lines)
    ]


def assert_nothing_lost(folder: Path, events: int) -> None:
    """Hold the journal of a finished pipeline, read without the engine, against what its processes wrote down.

    Every line was accepted once; every delivery finally succeeded, is a dead letter for the one reason there is, or was
    skipped behind one; what succeeded did run; and no attempt number was given out twice.
    """
    connection = sqlite3.connect(f"file:{folder}/.orchestrator/journal.db?mode=ro", uri=True)
    accepted = [int(json.loads(body)["id"]) for (body,) in connection.execute("SELECT body FROM events")]
    assert list(range(1, events + 1)) == sorted(accepted)

    states = Counter(connection.execute("SELECT process, state FROM deliveries"))
    dead = events // REJECTED_EVERY
    done, rejected, skipped = 3, 4, 5
    expected = Counter({(name, done): events for name in ("alone", "top", "right")})
    expected += Counter({("left", done): events - dead, ("bottom", done): events - dead})
    expected += Counter({("left", rejected): dead, ("bottom", skipped): dead})
    assert expected == states

    runs = read_runs(folder)
    repeated = [pair for pair, count in Counter((run.delivery, run.attempt) for run in runs).items() if count > 1]
    assert [] == repeated
    succeeded = set(connection.execute("SELECT process, id / 1024 FROM deliveries WHERE state = 3"))
    rows = dict(connection.execute("SELECT seq, json_extract(body, '$.id') FROM events"))
    produced = {(run.process, run.event) for run in runs}
    assert set() == {(process, int(rows[seq])) for process, seq in succeeded} - produced


def attempts_of(runs: Sequence[Run]) -> dict[str, list[int]]:
    """Return the attempt numbers of each delivery in the order in which they began."""
    found: dict[str, list[int]] = {}
    for run in runs:
        found.setdefault(run.delivery, []).append(run.attempt)
    return found
