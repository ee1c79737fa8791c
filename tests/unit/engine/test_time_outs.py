"""Time-outs: when an attempt is cut off, and that nobody else is cut off with it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from orchestrator_core import AttemptContext, DeliveryState, Event, MemoryJournal, RetryPolicy
from orchestrator_core.testing import RecordingProcess, ScriptedProcess, SimulatedClock
from tests.unit.engine.pipelines import at_work, events, history, only, running, single, states

pytestmark = pytest.mark.anyio

BRIEF: dict[str, Any] = {"timeout": timedelta(seconds=2), "retry": RetryPolicy(attempts=1)}


async def _hang(event: Event, context: AttemptContext) -> None:
    context.log("hanging")
    await anyio.sleep_forever()


async def test_an_attempt_is_cut_off_when_its_time_is_over() -> None:
    """It runs until its time-out and not much longer, and is a failure that says so. Catches: no time-out at all."""
    journal, clock = MemoryJournal(), SimulatedClock()
    process = ScriptedProcess([_hang])
    async with at_work(process, journal=journal, clock=clock, options=BRIEF):
        await clock.advance(1.9)
        before = process.running
        await clock.advance(0.4)
        delivery = await only(journal)
    assert (1, 0) == (before, process.running)
    assert (DeliveryState.DEAD, 1, 0) == (delivery.state, delivery.failures, delivery.interruptions)
    assert "timed out after 2 s" == delivery.reason


async def test_a_short_time_out_is_kept_too() -> None:
    """Half a tick of the timekeeper is not rounded up to many. Catches: time-outs looked at once a second."""
    clock = SimulatedClock()
    process = ScriptedProcess([_hang])
    options = BRIEF | {"timeout": timedelta(milliseconds=50)}
    async with at_work(process, clock=clock, options=options):
        await clock.advance(0.06)
    assert (1, 0) == (len(process.runs), process.running)


async def test_what_it_logged_is_kept() -> None:
    """Catches: logs lost with the attempt that was cut off, exactly when they are needed."""
    journal, clock = MemoryJournal(), SimulatedClock()
    async with at_work(ScriptedProcess([_hang]), journal=journal, clock=clock, options=BRIEF):
        await clock.advance(3)
        assert [("hanging",)] == [attempt.logs for attempt in await history(journal)]


async def test_it_is_tried_again() -> None:
    """A time-out is a failure like any other. Catches: a time-out that ends the delivery."""
    journal, clock = MemoryJournal(), SimulatedClock()
    process = ScriptedProcess([_hang, None])
    options = BRIEF | {"retry": RetryPolicy(attempts=2)}
    async with at_work(process, journal=journal, clock=clock, options=options):
        await clock.advance(6)
        delivery = await only(journal)
    assert (DeliveryState.DONE, 2) == (delivery.state, delivery.attempt)


async def test_only_the_late_one_is_cut_off() -> None:
    """Its neighbours run on. Catches: a scope shared by all attempts."""
    journal, clock = MemoryJournal(), SimulatedClock()

    async def play(event: Event, context: AttemptContext) -> None:
        await clock.sleep(3.0 if event.id == "0" else 1.0)

    options = BRIEF | {"concurrency": 2}
    async with at_work(ScriptedProcess([play]), events(6), journal=journal, clock=clock, options=options):
        await clock.advance(8)
        found = (await states(journal))["work"]
    assert [DeliveryState.DEAD, *[DeliveryState.DONE] * 5] == found


class _Stubborn(RecordingProcess):
    """Meets its cancellation with an answer of its own, without waiting for anything any more."""

    def __init__(self, answer: Exception | None) -> None:
        super().__init__()
        self._answer = answer

    async def play(self, event: Event, context: AttemptContext) -> None:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            if self._answer is not None:
                raise self._answer from None


ANSWERS = [
    pytest.param(None, DeliveryState.DONE, None, id="finishes"),
    pytest.param(OSError("broken pipe"), DeliveryState.DEAD, "timed out after 2 s", id="raises"),
]


@pytest.mark.parametrize(("answer", "state", "reason"), ANSWERS)
async def test_an_answer_to_the_cancellation(
    answer: Exception | None, state: DeliveryState, reason: str | None
) -> None:
    """A success that comes with the time-out counts; an exception is the time-out's doing, not a reason of its own."""
    journal, clock = MemoryJournal(), SimulatedClock()
    async with at_work(_Stubborn(answer), journal=journal, clock=clock, options=BRIEF):
        await clock.advance(3)
        delivery = await only(journal)
    assert (state, reason) == (delivery.state, delivery.reason)


@pytest.mark.parametrize("answer", [None, OSError("broken pipe")], ids=["finishes", "raises"])
async def test_the_next_attempt_is_not_cut_off_instead(answer: Exception | None) -> None:
    """An attempt that follows one that was cut off has all its time.

    Catches: a cancelled scope that the worker takes along to its next attempt.
    """
    journal, clock = MemoryJournal(), SimulatedClock()

    async def play(event: Event, context: AttemptContext) -> None:
        await checkpoint()

    orchestrator = single(_Stubborn(answer), journal=journal, clock=clock, concurrency=1, options=BRIEF)
    orchestrator.add_process("next", ScriptedProcess([play]), retry=RetryPolicy(attempts=1))
    orchestrator.add_link("in", "next")
    async with orchestrator, running(orchestrator):
        await clock.advance(3)
        delivery = await only(journal, "next")
    assert (DeliveryState.DONE, None) == (delivery.state, delivery.reason)


async def test_time_is_counted_from_the_start_of_the_attempt() -> None:
    """Waiting in the queue costs nothing. Catches: a deadline set when the delivery was claimed."""
    journal, clock = MemoryJournal(), SimulatedClock()

    async def play(event: Event, context: AttemptContext) -> None:
        await clock.sleep(1.5)

    options = BRIEF | {"concurrency": 1}
    async with at_work(ScriptedProcess([play]), events(3), journal=journal, clock=clock, options=options):
        await clock.advance(6)
        found = (await states(journal))["work"]
    assert [DeliveryState.DONE] * 3 == found


async def test_the_wall_clock_does_not_matter() -> None:
    """A clock that is set forward cuts nobody off. Catches: deadlines by wall time."""
    clock = SimulatedClock()
    process = ScriptedProcess([_hang])
    async with at_work(process, clock=clock, options=BRIEF):
        await clock.advance(0.5)
        clock.shift(3_600)
        await clock.advance(0.5)
        assert 1 == process.running
