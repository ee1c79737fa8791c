"""What a run came to, and how a pipeline stands."""

from __future__ import annotations

import pytest

from orchestrator_core import Counts, DeliveryState
from orchestrator_core.cli.render.status import Status, status_dict, status_lines
from orchestrator_core.cli.render.style import PLAIN
from orchestrator_core.cli.render.summary import Ending, summary_dict, summary_lines
from orchestrator_core.cli.render.tally import Tally
from tests.unit.cli.notices import NOON, accepted, settled

LOOK_AT = "orchestrator dead-letters list"


def _tally() -> Tally:
    tally = Tally()
    tally.add(accepted(5, unrouted=1))
    for state, number in ((DeliveryState.DONE, 3), (DeliveryState.READY, 2), (DeliveryState.DEAD, 1)):
        for _ in range(number):
            tally.add(settled(state))
    return tally


def test_a_summary_counts_by_process() -> None:
    """Events are counted once, attempts by process, and processes that did nothing are there as well."""
    assert summary_lines(_tally(), Ending(("clean", "report"), 2.0, 0, 0, 0), PLAIN) == [
        "5 events accepted in 2.0 s, 1 of them unrouted: no link lets them through",
        "",
        "PROCESS  DONE  DEAD  RETRIES  MEAN TIME",
        "clean       3     1        2      12 ms",
        "report      0     0        0",
    ]


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        pytest.param(Ending((), 1.0, 0, 0, 1, LOOK_AT), f"1 dead letter: {LOOK_AT}", id="dead letters of this run"),
        pytest.param(
            Ending((), 1.0, 0, 0, 4, LOOK_AT), f"4 dead letters, 3 of them from before: {LOOK_AT}", id="older ones too"
        ),
        pytest.param(
            Ending((), 1.0, 0, 0, 1),
            "1 dead letter: gone with this run, whose journal was in memory",
            id="journal in memory",
        ),
        pytest.param(
            Ending((), 1.0, 2, 0, 0), "2 deliveries not finished: the next run goes on from there", id="unfinished"
        ),
        pytest.param(
            Ending((), 1.0, 0, 1, 0),
            "1 delivery parked until the process is in the pipeline again",
            id="parked",
        ),
    ],
)
def test_a_summary_says_what_to_do_next(ending: Ending, expected: str) -> None:
    """What is left over comes last, with the command or the event that takes it further."""
    assert summary_lines(_tally(), ending, PLAIN)[-1] == expected


def test_a_summary_of_a_run_that_made_no_dead_letter() -> None:
    """All of them are of earlier runs, which is said once."""
    assert (
        summary_lines(Tally(), Ending((), 1.0, 0, 0, 4, LOOK_AT), PLAIN)[-1] == f"4 dead letters from before: {LOOK_AT}"
    )


def test_an_ending_is_read_from_the_journal() -> None:
    """Unfinished, parked and dead deliveries are counted over all processes."""
    states = DeliveryState
    deliveries = {
        "a": {states.READY: 2, states.RUNNING: 1, states.DONE: 9, states.DEAD: 1},
        "b": {states.WAITING: 1, states.PARKED: 5, states.SKIPPED: 7, states.CANCELLED: 1, states.DEAD: 2},
    }
    ending = Ending.of(Counts(9, 0, deliveries), ["a"], 1.0, LOOK_AT)
    assert Ending(("a",), 1.0, 4, 5, 3, LOOK_AT) == ending


def test_a_summary_for_programs() -> None:
    """The same figures as a JSON object."""
    assert summary_dict(_tally(), Ending(("clean",), 2.0, 0, 0, 1, LOOK_AT)) == {
        "notice": "summary",
        "accepted": 5,
        "unrouted": 1,
        "done": 3,
        "dead": 1,
        "retried": 2,
        "unfinished": 0,
        "parked": 0,
        "dead_in_journal": 1,
        "seconds": 2.0,
        "processes": {"clean": {"done": 3, "dead": 1, "retried": 2}},
    }


def _status(events: int, done: int, at: float = NOON, **fields: int) -> Status:
    counts = Counts(events, 0, {"clean": {DeliveryState.DONE: done, DeliveryState.DEAD: 1}})
    return Status("rain", ("clean", "report"), counts, fields.get("runner"), at)


def test_a_status_shows_every_process() -> None:
    """Processes in the order of the file, states that hardly occur left out, dead letters with what to do."""
    lines = status_lines(_status(4, 3, runner=4711), None, PLAIN)
    assert lines[0].startswith("rain  running as process 4711  ")
    assert lines[1:] == [
        "4 events in the journal",
        "",
        "PROCESS  WAITING  READY  RUNNING  DONE  DEAD  SKIPPED",
        "clean          0      0        0     3     1        0",
        "report         0      0        0     0     0        0",
        "",
        f"1 dead letter: {LOOK_AT}",
    ]


def test_a_live_status_shows_the_pace() -> None:
    """With an earlier look the rates of what was accepted and done are there."""
    lines = status_lines(_status(2_004, 1_003, NOON + 2), _status(4, 3), PLAIN)
    assert lines[1] == "2,004 events in the journal; 1,000 accepted and 500 done a second"


def test_parked_deliveries_are_visible() -> None:
    """A state that hardly occurs has a column when it does."""
    counts = Counts(1, 0, {"gone": {DeliveryState.PARKED: 2}})
    lines = status_lines(Status("rain", (), counts, None, NOON), None, PLAIN)
    assert [line.split()[-1] for line in lines[-2:]] == ["PARKED", "2"]


def test_a_status_for_programs() -> None:
    """The same figures as a JSON object, states by their names."""
    assert status_dict(_status(4, 3)) == {
        "time": "2026-01-01T11:00:00.000Z",
        "name": "rain",
        "runner": None,
        "events": 4,
        "unrouted": 0,
        "deliveries": {"clean": {"done": 3, "dead": 1}},
    }
