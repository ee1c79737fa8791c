"""An event is a fact: what somebody does to the data that he was handed, or has handed over, changes nobody else's."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator_core import (
    AttemptContext,
    DeliveryQuery,
    Event,
    InputContext,
    Journal,
    MemoryJournal,
    Orchestrator,
    ProcessStatus,
    RetryPolicy,
    SqliteJournal,
)
from orchestrator_core.testing import ScriptedInput, ScriptedProcess
from tests.unit.engine.pipelines import event, finish, single

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "sqlite"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Journal:
    """A journal of either kind."""
    return MemoryJournal() if request.param == "memory" else SqliteJournal(tmp_path / "journal.db")


class _Spoiler:
    """Notes the rain that it is told of, and spoils it in place; some of its first attempts fail."""

    def __init__(self, fails: int = 0) -> None:
        self.seen: list[Any] = []
        self._fails = fails

    async def run(self, event: Event, context: AttemptContext) -> None:
        data: Any = event.data
        self.seen.append(data["rain"][0])
        data["rain"][0] = "spoilt"
        if context.attempt <= self._fails:
            raise ValueError("not yet")


def _rain() -> Event:
    return event(data={"rain": [1]}, before={"rain": [0]})


async def test_branches_of_a_fan_out_see_the_event_as_it_was(journal: Journal) -> None:
    """Catches: one object for all branches, so that what the second sees depends on who was first."""
    orchestrator = Orchestrator(journal=journal)
    orchestrator.add_input("in", ScriptedInput([[_rain()]]))
    branches = [_Spoiler() for _ in range(3)]
    for number, branch in enumerate(branches):
        orchestrator.add_process(f"branch{number}", branch)
        orchestrator.add_link("in", f"branch{number}")
    await finish(orchestrator)
    assert [[1], [1], [1]] == [branch.seen for branch in branches]


async def test_next_attempt_sees_the_event_as_it_was(journal: Journal) -> None:
    """Catches: a failed attempt whose half-done changes are handed to the next."""
    process = _Spoiler(fails=2)
    options = {"retry": RetryPolicy(initial=timedelta(milliseconds=1))}
    await finish(single(process, [_rain()], journal=journal, options=options))
    assert [1, 1, 1] == process.seen


async def test_condition_behind_a_process_reads_the_event_as_it_was(journal: Journal) -> None:
    """Catches: a `where` over data that the upstream process has changed in place."""
    orchestrator = Orchestrator(journal=journal)
    orchestrator.add_input("in", ScriptedInput([[_rain()]]))
    orchestrator.add_process("spoiler", _Spoiler())
    orchestrator.add_process("behind", behind := _Spoiler())
    orchestrator.add_link("in", "spoiler")
    orchestrator.add_link("spoiler", "behind", where={"field": "data.rain.0", "exact": 1})
    await finish(orchestrator)
    assert [1] == behind.seen


async def test_input_may_use_its_data_again(journal: Journal) -> None:
    """Catches: an event that changes after it was accepted, with the next row that its input reads into one object."""

    class Reused:
        async def run(self, context: InputContext) -> None:
            row: Any = {"rain": [0]}
            for number in range(20):
                row["rain"][0] = number
                await context.emit(event(str(number), data=row))

    process = _Spoiler()
    await finish(single(process, Reused(), journal=journal, options={"concurrency": 1}))
    assert list(range(20)) == sorted(process.seen)


async def test_process_may_go_on_with_the_output_that_it_has_returned(journal: Journal) -> None:
    """Catches: an output that is written down later than it was returned."""
    totals: dict[str, Any] = {"count": 0}

    class Count:
        async def run(self, event: Event, context: AttemptContext) -> ProcessStatus:
            totals["count"] += 1
            return ProcessStatus(output=totals)

    orchestrator = single(Count(), [event(str(number)) for number in range(5)], journal=journal)
    async with orchestrator:
        await orchestrator.run(until_idle=True)
        found: list[Any] = [each.output for each in await orchestrator.journal.deliveries(DeliveryQuery())]
    assert [{"count": number} for number in range(1, 6)] == sorted(found, key=lambda output: output["count"])


async def test_branches_see_what_the_process_before_them_returned(journal: Journal) -> None:
    """Catches: one object for all branches that are claimed together, which the first of them has changed."""
    seen: list[Any] = []

    class Spoil:
        async def run(self, event: Event, context: AttemptContext) -> None:
            output: Any = context.outputs["work"]
            seen.append(output["rain"][0])
            output["rain"][0] = "spoilt"

    orchestrator = single(ScriptedProcess([ProcessStatus(output={"rain": [1]})]), journal=journal)
    for number in range(3):
        orchestrator.add_process(f"branch{number}", Spoil())
        orchestrator.add_link("work", f"branch{number}")
    await finish(orchestrator)
    assert [1, 1, 1] == seen


async def test_deep_data_is_copied_or_refused() -> None:
    """Nested as deep as JSON text may be; catches: a copy that gives up before the text does."""
    data: Any = 1
    for _ in range(400):
        data = [data]
    process = _Seen()
    await finish(single(process, [event(data=data)]))
    assert [data] == process.seen


class _Seen:
    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def run(self, event: Event, context: AttemptContext) -> None:
        self.seen.append(event.data)
