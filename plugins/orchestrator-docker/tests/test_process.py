"""The process `docker`: what a container is told, what becomes of what it says, and how it may end."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import partial
from typing import Any

import anyio
import pytest
from anyio import to_thread
from engines import IMAGE, Dockerd

from orchestrator_core import Event, ProcessStatus, Reject, RetryLater
from orchestrator_core.testing import FakeAttemptContext, ProcessContract
from orchestrator_docker import ContainerNonZeroExit, DockerProcess

pytestmark = pytest.mark.anyio

EVENT = Event(location="rain", operation="create", id="7")


async def run(script: str, *, event: Event = EVENT, context: FakeAttemptContext | None = None, **options: Any) -> Any:
    """Run a shell script as the container of one attempt."""
    context = context or FakeAttemptContext()
    async with DockerProcess(image=IMAGE, command=["sh", "-c", script], **options) as process:
        return await process.run(event, context)


async def lines_of(script: str, **options: Any) -> Sequence[str]:
    """Run a shell script and return what it has logged."""
    context = FakeAttemptContext()
    await run(script, context=context, **options)
    return context.lines


class TestContract(ProcessContract):
    """The process keeps what every process promises."""

    timeout = 60.0

    @pytest.fixture
    def component(self, dockerd: Dockerd) -> DockerProcess:
        return DockerProcess(image=IMAGE, command=["true"], output="none")

    @pytest.fixture
    def event(self) -> Event:
        return EVENT


async def test_succeeds_with_exit_code_0(dockerd: Dockerd) -> None:
    """Exit code 0 is success."""
    assert await run("true") is None


async def test_b32_event_is_plain_base64_of_its_json(dockerd: Dockerd) -> None:
    """B32: the value has no quotes around it, and decodes to the event."""
    (line,) = await lines_of("echo $PIPELINE_EVENT")
    assert EVENT.to_json() == base64.b64decode(line, validate=True).decode()


async def test_container_knows_delivery_and_attempt(dockerd: Dockerd) -> None:
    """The idempotency key and the attempt's number are variables."""
    context = FakeAttemptContext(delivery_id="k1-7.0", attempt=3)
    await run('echo "$PIPELINE_DELIVERY_ID $PIPELINE_ATTEMPT"', context=context)
    assert ["k1-7.0 3"] == context.lines


async def test_b33_stdout_and_stderr_are_the_log(dockerd: Dockerd) -> None:
    """B33: both streams are logged."""
    assert {"out", "err"} == set(await lines_of("echo out; echo err >&2"))


async def test_log_is_live(dockerd: Dockerd) -> None:
    """What a container writes to either stream is logged while it runs. Catches: a log that is read at the end."""
    context = FakeAttemptContext()
    script = "trap 'echo told; exit 0' TERM; echo out; echo err >&2; sleep 60 & wait"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(run, script, context=context))
        with anyio.fail_after(60):
            while {"out", "err"} != set(context.lines):  # noqa: ASYNC110 (another program writes them)
                await anyio.sleep(0.01)
        await to_thread.run_sync(dockerd.client.kill, "orchestrator-delivery-1", "SIGTERM")
    assert "told" == context.lines[-1]


async def test_b11_failure_keeps_its_log(dockerd: Dockerd) -> None:
    """B11: what a failing container wrote is in the log, and its last words in the error."""
    context = FakeAttemptContext()
    with pytest.raises(ContainerNonZeroExit, match="code 3: no such table"):
        await run("echo no such table >&2; exit 3", context=context)
    assert ["no such table"] == context.lines


async def test_exit_code_75_is_run_later(dockerd: Dockerd) -> None:
    """EX_TEMPFAIL postpones."""
    with pytest.raises(RetryLater):
        await run("exit 75")


@pytest.mark.parametrize("code", [64, 65, 78])
async def test_exit_code_that_rejects(dockerd: Dockerd, code: int) -> None:
    """EX_USAGE, EX_DATAERR and EX_CONFIG make a dead letter."""
    with pytest.raises(Reject, match=str(code)):
        await run(f"exit {code}")


async def test_last_line_is_the_output(dockerd: Dockerd) -> None:
    """The last line that is not empty is the output."""
    status = await run("""echo working; echo '{"rows": 3}'; echo""", output="last_line")
    assert ProcessStatus(output={"rows": 3}) == status


@pytest.mark.parametrize("is_read_only", [False, True], ids=["writable", "read-only"])
async def test_file_is_the_output(dockerd: Dockerd, is_read_only: bool) -> None:
    """A file may hold the output, also in a container whose own file system is read-only."""
    status = await run("""echo '[1]' > $PIPELINE_OUTPUT_FILE""", output="file", read_only=is_read_only, user="nobody")
    assert ProcessStatus(output=[1]) == status


@pytest.mark.parametrize("is_read_only", [False, True], ids=["writable", "read-only"])
async def test_large_event_is_a_file(dockerd: Dockerd, is_read_only: bool) -> None:
    """Over 64 KiB the event is in a file that the container can't change."""
    event = Event(location="rain", operation="create", id="7", data={"text": "x" * 100_000})
    write = "true 2>/dev/null >> $PIPELINE_EVENT_FILE || echo no"
    script = f"wc -c < $PIPELINE_EVENT_FILE; echo ${{PIPELINE_EVENT:-none}}; {write}"
    lines = await lines_of(script, event=event, user="nobody", read_only=is_read_only)
    assert [str(len(event.to_json())), "none", "no"] == [line.strip() for line in lines]


async def test_container_is_gone_afterwards(dockerd: Dockerd) -> None:
    """Without a journal that would still need it, an ended container is removed."""
    await run("true")
    assert [] == dockerd.client.containers(all=True)
