"""When the input looks again, and whether writers ring: decided from what each look found."""

from __future__ import annotations

import pytest

from orchestrator_postgres._pace import Pace, Wake

LIMIT = 500


def paced(wake: Wake = "auto") -> Pace:
    """A pace that polls once a second."""
    return Pace(wake, poll=1.0)


def busy() -> Pace:
    """A pace under load, at the moment 0."""
    pace = paced()
    pace.found(100, now=0.0)
    assert not pace.asleep
    return pace


@pytest.mark.parametrize("wake", ["auto", "notify"])
def test_a_sleeping_reader_waits_for_the_bell(wake: Wake) -> None:
    """What is committed after its look rings, so a look that found a row needs no second one at once."""
    pace = paced(wake)
    pace.found(1, now=0.0)
    assert 1.0 == pace.wait(1, LIMIT, held=False)


def test_a_reader_that_nobody_rings_looks_again_at_once() -> None:
    """It found something, so there may be more."""
    pace = paced("poll")
    pace.found(1, now=0.0)
    assert (0.0, 1.0) == (pace.wait(1, LIMIT, held=False), pace.wait(0, LIMIT, held=False))


def test_a_full_batch_is_followed_by_a_look_at_once() -> None:
    """There is more, whether writers ring or not."""
    assert 0.0 == paced("notify").wait(LIMIT, LIMIT, held=False)


def test_a_busy_reader_gives_the_processor_to_the_writers() -> None:
    """Under load, looks that found less than a full batch keep a distance."""
    assert 0.0 < busy().wait(100, LIMIT, held=False) <= 0.02


def test_two_hundred_rows_a_second_do_not_keep_it_awake() -> None:
    """At such a rate writers may well ring. Fails if only a second without any row puts the reader to sleep."""
    pace = busy()
    asleep = []
    for look in range(1, 301):
        pace.found(2, now=look * 0.01)
        asleep.append(pace.asleep)
    assert (False, True) == (asleep[50], True in asleep)


def test_load_keeps_it_awake() -> None:
    """As long as many rows come, nobody rings."""
    pace = busy()
    for look in range(1, 301):
        pace.found(10, now=look * 0.01)
    assert not pace.asleep


def test_many_rows_one_at_a_time_wake_it() -> None:
    """A thousand commits a second that each ring are a load, though no look finds more than one."""
    pace = paced()
    for look in range(300):
        pace.found(1, now=look * 0.001)
    assert not pace.asleep


def test_writers_that_queue_up_to_ring_wake_it() -> None:
    """On a slow disk they are few a second because they ring. Fails if only many rows a second wake the reader."""
    pace = paced()
    asleep = []
    for look in range(300):
        pace.found(1 + look % 2, now=look * 0.006)
        asleep.append(pace.asleep)
    assert False in asleep


def test_two_hundred_rows_a_second_let_it_sleep() -> None:
    """One writer that commits every 5 ms is heard sooner by the bell than by looks that keep a distance."""
    pace = paced()
    for look in range(300):
        pace.found(1, now=look * 0.005)
    assert pace.asleep


def test_one_stall_does_not_wake_it() -> None:
    """A flush that took 50 ms has ten rows come at once, and the next comes alone. Fails if ten count as ten."""
    pace = paced()
    for look in range(100):
        pace.found(1, now=look * 0.005)
    pace.found(10, now=0.55)
    assert pace.asleep


def test_a_trial_without_the_bell_that_shows_nothing_is_short_and_not_soon_repeated() -> None:
    """A slow machine has rows come in twos as queues do. Fails if the reader goes on to look at a distance for that."""
    pace = paced()
    awake = 0
    for look in range(3_000):
        pace.found(2, now=look * 0.01)
        awake += not pace.asleep
    assert 0 < awake <= 3 * 31


def test_a_trial_that_shows_how_fast_writers_are_goes_on() -> None:
    """Freed of ringing they bring more than enough to keep it awake."""
    pace = paced()
    now = 0.0
    while pace.asleep:
        now += 0.006
        pace.found(2, now=now)
    awake = []
    for _ in range(300):
        now += 0.005
        pace.found(20, now=now)
        awake.append(not pace.asleep)
    assert all(awake)
