"""Containers that mean harm, or come to harm: limited, ended and explained, and the host does not notice."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from engines import IMAGE, Dockerd

from orchestrator_core import DeliveryQuery, DeliveryState, Event, Orchestrator, Reject, SqliteJournal
from orchestrator_core.testing import FakeAttemptContext, RecordingProcess, ScriptedInput
from orchestrator_docker import (
    ContainerLostError,
    ContainerNonZeroExit,
    ContainerOutputError,
    ContainerStartError,
    ContainerTimeoutError,
    DockerProcess,
    Mount,
)

pytestmark = pytest.mark.anyio

EVENT = Event(location="rain", operation="create", id="7")
NAME = "orchestrator-delivery-1"


async def run(script: str, *, context: FakeAttemptContext | None = None, **options: Any) -> Sequence[str]:
    """Run a shell script as the container of one attempt, and return what it has logged."""
    context = context or FakeAttemptContext()
    async with DockerProcess(image=IMAGE, command=["sh", "-c", script], **options) as process:
        with anyio.fail_after(120):
            await process.run(EVENT, context)
    return context.lines


@asynccontextmanager
async def running(script: str, **options: Any) -> AsyncIterator[list[Exception | None]]:
    """Run a script; enter the block once it has written "on", and leave it once it has ended.

    The list then holds what the attempt came to.
    """
    context = FakeAttemptContext()
    came_to: list[Exception | None] = []

    async def attempt() -> None:
        try:
            await run(script, context=context, **options)
        except Exception as error:  # noqa: BLE001 (it is what the test is about)
            came_to.append(error)
        else:
            came_to.append(None)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(attempt)
        with anyio.fail_after(60):
            while "on" not in context.lines:  # noqa: ASYNC110 (another program writes it)
                await anyio.sleep(0.01)
        yield came_to


async def call(function: Callable[..., Any], *arguments: Any) -> None:
    """Do something to a container from outside."""
    await to_thread.run_sync(function, *arguments)


async def test_d83_terminal_sequences(dockerd: Dockerd) -> None:
    """D83: nothing that a container writes reaches a terminal as it is."""
    lines = await run(r"printf 'a\000b\n\033]52;c;cm0=\007\n1 %%\r100 %%\n'")
    assert ["a\N{REPLACEMENT CHARACTER}b", "\\x1b]52;c;cm0=\\x07", "100 %"] == lines


@pytest.mark.parametrize(
    ("script", "output", "why"),
    [
        pytest.param("true", "last_line", "wrote nothing", id="no output"),
        pytest.param("echo '{\"a\": '", "last_line", "not JSON", id="malformed"),
        pytest.param("echo NaN", "last_line", "not JSON", id="NaN"),
        pytest.param("head -c 1200000 /dev/zero | tr '\\0' 1", "last_line", "over the limit", id="over the cap"),
        pytest.param("true", "file", "has not written", id="no file"),
        pytest.param("mkdir $PIPELINE_OUTPUT_FILE", "file", "no plain file", id="folder"),
        pytest.param("ln -s /etc/passwd $PIPELINE_OUTPUT_FILE", "file", "no plain file", id="link"),
        pytest.param("rmdir /pipeline/out; ln -s out /pipeline/out", "file", "no path leads", id="link to itself"),
        pytest.param("rmdir /pipeline/out; touch /pipeline/out", "file", "no path leads", id="file for a folder"),
        pytest.param("head -c 2000000 /dev/zero > $PIPELINE_OUTPUT_FILE", "file", "over the limit", id="large file"),
    ],
)
async def test_d85_output_that_is_none(dockerd: Dockerd, script: str, output: str, why: str) -> None:
    """D85: exit code 0 without the output that was promised is a failure that says what is wrong."""
    with pytest.raises(ContainerOutputError, match=why):
        await run(script, output=output)


async def test_d85_two_results(dockerd: Dockerd) -> None:
    """D85: of two results the last one counts."""
    async with DockerProcess(image=IMAGE, command=["sh", "-c", "echo 1; echo 2"], output="last_line") as process:
        status = await process.run(EVENT, FakeAttemptContext())
    assert status is not None
    assert 2 == status.output


async def test_d85_result_that_names_a_node(dockerd: Dockerd, tmp_path: Path) -> None:
    """D85: a result is data: a node that it names, there or not, is neither routed to nor looked for."""
    output = {"node": "nowhere", "process": "other", "on": "event"}
    script = f"echo '{json.dumps(output)}'"
    async with Orchestrator(journal=SqliteJournal(tmp_path / "journal.db")) as orchestrator:
        orchestrator.add_input("source", ScriptedInput([EVENT]))
        job = DockerProcess(image=IMAGE, command=["sh", "-c", script], output="last_line")
        orchestrator.add_process("job", job)
        orchestrator.add_process("other", RecordingProcess())
        orchestrator.add_link("source", "job")
        orchestrator.add_link("job", "other", on="event")
        with anyio.fail_after(60):
            await orchestrator.run(until_idle=True)
        deliveries = await orchestrator.journal.deliveries(DeliveryQuery())
    assert [("job", DeliveryState.DONE, output)] == [(each.process, each.state, each.output) for each in deliveries]


@pytest.mark.parametrize(
    ("script", "why"),
    [
        pytest.param("exit 125", "code 125", id="125"),
        pytest.param("exit 255", "code 255", id="255"),
        pytest.param("kill -SEGV $$", "code 139: ended by SIGSEGV", id="139"),
        pytest.param("kill -KILL $$", "code 137: ended by SIGKILL", id="137"),
    ],
)
async def test_b12_d86_code_that_is_not_0(dockerd: Dockerd, script: str, why: str) -> None:
    """B12, D86: whatever a program ends with but 0 is a failure that says how it ended."""
    with pytest.raises(ContainerNonZeroExit, match=why):
        await run(script)


async def test_d86_out_of_memory(dockerd: Dockerd) -> None:
    """D86: what the kernel ends for its memory says so."""
    with pytest.raises(ContainerNonZeroExit, match="ran out of memory"):
        await run("exec tail /dev/zero", memory="16m")


async def test_d86_killed_from_outside(dockerd: Dockerd) -> None:
    """D86: what somebody kills has failed."""
    async with running("echo on; sleep 60") as came_to:
        await call(dockerd.client.kill, NAME)
    assert "ended by SIGKILL" in str(came_to[0])


@pytest.mark.parametrize(("command", "code"), [("no-such-program", 127), ("/etc/passwd", 126)])
async def test_d86_program_that_cannot_start(dockerd: Dockerd, command: str, code: int) -> None:
    """D86: a program that is not there or not to be run is said so, whether Docker or init finds out."""
    async with DockerProcess(image=IMAGE, command=[command]) as process:
        with pytest.raises((ContainerStartError, ContainerNonZeroExit)) as caught:
            await process.run(EVENT, FakeAttemptContext())
    assert command in str(caught.value)
    assert [] == dockerd.client.containers(all=True)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("trap '' TERM; echo on; while :; do sleep 1; done", id="ignores SIGTERM"),
        pytest.param("echo on; kill -STOP $$; sleep 60", id="stops itself"),
        pytest.param("(trap '' TERM; sleep 100) & echo on; wait", id="child that ignores it"),
    ],
)
async def test_d87_time_out_ends_whatever_it_does(dockerd: Dockerd, script: str) -> None:
    """D87: at its deadline a container gets SIGTERM, after the grace SIGKILL, and has ended before anything is said."""
    context = FakeAttemptContext(deadline=time.time() + 2.0)
    with pytest.raises((ContainerTimeoutError, ContainerNonZeroExit)):
        await run(script, context=context, grace=timedelta(seconds=1))
    assert [] == dockerd.client.containers(all=True)


async def test_d87_grace_is_given(dockerd: Dockerd) -> None:
    """D87: a container that heeds SIGTERM may say its last words."""
    context = FakeAttemptContext(deadline=time.time() + 2.0)
    script = "trap 'echo cleaned up; exit 3' TERM; echo on; while :; do sleep 0.1; done"
    with pytest.raises(ContainerNonZeroExit, match="code 3"):
        await run(script, context=context)
    assert ["on", "cleaned up"] == context.lines


async def test_d87_forked_daemon_ends_with_it(dockerd: Dockerd) -> None:
    """D87: what a container leaves running ends with it."""
    assert ["on"] == await run("(sleep 1000 &) ; echo on")
    assert [] == dockerd.client.containers(all=True)


async def test_d87_zombies_are_reaped(dockerd: Dockerd) -> None:
    """D87: there is an init, so that orphans do not pile up to the limit of processes."""
    assert ["on"] == await run("for i in $(seq 40); do (true &) ; done; sleep 0.5; echo on", pids=30)


async def test_d87_paused_from_outside(dockerd: Dockerd) -> None:
    """D87: a paused container is waited for, and ended at its deadline."""
    context = FakeAttemptContext(deadline=time.time() + 3.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_expect_time_out, context)
        with anyio.fail_after(60):
            while "on" not in context.lines:  # noqa: ASYNC110
                await anyio.sleep(0.01)
        await call(dockerd.client.pause, NAME)
    assert [] == dockerd.client.containers(all=True)


async def _expect_time_out(context: FakeAttemptContext) -> None:
    with pytest.raises(ContainerTimeoutError):
        await run("echo on; sleep 60", context=context)


async def test_d88_removed_by_somebody(dockerd: Dockerd) -> None:
    """D88: a container that is gone has no result, and the attempt says so."""
    async with running("echo on; sleep 60") as came_to:
        await call(lambda: dockerd.client.remove_container(NAME, force=True))
    assert type(came_to[0]) in {ContainerLostError, ContainerNonZeroExit}  # it may be seen dead before it is gone


async def test_d88_renamed_by_somebody(dockerd: Dockerd) -> None:
    """D88: a container is known by its id."""
    async with running("echo on; sleep 1") as came_to:
        await call(dockerd.client.rename, NAME, "renamed")
    assert [None] == came_to
    assert [] == dockerd.client.containers(all=True)


async def test_d88_restarted_by_somebody(dockerd: Dockerd) -> None:
    """D88: a restart ends the attempt like any other end from outside, and what was started again is removed.

    If it is quicker than our look, the attempt goes on with the second run, and comes to what that comes to.
    """
    async with running("echo on; sleep 5") as came_to:
        await call(lambda: dockerd.client.restart(NAME, timeout=0))
    assert came_to == [None] or "ended by SIG" in str(came_to[0])
    assert [] == dockerd.client.containers(all=True)


async def test_d89_tag_that_moved(dockerd: Dockerd) -> None:
    """D89: a container runs the image that its tag names when it is made."""
    client = dockerd.client
    said = []
    for word in ("old", "new"):
        made = client.create_container(IMAGE, ["true"])
        client.commit(made["Id"], "orchestrator-test/moving", "1", conf={"Cmd": ["echo", word]})
        context = FakeAttemptContext()
        async with DockerProcess(image="orchestrator-test/moving:1", pull="never") as process:
            await process.run(EVENT, context)
        said += context.lines
    assert ["old", "new"] == said


async def test_b33_readers_are_closed(dockerd: Dockerd) -> None:
    """B33: attempts leave no connection open. Catches: a log's reader that nobody closes.

    Those that the SDK keeps, to use them again, are closed with the process.
    """
    counts = []
    for attempts in (1, 8):
        async with DockerProcess(image=IMAGE, command=["echo", "on"]) as process:
            for number in range(attempts):
                await process.run(EVENT, FakeAttemptContext(delivery_id=f"delivery-{number}"))
        counts.append(sum(1 for _ in Path("/proc/self/fd").iterdir()))
    assert counts[1] <= counts[0]


async def test_d91_name_taken_by_a_stranger(dockerd: Dockerd) -> None:
    """D91: a foreign container of that name is not touched, and the delivery is a dead letter that says what to do."""
    dockerd.client.create_container(IMAGE, ["true"], name=NAME)
    with pytest.raises(Reject, match="remove or rename it"):
        await run("true")
    assert 1 == len(dockerd.client.containers(all=True))


async def test_d93_fork_bomb(dockerd: Dockerd) -> None:
    """D93: processes are limited."""
    context = FakeAttemptContext(deadline=time.time() + 4.0)
    with pytest.raises((ContainerNonZeroExit, ContainerTimeoutError)):
        await run("b() { b | b & }; b; sleep 60; exit 1", context=context, pids=50)
    assert threading.active_count() < 100


async def test_d93_full_tmpfs(dockerd: Dockerd) -> None:
    """D93: a tmpfs has a size."""
    mount = Mount(type="tmpfs", target="/scratch", size="1m")
    lines = await run("dd if=/dev/zero of=/scratch/x bs=1M count=5 2>&1; true", mounts=[mount])
    assert any("No space left" in line for line in lines)


async def test_d93_read_only_root(dockerd: Dockerd) -> None:
    """D93: a read-only container can't write."""
    assert ["refused"] == await run("touch /x 2>/dev/null || echo refused", read_only=True)


async def test_b33_no_rights(dockerd: Dockerd) -> None:
    """B33: by default a container has no capability and can't gain any, and it is not on the host's network."""
    lines = await run("grep -E 'CapEff|NoNewPrivs' /proc/self/status; ls /sys/class/net | tr '\\n' ' '")
    assert ["CapEff:\t0000000000000000", "NoNewPrivs:\t1", "eth0 lo "] == lines
