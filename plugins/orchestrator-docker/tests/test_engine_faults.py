"""An engine that is away, restarted, in trouble or talks nonsense: nothing is recorded against the job."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from importlib import metadata
from itertools import count
from pathlib import Path

import anyio
import pytest
from answers import VERSION, Answer, Script, Serve, answer, chunked, container, ended, raw
from anyio import to_thread
from engines import IMAGE, Dockerd
from pipelines import EVENT, attempt
from trio.testing import MockClock

from orchestrator_core import ConfigurationError, MemoryJournal, RetryLater
from orchestrator_core.testing import FakeAttemptContext
from orchestrator_docker import (
    DockerProcess,
    EngineUnreachableError,
    ImagePullError,
    RegistryAuth,
    RegistryBusyError,
    _stream,
)
from orchestrator_docker._engine import Engine
from orchestrator_docker._sdk import refuse_replaced_urllib3

pytestmark = pytest.mark.anyio


_CHECK_AS_SOMEBODY = """
import contextlib, os, sys
import anyio
from orchestrator_docker import DockerError, DockerProcess

async def main():
    process = DockerProcess(image="a", host=sys.argv[1])
    with contextlib.suppress(DockerError):
        await process.check()  # imports what it needs, as long as it may
    os.seteuid(int(sys.argv[2]))
    await process.check()

anyio.run(main)
"""

NONSENSE = [
    pytest.param(raw(b"<html>", "Content-Length: 6"), id="HTML"),
    pytest.param(answer([1, 2]), id="a list"),
    pytest.param(answer({}), id="an empty object"),
    pytest.param(raw(b"{", "Content-Length: 1"), id="half an object"),
    pytest.param(answer({"message": "out of luck"}, 500), id="500"),
    pytest.param(answer({"message": "shutting down"}, 503), id="503"),
]


@pytest.mark.parametrize("said", NONSENSE)
async def test_d92_engine_in_trouble(serve: Serve, said: Answer) -> None:
    """D92: an engine's own error, or nonsense, postpones the attempt, which asks first what became of it."""
    with serve({"/create": said}) as engine, pytest.raises(RetryLater) as caught:
        await attempt(engine.host)
    assert caught.value.interrupted


async def test_d92_engine_in_trouble_when_it_is_asked_for_the_output(serve: Serve) -> None:
    """D92: an engine that can't read the output just now is asked later. Catches: it taken for one that is away."""
    script = {
        **ended(),
        "GET /v1.41/containers/c1/archive": answer({"message": "out of luck"}, 500),
        "PUT": raw(b"", "Content-Length: 0"),
    }
    with serve(script) as engine, pytest.raises(RetryLater, match=r"answers 500: .*out of luck") as caught:
        await attempt(engine.host, output="file")
    assert caught.value.interrupted


CUT = [
    pytest.param(raw(b'{"Id"', "Content-Length: 40"), id="shorter than it says"),
    pytest.param(raw(b'5\r\n{"Id', "Transfer-Encoding: chunked"), id="in a chunk"),
    pytest.param(b"", id="before a word"),
    pytest.param(b"\0\0\0", id="no HTTP"),
]


@pytest.mark.parametrize("said", CUT)
async def test_d92_answer_that_is_cut(serve: Serve, said: Answer) -> None:
    """D92: an answer that is cut is no answer; the call is made again until there is one."""
    answers = iter([said, said, answer({"Id": "c1"}, 201)])
    script: Script = {
        "/create": lambda: next(answers),
        "/start": raw(b"", status=204),
        "/json": container(Status="exited", Running=False),
    }
    with serve(script) as engine:
        await attempt(engine.host)
    assert 3 == sum("/create" in line for line in engine.asked)


async def test_d92_engine_too_old(serve: Serve) -> None:
    """D92: an engine that speaks no version of ours is said so."""
    with serve({"/version": answer({**VERSION, "ApiVersion": "1.10"})}) as engine, pytest.raises(RetryLater) as caught:
        await attempt(engine.host)
    assert "no longer supported" in caught.value.reason


@pytest.mark.parametrize("kind", ["missing", "folder", "file", "nobody listens"])
async def test_d92_socket_that_is_none(tmp_path: Path, kind: str) -> None:
    """D92: whatever stands at the socket's path, `check` says what to do."""
    path = tmp_path / "docker.sock"
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.touch()
    elif kind == "nobody listens":
        with socket.socket(socket.AF_UNIX) as line:
            line.bind(str(path))
    async with DockerProcess(image=IMAGE, host=f"unix://{path}") as process:
        with pytest.raises(EngineUnreachableError, match="DOCKER_HOST"):
            await process.check()


def test_d92_permission_denied(serve: Serve) -> None:
    """D92: who may not use the socket is told how to."""
    nobody = 65534 if os.geteuid() == 0 else os.geteuid()
    with serve({}) as engine:
        engine.socket.chmod(0)
        done = subprocess.run(
            [sys.executable, "-c", _CHECK_AS_SOMEBODY, engine.host, str(nobody)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert "usermod -aG docker" in done.stderr


@pytest.mark.parametrize("host", ["ftp://x", "tcp://", "unix:///a?b=c", "tcp://host:port"])
async def test_d92_address_that_is_none(host: str) -> None:
    """D92: an address that can't be one is a configuration error."""
    with pytest.raises(ConfigurationError, match="Docker Engine"):
        Engine(host)


async def test_d91_phantom_conflict(serve: Serve) -> None:
    """D91: a name that is taken by nobody is asked for again."""
    conflict = answer({"message": "Conflict. The container name is already in use"}, 409)
    answers = iter([conflict, conflict, answer({"Id": "c1"}, 201)])
    script: Script = {
        "/create": lambda: next(answers),
        "/containers/orchestrator-delivery-1/json": answer({"message": "No such container"}, 404),
        "/containers/c1/json": container(Status="exited", Running=False),
        "/start": raw(b"", status=204),
    }
    with serve(script) as engine:
        await attempt(engine.host)


async def test_b31_remove_that_fails(serve: Serve) -> None:
    """B31: a container that can't be removed has succeeded all the same, and is left to the next sweep."""
    trouble = answer({"message": "device or resource busy"}, 500)
    with serve({"DELETE": trouble, **ended()}) as engine:
        await attempt(engine.host)
    assert any(line.startswith("DELETE") for line in engine.asked)


async def test_b30_registry_is_told_who_pulls(serve: Serve) -> None:
    """B30: the account is sent with the pull, and stands in no other place."""
    line = b'{"error":"unauthorized"}'
    with serve(pulled(line)) as engine, pytest.raises(ImagePullError) as caught:
        await attempt(engine.host, registry_auth=RegistryAuth("me", "hunter2"))
    (sent,) = [head for heads in engine.heads for head in heads if head.lower().startswith("x-registry-auth:")]
    account = json.loads(base64.urlsafe_b64decode(sent.partition(":")[2].strip()))
    assert {"username": "me", "password": "hunter2"} == account
    assert "hunter2" not in str(caught.value)


async def test_d89_pull_that_takes_for_ever(serve: Serve) -> None:
    """D89: an attempt that is cut off while its image is pulled lets go of the pull."""
    is_over = threading.Event()

    def pull() -> Answer:
        is_over.wait(30)
        return chunked(b'{"status":"done"}')

    with serve({**pulled(), "/images/create": pull}) as engine:
        with anyio.move_on_after(0.5) as scope:
            await attempt(engine.host)
        is_over.set()
    assert scope.cancelled_caught


def pulled(*lines: bytes) -> Script:
    """Return an engine without the image, whose pull answers with these lines."""
    return {
        "/containers/create": answer({"message": f"No such image: {IMAGE}"}, 404),
        "/images/create": chunked(*lines),
    }


PULLS = [
    pytest.param(
        [b'{"status":"Pulling"}', b'{"errorDetail":{},"error":"manifest unknown"}'], "tag", id="200 and error"
    ),
    pytest.param([b'{"error":"unauthorized: authentication required"}'], "docker login", id="401"),
    pytest.param([b'{"error":"pull access denied for x"}'], "docker login", id="denied"),
    pytest.param([b'{"error":"no matching manifest for linux/arm64"}'], "architecture", id="wrong architecture"),
    pytest.param([], "empty", id="nothing"),
    pytest.param([b'{"status":'], "Expecting value", id="half a line"),
]


@pytest.mark.parametrize(("lines", "why"), PULLS)
async def test_b30_d89_pull_that_fails(serve: Serve, lines: list[bytes], why: str) -> None:
    """B30, D89: the pull's answer is read to its end, its error is the attempt's, with what to do."""
    with serve(pulled(*lines)) as engine, pytest.raises(ImagePullError, match=why):
        await attempt(engine.host)


@pytest.mark.parametrize("status", [404, 500])
async def test_d89_pull_that_is_refused(serve: Serve, status: int) -> None:
    """D89: a pull may fail before it begins."""
    script = {**pulled(), "/images/create": answer({"message": "not found"}, status)}
    with serve(script) as engine, pytest.raises(ImagePullError, match="not found"):
        await attempt(engine.host)


async def test_d89_rate_limit(serve: Serve) -> None:
    """D89: a registry that is asked too often is asked later, and the job has not failed."""
    line = b'{"error":"toomanyrequests: You have reached your pull rate limit"}'
    with serve(pulled(line)) as engine, pytest.raises(RetryLater) as caught:
        await attempt(engine.host)
    assert isinstance(caught.value.__cause__, RegistryBusyError)


async def test_pull_onto_a_full_disk(serve: Serve) -> None:
    """An image for which the engine has no room is pulled later, and the job has not failed."""
    line = b'{"error":"failed to register layer: write /x: no space left on device"}'
    with serve(pulled(line)) as engine, pytest.raises(RetryLater, match="no space left"):
        await attempt(engine.host)


async def test_start_on_a_full_disk(serve: Serve) -> None:
    """A container for which the engine has no room is started later, and the job has not failed."""
    full = "write /x/hosts: no space left on device"
    script = {
        "/create": answer({"Id": "c1"}, 201),
        "/start": answer({"message": full}, 500),
        "/json": container(Status="created", Running=False, ExitCode=128, Error=full),
        "/containers/c1?": raw(b"", status=204),
    }
    with serve(script) as engine, pytest.raises(RetryLater, match="no space left"):
        await attempt(engine.host)


async def test_d89_pull_that_is_cut(serve: Serve) -> None:
    """D89: a pull that is cut half way has not happened."""
    script = {**pulled(), "/images/create": raw(b'20\r\n{"status":', "Transfer-Encoding: chunked")}
    with serve(script) as engine, pytest.raises(RetryLater):
        await attempt(engine.host)


async def test_pull_never(serve: Serve) -> None:
    """``pull = "never"`` asks no registry."""
    with serve(pulled()) as engine, pytest.raises(ImagePullError, match="never"):
        await attempt(engine.host, pull="never")
    assert not any("/images/create" in line for line in engine.asked)


async def test_attempts_share_a_pull(serve: Serve) -> None:
    """Attempts that want the image at the same time pull it once."""
    is_there = False

    def pull() -> Answer:
        nonlocal is_there
        is_there = True
        return chunked(b'{"status":"done"}')

    def create() -> Answer:
        return answer({"Id": "c1"}, 201) if is_there else answer({"message": "No such image"}, 404)

    script: Script = {
        "/images/create": pull,
        "/containers/create": create,
        "/start": raw(b"", status=204),
        "/json": container(Status="exited", Running=False),
    }
    with serve(script) as engine:
        async with DockerProcess(image=IMAGE, host=engine.host) as process, anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(process.run, EVENT, FakeAttemptContext(delivery_id=f"delivery-{number}"))
    assert 1 == sum("/images/create" in line for line in engine.asked)


async def test_pull_always(serve: Serve) -> None:
    """``pull = "always"`` asks the registry before each attempt. Catches: a tag that has moved."""
    script: Script = {
        "/images/create": chunked(b'{"status":"Image is up to date"}'),
        "/containers/create": answer({"Id": "c1"}, 201),
        "/start": raw(b"", status=204),
        "/json": container(Status="exited", Running=False),
    }
    with serve(script) as engine:
        async with DockerProcess(image=IMAGE, host=engine.host, pull="always") as process:
            for number in range(2):
                await process.run(EVENT, FakeAttemptContext(delivery_id=f"delivery-{number}"))
    assert 2 == sum("/images/create" in line for line in engine.asked)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_log_that_hangs(serve: Serve) -> None:
    """A log that never comes holds nothing up: the container is looked at, and its last lines are asked for again."""
    released = threading.Event()

    def hang() -> Answer:
        released.wait()
        return raw(b"")

    script: Script = {
        "follow=1": hang,
        "follow=0": raw(b"\x01\0\0\0\0\0\0\x26" + b"2026-01-01T00:00:00.000000000Z the end"),
        "/containers/create": answer({"Id": "c1"}, 201),
        "/start": raw(b"", status=204),
        "/json": container(Status="exited", Running=False),
    }
    context = FakeAttemptContext()
    with serve(script) as engine:
        try:
            await attempt(engine.host, context=context)
        finally:
            released.set()
    assert "the end" == context.lines[-1]


async def test_check_pulls_nothing_that_is_there(serve: Serve) -> None:
    """`check` asks for the image, and pulls it only if it is missing."""
    with serve({f"/images/{IMAGE}/json": answer({"Id": "i1"})}) as engine:
        async with DockerProcess(image=IMAGE, host=engine.host, registry_auth=RegistryAuth("me", "x")) as process:
            await process.check()
    assert not any("/images/create" in line for line in engine.asked)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        pytest.param(chunked(b'{"error":"toomanyrequests: slow down"}'), RegistryBusyError, id="rate limit"),
        pytest.param(chunked(b'{"error":"write /x: no space left on device"}'), ImagePullError, id="full disk"),
        pytest.param(b"", EngineUnreachableError, id="engine lost"),
    ],
)
async def test_check_says_why_it_cannot_pull(serve: Serve, said: Answer, kind: type[Exception]) -> None:
    """A check that can't pull fails with the reason. Catches: one that asks to be run later, as an attempt does."""
    with serve({"/images/create": said}) as engine:
        async with DockerProcess(image=IMAGE, host=engine.host) as process:
            with pytest.raises(kind):
                await process.check()


@pytest.mark.parametrize(
    "anyio_backend", [pytest.param(("trio", {"clock": MockClock(autojump_threshold=0.0)}), id="trio")]
)
async def test_answer_that_does_not_come(serve: Serve) -> None:
    """An engine that is asked for a log and is silent has not cut the connection, and is not said to."""
    is_over = threading.Event()

    def hang() -> Answer:
        is_over.wait()
        return b""

    with serve({"/logs": hang}) as recorded_engine:
        engine = Engine(recorded_engine.host)
        await engine.connect()
        with pytest.raises(EngineUnreachableError, match="no answer within 30 s"):
            await _stream.get(engine, "/containers/c1/logs")
        is_over.set()
        engine.close()


def test_replaced_urllib3_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment whose urllib3 is replaced is refused by name. Catches: connections mixed up between threads."""
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "2.13.900" if name == "urllib3-future" else real(name))
    with pytest.raises(ConfigurationError, match="niquests"):
        refuse_replaced_urllib3()


def test_urllib3_is_the_real_one() -> None:
    """Nothing in the environment of these tests replaces urllib3."""
    assert {"urllib3"} == set(metadata.packages_distributions()["urllib3"])


async def killed_and_started_while_it_runs(dockerd: Dockerd, script: str, context: FakeAttemptContext) -> None:
    """Run a container, kill its engine -9 once it has written "on", and start the engine again."""
    async with DockerProcess(image=IMAGE, command=["sh", "-c", script]) as process, anyio.create_task_group() as tasks:
        tasks.start_soon(restart_once_on, dockerd, context)
        with anyio.fail_after(90):
            await process.run(EVENT, context)


async def restart_once_on(dockerd: Dockerd, context: FakeAttemptContext) -> None:
    """Kill the engine once the container has written "on", and start it again."""
    while "on" not in context.lines:  # noqa: ASYNC110 (another program writes it)
        await anyio.sleep(0.01)
    await to_thread.run_sync(dockerd.kill)
    await to_thread.run_sync(dockerd.start)


async def test_engine_restart_is_an_interruption(own_dockerd: Dockerd) -> None:
    """A container that its engine takes down is run again, and that is no failure."""
    context = FakeAttemptContext()
    with pytest.raises(ExceptionGroup) as caught:
        await killed_and_started_while_it_runs(own_dockerd, "echo on; sleep 60", context)
    (error,) = caught.value.exceptions
    assert isinstance(error, RetryLater)
    assert "restarted" in error.reason


async def test_live_restore_loses_nothing(lasting_dockerd: Dockerd) -> None:
    """A container that outlives its engine is waited for, and its log is read on where it was cut."""
    context = FakeAttemptContext()
    await killed_and_started_while_it_runs(lasting_dockerd, "echo on; sleep 6; echo done", context)
    assert ["on", "done"] == context.lines


async def test_unreachable_until_the_deadline(tmp_path: Path) -> None:
    """An engine that stays away is nobody's failure: the attempt is postponed, and asks for its container first."""
    context = FakeAttemptContext(deadline=time.time() + 2.0)
    with pytest.raises(RetryLater, match="no Docker Engine answers") as caught:
        await attempt(f"unix://{tmp_path}/none.sock", context=context)
    assert caught.value.interrupted


async def test_unreachable_in_the_midst_of_a_long_pause(tmp_path: Path) -> None:
    """However long the pauses between its tries have grown, an attempt is postponed before its time is over.

    Catches: a pause across the deadline, after which the engine's absence counts as the job's time-out.
    """
    seconds = 4.0  # the tries are made after 2.4 and 4.4
    context = FakeAttemptContext(deadline=time.time() + seconds)
    with anyio.fail_after(seconds), pytest.raises(RetryLater, match="no Docker Engine answers"):
        await attempt(f"unix://{tmp_path}/none.sock", context=context)


async def test_silent_until_the_deadline(serve: Serve) -> None:
    """An engine that takes the question and does not answer is nobody's failure either.

    Catches: a call across the deadline, after which the engine's silence counts as the job's time-out.
    """
    is_over = threading.Event()

    def hang() -> Answer:
        is_over.wait()
        return b""

    with serve({"/create": hang}) as engine:
        try:
            async with DockerProcess(image=IMAGE, host=engine.host) as process:
                context = FakeAttemptContext(deadline=time.time() + 4.0)
                with anyio.fail_after(20), pytest.raises(RetryLater, match="does not get on") as caught:
                    await process.run(EVENT, context)
        finally:
            is_over.set()
    assert caught.value.interrupted


async def test_unreachable_with_much_to_remove(serve: Serve) -> None:
    """An attempt that waits for an engine to remove what has ended is postponed as well, if that engine went away.

    Catches: an attempt that waits for as long as it may, and is timed out before it has begun.
    """
    removal = b""
    exited = container(Status="exited", Running=False)
    names = count(10)
    script: Script = {
        **ended(),
        "DELETE": lambda: removal,
        "/json": lambda: exited.replace(b'"c1"', b'"%d"' % next(names)),
    }
    with serve(script) as engine:
        async with DockerProcess(image=IMAGE, host=engine.host) as process:
            with anyio.fail_after(30), pytest.raises(RetryLater, match="does not get on"):
                await _run_again_and_again(process)
            removal = raw(b"", status=204)


async def _run_again_and_again(process: DockerProcess) -> None:
    while True:
        await process.run(EVENT, FakeAttemptContext(deadline=time.time() + 3.0))


async def test_outage_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """However many attempts wait for the engine, one line says that it is away and what to do.

    Catches: the same three lines for each attempt, and again every five seconds.
    """
    process = DockerProcess(image=IMAGE, host=f"unix://{tmp_path}/none.sock")
    async with MemoryJournal() as journal:
        process.attach("job", journal)
        async with process, anyio.create_task_group() as tasks:
            for number in range(3):
                context = FakeAttemptContext(delivery_id=f"delivery-{number}", deadline=time.time() + 1.5)
                tasks.start_soon(_expect_later, process, context)
    (said,) = [record.message for record in caplog.records if record.name == "orchestrator_docker"]
    assert "none.sock: No such file or directory; start it" in said


async def _expect_later(process: DockerProcess, context: FakeAttemptContext) -> None:
    with pytest.raises(RetryLater):
        await process.run(EVENT, context)


async def test_frozen_engine_does_not_freeze_the_loop(own_dockerd: Dockerd) -> None:
    """While the engine hangs, the event loop goes on and a cancelled attempt lets go."""
    async with DockerProcess(image=IMAGE, command=["true"]) as process:
        await process.check()
        own_dockerd.kill(signal.SIGSTOP)
        try:
            with anyio.move_on_after(0.5) as scope:
                await process.run(EVENT, FakeAttemptContext())
        finally:
            own_dockerd.kill(signal.SIGCONT)
    assert scope.cancelled_caught
