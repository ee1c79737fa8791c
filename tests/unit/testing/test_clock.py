"""`SimulatedClock`: time that a test moves."""

from __future__ import annotations

from functools import partial

import anyio
import pytest

from orchestrator_core import Clock, SystemClock
from orchestrator_core.testing import SimulatedClock

pytestmark = pytest.mark.anyio


async def test_it_stands_still() -> None:
    """Nothing passes by itself."""
    clock = SimulatedClock(start=100)
    assert (100.0, 0.0) == (clock.time(), clock.monotonic())
    await anyio.wait_all_tasks_blocked()
    assert (100.0, 0.0) == (clock.time(), clock.monotonic())


async def test_advance_moves_both_clocks() -> None:
    """Wall time and monotonic time pass together."""
    clock = SimulatedClock(start=100)
    await clock.advance(2.5)
    assert (102.5, 2.5) == (clock.time(), clock.monotonic())


async def test_shift_moves_the_wall_clock_only() -> None:
    """Somebody sets the clock back; nobody's sleep notices."""
    clock = SimulatedClock(start=100)
    clock.shift(-60)
    assert (40.0, 0.0) == (clock.time(), clock.monotonic())


async def test_sleepers_wake_in_order_at_their_moment() -> None:
    """Each runs at the time it asked for, until everything waits again, before the next wakes."""
    clock = SimulatedClock(start=0)
    woken: list[tuple[str, float]] = []

    async def sleep(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.time()))

    async with anyio.create_task_group() as tasks:
        for name, seconds in (("late", 3), ("early", 1), ("middle", 2), ("earliest", 0.5)):
            tasks.start_soon(sleep, name, seconds)
        await clock.advance(5)
    assert [("earliest", 0.5), ("early", 1), ("middle", 2), ("late", 3)] == woken


async def test_what_sleeps_again_is_woken_in_the_same_advance() -> None:
    """A loop that sleeps a second runs once a second. Catches: one wake-up for each advance."""
    clock = SimulatedClock(start=0)
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            await clock.sleep(0.1)
            ticks.append(clock.time())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        await clock.advance(1)
        tasks.cancel_scope.cancel()
    assert [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0] == ticks


async def test_not_a_moment_too_early() -> None:
    """A sleeper whose time has not come sleeps on."""
    clock = SimulatedClock()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(clock.sleep, 10)
        await clock.advance(9.999_999)
        assert 1 == clock.sleepers
        await clock.advance(0.000_001)
        assert 0 == clock.sleepers


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    """Cancelling a sleep leaves nothing behind, and the others in order."""
    clock = SimulatedClock(start=0)
    async with anyio.create_task_group() as tasks:
        for seconds in (5, 1, 3):
            tasks.start_soon(clock.sleep, seconds)
        await anyio.wait_all_tasks_blocked()
        assert 3 == clock.sleepers
        tasks.cancel_scope.cancel()
    assert 0 == clock.sleepers


@pytest.mark.parametrize("seconds", [0, -1])
async def test_no_time_is_a_checkpoint(seconds: float) -> None:
    """A sleep of nothing lets others run and can be cancelled, and needs no advance."""
    clock = SimulatedClock()
    with anyio.fail_after(1):
        await clock.sleep(seconds)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await clock.sleep(seconds)
    assert scope.cancelled_caught


async def test_time_can_be_read_from_a_thread() -> None:
    """Leases are renewed from a thread of their own."""
    clock = SimulatedClock(start=7)
    assert 7.0 == await anyio.to_thread.run_sync(clock.time)


@pytest.mark.parametrize("make", [SystemClock, partial(SimulatedClock, 0)])
def test_both_clocks_are_clocks(make: type[Clock]) -> None:
    """The simulated one stands in wherever the system's does."""
    clock: Clock = make()
    assert clock.monotonic() <= clock.monotonic()
