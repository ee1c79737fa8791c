"""Answers that are lost, cut or can't be read: nothing is done twice for it, or taken for what it is not."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence

import pytest
from answers import LABELS, Answer, Script, Serve, answer, container, ended, log, raw, runs_until_killed
from engines import IMAGE
from pipelines import EVENT, attempt

from orchestrator_core import (
    Delivery,
    DeliveryQuery,
    DeliveryState,
    MemoryJournal,
    ProcessStatus,
    RetryLater,
)
from orchestrator_core.testing import FakeAttemptContext
from orchestrator_docker import (
    ContainerNonZeroExit,
    ContainerOutputError,
    ContainerTimeoutError,
    DockerProcess,
    EngineUnreachableError,
)
from orchestrator_docker._engine import Engine
from orchestrator_docker._logs import Follower

pytestmark = pytest.mark.anyio


async def test_d92_start_whose_answer_is_lost(serve: Serve) -> None:
    """D92: a container that has run is not started again. Catches: a short job run twice for one lost answer."""
    script: Script = {
        "/create": answer({"Id": "c1"}, 201),
        "/start": b"",
        "/json": container(Status="exited", Running=False),
    }
    with serve(script) as engine:
        await attempt(engine.host)
    assert 1 == sum("/start" in line for line in engine.asked)


async def test_d92_start_that_was_not_heard(serve: Serve) -> None:
    """D92: a start that the engine has not heard of is made again."""
    starts = iter([b"", raw(b"", status=204)])
    states = iter([container(Status="created", Running=False)])
    script: Script = {
        "/create": answer({"Id": "c1"}, 201),
        "/start": lambda: next(starts),
        "/json": lambda: next(states, container(Status="exited", Running=False)),
    }
    with serve(script) as engine:
        await attempt(engine.host)
    assert 2 == sum("/start" in line for line in engine.asked)


async def test_answer_lost_before_the_start_excuses_nothing(serve: Serve) -> None:
    """Who kills a container is not the engine that was away before it ran. Catches: a failure that is never counted."""
    answers = iter([b"", answer({"Id": "c1"}, 201)])
    script = {
        **ended(),
        "/create": lambda: next(answers),
        "/json": container(Status="exited", Running=False, ExitCode=137),
    }
    with serve(script) as engine, pytest.raises(ContainerNonZeroExit, match="SIGKILL"):
        await attempt(engine.host)


@pytest.mark.parametrize(("status", "error"), [(500, "mkdir /x: file exists"), (409, "id already in use")], ids=str)
async def test_start_that_an_engine_was_killed_in(serve: Serve, status: int, error: str) -> None:
    """What a killed engine has left half done keeps a container from starting, and is no failure of the job's.

    Catches: a delivery that is a dead letter after a few restarts of its engine.
    """
    starts = iter([b""])
    states = iter([container(Status="created", Running=False)])
    script: Script = {
        "DELETE": raw(b"", status=204),
        "/create": answer({"Id": "c1"}, 201),
        "/start": lambda: next(starts, answer({"message": error}, status)),
        "/json": lambda: next(states, container(Status="created", Running=False, ExitCode=128, Error=error)),
    }
    with serve(script) as engine, pytest.raises(RetryLater, match=error) as caught:
        await attempt(engine.host)
    assert caught.value.interrupted
    assert any(line.startswith("DELETE") for line in engine.asked)


async def test_d92_log_that_is_cut_is_read_on(serve: Serve) -> None:
    """D92: a log that is cut is read on where it was. Catches: the beginning of a log taken for all of it."""
    context = FakeAttemptContext()
    with serve(ended(log(b"1", b"2", is_cut=True), log(b"1", b"2", b"3"))) as engine:
        async with DockerProcess(image=IMAGE, host=engine.host, output="last_line") as process:
            status = await process.run(EVENT, context)
    assert ["1", "2", "3"] == context.lines
    assert ProcessStatus(output=3) == status


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(raw(struct.pack(">B3xL", 1, 0xFFFFFFFF)), id="D84 a frame of 4 GiB"),
        pytest.param(raw(struct.pack(">B3xL", 9, 4)), id="D84 an unknown stream"),
        pytest.param(raw(b"", "Upgrade: tcp", "Connection: Upgrade", status=101), id="101 that nobody asked for"),
        pytest.param(answer({"message": "No such container"}, 404), id="404"),
    ],
)
async def test_d84_d92_log_that_cannot_be_read(serve: Serve, said: Answer) -> None:
    """D84, D92: a container whose log is nonsense has no output, which is a failure; nobody takes another line for it.

    Catches: a delivery that is postponed for ever, as the log is the same nonsense each time.
    """
    with serve(ended(said)) as engine, pytest.raises(ContainerOutputError, match="could not be read"):
        await attempt(engine.host, output="last_line")


async def test_log_that_the_engine_cannot_read_on(serve: Serve) -> None:
    """A log with a broken line, as a full disk leaves it, is a failure that repeats what the engine says of it."""
    words = b"Error grabbing logs: invalid character 'x'\n\n"
    said = raw(struct.pack(">B3xL", 3, len(words)) + words)
    with serve(ended(said)) as engine, pytest.raises(ContainerOutputError, match="grabbing logs: invalid character"):
        await attempt(engine.host, output="last_line")


class _Tunnelled(Engine):
    """An engine behind SSH that goes away as it is asked for a log."""

    async def logs(self, container: str, tail: int) -> Sequence[tuple[int, bytes]]:
        raise EngineUnreachableError(self.where, "the connection was cut")


async def test_log_behind_a_tunnel_is_not_what_decides() -> None:
    """Where a log comes at the end, its loss fails nobody either. Catches: a container that has succeeded run again."""
    context = FakeAttemptContext()
    follower = Follower(_Tunnelled("ssh://me@nowhere"), "c1", context.log)
    await follower.finish(5.0)
    assert ["… the rest of the log could not be read …"] == context.lines
    assert not follower.is_at_end


async def test_log_without_moments(serve: Serve) -> None:
    """A log that is cut and can't be read on, as no moment says where, ends no attempt whose container has succeeded.

    Catches: an error that is nobody's, as the first word of a line was taken for a moment.
    """
    context = FakeAttemptContext()
    frame = struct.pack(">B3xL", 1, 12) + b"hello world\n"
    said = raw(b"%x\r\n%s\r\n" % (len(frame), frame), "Transfer-Encoding: chunked")
    with serve(ended(said)) as engine:
        await attempt(engine.host, context=context)
    assert "… the rest of the log could not be read …" == context.lines[-1]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_log_that_is_cut_is_not_asked_for_for_ever(serve: Serve) -> None:
    """A log that is still cut long after the attempt's deadline is a failure."""
    script = {**ended(log(b"1", is_cut=True)), "/json": container(deadline=1.0, Status="exited", Running=False)}
    with serve(script) as engine:
        async with DockerProcess(image=IMAGE, host=engine.host, output="last_line") as process:
            with pytest.raises(ContainerOutputError, match="after the attempt's deadline"):
                await process.reconcile(EVENT, FakeAttemptContext())


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(log(b"1", is_cut=True), id="cut"),
        pytest.param(answer({"message": "out of luck"}, 500), id="500"),
        pytest.param(b"", id="before a word"),
    ],
)
async def test_d92_log_that_is_always_cut_has_no_end(serve: Serve, said: Answer) -> None:
    """D92: however often it is asked for, a log that is cut each time is not taken for the whole."""
    with serve({"/logs": said}) as recorded_engine:
        engine = Engine(recorded_engine.host)
        await engine.connect()
        follower = Follower(engine, "c1", FakeAttemptContext().log)
        await follower.finish(0.3)
        engine.close()
    assert not follower.is_at_end
    assert 3 <= sum("/logs" in line for line in recorded_engine.asked)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_log_is_finished_once(serve: Serve) -> None:
    """A container that was ended at its deadline has its log read to the end once, however that goes."""
    over = container(Status="exited", Running=False, ExitCode=143)
    context = FakeAttemptContext(deadline=time.time() + 0.5)
    with serve(runs_until_killed(over, log(b"1", is_cut=True))) as engine, pytest.raises(ContainerTimeoutError):
        await attempt(engine.host, context=context)
    assert ["… the rest of the log could not be read …"] == [line for line in context.lines if "the rest" in line]


async def test_d84_log_is_not_what_decides(serve: Serve) -> None:
    """D84: a container whose log is nonsense has succeeded all the same, and the log says what is missing."""
    context = FakeAttemptContext()
    with serve(ended(raw(struct.pack(">B3xL", 1, 0xFFFFFFFF)))) as engine:
        await attempt(engine.host, context=context)
    assert ["… the rest of the log could not be read …"] == context.lines


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_d92_container_that_is_to_be_harvested_stays(serve: Serve) -> None:
    """D92: a container whose output could not be read stays for the next attempt, also when that has begun.

    Catches: it removed as that of an earlier attempt, and its work done again.
    """

    class NextOneRuns(MemoryJournal):
        async def deliveries(self, query: DeliveryQuery) -> Sequence[Delivery]:
            return [
                Delivery(
                    id="delivery-1",
                    event_uid="u",
                    trigger="t",
                    process="job",
                    state=DeliveryState.RUNNING,
                    attempt=2,
                    interrupted=True,
                )
            ]

    listed = answer([{"Id": "c1", "Names": ["/orchestrator-delivery-1"], "Labels": LABELS, "State": "exited"}])
    with serve({"/containers/json": listed, **ended(log(b"1", is_cut=True))}) as engine:
        process = DockerProcess(image=IMAGE, host=engine.host, output="last_line")
        process.attach("process", NextOneRuns())
        async with process:
            with pytest.raises(RetryLater, match="could not be read") as caught:
                await process.run(EVENT, FakeAttemptContext())
    assert caught.value.interrupted
    assert [] == [line for line in engine.asked if line.startswith("DELETE")]
