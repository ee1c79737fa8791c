"""The words in which the engine's tests are written: events, small pipelines, and pipelines at work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import attrs
from anyio import wait_all_tasks_blocked

from orchestrator_core import (
    Attempt,
    Delivery,
    DeliveryQuery,
    DeliveryState,
    Event,
    Input,
    Journal,
    Notice,
    Orchestrator,
    Process,
)
from orchestrator_core._summary import Summary
from orchestrator_core.testing import RecordingProcess, ScriptedInput, SimulatedClock

PATIENCE = 30.0
"""How many real seconds a test may take before it counts as hanging."""


def event(id: str = "1", **fields: Any) -> Event:  # noqa: A002 (the field's name)
    """Make an event of which a test needs to know no more than its id."""
    return Event(**{"location": "orders", "operation": "create", "id": id, **fields})


def events(count: int, **fields: Any) -> list[Event]:
    """Make so many events, with the ids 0, 1, 2 and so on."""
    return [event(str(number), **fields) for number in range(count)]


def single(
    process: Process, source: Input | Sequence[Event] = (), *, options: dict[str, Any] | None = None, **settings: Any
) -> Orchestrator:
    """Make a pipeline of one input ``in`` and one process ``work``; without a source, the input has one event."""
    orchestrator = Orchestrator(**settings)
    if isinstance(source, Sequence):
        source = ScriptedInput([list(source) or [event()]])
    orchestrator.add_input("in", source)
    orchestrator.add_process("work", process, **(options or {}))
    orchestrator.add_link("in", "work")
    return orchestrator


async def finish(orchestrator: Orchestrator) -> Summary:
    """Open a pipeline, run it until it is idle, and close it."""
    with anyio.fail_after(PATIENCE):
        async with orchestrator:
            return await orchestrator.run(until_idle=True)


@asynccontextmanager
async def running(orchestrator: Orchestrator, *, until_idle: bool = False) -> AsyncIterator[None]:
    """Run an open pipeline while the block runs, then cancel it from outside."""
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: orchestrator.run(until_idle=until_idle))
            await wait_all_tasks_blocked()
            yield
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def at_work(
    process: Process, source: Input | Sequence[Event] = (), *, options: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[Orchestrator]:
    """Run a `single` pipeline while the block runs, then cancel it from outside."""
    async with single(process, source, options=options, **settings) as orchestrator, running(orchestrator):
        yield orchestrator


@attrs.define
class Running:
    """A run that ends by itself, and what it returned."""

    summary: Summary | None = None

    async def of(self, orchestrator: Orchestrator, *, until_idle: bool = False) -> None:
        """Run a pipeline to its end."""
        self.summary = await orchestrator.run(until_idle=until_idle)


async def finish_simulated(orchestrator: Orchestrator, clock: SimulatedClock, *, at_most: float = 600.0) -> Summary:
    """Run an open pipeline until it is idle, letting simulated time pass as long as it takes."""
    run = Running()
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: run.of(orchestrator, until_idle=True))
            end = clock.monotonic() + at_most
            while run.summary is None and clock.monotonic() < end:
                await clock.advance(0.25)
            tasks.cancel_scope.cancel()
    assert run.summary is not None, f"not idle after {at_most:g} s"
    return run.summary


async def until_running(process: RecordingProcess, count: int = 1) -> None:
    """Wait until so many runs of a process are under way at one time."""
    await process.until(lambda: process.running == count)


async def until_run(process: RecordingProcess, count: int) -> None:
    """Wait until so many runs of a process have begun."""
    await process.until(lambda: len(process.runs) >= count)


async def deliveries(journal: Journal, process: str | None = None) -> list[Delivery]:
    """Read the ledger in accept order."""
    return list(await journal.deliveries(DeliveryQuery(process=process, limit=100_000)))


async def only(journal: Journal, process: str | None = None) -> Delivery:
    """Read the one delivery that there must be."""
    (delivery,) = await deliveries(journal, process)
    return delivery


async def states(journal: Journal) -> dict[str, list[DeliveryState]]:
    """Return the states of each process's deliveries in accept order."""
    found: dict[str, list[DeliveryState]] = {}
    for delivery in await deliveries(journal):
        found.setdefault(delivery.process, []).append(delivery.state)
    return found


async def history(journal: Journal, process: str | None = None) -> list[Attempt]:
    """Read the history of the one delivery that there must be."""
    return list(await journal.attempts((await only(journal, process)).id))


@attrs.define
class Notices:
    """An observer that keeps what it is told."""

    told: list[Notice] = attrs.field(factory=list)

    def __call__(self, notice: Notice) -> None:
        self.told.append(notice)

    def of(self, kind: type[Any]) -> list[Any]:
        """Return the notices of one kind."""
        return [notice for notice in self.told if isinstance(notice, kind)]
