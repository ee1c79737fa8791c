"""One input at work: the context it is handed, and how it is started again when it fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import anyio
import attrs
from anyio.abc import TaskGroup

from orchestrator_core._announcer import Announcer
from orchestrator_core._attempt import is_cut_off
from orchestrator_core._clock import Clock
from orchestrator_core._contracts import Input
from orchestrator_core._event import Event, Operation
from orchestrator_core._hosting import describe, host, restart_delay
from orchestrator_core._json import JSON
from orchestrator_core._notices import InputChanged, Measured

_HEALTHY_SECONDS = 60.0


class Intake(Protocol):
    """Where inputs hand over their events."""

    async def accept(self, trigger: str, events: Sequence[Event], checkpoint: JSON) -> Sequence[Event]:
        """Accept events; see `InputContext.emit_many`."""

    async def load_checkpoint(self, name: str) -> JSON:
        """Return an input's checkpoint."""

    @property
    def version(self) -> int:
        """A number that grows whenever something may have changed what an input would see."""


@attrs.define(eq=False)
class Supervised:
    """One input, and the `InputContext` that it is handed.

    To tell whether an input has caught up *since* something happened, it counts when its newest fruitless look began:
    at the end of its last call here. A look that was under way when a process wrote a row may have missed that row.

    Attributes:
        name: its name.
        input: the component.
        operations: only events with one of these are accepted; ``None`` for all.
        opened: set when events are let in.
        admitted: set when it may run; one that is opened ahead waits for that.
        entered: set when its component was entered or can't be.
        error: why one that was opened ahead can't be.
        listens: set when it listens, or has failed to, so that nobody need wait for it.
        ended: whether its source has ended.
    """

    name: str
    input: Input
    operations: frozenset[Operation] | None
    clock: Clock
    intake: Intake
    announcer: Announcer
    on_change: Callable[[], None]
    opened: anyio.Event
    admitted: anyio.Event = attrs.field(factory=anyio.Event)
    entered: anyio.Event = attrs.field(factory=anyio.Event)
    error: BaseException | None = None
    listens: anyio.Event = attrs.field(factory=anyio.Event)
    ended: bool = False
    scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope)
    gone: anyio.Event = attrs.field(factory=anyio.Event)
    log: logging.Logger = attrs.field(init=False)
    _look: int = -1
    _caught_up: int = -1
    _failures: int = 0
    _problem: str | None = None
    _nudge: anyio.Event = attrs.field(factory=anyio.Event)

    def __attrs_post_init__(self) -> None:
        self.log = logging.getLogger(f"orchestrator_core.input.{self.name}")

    async def emit(self, event: Event) -> Event:
        """See `InputContext.emit`."""
        return (await self.emit_many([event]))[0]

    async def emit_many(self, events: Sequence[Event], *, checkpoint: JSON = None) -> Sequence[Event]:
        """See `InputContext.emit_many`. Events of other operations than the input's are returned as they are."""
        if not self.opened.is_set():
            self.listens.set()
            await self.opened.wait()
        if self.operations is None:
            accepted = await self.intake.accept(self.name, events, checkpoint)
        else:
            wanted = [event for event in events if event.operation in self.operations]
            found = iter(await self.intake.accept(self.name, wanted, checkpoint))
            accepted = [next(found) if event.operation in self.operations else event for event in events]
        self._look = self.intake.version
        return accepted

    async def load_checkpoint(self) -> JSON:
        """See `InputContext.load_checkpoint`."""
        return await self.intake.load_checkpoint(self.name)

    def ready(self) -> None:
        """See `InputContext.ready`."""
        self.listens.set()
        self._look = self.intake.version
        self.announcer.tell(InputChanged(self.name, "ready"))

    def caught_up(self) -> None:
        """See `InputContext.caught_up`."""
        self._caught_up, self._look = self._look, self.intake.version
        self.on_change()

    async def sleep(self, seconds: float) -> None:
        """See `InputContext.sleep`."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._cancel_when_nudged, tasks.cancel_scope)
            await self.clock.sleep(seconds)
            tasks.cancel_scope.cancel()
        self._look = self.intake.version

    async def _cancel_when_nudged(self, scope: anyio.CancelScope) -> None:
        await self._nudge.wait()
        self._nudge = anyio.Event()
        scope.cancel()

    def healthy(self, problem: str | None = None) -> None:
        """See `InputContext.healthy`."""
        if problem == self._problem:
            return
        self._problem = problem
        if problem is None:
            self.announcer.tell(InputChanged(self.name, "ready"))
        else:
            self.log.warning("%s", problem)
            self.announcer.tell(InputChanged(self.name, "unhealthy", problem))

    def measure(self, name: str, value: float, **labels: str) -> None:
        """See `InputContext.measure`."""
        self.announcer.tell(Measured(self.name, name, value, labels))

    def has_caught_up(self) -> bool:
        """Tell whether it has ended, or looked and found nothing since the newest change."""
        return self.ended or self._caught_up == self.intake.version

    def nudge(self) -> None:
        """Ask for a fresh look."""
        self._nudge.set()

    async def supervise(self) -> None:
        """Run the input until it ends, starting it again after each failure; enter it once if it wants that."""
        with self.scope:
            while not self.ended:
                try:
                    async with anyio.create_task_group() as hosts:
                        await self._run_until_it_ends(hosts)
                # The border to foreign code: what ended a task group that the component holds open.
                except Exception as error:  # noqa: BLE001
                    await self._pause(error, lasted=0.0)

    async def _run_until_it_ends(self, hosts: TaskGroup) -> None:
        entered, closing = False, anyio.Event()
        try:
            while not self.ended:
                if self.admitted.is_set():
                    self.announcer.tell(InputChanged(self.name, "starting"))
                began = self.clock.monotonic()
                try:
                    if isinstance(self.input, AbstractAsyncContextManager) and not entered:
                        await hosts.start(host, self.input, self.name, closing)
                        entered = True
                    await self._be_admitted()
                    await self.input.run(self)
                    self.ended = True
                # The border to foreign code: an input's failure must not end the program.
                except Exception as error:  # noqa: BLE001
                    await self._pause(error, lasted=self.clock.monotonic() - began)
                except anyio.get_cancelled_exc_class() as error:
                    if is_cut_off():
                        raise
                    await self._pause(error, lasted=self.clock.monotonic() - began)
        finally:
            closing.set()
        self.announcer.tell(InputChanged(self.name, "ended"))
        self.on_change()

    async def _be_admitted(self) -> None:
        self.entered.set()
        if not self.admitted.is_set():
            await self.admitted.wait()
            self.announcer.tell(InputChanged(self.name, "starting"))

    async def _pause(self, error: BaseException, *, lasted: float) -> None:
        if not self.admitted.is_set():  # whoever wants it opened is told, and may give it up
            self.error = error
            self.entered.set()
            await self.admitted.wait()
        self._failures = 1 if lasted > _HEALTHY_SECONDS else self._failures + 1
        delay = restart_delay(self._failures)
        self.log.debug("input %s failed", self.name, exc_info=error)
        self.listens.set()
        self.announcer.tell(InputChanged(self.name, "failed", describe(error), delay))
        await self.clock.sleep(delay)
