"""When an attempt is made again: backoff, its limits, and `RetryLater`."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest

from orchestrator_core import (
    DeliveryQuery,
    DeliverySettled,
    DeliveryState,
    MemoryJournal,
    Reject,
    RetryLater,
    RetryPolicy,
)
from orchestrator_core.testing import Play, RecordingProcess, ScriptedProcess, SimulatedClock
from tests.unit.engine.pipelines import Notices, at_work, event, finish, finish_simulated, only, single, until_run

pytestmark = pytest.mark.anyio


class _Exact(Random):
    """Dice without jitter."""

    def random(self) -> float:
        return 0.0


class Timed(ScriptedProcess):
    """Notes when its runs begin, in seconds since the clock was made."""

    def __init__(self, clock: SimulatedClock, script: list[Play]) -> None:
        super().__init__(script)
        self.moments: list[float] = []
        self._clock = clock

    async def play(self, event: object, context: object) -> None:
        self.moments.append(self._clock.monotonic())
        await super().play(event, context)  # type: ignore[arg-type]


async def test_delays_double_up_to_the_longest() -> None:
    """1, 2, 4, 4 … seconds lie between the attempts. Catches: no backoff, or one that never ends to grow."""
    clock = SimulatedClock()
    process = Timed(clock, [OSError("no route")])
    options = {"retry": RetryPolicy(attempts=5, max=timedelta(seconds=4))}
    async with single(process, clock=clock, rng=_Exact(), options=options) as orchestrator:
        await finish_simulated(orchestrator, clock)
    assert [0, 1, 3, 7, 11] == [round(moment) for moment in process.moments]


async def test_jitter_comes_from_the_rng() -> None:
    """The same dice give the same moments, and none is early. Catches: hidden randomness; jitter downward."""
    moments = []
    for _ in range(2):
        clock = SimulatedClock()
        process = Timed(clock, [OSError("no route")])
        options = {"retry": RetryPolicy(attempts=4)}
        async with single(process, clock=clock, rng=Random(7), options=options) as orchestrator:
            await finish_simulated(orchestrator, clock)
        moments.append(process.moments)
    assert moments[0] == moments[1]
    gaps = [after - before for before, after in zip(moments[0], moments[0][1:], strict=False)]
    assert all(low <= gap <= 2 * low + 0.3 for low, gap in zip((1, 2, 4), gaps, strict=True))


async def test_the_last_failure_makes_a_dead_letter() -> None:
    """After so many attempts it is dead, with the last reason. Catches: one attempt too many or too few."""
    clock, journal = SimulatedClock(), MemoryJournal()
    process = ScriptedProcess([OSError("first"), OSError("second"), OSError("third")])
    options = {"retry": RetryPolicy(attempts=3)}
    async with single(process, journal=journal, clock=clock, options=options) as orchestrator:
        summary = await finish_simulated(orchestrator, clock)
    delivery = await only(journal)
    found = (delivery.state, delivery.attempt, delivery.failures, delivery.reason)
    assert (DeliveryState.DEAD, 3, 3, "OSError: third") == found
    assert (1, 2) == (summary.dead, summary.processes["work"].retried)


async def test_an_old_delivery_is_not_tried_again() -> None:
    """`max_age` counts from when the event was accepted. Catches: counted from the first attempt, or not at all."""
    clock, journal = SimulatedClock(), MemoryJournal()
    process = ScriptedProcess([OSError("no route")])
    options = {"retry": RetryPolicy(attempts=50, max_age=timedelta(seconds=10))}
    async with single(process, journal=journal, clock=clock, rng=_Exact(), options=options) as orchestrator:
        await finish_simulated(orchestrator, clock)
    assert (DeliveryState.DEAD, 4) == ((await only(journal)).state, len(process.runs))


async def test_later_is_no_failure() -> None:
    """`RetryLater` waits as long as it says and counts nothing, however often. Catches: counted as a failure."""
    clock, journal = SimulatedClock(), MemoryJournal()
    later = RetryLater(timedelta(seconds=5), "not before the night")
    process = Timed(clock, [later, later, later, None])
    options = {"retry": RetryPolicy(attempts=1)}
    async with single(process, journal=journal, clock=clock, options=options) as orchestrator:
        await finish_simulated(orchestrator, clock)
    delivery = await only(journal)
    assert (DeliveryState.DONE, 4, 0) == (delivery.state, delivery.attempt, delivery.failures)
    assert [0, 5, 10, 15] == [round(moment) for moment in process.moments]


async def test_later_says_why() -> None:
    """The reason is on the delivery while it waits. Catches: a delivery that waits and nobody knows what for."""
    clock, journal, notices = SimulatedClock(), MemoryJournal(), Notices()
    process = ScriptedProcess([RetryLater(timedelta(hours=1), "not before the night")])
    async with at_work(process, journal=journal, clock=clock, observers=[notices]):
        await clock.advance(1)
        delivery = await only(journal)
    assert (DeliveryState.READY, "not before the night") == (delivery.state, delivery.reason)
    (told,) = notices.of(DeliverySettled)
    assert (DeliveryState.READY, True) == (told.state, 3_590 < told.retry_in <= 3_600)


async def test_a_retry_far_off_is_not_forgotten_by_a_nearer_one() -> None:
    """Each delivery has its own moment. Catches: one moment remembered for the whole process."""
    clock = SimulatedClock()
    script = {"soon": timedelta(seconds=2), "late": timedelta(seconds=20), "later": timedelta(seconds=40)}
    ended: list[tuple[str, int]] = []

    async def play(event: object, context: object) -> None:
        if context.attempt == 1:  # type: ignore[attr-defined]
            raise RetryLater(script[event.id])  # type: ignore[attr-defined]
        ended.append((event.id, round(clock.monotonic())))  # type: ignore[attr-defined]

    async with single(ScriptedProcess([play]), [event(id_) for id_ in script], clock=clock) as orchestrator:
        await finish_simulated(orchestrator, clock)
    assert [("soon", 2), ("late", 20), ("later", 40)] == ended


async def test_a_redriven_dead_letter_runs_again() -> None:
    """Somebody else's redrive is noticed, and it starts with fresh counts. Catches: one seen at the next start."""
    clock, journal = SimulatedClock(), MemoryJournal()
    process = ScriptedProcess([Reject("broken"), None])
    async with at_work(process, journal=journal, clock=clock):
        await clock.advance(1)
        await journal.redrive(DeliveryQuery(), now=clock.time())
        await clock.advance(1)
        delivery = await only(journal)
    assert (DeliveryState.DONE, 2, 0) == (delivery.state, delivery.attempt, delivery.failures)


async def test_the_retry_of_one_process_holds_up_no_other() -> None:
    """A fan-out's other branch is done at once. Catches: one backoff for the event."""
    clock, other = SimulatedClock(), RecordingProcess()
    orchestrator = single(ScriptedProcess([OSError("no route")]), clock=clock)
    orchestrator.add_process("other", other)
    orchestrator.add_link("in", "other")
    async with orchestrator:
        summary = await finish_simulated(orchestrator, clock, at_most=120)
    assert (1, 1) == (summary.done, summary.dead)
    assert 1 == len(other.runs)


async def test_a_clock_that_is_set_back_stops_no_time_keeping() -> None:
    """Time-outs and rates go by elapsed time. Catches: a timekeeper that waits for the wall clock to catch up."""
    clock, journal = SimulatedClock(), MemoryJournal()

    async def hang(event: object, context: object) -> None:
        await clock.sleep(86_400)

    options = {"timeout": timedelta(seconds=5), "rate": 2.0, "retry": RetryPolicy(attempts=1)}
    process = ScriptedProcess([hang])
    source = [event("1"), event("2"), event("3")]
    async with at_work(process, source, journal=journal, clock=clock, options=options):
        await clock.advance(0.1)
        clock.shift(-3_600)
        await clock.advance(10)
    assert (3, 0) == (len(process.runs), process.running)


async def test_backoff_is_the_retry_policys() -> None:
    """Two processes with two policies keep to their own. Catches: one policy for the pipeline."""
    clock = SimulatedClock()
    hasty, patient = Timed(clock, [OSError("x")]), Timed(clock, [OSError("x")])
    orchestrator = single(hasty, clock=clock, rng=_Exact(), options={"retry": RetryPolicy(attempts=2)})
    orchestrator.add_process("patient", patient, retry=RetryPolicy(attempts=2, initial=timedelta(seconds=9)))
    orchestrator.add_link("in", "patient")
    async with orchestrator:
        await finish_simulated(orchestrator, clock)
    assert ([0, 1], [0, 9]) == ([round(each) for each in hasty.moments], [round(each) for each in patient.moments])


async def test_a_retry_on_the_real_clock() -> None:
    """The same with time as it is. Catches: an alarm that only a simulated clock rings."""
    process = ScriptedProcess([OSError("no route"), OSError("no route"), None])
    options = {"retry": RetryPolicy(initial=timedelta(milliseconds=5))}
    summary = await finish(single(process, options=options))
    assert (1, 3) == (summary.done, len(process.runs))
    await until_run(process, 3)
