"""The input `timer`: when it ticks, and what a restart makes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core import ConfigurationError, Event, JournalUnavailableError, Operation
from orchestrator_core._config.references import Resolver
from orchestrator_core._config.structure import Structure
from orchestrator_core._plugins import Plugins
from orchestrator_core.builtin._schedule import Cron, Every, Schedule
from orchestrator_core.builtin.timer import Timer
from orchestrator_core.testing import FakeInputContext, SimulatedClock
from tests.running import running

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
FIVE = timedelta(seconds=5)


@pytest.fixture
def clock() -> SimulatedClock:
    """A clock that stands at noon."""
    return SimulatedClock(NOON.timestamp())


@pytest.fixture
def context(clock: SimulatedClock) -> FakeInputContext:
    """A context that sleeps by that clock."""
    return FakeInputContext("tick", clock=clock)


def moments(context: FakeInputContext) -> list[str]:
    """Return the time of day of each accepted event."""
    return [event.time.strftime("%H:%M:%S") for event in context.events]


@pytest.mark.anyio
async def test_it_ticks_at_the_multiples_of_its_period(clock: SimulatedClock, context: FakeInputContext) -> None:
    """Every five seconds is at :05, :10 and so on, whenever it was started."""
    clock.shift(2)
    async with running(Timer(every=FIVE, clock=clock), context):
        await clock.advance(14)
    assert ["12:00:05", "12:00:10", "12:00:15"] == moments(context)


@pytest.mark.anyio
async def test_an_event_is_about_its_scheduled_moment(clock: SimulatedClock, context: FakeInputContext) -> None:
    """The moment is the id, the uid and the time, so that the tick is accepted once, whoever emits it."""
    async with running(Timer(every=FIVE, clock=clock), context):
        await clock.advance(5)
    moment = "2026-05-04T12:00:05+00:00"
    expected = Event(
        location="timer",
        operation=Operation.CREATE,
        id=moment,
        trigger="tick",
        uid=moment,
        time=datetime.fromisoformat(moment),
    )
    assert [expected] == context.events


@pytest.mark.anyio
async def test_the_location_is_an_option(clock: SimulatedClock, context: FakeInputContext) -> None:
    """Two timers of one pipeline may tell their events apart."""
    async with running(Timer(every=FIVE, location="nightly", clock=clock), context):
        await clock.advance(5)
    assert ["nightly"] == [event.location for event in context.events]


@pytest.mark.anyio
async def test_it_ticks_by_cron_in_a_time_zone(clock: SimulatedClock, context: FakeInputContext) -> None:
    """Half past two in Berlin's summer is half past twelve in UTC."""
    clock.shift(29 * 60)
    async with running(Timer(cron="30 14 * * *", timezone="Europe/Berlin", clock=clock), context):
        await clock.advance(60)
    assert ["12:30:00"] == moments(context)


@pytest.mark.anyio
async def test_it_does_not_drift(clock: SimulatedClock, context: FakeInputContext) -> None:
    """Being late once makes no later tick late, as sleeping one period after each tick would."""
    async with running(Timer(every=FIVE, clock=clock), context):
        for _ in range(4):
            await clock.advance(5)
            clock.shift(0.3)
    assert ["12:00:05", "12:00:10", "12:00:15", "12:00:20"] == moments(context)


@pytest.mark.anyio
async def test_it_says_that_it_has_caught_up(clock: SimulatedClock, context: FakeInputContext) -> None:
    """A run until idle need not wait for the next tick."""
    async with running(Timer(every=FIVE, clock=clock), context):
        await context.until(lambda: context.looks == 1)
        assert [] == context.events


@pytest.mark.anyio
async def test_a_fresh_look_brings_no_tick_forward(clock: SimulatedClock, context: FakeInputContext) -> None:
    """Being woken early changes nothing."""
    async with running(Timer(every=FIVE, clock=clock), context):
        await clock.advance(0)
        context.ask_for_a_look()
        await context.until(lambda: context.looks == 2)
        assert [] == context.events


@pytest.mark.anyio
async def test_a_restart_repeats_no_tick(clock: SimulatedClock, context: FakeInputContext) -> None:
    """The checkpoint says which tick was the last."""
    for _ in range(2):
        async with running(Timer(every=FIVE, clock=clock), context):
            await clock.advance(5)
    assert ["12:00:05", "12:00:10"] == moments(context)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("missed", "expected"),
    [
        ("latest", ["12:00:05", "12:00:20"]),
        ("all", ["12:00:05", "12:00:10", "12:00:15", "12:00:20"]),
        ("none", ["12:00:05"]),
    ],
)
async def test_ticks_missed_while_it_was_not_running(
    clock: SimulatedClock, context: FakeInputContext, missed: str, expected: list[str]
) -> None:
    """The option says which of them are made up for."""
    timer = Timer(every=FIVE, missed=missed, clock=clock)  # type: ignore[arg-type]
    async with running(timer, context):
        await clock.advance(5)
    clock.shift(17)
    async with running(timer, context):
        await clock.advance(0)
    assert expected == moments(context)


@pytest.mark.anyio
async def test_a_tick_after_the_very_first_start_is_missed_too(
    clock: SimulatedClock, context: FakeInputContext
) -> None:
    """The start itself is noted, so a crash before the first tick loses none."""
    async with running(Timer(every=FIVE, clock=clock), context):
        await clock.advance(0)
    clock.shift(7)
    async with running(Timer(every=FIVE, clock=clock), context):
        await clock.advance(0)
    assert ["12:00:05"] == moments(context)


@pytest.mark.anyio
async def test_a_tick_that_was_not_accepted_comes_again(clock: SimulatedClock, context: FakeInputContext) -> None:
    """The journal was full: the next start emits the tick that it had not taken."""
    async with running(Timer(every=FIVE, clock=clock), context):
        await clock.advance(0)
    clock.shift(5)
    context.fail(JournalUnavailableError("full"))
    with pytest.raises(JournalUnavailableError):
        await Timer(every=FIVE, clock=clock).run(context)
    async with running(Timer(every=FIVE, clock=clock), context):
        await clock.advance(0)
    assert ["12:00:05"] == moments(context)


@pytest.mark.anyio
async def test_a_clock_that_is_set_back_repeats_no_tick(clock: SimulatedClock, context: FakeInputContext) -> None:
    """The ticks come up again under the same uid, and the journal has them already."""
    async with running(Timer(every=FIVE, clock=clock), context):
        await clock.advance(10)
        clock.shift(-10)
        context.ask_for_a_look()
        await clock.advance(15)
    assert ["12:00:05", "12:00:10", "12:00:15"] == moments(context)


@pytest.mark.anyio
async def test_a_checkpoint_from_the_future_does_not_stop_it(clock: SimulatedClock, context: FakeInputContext) -> None:
    """A clock that was wrong for a moment must not silence the timer for years."""
    context.checkpoints.append("2099-01-01T00:00:00+00:00")
    async with running(Timer(every=FIVE, clock=clock), context):
        await clock.advance(5)
    assert ["12:00:05"] == moments(context)


@pytest.mark.anyio
async def test_a_clock_that_is_set_forward_is_noticed_within_a_minute(
    clock: SimulatedClock, context: FakeInputContext
) -> None:
    """It never naps for long, so a daily tick is not a day late after a laptop's sleep."""
    async with running(Timer(cron="0 0 * * *", clock=clock), context):
        await clock.advance(0)
        clock.shift(12 * 3600)
        await clock.advance(60)
    assert ["00:00:00"] == moments(context)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({}, "a timer needs either", id="nothing"),
        pytest.param({"every": FIVE, "cron": "* * * * *"}, "a timer needs either", id="both"),
        pytest.param({"every": timedelta(0)}, "every is 0:00:00: use 1 ms to 3660 days", id="zero"),
        pytest.param({"every": -FIVE}, "use 1 ms to 3660 days", id="negative"),
        pytest.param({"every": timedelta.max}, "use 1 ms to 3660 days", id="huge"),
        pytest.param({"every": FIVE, "timezone": "UTC"}, "leave it out beside every", id="zone-of-every"),
        pytest.param({"cron": "* * *"}, 'cron "* * *": Wrong number of fields; it has five fields', id="fields"),
        pytest.param({"cron": "61 * * * *"}, 'cron "61 * * * *": Bad minute', id="minute"),
        pytest.param({"cron": "0 0 30 2 *"}, "Bad day-of-month", id="no-such-day"),
        pytest.param(
            {"cron": "* * * * *", "timezone": "Mars/Olympus"}, 'timezone "Mars/Olympus" is not known', id="zone"
        ),
        pytest.param({"cron": "* * * * *", "timezone": "../etc"}, 'timezone "../etc" is not known', id="path"),
        pytest.param({"cron": "* * * * *", "timezone": "America"}, 'timezone "America" is not known', id="folder"),
    ],
)
def test_a_schedule_that_is_none_is_refused(options: dict[str, object], message: str) -> None:
    """The error says what is right there."""
    with pytest.raises(ConfigurationError) as caught:
        Timer(**options)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_everything_wrong_is_reported_at_once() -> None:
    """Each option is looked at by itself. Catches: a zone that is found wrong once the expression is mended."""
    structure = Structure(Resolver({}))
    structure.attempt({"cron": "61 * * * *", "timezone": "Mars/Olympus", "missed": "some"}, Timer, ())
    assert {("cron",), ("timezone",), ("missed",)} == {finding.keys for finding in structure.findings}


SCHEDULES = st.one_of(
    st.builds(Every, st.timedeltas(timedelta(milliseconds=1), timedelta(days=3660))),
    st.builds(
        Cron,
        st.sampled_from(
            ["* * * * *", "*/7 * * * *", "30 2 * * *", "0 */6 1,15 * *", "15,45 1-3 * * SUN", "0 0 29 2 *"]
        ),
        st.sampled_from([ZoneInfo("UTC"), ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")]),
    ),
)
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(SCHEDULES, MOMENTS)
def test_ticks_go_forward(schedule: Schedule, moment: datetime) -> None:
    """The tick after a moment is later, and the latest up to a moment is not."""
    ticks = [moment]
    for _ in range(5):
        ticks.append(schedule.after(ticks[-1]))
    assert all(earlier < later for earlier, later in pairwise(ticks))
    assert schedule.latest(moment) <= moment


@given(SCHEDULES.filter(lambda schedule: isinstance(schedule, Every)), MOMENTS)
def test_the_latest_tick_is_the_one_before_the_next(schedule: Schedule, moment: datetime) -> None:
    """Between them there is none."""
    assert schedule.after(schedule.latest(moment)) == schedule.after(moment)


def test_it_is_found_by_its_entry_point() -> None:
    """`type = "timer"`, as anybody's."""
    assert Timer is Plugins.load(["timer"]).inputs["timer"].factory
