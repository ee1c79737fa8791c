"""Warm containers: an attempt is a command in a container that runs already."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from answers import Answer, Script, Serve, answer, container, ended, raw
from anyio import to_thread
from engines import IMAGE, Dockerd

from orchestrator_core import Event, ProcessStatus, Reconciliation, Reject, RetryLater
from orchestrator_core.testing import FakeAttemptContext, ProcessContract
from orchestrator_docker import ContainerLostError, ContainerNonZeroExit, ContainerOutputError, DockerProcess
from orchestrator_docker._naming import INSTALL, PROCESS, WARM

pytestmark = pytest.mark.anyio

EVENT = Event(location="rain", operation="create", id="7")


def warm(script: str, **options: Any) -> DockerProcess:
    """Return a process with warm containers."""
    return DockerProcess(image=IMAGE, command=["sh", "-c", script], warm=True, **options)


async def lines_of(process: DockerProcess, *, event: Event = EVENT, delivery_id: str = "k1-1.0") -> Sequence[str]:
    """Run one attempt and return what it has logged."""
    context = FakeAttemptContext(delivery_id=delivery_id)
    with anyio.fail_after(60):
        await process.run(event, context)
    return context.lines


def containers(dockerd: Dockerd) -> set[str]:
    """Return the ids of all containers."""
    return {each["Id"] for each in dockerd.client.containers(all=True)}


class TestContract(ProcessContract):
    """A process with warm containers keeps what every process promises."""

    timeout = 60.0

    @pytest.fixture
    def component(self, dockerd: Dockerd) -> DockerProcess:
        return warm("true")

    @pytest.fixture
    def event(self) -> Event:
        return EVENT


async def test_container_is_used_again(dockerd: Dockerd) -> None:
    """Attempts in turn share one container, each with its own variables."""
    async with warm("echo $PIPELINE_DELIVERY_ID") as process:
        assert ["k1-1.0"] == await lines_of(process)
        first = containers(dockerd)
        assert ["k1-2.0"] == await lines_of(process, delivery_id="k1-2.0")
        assert first == containers(dockerd)
        assert 1 == len(first)


async def test_containers_go_with_the_process(dockerd: Dockerd) -> None:
    """When the process is left, its containers are removed."""
    async with warm("true") as process:
        await lines_of(process)
    assert set() == containers(dockerd)


async def test_replaced_after_so_many_uses(dockerd: Dockerd) -> None:
    """A container serves no more than `max_uses` attempts."""
    async with warm("cat /tmp/uses 2>/dev/null; echo used >> /tmp/uses", max_uses=2, user="root") as process:
        assert [[], ["used"], []] == [await lines_of(process) for _ in range(3)]


async def test_replaced_after_a_failure(dockerd: Dockerd) -> None:
    """A container in which an attempt has failed is not used again."""
    async with warm("exit 3") as process:
        with pytest.raises(ContainerNonZeroExit, match="code 3"):
            await lines_of(process)
        assert set() == containers(dockerd)


async def test_removed_when_idle(dockerd: Dockerd) -> None:
    """A container that nobody needs does not stay."""
    async with warm("true", idle=timedelta(milliseconds=1)) as process:
        await lines_of(process)
        with anyio.fail_after(30):
            while containers(dockerd):  # noqa: ASYNC110 (the engine removes it)
                await anyio.sleep(0.05)


@pytest.mark.parametrize(("code", "kind"), [(64, Reject), (75, RetryLater), (1, ContainerNonZeroExit)])
async def test_exit_codes_mean_the_same(dockerd: Dockerd, code: int, kind: type[Exception]) -> None:
    """Exit codes mean what they mean in a container of its own."""
    async with warm(f"exit {code}") as process:
        with pytest.raises(kind):
            await lines_of(process)


@pytest.mark.parametrize("is_read_only", [False, True], ids=["writable", "read-only"])
async def test_large_event_and_output_file(dockerd: Dockerd, is_read_only: bool) -> None:
    """Files work as in a container of its own, and none is left for the next attempt to be mistaken for its own."""
    event = Event(location="rain", operation="create", id="7", data={"text": "x" * 100_000})
    script = "[ -e $PIPELINE_OUTPUT_FILE ] && exit 9; wc -c < $PIPELINE_EVENT_FILE > $PIPELINE_OUTPUT_FILE"
    async with warm(script, output="file", read_only=is_read_only, user="nobody") as process:
        outputs = [await process.run(event, FakeAttemptContext(delivery_id=f"k1-{n}.0")) for n in range(2)]
    assert [len(event.to_json())] * 2 == [status.output for status in outputs if status is not None]


async def test_last_line_of_a_command(dockerd: Dockerd) -> None:
    """The last line of a command is its output, as of a container of its own."""
    async with warm("echo working; echo '[1]'", output="last_line") as process:
        assert ProcessStatus(output=[1]) == await process.run(EVENT, FakeAttemptContext())


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_output_that_ends_before_its_command(serve: Serve) -> None:
    """What a command writes may be cut on its way, and is not all then. Catches: a line half way taken for the last."""
    looks = iter([answer({"Running": True, "ExitCode": None})] * 12)
    script: Script = {
        "/containers/json": answer([]),
        "/exec/e1/start": raw(struct.pack(">B3xL", 1, 2) + b"1\n"),
        "/exec/e1/json": lambda: next(looks, answer({"Running": False, "ExitCode": 0})),
        "/containers/c1/exec": answer({"Id": "e1"}, 201),
        "/images/": answer({"Id": "i1", "Config": {}}),
        "/containers/c1/json": container(),
        **ended(),
    }
    with serve(script) as engine:
        async with warm("true", host=engine.host, output="last_line") as process:
            with pytest.raises(ContainerOutputError, match="went on after its output had ended"):
                await process.run(EVENT, FakeAttemptContext())


async def test_limits_hold(dockerd: Dockerd) -> None:
    """What needs more memory than it may have is ended; of a command the engine does not tell why."""
    async with warm("exec tail /dev/zero", memory="16m") as process:
        with pytest.raises(ContainerNonZeroExit, match="SIGKILL"):
            await lines_of(process)


async def test_cut_off_ends_its_container(dockerd: Dockerd) -> None:
    """A command that is cut off has ended before anything is recorded. Catches: two attempts at a time."""
    context = FakeAttemptContext(deadline=time.time() + 1.0)
    async with warm("echo on; sleep 60") as process:
        with anyio.move_on_after(1.5):
            await process.run(EVENT, context)
        assert set() == containers(dockerd)
    assert ["on"] == context.lines


async def test_what_a_crash_left_is_ended_first(dockerd: Dockerd) -> None:
    """Before a job is run again, the warm containers of an earlier run are ended, since it may still run there."""
    labels = {INSTALL: "k1", PROCESS: "process", WARM: "of a run that is no more"}
    left = dockerd.client.create_container(IMAGE, ["sleep", "60"], labels=labels)["Id"]
    dockerd.client.start(left)
    async with warm("true") as process:
        context = FakeAttemptContext(delivery_id="k1-1.0")
        assert Reconciliation.UNKNOWN is await process.reconcile(EVENT, context)
        assert left not in containers(dockerd)


async def test_command_goes_on_when_another_process_takes_over(dockerd: Dockerd) -> None:
    """A process that takes another's place, as with a reload, ends no command that is under way there.

    Catches: whatever is not its own taken for what a crash has left.
    """
    context = FakeAttemptContext(delivery_id="k1-1.0")
    async with warm("echo on; sleep 3; echo done") as process, anyio.create_task_group() as tasks:
        tasks.start_soon(process.run, EVENT, context)
        with anyio.fail_after(60):
            while "on" not in context.lines:  # noqa: ASYNC110 (another program writes it)
                await anyio.sleep(0.01)
        async with warm("true") as successor:
            await lines_of(successor, delivery_id="k1-2.0")
    assert ["on", "done"] == context.lines


async def test_containers_that_ended_unused(dockerd: Dockerd) -> None:
    """Containers that have ended while they were free, as with a restart of their engine, fail no attempt.

    Catches: a dead letter of a delivery that met one after the other.
    """
    async with warm("echo done; sleep 1") as process:
        async with anyio.create_task_group() as tasks:
            for number in range(2):
                tasks.start_soon(process.run, EVENT, FakeAttemptContext(delivery_id=f"k1-{number}.0"))
        killed, removed = containers(dockerd)
        dockerd.client.kill(killed)
        dockerd.client.remove_container(removed, force=True)
        assert ["done"] == await lines_of(process, delivery_id="k1-2.0")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_cut_off_while_its_container_starts(serve: Serve) -> None:
    """The container of an attempt that is cut off while it starts does not stay. Catches: one that nobody ever uses."""
    is_asked, is_removed, is_over = threading.Event(), threading.Event(), threading.Event()

    def start() -> Answer:
        is_asked.set()
        is_over.wait()
        return raw(b"", status=204)

    def remove() -> Answer:
        is_removed.set()
        return raw(b"", status=204)

    script: Script = {
        "DELETE": remove,
        "/containers/json": answer([]),
        "/containers/create": answer({"Id": "c1"}, 201),
        "/start": start,
    }
    with serve(script) as engine:
        async with warm("true", host=engine.host) as process, anyio.create_task_group() as tasks:
            tasks.start_soon(process.run, EVENT, FakeAttemptContext())
            await to_thread.run_sync(is_asked.wait)
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                assert await to_thread.run_sync(is_removed.wait, 10)
        is_over.set()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_cut_off_while_its_container_is_made(serve: Serve) -> None:
    """A container that an engine makes for an attempt that was cut off goes with the process.

    Catches: one that is left by each, as nobody has heard its id.
    """
    is_asked, is_made = threading.Event(), threading.Event()
    listed = {"Id": "c1", "Names": ["/orchestrator-warm-1"], "Labels": {WARM: "…"}, "State": "created"}

    def create() -> Answer:
        is_asked.set()
        is_made.wait()
        return answer({"Id": "c1"}, 201)

    script: Script = {
        "DELETE": raw(b"", status=204),
        "/containers/json": lambda: answer([listed] if is_made.is_set() else []),
        "/containers/create": create,
    }
    with serve(script) as engine:
        async with warm("true", host=engine.host) as process:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(process.run, EVENT, FakeAttemptContext())
                await to_thread.run_sync(is_asked.wait)
                tasks.cancel_scope.cancel()
            is_made.set()
    assert any(line.startswith("DELETE") and "/containers/c1" in line for line in engine.asked)


async def test_engine_away_when_it_is_asked_what_a_crash_left(tmp_path: Path) -> None:
    """An engine that is away then is no failure. Catches: a dead letter where the engine starts after the pipeline."""
    async with warm("true", host=f"unix://{tmp_path}/none.sock") as process:
        with pytest.raises(RetryLater, match="no Docker Engine answers") as caught:
            await process.reconcile(EVENT, FakeAttemptContext())
    assert caught.value.interrupted


async def test_container_killed_from_outside(dockerd: Dockerd) -> None:
    """A command whose container somebody kills has failed."""
    context = FakeAttemptContext()
    async with warm("echo on; sleep 60") as process, anyio.create_task_group() as tasks:
        tasks.start_soon(_expect_lost, process, context)
        with anyio.fail_after(60):
            while "on" not in context.lines:  # noqa: ASYNC110 (another program writes it)
                await anyio.sleep(0.01)
        dockerd.client.kill(next(iter(containers(dockerd))))


async def _expect_lost(process: DockerProcess, context: FakeAttemptContext) -> None:
    with pytest.raises(ContainerLostError):
        await process.run(EVENT, context)


async def test_images_own_command(dockerd: Dockerd) -> None:
    """Without a command of its own the process runs the image's. Catches: only the program of `hold` being run."""
    client = dockerd.client
    made = client.create_container(IMAGE, ["true"])
    client.commit(made["Id"], "orchestrator-test/speaking", "1", conf={"Cmd": ["echo", "hello"]})
    async with DockerProcess(image="orchestrator-test/speaking:1", warm=True) as process:
        assert ["hello"] == await lines_of(process)
