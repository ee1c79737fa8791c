"""Events, deliveries and the tree of one event, as people and programs read them."""

from __future__ import annotations

import json

import pytest

from orchestrator_core import Attempt, DeliveryState
from orchestrator_core.cli.render import listing
from orchestrator_core.cli.render.figures import iso, moment
from orchestrator_core.cli.render.json_lines import json_line
from orchestrator_core.cli.render.records import delivery_details, event_dict
from orchestrator_core.cli.render.style import PLAIN
from orchestrator_core.cli.render.trace import DeliveryTrace, EventTrace, trace_dict, trace_lines
from tests.unit.cli.notices import ESCAPED, HOSTILE, NOON, delivery, record

NOW = moment(NOON)


def _attempts(*states: str) -> list[Attempt]:
    return [
        Attempt(number, state, None if state == "done" else "refused", NOON, NOON + 0.012, ("looking", "gone"))
        for number, state in enumerate(states, 1)
    ]


def test_events_in_a_table() -> None:
    """Each event is a line: when, which, from where, what happened to which record, and where it goes."""
    assert listing.events_table([record("clean", "report"), record(id="8")], PLAIN) == [
        "ACCEPTED             UID  TRIGGER  OPERATION  RECORD     GOES TO",
        f"{NOW}  u7   raw      create     reading/7  clean, report",
        f"{NOW}  u8   raw      create     reading/8  unrouted",
    ]


def test_deliveries_in_a_table() -> None:
    """Each delivery is a line, with the reason at the end."""
    dead = delivery(DeliveryState.DEAD, reason="refused", attempt=5)
    assert listing.deliveries_table([dead], PLAIN) == [
        "ID     STATE  PROCESS  TRIES  ACCEPTED             REASON",
        f"j-1.0  dead   clean        5  {NOW}  refused",
    ]


def test_dead_letters_in_a_table() -> None:
    """A dead letter's reason is what the list is for."""
    dead = delivery(DeliveryState.DEAD, reason="refused", attempt=5)
    assert listing.dead_letters_table([dead], PLAIN) == [
        "ID     PROCESS  ACCEPTED             REASON",
        f"j-1.0  clean    {NOW}  refused",
    ]


def test_one_event() -> None:
    """What an event carries is listed, what it does not carry is left out."""
    lines = listing.event_page(record("clean", data={"mm": 3}), PLAIN)
    assert lines == [
        "uid        u7",
        "trigger    raw",
        "operation  create",
        "location   reading",
        "id         7",
        "time       2026-01-01T00:00:00+00:00",
        f"accepted   {NOW}",
        "goes to    clean",
        'data       {"mm":3}',
    ]


@pytest.mark.parametrize("year", [1, 9999])
def test_e59_times_far_off(year: int) -> None:
    """E59: an event of the year 1 or 9999 is shown like any other."""
    found = record("clean", time=record().event.time.replace(year=year))
    assert f"time       {year:04}-01-01T00:00:00+00:00" in listing.event_page(found, PLAIN)


@pytest.mark.parametrize("seconds", [1e18, -1e18, float("inf")])
def test_a_moment_outside_the_calendar_is_left_out(seconds: float) -> None:
    """A delivery that is held back is due at a moment that no calendar has."""
    assert (moment(seconds), iso(seconds)) == ("", None)


def test_one_delivery() -> None:
    """A delivery shows its history, and what each attempt wrote."""
    dead = delivery(DeliveryState.DEAD, reason="refused", attempt=2, failures=2, settled_at=NOON)
    assert listing.delivery_page(dead, _attempts("ready", "dead"), PLAIN) == [
        "j-1.0  dead",
        "process   clean",
        "event     u7 from raw",
        f"accepted  {NOW}",
        f"settled   {NOW}",
        "failures  2",
        "reason    refused",
        "",
        f"attempt 1  again  {NOW}  12 ms  refused",
        "  │ looking",
        "  │ gone",
        "",
        f"attempt 2  failed  {NOW}  12 ms  refused",
        "  │ looking",
        "  │ gone",
    ]


def _tree() -> EventTrace:
    derived = EventTrace(
        record("report", id="8", trigger="clean", location="rain"),
        [DeliveryTrace(delivery(DeliveryState.READY, id="j-2.0", process="report", attempt=0))],
    )
    return EventTrace(
        record("clean", "notify", "audit"),
        [
            DeliveryTrace(
                delivery(DeliveryState.DONE, attempt=2, failures=1),
                _attempts("ready", "done"),
                derived=[derived],
                left_out=3,
            ),
            DeliveryTrace(delivery(DeliveryState.WAITING, id="j-1.1", process="notify", attempt=0), (), ["clean", "x"]),
            DeliveryTrace(
                delivery(DeliveryState.SKIPPED, id="j-1.2", process="audit", attempt=0, reason="upstream died")
            ),
        ],
    )


def test_a_trace_is_a_tree() -> None:
    """Event, deliveries with states and attempts, derived events below the delivery that emitted them."""
    assert trace_lines(_tree(), PLAIN) == [
        f"create reading/7  from raw  {NOW}  u7",
        "├─ clean  done  2 attempts  j-1.0",
        f"│  │  attempt 1  again  {NOW}  12 ms  refused",
        f"│  │  attempt 2  done  {NOW}  12 ms",
        f"│  ├─ create rain/8  from clean  {NOW}  u8",
        "│  │  └─ report  ready  j-2.0",
        "│  └─ and 3 events more",
        "├─ notify  waiting  for clean, x  j-1.1",
        "└─ audit  skipped  j-1.2",
        "      upstream died",
    ]


def test_a_trace_shows_logs_if_asked() -> None:
    """With logs, what each attempt wrote stands below it."""
    lines = trace_lines(_tree(), PLAIN, logs=True)
    assert lines[3:5] == ["│  │  │ looking", "│  │  │ gone"]


def test_a_trace_that_went_well_is_short() -> None:
    """A delivery that went through at the first attempt is one line."""
    trace = EventTrace(record("clean"), [DeliveryTrace(delivery(DeliveryState.DONE), _attempts("done"))])
    assert trace_lines(trace, PLAIN)[1:] == ["└─ clean  done  j-1.0"]


def test_a_trace_for_programs() -> None:
    """The same tree as nested JSON objects."""
    found = trace_dict(_tree())
    tree = json.loads(json_line(found))
    assert tree["event"]["uid"] == "u7"
    assert [each["process"] for each in tree["deliveries"]] == ["clean", "notify", "audit"]
    assert tree["deliveries"][0]["derived"][0]["deliveries"][0]["state"] == "ready"


def test_an_event_for_programs() -> None:
    """The event's own JSON, with when it was accepted and where it goes."""
    assert event_dict(record("clean")) == {
        "location": "reading",
        "operation": "create",
        "id": "7",
        "trigger": "raw",
        "uid": "u7",
        "time": "2026-01-01T00:00:00+00:00",
        "accepted_at": "2026-01-01T11:00:00.000Z",
        "processes": ["clean"],
    }


def test_e57_pages_and_trees_stay_on_their_lines() -> None:
    """E57: no field of an event, a delivery or an attempt can break a line or drive the terminal."""
    event = record(HOSTILE, id=HOSTILE, location=HOSTILE, trigger=HOSTILE, uid=HOSTILE, key=HOSTILE, data=[HOSTILE])
    texts = dict.fromkeys(["id", "event_uid", "process", "reason", "trigger", "output"], HOSTILE)
    dead = delivery(DeliveryState.DEAD, **texts)
    attempts = [Attempt(1, "dead", HOSTILE, NOON, NOON, (HOSTILE,))]
    lines = [
        *listing.events_table([event], PLAIN),
        *listing.deliveries_table([dead], PLAIN),
        *listing.event_page(event, PLAIN),
        *listing.delivery_page(dead, attempts, PLAIN),
        *trace_lines(EventTrace(event, [DeliveryTrace(dead, attempts)]), PLAIN, logs=True),
        json_line(event_dict(event)),
        json_line(delivery_details(dead, attempts)),
    ]
    assert all(line.isprintable() for line in lines)
    assert sum(ESCAPED in line for line in lines) > 10
