"""How many attempts run at once, how often they start, and in which order."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Literal

import anyio
import pytest

from orchestrator_core import (
    AttemptContext,
    DeliveryState,
    Event,
    Journal,
    MemoryJournal,
    Orchestrator,
    Reject,
    RetryPolicy,
    SqliteJournal,
)
from orchestrator_core.testing import RecordingProcess, ScriptedInput, ScriptedProcess, SimulatedClock
from tests.unit.engine.pipelines import deliveries, events, finish, finish_simulated, running, single

pytestmark = pytest.mark.anyio


class Yields(RecordingProcess):
    """Gives way to others a few times in each run, so that runs overlap where they may."""

    async def play(self, event: Event, context: AttemptContext) -> None:
        for _ in range(3):
            await anyio.lowlevel.checkpoint()


@pytest.fixture(params=["memory", "sqlite"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Journal:
    """Each of the core's journals."""
    return MemoryJournal() if request.param == "memory" else SqliteJournal(tmp_path / "journal.db")


async def test_over_all(journal: Journal) -> None:
    """No more attempts run at once than the pipeline allows. Catches: a limit for each process only."""
    together = Yields()
    orchestrator = Orchestrator(journal=journal, concurrency=3)
    orchestrator.add_input("in", ScriptedInput([events(40)]))
    for name in ("one", "other"):
        orchestrator.add_process(name, together)
        orchestrator.add_link("in", name)

    summary = await finish(orchestrator)

    assert (80, 3) == (summary.done, together.most)


async def test_of_one_process(journal: Journal) -> None:
    """A process with a limit of its own keeps it, and does not slow the others. Catches: one limit for all."""
    few, many = Yields(), Yields()
    orchestrator = Orchestrator(journal=journal, concurrency=8)
    orchestrator.add_input("in", ScriptedInput([events(40)]))
    orchestrator.add_process("few", few, concurrency=2)
    orchestrator.add_process("many", many)
    orchestrator.add_link("in", "few")
    orchestrator.add_link("in", "many")

    summary = await finish(orchestrator)

    assert (80, 2) == (summary.done, few.most)
    assert many.most > 2


async def test_rate() -> None:
    """A rate spaces the starts of attempts. Catches: a rate for each worker, a burst after a pause."""
    clock = SimulatedClock()
    starts: list[float] = []

    class Notes(RecordingProcess):
        async def play(self, event: Event, context: AttemptContext) -> None:
            starts.append(clock.monotonic())

    orchestrator = single(Notes(), events(9), options={"rate": 2.0}, clock=clock)
    async with orchestrator:
        summary = await finish_simulated(orchestrator, clock)

    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert 9 == summary.done
    assert min(gaps) >= 0.5 - 1e-6
    assert starts[-1] - starts[0] < 8 * 0.5 + 1.5


@pytest.mark.parametrize("on_dead", ["skip", "hold"])
async def test_one_key_in_order(journal: Journal, on_dead: Literal["skip", "hold"]) -> None:
    """Deliveries of one key start in accept order and never overlap; keys don't wait for each other.

    Catches: a claim that takes the oldest due instead of the head of its key, also when it is handed over at once.
    """
    under_way: dict[str, int] = {}
    seen: dict[str, list[int]] = {}

    class Ordered(RecordingProcess):
        async def play(self, event: Event, context: AttemptContext) -> None:
            key = event.ordering_key
            under_way[key] = under_way.get(key, 0) + 1
            assert 1 == under_way[key]
            seen.setdefault(key, []).append(int(event.id))
            await anyio.lowlevel.checkpoint()
            under_way[key] -= 1

    script = [Event(location="rows", operation="update", id=str(n), key=f"key {n % 5}") for n in range(60)]
    work = Ordered()
    options = {"ordered_by": "key", "on_dead": on_dead}
    summary = await finish(single(work, ScriptedInput([script[:20], *script[20:]]), options=options, journal=journal))

    assert 60 == summary.done
    assert {f"key {key}": list(range(key, 60, 5)) for key in range(5)} == seen
    assert work.most > 1


async def test_a_failing_head_holds_back_its_own_key_only(journal: Journal) -> None:
    """While the head of a key is to be tried again, its key waits and the others go on. Catches: one lane for all."""
    order: list[str] = []

    class FailsFirst(RecordingProcess):
        async def play(self, event: Event, context: AttemptContext) -> None:
            order.append(event.id)
            if event.id == "a1" and context.attempt == 1:
                raise OSError("not yet")

    script = [Event(location="rows", operation="update", id=id_, key=id_[0]) for id_ in ("a1", "a2", "b1", "b2")]
    retry = RetryPolicy(initial=timedelta(milliseconds=50))
    options = {"ordered_by": "key", "retry": retry}
    await finish(single(FailsFirst(), ScriptedInput([script]), options=options, journal=journal))

    assert ["a1", "a1", "a2"] == [id_ for id_ in order if id_.startswith("a")]
    assert order.index("b2") < order.index("a2")


@pytest.mark.parametrize(("on_dead", "left"), [("skip", DeliveryState.DONE), ("hold", DeliveryState.READY)])
async def test_a_dead_head(journal: Journal, on_dead: Literal["skip", "hold"], left: DeliveryState) -> None:
    """A dead letter lets its key go on, or holds it back if that was asked for. Catches: on_dead that is not read."""

    async def refuse_the_first(event: Event, context: AttemptContext) -> None:
        if event.id == "1":
            raise Reject("never")

    script = [Event(location="rows", operation="update", id=id_, key="k") for id_ in ("1", "2")]
    options = {"ordered_by": "key", "on_dead": on_dead}
    orchestrator = single(ScriptedProcess([refuse_the_first]), script, options=options, journal=journal)
    async with orchestrator:
        with anyio.fail_after(10):
            await orchestrator.run(until_idle=True)
        found = [delivery.state for delivery in await deliveries(orchestrator.journal)]

    assert [DeliveryState.DEAD, left] == found


async def test_a_blocked_process_leaves_its_backlog_in_the_journal(tmp_path: Path) -> None:
    """What can't run yet waits on the disk, not in memory. Catches: an unbounded queue from input to process."""

    class Blocked(RecordingProcess):
        async def play(self, event: Event, context: AttemptContext) -> None:
            await anyio.sleep_forever()

    work = Blocked()
    orchestrator = single(work, events(5_000), journal=SqliteJournal(tmp_path / "journal.db"))
    async with orchestrator, running(orchestrator):
        await work.until(lambda: work.running == 8)
        claimed = sum(delivery.attempt for delivery in await deliveries(orchestrator.journal))

    assert claimed <= 8
