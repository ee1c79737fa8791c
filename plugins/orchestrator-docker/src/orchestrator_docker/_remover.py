"""`Remover`: takes containers away while attempts go on, a few at a time."""

from __future__ import annotations

import logging
from collections import deque

import anyio

from orchestrator_docker._engine import Engine
from orchestrator_docker._errors import DockerError, EngineUnreachableError

_LOG = logging.getLogger("orchestrator_docker")

_AT_ONCE = 4
_MOST_WAITING = 16
_TRIES = 5
_AGAIN_SECONDS = 0.5


class Remover:
    """Removes containers one after the other; run it in a task of its own.

    Removing one takes an engine under load as long as starting one, so whoever starts more waits for `room`.

    Args:
        engine: where they are.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._queue: deque[str] = deque()
        self._known: set[str] = set()
        self._change = anyio.Event()

    def remove(self, container: str) -> None:
        """Remove a container soon."""
        if container not in self._known:
            self._known.add(container)
            self._queue.append(container)
            self._tell_change()

    async def room(self) -> None:
        """Wait until there is not too much left to remove."""
        while len(self._known) >= _MOST_WAITING:
            await self._change.wait()

    async def drained(self) -> None:
        """Wait until nothing is left to remove."""
        while self._known:
            await self._change.wait()

    async def run(self) -> None:
        """Remove what there is to remove, until cancelled."""
        async with anyio.create_task_group() as tasks:
            for _ in range(_AT_ONCE):
                tasks.start_soon(self._work)

    async def _work(self) -> None:
        while True:
            while not self._queue:
                await self._change.wait()
            container = self._queue.popleft()
            await self._remove(container)
            self._known.discard(container)
            self._tell_change()

    async def _remove(self, container: str) -> None:
        tries = 0
        while True:
            try:
                await self._engine.remove(container)
            except EngineUnreachableError:
                await anyio.sleep(_AGAIN_SECONDS)
            except DockerError as error:
                tries += 1
                if tries == _TRIES:  # the next sweep finds it
                    _LOG.warning("can't remove the container %.12s now: %s", container, error)
                    return
                await anyio.sleep(_AGAIN_SECONDS)
            else:
                return

    def _tell_change(self) -> None:
        self._change.set()
        self._change = anyio.Event()
