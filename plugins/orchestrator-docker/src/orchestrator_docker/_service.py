"""`Service`: what a process has while it is entered: the engine, its images, and the sweeper."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

import anyio
from anyio.abc import TaskGroup

from orchestrator_core import JSON, AttemptContext, Clock, ConfigurationError, JournalReader, MemoryJournal, RetryLater
from orchestrator_docker._command import Command
from orchestrator_docker._engine import Engine
from orchestrator_docker._errors import (
    ContainerEndedError,
    EngineError,
    EngineUnreachableError,
    ImagePullError,
    RegistryBusyError,
    is_full,
)
from orchestrator_docker._job import Job, later
from orchestrator_docker._naming import Owner
from orchestrator_docker._policy import bind_source
from orchestrator_docker._remover import Remover
from orchestrator_docker._spec import FOLDER, assign, mount_of, spec_of
from orchestrator_docker._stream import can_stream
from orchestrator_docker._sweeper import Sweeper
from orchestrator_docker._warm import WarmPool

if TYPE_CHECKING:
    from orchestrator_docker._process import DockerProcess

_LEAVE_WITHIN = 20.0
_REGISTRY_AFTER = timedelta(minutes=1)


class Service:
    """Runs and adopts the containers of one process.

    Args:
        options: the process.
        clock: the time.
        name: its name in the pipeline.
        journal: what knows the fate of deliveries; ``None`` outside of a pipeline.
    """

    def __init__(self, options: DockerProcess, clock: Clock, name: str, journal: JournalReader | None) -> None:
        self._options = options
        self._clock = clock
        self._engine = Engine(options.host, options.registry_auth)
        self._remover = Remover(self._engine)
        self._sweeper = Sweeper(self._engine, self._remover, clock, name, journal)
        # Deliveries of a journal in memory are gone with this program, so nobody will ever ask for their containers.
        self._is_volatile = journal is None or isinstance(journal, MemoryJournal)
        self._warm = WarmPool(options, self._engine, self._remover, clock) if options.warm else None
        self._argv: Sequence[str] | None = None
        self._pulling = anyio.Lock()
        self._pulled = 0
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        self._tasks.start_soon(self._remover.run)
        self._tasks.start_soon(self._sweeper.run)
        if self._warm is not None:
            self._tasks.start_soon(self._warm.run)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._tasks is not None
        try:
            with anyio.move_on_after(_LEAVE_WITHIN, shield=True):
                await self._clear_up()
        finally:  # a task group that is not left would take the whole run along
            self._tasks.cancel_scope.cancel()
            try:
                await self._tasks.__aexit__(None, None, None)
            finally:
                self.close()

    async def _clear_up(self) -> None:
        await self._sweeper.finish(is_journal_over=self._is_volatile)
        if self._warm is not None:
            await self._warm.close()
        await self._remover.drained()

    def close(self) -> None:
        """Close the connections to the engine; leaving does so by itself."""
        self._engine.close()

    async def check(self) -> None:
        """Raise if a container could not be made."""
        await self._engine.connect()
        if self._options.warm and not can_stream(self._engine):
            raise ConfigurationError(f"warm: needs an engine behind a socket, which {self._engine.where} is not")
        self._mounts()
        if self._options.pull != "always" and await self._engine.has_image(self._options.image):
            return
        await self._pull()

    async def run(self, payload: bytes, owner: Owner, context: AttemptContext) -> JSON:
        """Run one attempt's container and return its output."""
        if self._warm is not None:
            return await self._run_warm(self._warm, payload, owner, context)
        job = self._job(owner, context)
        get_image = self._image_getter()
        async with self._accounted(job, owner, context.attempt):
            await job.in_time(self._remover.room)
            if self._options.pull == "always":
                await get_image()
            task = assign(self._options, payload, owner)
            container = await job.obtain(spec_of(self._options, task, owner, self._mounts()), get_image)
            return await job.see_through(container)

    async def _run_warm(self, pool: WarmPool, payload: bytes, owner: Owner, context: AttemptContext) -> JSON:
        with _postponing():
            while True:
                async with pool.container(owner, self._mounts, self._image_getter()) as container:
                    task = assign(self._options, payload, owner, f"{FOLDER}/{container.uses}")
                    command = Command(self._options, self._engine, container.id, context.log)
                    try:
                        return await command.run(task, await self._command_line())
                    except ContainerEndedError:
                        if container.uses == 1:
                            raise
                        container.has_ended = True  # while it was free, with its engine or by somebody's hand

    async def _command_line(self) -> Sequence[str]:
        """Return the entrypoint and the command: a command in a warm container must name even the image's own."""
        if self._argv is None:
            options = self._options
            entrypoint, command = await self._engine.image_command(options.image)
            own = options.command or (() if options.entrypoint else command)
            self._argv = [*(options.entrypoint or entrypoint), *own]
        return self._argv

    async def adopt(self, context: AttemptContext) -> tuple[JSON] | None:
        """Return the output of the container that an attempt has left behind, ``None`` if there is none."""
        asked = Owner(
            delivery_id=context.delivery_id, attempt=context.attempt, process=context.process, deadline=context.deadline
        )
        if self._warm is not None:
            with _postponing():
                await self._warm.clear(asked)
            return None
        job = self._job(asked, context)
        # The attempt that is asked about is the one before the one that is recorded.
        async with self._accounted(job, asked, context.attempt + 1):
            container = await job.adopt()
            return None if container is None else (await job.see_through(container),)

    def _job(self, owner: Owner, context: AttemptContext) -> Job:
        return Job(
            self._options,
            self._engine,
            self._clock,
            owner=owner,
            deadline=context.deadline,
            log=context.log,
            ends_when_cancelled=self._is_volatile,
        )

    @asynccontextmanager
    async def _accounted(self, job: Job, owner: Owner, attempt: int) -> AsyncIterator[None]:
        # Where the next attempt is to ask what became of this one, the container is the only answer.
        is_to_be_harvested = False
        with self._sweeper.watching(owner.delivery_id):
            try:
                yield
            except EngineError as error:
                if is_to_be_harvested := error.is_its_own:
                    raise later(str(error)) from error
                raise
            except RetryLater as error:
                is_to_be_harvested = error.interrupted
                raise
            finally:
                if job.ended is not None and not is_to_be_harvested:
                    self._sweeper.has_ended(job.ended.id, job.ended.owner or owner, attempt)

    def _mounts(self) -> Sequence[Mapping[str, Any]]:
        options = self._options
        return [
            mount_of(
                each,
                bind_source(each.source, options.directory, self._engine.where, is_privileged=options.allow_privileged)
                if each.type == "bind"
                else each.source,
            )
            for each in options.mounts
        ]

    def _image_getter(self) -> Callable[[], Awaitable[None]]:
        """Return a function that pulls the image, unless another attempt has pulled it since this moment.

        Made before it is known that the image is missing: an attempt may learn that after the other's pull has ended.
        """
        known = self._pulled

        async def get() -> None:
            nonlocal known
            async with self._pulling:
                if self._pulled == known:
                    await self._pull_or_later()
                known = self._pulled

        return get

    async def _pull(self) -> None:
        image = self._options.image
        if self._options.pull == "never":
            raise ImagePullError(image, 'it is not there, and pull = "never" forbids to fetch it')
        await self._engine.pull(image)
        self._pulled += 1

    async def _pull_or_later(self) -> None:
        """Pull for an attempt, which is postponed by what is not the job's fault."""
        try:
            await self._pull()
        except RegistryBusyError as error:
            raise RetryLater(_REGISTRY_AFTER, str(error)) from error
        except ImagePullError as error:
            if is_full(error.cause):
                raise later(str(error)) from error
            raise
        except EngineUnreachableError as error:
            raise later(str(error)) from error


@contextmanager
def _postponing() -> Iterator[None]:
    """Postpone what the engine's own trouble keeps from being done."""
    try:
        yield
    except EngineUnreachableError as error:
        raise later(str(error)) from error
    except EngineError as error:
        if error.is_its_own:
            raise later(str(error)) from error
        raise
