"""`WarmPool`: containers that are kept running, so that an attempt is a command in one of them and not a start.

A warm container serves one attempt at a time and many in turn. What one leaves in it (files, processes) the next one
finds: that is the difference in isolation, and why it is off by default. A command in a container outlives nobody's
interest in it, so nothing is adopted: whatever an earlier run has left running is ended before its work is done again.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from orchestrator_core import Clock, new_uid
from orchestrator_docker._engine import Engine
from orchestrator_docker._errors import DockerError, NotThereError
from orchestrator_docker._naming import INSTALL, PROCESS, WARM, Owner
from orchestrator_docker._remover import Remover
from orchestrator_docker._spec import ContainerSpec, config_of, host_of, volume_of

if TYPE_CHECKING:
    from orchestrator_docker._process import DockerProcess

_LOG = logging.getLogger("orchestrator_docker")

_LOOK_SECONDS = 1.0
_END_SECONDS = 30.0

# The pools of this program, by name: a process that takes the place of another (a reload) begins while that one's
# commands are still under way, and nothing else tells them from what a crash has left.
_AT_WORK: set[str] = set()


@attrs.define(eq=False)
class WarmContainer:
    """A container that waits for commands.

    Attributes:
        id: the engine's id of it.
        uses: how many commands it has been given.
        idle_since: when the last one ended, in seconds since 1970 UTC.
        has_ended: it takes no command any more.
    """

    id: str
    uses: int = 0
    idle_since: float = 0.0
    has_ended: bool = False


class WarmPool:
    """The warm containers of one process.

    Args:
        options: the process.
        engine: where they run.
        remover: takes them away.
        clock: the time.
    """

    def __init__(self, options: DockerProcess, engine: Engine, remover: Remover, clock: Clock) -> None:
        self._options = options
        self._engine = engine
        self._remover = remover
        self._clock = clock
        self._name = new_uid()
        self._free: list[WarmContainer] = []
        self._all: dict[str, WarmContainer] = {}
        self._cleared: set[str] = set()
        self._clearing = anyio.Lock()

    @asynccontextmanager
    async def container(
        self, owner: Owner, mounts: Callable[[], Sequence[Mapping[str, Any]]], pull: Callable[[], Awaitable[None]]
    ) -> AsyncIterator[WarmContainer]:
        """Lend a container. It is used again if the block ends without an exception, and without finding it ended.

        Args:
            owner: who needs it.
            mounts: what it sees from outside.
            pull: gets the image if the engine lacks it.
        """
        await self.clear(owner)
        container = self._free.pop() if self._free else await self._create(owner, mounts(), pull)
        container.uses += 1
        is_well = False
        try:
            yield container
            is_well = True
        finally:
            if not is_well:
                await self._end(container)
        container.idle_since = self._clock.time()
        if container.uses < self._options.max_uses and not container.has_ended:
            self._free.append(container)
        else:
            self._retire(container)

    async def clear(self, owner: Owner) -> None:
        """End what an earlier run of this process has left behind; once for each installation."""
        async with self._clearing:
            if owner.install in self._cleared:
                return
            for each in await self._engine.owned(WARM, f"{INSTALL}={owner.install}", f"{PROCESS}={owner.process}"):
                if each.labels[WARM] not in _AT_WORK:
                    await self._engine.remove(each.id)
            self._cleared.add(owner.install)

    async def run(self) -> None:
        """Retire containers that nobody has used for a while, until cancelled."""
        _AT_WORK.add(self._name)
        try:
            while True:
                await self._clock.sleep(_LOOK_SECONDS)
                self._retire_idle()
        finally:
            _AT_WORK.discard(self._name)

    def _retire_idle(self) -> None:
        oldest = self._clock.time() - self._options.idle.total_seconds()
        for each in [each for each in self._free if each.idle_since <= oldest]:
            self._free.remove(each)
            self._retire(each)

    async def close(self) -> None:
        """Retire all containers, those included that the engine has made for a call that was cut off."""
        self._free.clear()
        for each in list(self._all.values()):
            self._retire(each)
        try:
            for listed in await self._engine.owned(f"{WARM}={self._name}"):
                self._remover.remove(listed.id)
        except DockerError as error:
            _LOG.info("warm containers that were left are ended by the next run: %s", error)

    async def _end(self, container: WarmContainer) -> None:
        """End a container whose command has failed or was cut off, before anything is recorded of it."""
        try:
            with anyio.move_on_after(_END_SECONDS, shield=True):
                await self._engine.remove(container.id)
        except DockerError as error:
            _LOG.info("a warm container is ended later: %s", error)
        self._retire(container)

    def _retire(self, container: WarmContainer) -> None:
        if self._all.pop(container.id, None) is not None:
            self._remover.remove(container.id)

    async def _create(
        self, owner: Owner, mounts: Sequence[Mapping[str, Any]], pull: Callable[[], Awaitable[None]]
    ) -> WarmContainer:
        spec = self._spec(owner, mounts)
        try:
            container = await self._engine.create(spec)
        except NotThereError as error:
            if "image" not in error.cause.casefold():
                raise
            await pull()
            container = await self._engine.create(spec)
        warm = self._all[container] = WarmContainer(container)
        is_started = False
        try:
            await self._engine.start(container)
            is_started = True
        finally:
            if not is_started:
                self._retire(warm)
        return warm

    def _spec(self, owner: Owner, mounts: Sequence[Mapping[str, Any]]) -> ContainerSpec:
        labels = {INSTALL: owner.install, PROCESS: owner.process, WARM: self._name}
        config = config_of(self._options, {}, {**self._options.labels, **labels})
        hold = {"entrypoint": list(self._options.hold[:1]), "command": list(self._options.hold[1:])}
        volume = [volume_of()] if self._options.read_only else []
        return ContainerSpec(
            name=f"orchestrator-warm-{new_uid()}",
            image=self._options.image,
            config={**config, **hold},
            host=host_of(self._options, [*mounts, *volume]),
        )
