"""The commands that write: events in, dead letters out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.command_line import CommandLine

EVENT = {"location": "t", "operation": "create", "id": "7", "uid": "u7"}
FAILS = {**EVENT, "id": "8", "uid": "u8", "data": {"fail": "no"}}


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    """A folder with a pipeline that has not run yet."""
    return CommandLine(tmp_path).first()


def test_an_event_of_options(cli: CommandLine) -> None:
    """Location, id and data make an event of the only input; its uid is printed once it is accepted."""
    done = cli("emit", "--location", "t", "--id", "7", "--operation", "insert", "--data", '{"n": 1}')
    assert (done.code, done.err) == (0, "1 event accepted\n")
    event = cli("events", "list", "--json").objects[0]
    assert event["uid"] == done.out.strip()
    assert {key: event[key] for key in ("location", "operation", "id", "trigger", "data")} == {
        "location": "t",
        "operation": "create",
        "id": "7",
        "trigger": "lines",
        "data": {"n": 1},
    }


def test_the_next_run_takes_it_up(cli: CommandLine) -> None:
    """An event that was emitted while nothing ran is delivered by the next run."""
    cli("emit", json.dumps(EVENT))
    assert "lines/t/7 → clean" in cli("run", "--until-idle").out


def test_a_running_pipeline_takes_it_up(cli: CommandLine) -> None:
    """An event that is emitted beside a run is delivered by it."""
    with cli.running("run", "--set", "inputs.lines.options.follow=true") as run:
        run.line("ready")
        assert cli("emit", json.dumps(EVENT)).code == 0
        run.line("lines/t/7 → clean")


def test_events_from_stdin(cli: CommandLine) -> None:
    """Each line is an event; their uids are printed in order."""
    lines = "".join(f"{json.dumps({**EVENT, 'uid': f'u{number}'})}\n" for number in range(250))
    done = cli("emit", "-", stdin=lines)
    assert done.lines == [f"u{number}" for number in range(250)]
    assert done.err == "250 events accepted\n"


def test_a_wrong_line_ends_it(cli: CommandLine) -> None:
    """What stands before a wrong line is accepted, the line is named, and nothing behind it is accepted."""
    done = cli("emit", "-", stdin=f"{json.dumps(EVENT)}\n{{}}\n{json.dumps(FAILS)}\n")
    assert (done.code, done.lines) == (2, ["u7"])
    first, second = done.err.splitlines()
    assert first == "1 event accepted, before this:"
    assert second.startswith("error: line 2: an event needs location")
    assert [each["uid"] for each in cli("events", "list", "--json").objects] == ["u7"]


def test_the_same_event_twice(cli: CommandLine) -> None:
    """The same uid is accepted once, and the second time says so."""
    cli("emit", json.dumps(EVENT))
    done = cli("emit", json.dumps(EVENT), "--json")
    assert done.objects == [{"uid": "u7", "trigger": "lines", "accepted": False, "processes": ["clean"]}]
    assert done.err == "0 events accepted, 1 known before\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            ["--location", "t", "--id", "7", "--input", "line"],
            'no input "line": did you mean "lines"?',
            id="unknown input",
        ),
        pytest.param(
            [json.dumps({**EVENT, "trigger": "nope"})], 'no input "nope": there is only "lines"', id="unknown trigger"
        ),
        pytest.param(["--location", "t", "--id", "7", "--data", "{oops"], "--data is not JSON", id="data"),
        pytest.param(["--location", "t", "--id", "7", "--operation", "upsert"], "upsert", id="operation"),
        pytest.param(["--location", "t"], "--location and --id", id="no id"),
        pytest.param([], "give an event", id="nothing"),
        pytest.param([json.dumps(EVENT), "--id", "8"], "leave out --id", id="too much"),
        pytest.param([json.dumps({**EVENT, "hops": 17})], "derived 17 times", id="hops"),
        pytest.param(["NaN"], "not a JSON number", id="not JSON"),
    ],
)
def test_what_can_not_be_emitted(cli: CommandLine, arguments: list[str], message: str) -> None:
    """Exit code 2 and a message that says what is wrong; nothing is accepted."""
    done = cli("emit", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert "Traceback" not in done.err
    assert cli("events", "list").out == ""


def test_e51_an_event_over_the_limit(cli: CommandLine) -> None:
    """E51: an event of the limit's size is accepted, one byte more is refused."""
    size = 1024 * 1024
    room = size - len(json.dumps({**EVENT, "trigger": "lines", "data": ""}, separators=(",", ":")))
    # The time that the engine adds is part of the event.
    room -= len(',"time":"2026-01-01T00:00:00+00:00"')
    event = {**EVENT, "time": "2026-01-01T00:00:00+00:00"}
    assert cli("emit", "-", stdin=json.dumps({**event, "data": "x" * room})).code == 0
    refused = cli("emit", "-", stdin=json.dumps({**event, "uid": "u9", "data": "x" * (room + 1)}))
    assert refused.code == 2
    assert f"{size + 1:,} bytes" in refused.err


def _one_dead(cli: CommandLine) -> str:
    cli("emit", json.dumps(FAILS))
    cli("run", "--until-idle")
    return str(cli("dead-letters", "list", "--json").objects[0]["id"])


def test_a_dead_letter_is_redriven(cli: CommandLine) -> None:
    """A redriven dead letter is tried again by the next run, with fresh counts."""
    dead = _one_dead(cli)
    assert cli("dead-letters", "redrive", dead).err == "1 dead letter to be tried again\n"
    cli.write("work.py", "def clean(event, context): pass\n")
    cli("run", "--until-idle")
    delivery = cli("deliveries", "show", dead, "--json").objects[0]
    assert (delivery["state"], delivery["attempt"]) == ("done", 2)


def test_a_running_pipeline_redrives(cli: CommandLine) -> None:
    """A dead letter that is redriven beside a run is tried by it."""
    dead = _one_dead(cli)
    with cli.running("run", "--set", "inputs.lines.options.follow=true") as run:
        run.line("ready")
        assert cli("dead-letters", "redrive", dead).code == 0
        assert run.line("lines/t/8 → clean").endswith("no (attempt 2)")


def test_a_dead_letter_is_discarded(cli: CommandLine) -> None:
    """A discarded dead letter is cancelled, with the reason given."""
    dead = _one_dead(cli)
    assert cli("dead-letters", "discard", dead, "--reason", "not ours").err == "1 dead letter discarded\n"
    delivery = cli("deliveries", "show", dead, "--json").objects[0]
    assert (delivery["state"], delivery["reason"]) == ("cancelled", "not ours")


def test_all_of_a_process(cli: CommandLine) -> None:
    """Dead letters can be taken by process, and all at once."""
    _one_dead(cli)
    assert cli("dead-letters", "redrive", "--process", "nope").code == 4
    assert cli("dead-letters", "redrive", "--all").err == "1 dead letter to be tried again\n"


def test_discarding_many_wants_a_yes(cli: CommandLine) -> None:
    """Without a terminal to ask on, discarding more than was named needs --yes."""
    _one_dead(cli)
    refused = cli("dead-letters", "discard", "--all")
    assert (refused.code, refused.err) == (2, "error: this discards 1 dead letter: add --yes if that is meant\n")
    assert cli("dead-letters", "discard", "--all", "--yes").err == "1 dead letter discarded\n"


@pytest.mark.parametrize("command", ["redrive", "discard"])
def test_what_is_no_dead_letter(cli: CommandLine, command: str) -> None:
    """An id that is not there is 4, one that is not dead is 2, and then nothing is done at all."""
    dead = _one_dead(cli)
    cli("emit", json.dumps(EVENT))
    cli("run", "--until-idle")
    well = cli("deliveries", "list", "--state", "done", "--json").objects[0]["id"]
    assert cli("dead-letters", command, dead, "nope").code == 4
    refused = cli("dead-letters", command, dead, well)
    assert (refused.code, refused.err) == (2, f'error: delivery "{well}" is no dead letter, it is done\n')
    assert len(cli("dead-letters", "list", "--json").objects) == 1


@pytest.mark.parametrize("command", ["redrive", "discard"])
def test_which_ones_must_be_said(cli: CommandLine, command: str) -> None:
    """Without ids, --process or --all nothing is done."""
    done = cli("dead-letters", command)
    assert done.code == 2
    assert "say which ones" in done.err
