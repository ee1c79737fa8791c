"""Runs the inputs of a pipeline, lets their events in once all listen, and knows when they have nothing more."""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio
from anyio.abc import TaskGroup, TaskStatus

from orchestrator_core._announcer import Announcer
from orchestrator_core._clock import Clock
from orchestrator_core._contracts import Input
from orchestrator_core._errors import ConfigurationError
from orchestrator_core._event import Operation
from orchestrator_core._hosting import describe
from orchestrator_core._supervised import Intake, Supervised

_log = logging.getLogger(__name__)

_OPEN_SECONDS = 10.0


class Supervisor:
    """Runs the inputs of a pipeline, each in a task of its own.

    Args:
        clock: the time.
        intake: where their events go.
        announcer: told what becomes of them.
        on_change: called when one has caught up or ended.
    """

    def __init__(self, *, clock: Clock, intake: Intake, announcer: Announcer, on_change: Callable[[], None]) -> None:
        self._clock = clock
        self._intake = intake
        self._announcer = announcer
        self._on_change = on_change
        self._inputs: dict[str, Supervised] = {}
        self._ahead: list[Supervised] = []
        self._opened = anyio.Event()
        self._tasks: TaskGroup | None = None
        self._stopping = False

    def add(self, name: str, component: Input, operations: frozenset[Operation] | None) -> None:
        """Take up an input; it starts at once if work is under way."""
        self._inputs[name] = supervised = self._new(name, component, operations)
        supervised.admitted.set()
        if self._stopping:
            supervised.gone.set()
        elif self._tasks is not None:
            self._tasks.start_soon(self._run, supervised)

    def _new(self, name: str, component: Input, operations: frozenset[Operation] | None) -> Supervised:
        return Supervised(
            name, component, operations, self._clock, self._intake, self._announcer, self._on_change, self._opened
        )

    async def open(self, name: str, component: Input, operations: frozenset[Operation] | None) -> Supervised:
        """Enter an input that is to be added; `take_over` or `dismiss` it then.

        Raises:
            ConfigurationError: it can't be entered.
        """
        supervised = self._new(name, component, operations)
        self._ahead.append(supervised)
        if self._tasks is not None and not self._stopping:
            self._tasks.start_soon(self._run, supervised)
            await supervised.entered.wait()
        if (error := supervised.error) is not None:
            raise ConfigurationError(f'input "{name}" can\'t be opened: {describe(error)}') from error
        return supervised

    def take_over(self, supervised: Supervised) -> None:
        """Let an input run that was opened before."""
        self._ahead.remove(supervised)
        self._inputs[supervised.name] = supervised
        if self._stopping:
            supervised.scope.cancel()
        supervised.admitted.set()

    def dismiss(self) -> None:
        """Leave the inputs that were opened and not taken up."""
        for supervised in self._ahead:
            supervised.scope.cancel()
        self._ahead.clear()

    async def remove(self, name: str) -> None:
        """Stop an input and wait until it has let go of its source."""
        supervised = self._inputs.pop(name)
        await self._stop(supervised)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Run the inputs, and those added later, until cancelled."""
        async with anyio.create_task_group() as self._tasks:
            task_status.started()
            try:
                for supervised in self._inputs.values():
                    self._tasks.start_soon(self._run, supervised)
                await self._open()
                await anyio.sleep_forever()
            finally:  # before the group is closed to new tasks
                self._stopping = True

    async def _open(self) -> None:
        """Let events in once every input listens: one may watch what another's events make a process write."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._open_late, tasks.cancel_scope)
            for supervised in list(self._inputs.values()):
                await supervised.listens.wait()
            tasks.cancel_scope.cancel()
        self._opened.set()

    async def _open_late(self, scope: anyio.CancelScope) -> None:
        await self._clock.sleep(_OPEN_SECONDS)
        late = [name for name, supervised in self._inputs.items() if not supervised.listens.is_set()]
        _log.warning("not listening after %g s: %s; going on without", _OPEN_SECONDS, ", ".join(late))
        scope.cancel()

    async def _run(self, supervised: Supervised) -> None:
        try:
            await supervised.supervise()
        finally:
            supervised.entered.set()
            supervised.listens.set()
            supervised.gone.set()

    async def stop(self) -> None:
        """Stop every input and wait until each has let go of its source."""
        self._stopping = True
        async with anyio.create_task_group() as tasks:
            for supervised in self._inputs.values():
                tasks.start_soon(self._stop, supervised)

    async def _stop(self, supervised: Supervised) -> None:
        supervised.scope.cancel()
        if self._tasks is not None:
            await supervised.gone.wait()

    def have_caught_up(self) -> bool:
        """Tell whether every input has ended or has nothing more since the newest change, and none is to come."""
        return not self._ahead and all(supervised.has_caught_up() for supervised in self._inputs.values())

    def nudge(self) -> None:
        """Ask the inputs that are behind for a fresh look."""
        for supervised in self._inputs.values():
            if not supervised.has_caught_up():
                supervised.nudge()
