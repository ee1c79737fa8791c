"""When containers go: not before the journal has committed, and then whatever happened in between."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from engines import IMAGE, Dockerd
from pipelines import STEPS, PipelineFolder, wait_until

from orchestrator_core import (
    Delivery,
    DeliveryQuery,
    DeliveryState,
    Event,
    JournalReader,
    MemoryJournal,
    Orchestrator,
    RetryPolicy,
    Settled,
    SqliteJournal,
    SystemClock,
)
from orchestrator_core.testing import ScriptedInput
from orchestrator_docker import DockerProcess
from orchestrator_docker._engine import Engine
from orchestrator_docker._naming import Owner, name_of
from orchestrator_docker._remover import Remover
from orchestrator_docker._sweeper import Sweeper

pytestmark = pytest.mark.anyio

LATER = 4_102_444_800.0


@pytest.fixture
async def engine(dockerd: Dockerd) -> AsyncIterator[Engine]:
    """The engine as the plugin sees it."""
    engine = Engine()
    yield engine
    engine.close()


def leave(dockerd: Dockerd, owner: Owner, script: str = "sleep 60") -> str:
    """Leave a container behind, as a crash does; return its name."""
    client = dockerd.client
    name = name_of(owner.delivery_id)
    client.create_container(IMAGE, ["sh", "-c", script], name=name, labels=dict(owner.labels()))
    client.start(name)
    return name


async def journal_with_one(tmp_path: Path, *, fails: bool = False) -> tuple[str, Path]:
    """Run one event through a pipeline; return its delivery's id and the journal's path."""
    path = tmp_path / "journal.db"

    class Job:
        async def run(self, event: Event, context: Any) -> None:
            if fails:
                raise ValueError

    async with Orchestrator(journal=SqliteJournal(path)) as orchestrator:
        orchestrator.add_input("source", ScriptedInput([Event(location="t", operation="create", id="1")]))
        orchestrator.add_process("job", Job(), retry=RetryPolicy(attempts=1))
        orchestrator.add_link("source", "job")
        await orchestrator.run(until_idle=True)
        (delivery,) = await orchestrator.journal.deliveries(DeliveryQuery())
    return delivery.id, path


async def swept(engine: Engine, journal: JournalReader | None, *, name: str = "job", times: int = 1) -> list[str]:
    """Sweep some times and return what was removed."""
    remover = Remover(engine)
    sweeper = Sweeper(engine, remover, SystemClock(), name, journal)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(remover.run)
        removed = [each for _ in range(times) for each in await sweeper.sweep()]
        await remover.drained()
        tasks.cancel_scope.cancel()
    return removed


def owner_of(delivery_id: str, **changes: Any) -> Owner:
    """Return the owner of a delivery's first attempt."""
    return Owner(**{"delivery_id": delivery_id, "attempt": 1, "process": "job", "deadline": LATER, **changes})


async def test_finished_deliverys_container_is_swept(dockerd: Dockerd, engine: Engine, tmp_path: Path) -> None:
    """What a crash between commit and removal has left is removed, running or not."""
    delivery_id, path = await journal_with_one(tmp_path)
    name = leave(dockerd, owner_of(delivery_id))
    async with SqliteJournal.reader(path) as journal:
        assert [name] == await swept(engine, journal)
    assert [] == dockerd.client.containers(all=True)


async def test_unknown_deliverys_container_is_swept(dockerd: Dockerd, engine: Engine, tmp_path: Path) -> None:
    """A delivery that this journal has forgotten needs no container."""
    delivery_id, path = await journal_with_one(tmp_path)
    name = leave(dockerd, owner_of(delivery_id.rpartition("-")[0] + "-99.0"))
    async with SqliteJournal.reader(path) as journal:
        assert [name] == await swept(engine, journal)


async def test_other_installations_are_left_alone(dockerd: Dockerd, engine: Engine, tmp_path: Path) -> None:
    """Two pipelines may share an engine. Catches: a sweep that kills the neighbour's jobs."""
    _, path = await journal_with_one(tmp_path)
    leave(dockerd, owner_of("other-1.0"))
    async with SqliteJournal.reader(path) as journal:
        assert [] == await swept(engine, journal, times=3)


async def test_kept_container_stays(dockerd: Dockerd, engine: Engine, tmp_path: Path) -> None:
    """What is kept for a look is not swept while its delivery is known."""
    delivery_id, path = await journal_with_one(tmp_path, fails=True)
    name = leave(dockerd, owner_of(delivery_id, keep="failed"), "exit 1")
    dockerd.client.wait(name)
    async with SqliteJournal.reader(path) as journal:
        assert [] == await swept(engine, journal, times=3)


async def test_strangers_containers_are_left_alone(dockerd: Dockerd, engine: Engine, tmp_path: Path) -> None:
    """A container without our labels is none of ours."""
    _, path = await journal_with_one(tmp_path)
    dockerd.client.create_container(IMAGE, ["true"], name="orchestrator-k1-1.0")
    async with SqliteJournal.reader(path) as journal:
        assert [] == await swept(engine, journal, times=3)


async def test_overdue_container_of_nobody_is_swept(dockerd: Dockerd, engine: Engine) -> None:
    """A container that runs long after its deadline has nobody who waits for it, whoever made it."""
    name = leave(dockerd, owner_of("other-1.0", deadline=time.time() - 3_600))
    async with MemoryJournal() as journal:
        assert [name] == await swept(engine, journal)


class _AdoptedJournal(MemoryJournal):
    """A journal where the second attempt of a delivery is under way, after the first was cut off."""

    async def deliveries(self, query: DeliveryQuery) -> Sequence[Delivery]:
        state = DeliveryState.RUNNING
        return [
            Delivery(id="k1-1.0", event_uid="u", trigger="t", process="job", state=state, attempt=2, interrupted=True)
        ]


async def test_adopted_container_is_swept_by_no_successor(dockerd: Dockerd, engine: Engine) -> None:
    """A process that takes another's place, as with a reload, leaves what that one has adopted alone.

    Catches: a container removed under the attempt that waits for it, as only that one's own sweeper knew of it.
    """
    leave(dockerd, owner_of("k1-1.0"))
    journal = _AdoptedJournal()
    with Sweeper(engine, Remover(engine), SystemClock(), "job", journal).watching("k1-1.0"):
        assert [] == await swept(engine, journal, times=2)


class _SlowReads(SqliteJournal):
    """A journal on a machine with a lot to do."""

    async def deliveries(self, query: DeliveryQuery) -> Sequence[Delivery]:
        await anyio.sleep(0.5)
        return await super().deliveries(query)


async def test_run_ends_while_an_ended_container_is_looked_up(
    dockerd: Dockerd, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The last look and the one that was under way find the same container recorded; it goes once.

    Catches: two looks that both strike it off, of which the second ended the run with an error.
    """
    async with Orchestrator(journal=_SlowReads(tmp_path / "journal.db")) as orchestrator:
        orchestrator.add_input("source", ScriptedInput([Event(location="t", operation="create", id="1")]))
        orchestrator.add_process("job", DockerProcess(image=IMAGE, command=["sleep", "2"]))  # the first sweep is over
        orchestrator.add_link("source", "job")
        summary = await orchestrator.run(until_idle=True)
    assert summary.done == 1
    assert [] == caplog.records
    assert [] == dockerd.client.containers(all=True)


@pytest.mark.parametrize(
    ("keep", "script", "left"),
    [("never", "exit 1", 0), ("failed", "exit 1", 1), ("failed", "true", 0), ("always", "true", 1)],
)
async def test_b31_container_goes_or_is_kept(
    dockerd: Dockerd, tmp_path: Path, keep: Any, script: str, left: int
) -> None:
    """B31: removed after success and failure alike, unless it is to be kept; all labelled."""
    async with Orchestrator(journal=SqliteJournal(tmp_path / "journal.db")) as orchestrator:
        orchestrator.add_input("source", ScriptedInput([Event(location="t", operation="create", id="1")]))
        job = DockerProcess(image=IMAGE, command=["sh", "-c", script], keep=keep)
        orchestrator.add_process("job", job, retry=RetryPolicy(attempts=1))
        orchestrator.add_link("source", "job")
        with anyio.fail_after(60):
            await orchestrator.run(until_idle=True)
    assert left == len(dockerd.client.containers(all=True, filters={"label": "orchestrator-engine.delivery"}))


class LookingJournal(SqliteJournal):
    """Looks at the engine before it commits the outcome of an attempt, once it was asked for that twice.

    Who takes the first answer for a commit, or removes without asking, does not ask again.
    """

    def __init__(self, path: Path, dockerd: Dockerd) -> None:
        super().__init__(path)
        self._dockerd = dockerd
        self._asked = 0
        self._is_asked_twice = anyio.Event()
        self.seen: list[int] = []

    async def deliveries(self, query: DeliveryQuery) -> Sequence[Delivery]:
        self._asked += len(query.ids or ())
        if self._asked == 2:
            self._is_asked_twice.set()
        return await super().deliveries(query)

    async def settle(self, *arguments: Any, **options: Any) -> Settled:
        await self._is_asked_twice.wait()
        self.seen.append(len(await to_thread.run_sync(lambda: self._dockerd.client.containers(all=True))))
        return await super().settle(*arguments, **options)


async def test_removal_follows_the_commit(dockerd: Dockerd, tmp_path: Path) -> None:
    """Until its outcome is committed an ended container stays, and is gone afterwards.

    Catches: removed when `run` returned, after which a crash would leave no evidence that the work was done.
    """
    async with Orchestrator(journal=(journal := LookingJournal(tmp_path / "journal.db", dockerd))) as orchestrator:
        orchestrator.add_input("source", ScriptedInput([Event(location="t", operation="create", id="1")]))
        orchestrator.add_process("job", DockerProcess(image=IMAGE, command=["true"]))
        orchestrator.add_link("source", "job")
        with anyio.fail_after(60):
            await orchestrator.run(until_idle=True)
    assert [1] == journal.seen
    assert [] == dockerd.client.containers(all=True)


def test_container_outlives_a_crash_before_the_commit(dockerd: Dockerd, tmp_path: Path) -> None:
    """While the journal can't commit the outcome, the container stays. Catches: removed when `run` returned."""
    pipeline = PipelineFolder(tmp_path, dockerd, count=1, script=STEPS.format(0.5))
    with pipeline.start().ended_at_last():
        wait_until(lambda: bool(pipeline.marks("start")), "the container runs")
        pipeline.kill(signal.SIGKILL)
    wait_until(lambda: bool(pipeline.marks("end")), "the container has ended")
    assert 1 == len(dockerd.client.containers(all=True))
    pipeline.start().finish()
    assert {1} == set(pipeline.marks("start").values())
    assert [] == dockerd.client.containers(all=True)
