"""After a crash or a stop of the orchestrator a container is adopted or harvested: its work is not done twice."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from engines import IMAGE, Dockerd
from pipelines import STEPS, PipelineFolder, wait_until

from orchestrator_core import (
    Event,
    MemoryJournal,
    Orchestrator,
    ProcessStatus,
    Reconciliation,
    Reject,
    SqliteJournal,
)
from orchestrator_core.testing import FakeAttemptContext, ScriptedInput
from orchestrator_docker import ContainerNonZeroExit, ContainerTimeoutError, DockerProcess
from orchestrator_docker._naming import Owner, name_of

EVENT = Event(location="rain", operation="create", id="7")


def process(journal: SqliteJournal, script: str, **options: Any) -> DockerProcess:
    """Return a process as the engine has it just before it enters it."""
    made = DockerProcess(image=IMAGE, command=["sh", "-c", script], **options)
    made.attach("job", journal)
    return made


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    """A journal that outlives the process."""
    async with SqliteJournal(tmp_path / "journal.db") as journal:
        yield journal


async def has_logged(context: FakeAttemptContext, line: str) -> None:
    """Wait until a container has written a line."""
    while line not in context.lines:  # noqa: ASYNC110 (another program writes it)
        await anyio.sleep(0.01)


async def cut_off(made: DockerProcess, *, after: str, context: FakeAttemptContext | None = None) -> FakeAttemptContext:
    """Run an attempt and cut it off as a stop does, once the container has written a line."""
    context = context or FakeAttemptContext()
    async with made:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(made.run, EVENT, context)
                await has_logged(context, after)
                tasks.cancel_scope.cancel()
    return context


@pytest.mark.anyio
async def test_stop_leaves_the_container_running(dockerd: Dockerd, journal: SqliteJournal) -> None:
    """What a stop of the pipeline cuts off goes on. Catches: containers killed at every restart."""
    await cut_off(process(journal, "echo on; sleep 60"), after="on")
    assert ["running"] == [each["State"] for each in dockerd.client.containers(all=True)]


@pytest.mark.anyio
async def test_stop_ends_what_nobody_could_adopt(dockerd: Dockerd) -> None:
    """Deliveries of a journal in memory are forgotten with it, so their containers are ended."""
    made = DockerProcess(image=IMAGE, command=["sh", "-c", "echo on; sleep 60"])
    await cut_off(made, after="on")
    assert [] == dockerd.client.containers(all=True)


@pytest.mark.anyio
async def test_stop_leaves_nothing_behind_of_a_journal_in_memory(dockerd: Dockerd) -> None:
    """What a stop has cut off is removed as well where its journal ends with it. Catches: ended containers that stay.

    The journal has the attempt as interrupted, so a container would wait to be harvested.
    """
    async with Orchestrator(journal=MemoryJournal()) as orchestrator:
        orchestrator.add_input("source", ScriptedInput([EVENT]))
        orchestrator.add_process("job", DockerProcess(image=IMAGE, command=["sh", "-c", "echo on; sleep 60"]))
        orchestrator.add_link("source", "job")
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(orchestrator.run)
                await to_thread.run_sync(wait_until, lambda: len(dockerd.client.containers()) == 1, "it runs")
                orchestrator.stop()
                orchestrator.stop()
    assert [] == dockerd.client.containers(all=True)


@pytest.mark.anyio
async def test_running_container_is_adopted(dockerd: Dockerd, journal: SqliteJournal) -> None:
    """A container that still runs is waited for, and its output and whole log are the attempt's."""
    script = "echo on; sleep 1; echo '[1]'"
    await cut_off(process(journal, script, output="last_line"), after="on")
    context = FakeAttemptContext()
    async with process(journal, script, output="last_line") as made:
        assert ProcessStatus(output=[1]) == await made.reconcile(EVENT, context)
    assert ["on", "[1]"] == context.lines


@pytest.mark.anyio
async def test_ended_container_is_harvested(dockerd: Dockerd, journal: SqliteJournal) -> None:
    """A container that ended meanwhile gives its result."""
    await cut_off(process(journal, "echo on; sleep 0.2; echo last words >&2; exit 3"), after="on")
    (container,) = dockerd.client.containers(all=True, quiet=True)
    dockerd.client.wait(container["Id"])
    async with process(journal, "true") as made:
        with pytest.raises(ContainerNonZeroExit, match="code 3: last words"):
            await made.reconcile(EVENT, FakeAttemptContext())


@pytest.mark.anyio
async def test_nothing_left_is_unknown(dockerd: Dockerd, journal: SqliteJournal) -> None:
    """Without a container the attempt is run again."""
    async with process(journal, "true") as made:
        assert Reconciliation.UNKNOWN is await made.reconcile(EVENT, FakeAttemptContext())


@pytest.mark.anyio
async def test_container_that_never_started_is_unknown(dockerd: Dockerd, journal: SqliteJournal) -> None:
    """A container that was made but not started has done nothing; the next attempt replaces it."""
    await cut_off(process(journal, "echo on; sleep 60"), after="on")
    (container,) = dockerd.client.containers(all=True)
    config = dockerd.client.inspect_container(container["Id"])
    dockerd.client.remove_container(container["Id"], force=True)
    dockerd.client.create_container(
        IMAGE, ["sh", "-c", "echo old"], name=config["Name"].strip("/"), labels=config["Config"]["Labels"]
    )
    async with process(journal, "echo new") as made:
        assert Reconciliation.UNKNOWN is await made.reconcile(EVENT, FakeAttemptContext())
        context = FakeAttemptContext(attempt=2)
        await made.run(EVENT, context)
    assert ["new"] == context.lines


@pytest.mark.anyio
async def test_container_that_was_only_made_is_started(dockerd: Dockerd, journal: SqliteJournal) -> None:
    """What a call has made whose answer was lost, in this very attempt, is started. Catches: made and forgotten."""
    owner = Owner(delivery_id="delivery-1", attempt=1, process="job", deadline=time.time() + 60)
    dockerd.client.create_container(
        IMAGE, ["echo", "the first"], name=name_of(owner.delivery_id), labels=dict(owner.labels())
    )
    async with process(journal, "echo a second") as made:
        context = FakeAttemptContext()
        await made.run(EVENT, context)
    assert ["the first"] == context.lines


@pytest.mark.anyio
@pytest.mark.parametrize("labels", [{}, {"orchestrator-engine.delivery": "other"}], ids=["none", "another's"])
async def test_d88_relabelled_container_is_nobodys(
    dockerd: Dockerd, journal: SqliteJournal, labels: dict[str, str]
) -> None:
    """D88: a container of our name that says it is not ours is neither harvested nor touched."""
    client = dockerd.client
    client.create_container(IMAGE, ["sh", "-c", "echo 1"], name="orchestrator-delivery-1", labels=labels)
    client.start("orchestrator-delivery-1")
    client.wait("orchestrator-delivery-1")
    async with process(journal, "echo new") as made:
        assert Reconciliation.UNKNOWN is await made.reconcile(EVENT, FakeAttemptContext())
        with pytest.raises(Reject, match="remove or rename it"):
            await made.run(EVENT, FakeAttemptContext(attempt=2))
    assert 1 == len(client.containers(all=True))


@pytest.mark.anyio
async def test_container_killed_with_its_host_is_unknown(dockerd: Dockerd, journal: SqliteJournal) -> None:
    """A container that fell with its engine says nothing about its job, so the job is done again."""
    await cut_off(process(journal, "echo on; sleep 60"), after="on")
    (container,) = dockerd.client.containers(all=True, quiet=True)
    dockerd.client.kill(container["Id"])
    async with process(journal, "true") as made:
        assert Reconciliation.UNKNOWN is await made.reconcile(EVENT, FakeAttemptContext())


@pytest.mark.anyio
async def test_adopted_container_keeps_its_deadline(dockerd: Dockerd, journal: SqliteJournal) -> None:
    """The time an attempt has does not begin anew with each restart. Catches: time-outs that never come."""
    context = FakeAttemptContext(deadline=time.time() + 2.5)
    await cut_off(process(journal, "echo on; sleep 60"), after="on", context=context)
    async with process(journal, "true") as made:
        with anyio.fail_after(30), pytest.raises(ContainerTimeoutError):
            await made.reconcile(EVENT, FakeAttemptContext(deadline=time.time() + 3600))


@pytest.mark.anyio
async def test_same_attempt_is_adopted_by_run(dockerd: Dockerd, journal: SqliteJournal) -> None:
    """A second `create` for one attempt, as after a lost reply, finds the first. Catches: a container made twice."""
    script = "echo on; sleep 1"
    await cut_off(process(journal, script), after="on")
    async with process(journal, script) as made:
        context = FakeAttemptContext()
        await made.run(EVENT, context)
    assert ["on"] == context.lines


@pytest.mark.anyio
async def test_earlier_attempt_makes_way(dockerd: Dockerd, journal: SqliteJournal) -> None:
    """A container of an earlier attempt is killed before the next one starts. Catches: two at a time."""
    await cut_off(process(journal, "echo on; sleep 60"), after="on")
    async with process(journal, "echo second") as made:
        context = FakeAttemptContext(attempt=2)
        with anyio.fail_after(30):
            await made.run(EVENT, context)
    assert ["second"] == context.lines


@pytest.mark.anyio
async def test_adoption_survives_a_second_crash(dockerd: Dockerd, journal: SqliteJournal) -> None:
    """A container is found by whichever attempt asks, not only by the one after its own."""
    await cut_off(process(journal, "echo on; sleep 1"), after="on")
    async with process(journal, "true") as made:
        assert Reconciliation.SUCCEEDED is await made.reconcile(EVENT, FakeAttemptContext(attempt=3))


def test_killed_orchestrator_does_nothing_twice(dockerd: Dockerd, tmp_path: Path) -> None:
    """Killed -9 while containers run, it adopts them all. Catches: a name that the next start does not find."""
    pipeline = PipelineFolder(tmp_path, dockerd, count=6, script=STEPS.format(3))
    with pipeline.start().ended_at_last():
        wait_until(lambda: len(pipeline.marks("start")) == 6, "six containers run")
        pipeline.kill()
        pipeline.start().finish()
    assert {1} == set(pipeline.marks("start").values())
    assert 6 == len(pipeline.marks("end"))
    assert {"done"} == {each["state"] for each in pipeline.deliveries()}
    assert [] == dockerd.client.containers(all=True)


def test_stopped_orchestrator_does_nothing_twice(dockerd: Dockerd, tmp_path: Path) -> None:
    """Told to stop at once, it leaves its containers to the next start."""
    pipeline = PipelineFolder(tmp_path, dockerd, count=4, script=STEPS.format(3))
    with pipeline.start("--drain-timeout", "1ms").ended_at_last():
        wait_until(lambda: len(pipeline.marks("start")) == 4, "four containers run")
        pipeline.kill(signal.SIGTERM)
        pipeline.start().finish()
    assert {1} == set(pipeline.marks("start").values())
    assert {"done"} == {each["state"] for each in pipeline.deliveries()}
