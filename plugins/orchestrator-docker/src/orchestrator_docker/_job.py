"""`Job`: one container of one attempt, made or adopted, and seen through to its end."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, TypeVar

import anyio

from orchestrator_core import JSON, Clock, Reject, RetryLater
from orchestrator_docker._containers import Container
from orchestrator_docker._engine import Engine
from orchestrator_docker._errors import (
    ContainerLostError,
    ContainerOutputError,
    ContainerStartError,
    DockerError,
    EngineError,
    EngineUnreachableError,
    ForeignContainerError,
    NameTakenError,
    NotThereError,
    is_full,
)
from orchestrator_docker._logs import Follower
from orchestrator_docker._naming import Owner, name_of
from orchestrator_docker._output import read_output
from orchestrator_docker._spec import OUTPUT_FILE, ContainerSpec
from orchestrator_docker._verdict import has_fallen, judge

if TYPE_CHECKING:
    from orchestrator_docker._process import DockerProcess

T = TypeVar("T")

_LOG = logging.getLogger("orchestrator_docker")

LOOK_SECONDS = 10.0
"""How often a running container is looked at, whatever its log says."""

_LOG_SECONDS = 5.0
_UNREAD_SECONDS = 300.0
_KILL_SECONDS = 30.0
_CREATE_TIMES = 20
_APART = 1.0
_SOONEST, _LATEST = 0.02, 2.0
_ENGINE_AFTER = timedelta(seconds=5)


class Job:
    """One container.

    Args:
        options: the process.
        engine: where it runs.
        clock: the time.
        owner: the attempt it is made by, or adopted from.
        deadline: when the attempt under way is cut off, in seconds since 1970 UTC.
        log: takes the lines that the container writes.
        ends_when_cancelled: end the container also when the attempt is cut off before its deadline.

    Attributes:
        ended: the container once it has ended, so that it can be removed.
    """

    def __init__(
        self,
        options: DockerProcess,
        engine: Engine,
        clock: Clock,
        *,
        owner: Owner,
        deadline: float,
        log: Callable[[str], None],
        ends_when_cancelled: bool,
    ) -> None:
        self._options = options
        self._engine = engine
        self._clock = clock
        self._owner = owner
        self._deadline = deadline
        self._log = log
        self._ends_when_cancelled = ends_when_cancelled
        self._lost_contact = False
        self._was_told_to_end = False
        self.ended: Container | None = None

    # Making it

    async def obtain(self, spec: ContainerSpec, pull: Callable[[], Awaitable[None]]) -> Container:
        """Make the container and start it, or find it made by a call whose answer was lost.

        Raises:
            Reject: its name belongs to somebody else.
            DockerError: it can't be made.
        """
        for times in range(_CREATE_TIMES):
            try:
                container = await self._patiently(partial(self._engine.create, spec))
            except NotThereError as error:
                await self._after_missing(error, pull)
            except NameTakenError as error:
                found = await self._patiently(partial(self._engine.inspect, spec.name))
                if found is not None and await self._is_this_attempts(found):
                    return found if not found.never_ran else await self._start(found.id, spec)
                if times == _CREATE_TIMES - 1:
                    raise
                _LOG.debug("%s", error)  # it is being removed, or was removed a moment ago
                await anyio.sleep(_pause(times))
            else:
                return await self._start(container, spec)
        raise AssertionError

    async def _after_missing(self, error: NotThereError, pull: Callable[[], Awaitable[None]]) -> None:
        if "image" not in error.cause.casefold():  # a network or a volume
            raise error
        await pull()

    async def _is_this_attempts(self, found: Container) -> bool:
        """Tell whether a container of our name is ours to use; one of an earlier attempt is removed."""
        if found.owner is None or found.owner.delivery_id != self._owner.delivery_id:
            error = ForeignContainerError(found.name)
            raise Reject(str(error)) from error
        if found.owner.attempt > self._owner.attempt:
            raise DockerError(f"attempt {found.owner.attempt} of this delivery has begun already; this one is late")
        if found.owner.attempt == self._owner.attempt:
            return True
        await self._patiently(partial(self._engine.remove, found.id))
        return False

    async def _start(self, container: str, spec: ContainerSpec) -> Container:
        try:
            if spec.files:
                await self._patiently(partial(self._engine.put, container, spec.files_in, spec.files))
            self._lost_contact = False  # an engine that was away until now has taken nothing down
            return await self._start_once(container, spec.name)
        except EngineError as error:
            found = await self._inspect(container)
            if found.never_ran or found.error:
                await self._patiently(partial(self._engine.remove, container))
                if self._lost_contact:  # an engine that was killed has begun to start it, and does not get past that
                    raise later(str(error)) from error
                if error.is_its_own and (is_full(error.cause) or not found.error):
                    raise
                raise ContainerStartError(spec.image, found.error or error.cause) from error
            return found

    async def _start_once(self, container: str, name: str) -> Container:
        """Start a container: where the answer is lost, not again before a look, as one that has ended would run twice.

        While the engine starts a container it shows it to nobody, so the look tells.
        """
        for times in count():
            try:
                await self.in_time(partial(self._engine.start, container))
            except EngineUnreachableError as error:
                await self._after_silence(error, times)
                found = await self._inspect(container)
                if not found.never_ran:
                    return found
            else:
                break
        return Container.started(container, name, self._owner)

    async def adopt(self) -> Container | None:
        """Find what an attempt that was cut off has left, running or ended by itself; ``None`` if there is nothing."""
        found = await self._patiently(partial(self._engine.inspect, name_of(self._owner.delivery_id)))
        if found is None or found.owner is None or found.owner.delivery_id != self._owner.delivery_id:
            return None
        if found.owner.attempt > self._owner.attempt or found.never_ran:
            return None
        if not found.is_running and has_fallen(found):
            return None
        self._owner = found.owner
        return found

    # Waiting for it

    async def see_through(self, container: Container) -> JSON:
        """Wait until a container has ended, and return its output.

        When the attempt is cut off at its deadline the container is ended; when the pipeline stops it goes on, to be
        adopted, unless nobody could adopt it.

        Raises:
            RetryLater, Reject, DockerError: what its end means if it has not succeeded.
        """
        follower = Follower(self._engine, container.id, self._log)
        try:
            self.ended = ended = await self._wait_within(container, follower)
            await follower.finish(_LOG_SECONDS, is_cut=self._lost_contact)
        finally:
            await follower.close()
        judge(
            ended,
            image=self._options.image,
            last_words=follower.last_words,
            lost_contact=self._lost_contact,
            retry_after=self._options.retry_after,
            was_told_to_end=self._was_told_to_end,
        )
        if self._options.output == "last_line" and not follower.is_at_end:
            raise self._unread(follower.trouble)
        return await read_output(self._options.output, follower.stdout, partial(self._read_file, ended.id), OUTPUT_FILE)

    def _unread(self, trouble: str) -> Exception:
        """Return what it means that the output could not be read: later, but not for ever."""
        what = "the end of the container's log, which is its output, could not be read"
        if trouble:
            return ContainerOutputError(f"{what}: {trouble}")
        if self._clock.time() > self._owner.deadline + _UNREAD_SECONDS:
            return ContainerOutputError(f"{what} until {_UNREAD_SECONDS:g} s after the attempt's deadline")
        return later(what)

    async def _read_file(self, container: str, path: str, limit: int) -> bytes:
        return await self._patiently(partial(self._engine.read_file, container, path, limit))

    async def _wait_within(self, container: Container, follower: Follower) -> Container:
        """Wait for the end; cut off at the deadline, end the container before anything is recorded."""
        try:
            with anyio.move_on_after(max(self._owner.deadline - self._clock.time(), 0.0)):
                return await self._wait(container, follower)
        except anyio.get_cancelled_exc_class():
            if self._is_over or self._ends_when_cancelled:
                await self._end(container, follower)
            raise
        self._was_told_to_end = True
        return await self._end(container, follower)

    @property
    def _is_over(self) -> bool:
        # The core's monotonic clock and this one are a moment apart.
        return self._clock.time() >= self._deadline - _APART

    async def _wait(self, container: Container, follower: Follower) -> Container:
        pause = 0
        while container.is_running:
            with anyio.move_on_after(LOOK_SECONDS) as looking:
                await follower.follow()
            container = await self._inspect(container.id)
            if looking.cancelled_caught or not container.is_running:
                pause = 0
                continue
            await anyio.sleep(_pause(pause))  # its log has ended before it, or could not be had
            pause += 1
        return container

    async def _end(self, container: Container, follower: Follower) -> Container:
        """End a container: ask it, kill it after the grace, and wait until it does not run any more.

        What it still has to say is read to the end, also when the attempt is cut off a second time.
        """
        grace = self._options.grace.total_seconds()
        with anyio.move_on_after(grace + _KILL_SECONDS, shield=True):
            for signal, seconds in (("SIGTERM", grace), ("SIGKILL", _KILL_SECONDS)):
                await self._patiently(partial(self._engine.kill, container.id, signal))
                with anyio.move_on_after(seconds):
                    self.ended = await self._wait(await self._inspect(container.id), follower)
                    await follower.finish(_LOG_SECONDS, is_cut=self._lost_contact)
                    return self.ended
        raise DockerError(f"the container {container.name} does not end, although it was killed")

    async def _inspect(self, container: str) -> Container:
        found = await self._patiently(partial(self._engine.inspect, container))
        if found is None:
            raise ContainerLostError(name_of(self._owner.delivery_id))
        return found

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call, again and again while no engine answers: that is no failure of the job's."""
        times = 0
        while True:
            try:
                return await self.in_time(call)
            except EngineUnreachableError as error:
                await self._after_silence(error, times)
                times += 1

    async def in_time(self, call: Callable[[], Awaitable[T]]) -> T:
        """Wait for the engine, but not until the attempt's time is over: a time-out would be the job's failure."""
        if self._is_over:  # what is still to be done then has a limit of its own
            return await call()
        with anyio.move_on_after(self._deadline - _APART - self._clock.time()):
            return await call()
        raise later(f"the Docker Engine at {self._engine.where} does not get on")

    async def _after_silence(self, error: EngineUnreachableError, times: int) -> None:
        self._lost_contact = True
        if self._is_over:
            raise later(str(error)) from error
        self._engine.report_away(error)
        # The last try is in time, for a time-out would be the job's failure.
        await anyio.sleep(min(_pause(times + 3), self._deadline - _APART - self._clock.time()))


def _pause(times: int) -> float:
    return float(min(_SOONEST * 2.0 ** min(times, 10), _LATEST))


def later(reason: str) -> RetryLater:
    """Return what an engine's own trouble means for a delivery: later, no failure, and look first what became of it."""
    return RetryLater(_ENGINE_AFTER, reason, interrupted=True)
