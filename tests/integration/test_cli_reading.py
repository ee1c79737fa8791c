"""The commands that look at a pipeline and its journal."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.integration.command_line import FIRST, CommandLine
from tests.unit.cli.notices import ESCAPED, HOSTILE


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    """A folder in which a pipeline ran: one event went through, one became a dead letter."""
    cli = CommandLine(tmp_path).first({"n": 1}, {"fail": "no such place"})
    assert cli("run", "--until-idle").code == 0
    return cli


def _uid(cli: CommandLine, number: int = 0) -> str:
    return str(cli("events", "list", "--json").objects[number]["uid"])


def _dead(cli: CommandLine) -> str:
    return str(cli("dead-letters", "list", "--json").objects[0]["id"])


def test_events_are_listed(cli: CommandLine) -> None:
    """The newest events, oldest of them first, one a line."""
    lines = cli("events", "list").lines
    assert lines[0].split() == ["ACCEPTED", "UID", "TRIGGER", "OPERATION", "RECORD", "GOES", "TO"]
    assert [line.split()[-2:] for line in lines[1:]] == [["lines/1", "clean"], ["lines/2", "clean"]]


def test_the_limit_takes_the_newest(cli: CommandLine) -> None:
    """--limit leaves out the older ones."""
    assert [each["id"] for each in cli("events", "list", "--limit", "1", "--json").objects] == ["2"]


@pytest.mark.parametrize("what", ["events", "deliveries", "dead-letters"])
def test_a_list_that_leaves_out_says_so(tmp_path: Path, what: str) -> None:
    """Whoever sees twenty lines learns that there are more, on stderr, also beside JSON; a whole list needs no word."""
    cli = CommandLine(tmp_path).first(*({"fail": f"no {number}"} for number in range(21)))
    assert cli("run", "--until-idle").code == 0
    for form in ([], ["--json"]):
        done = cli(what, "list", *form)
        assert (len(done.lines) - (not form), done.err) == (20, "these are the newest 20; --limit shows more\n")
        assert cli(what, "list", *form, "--limit", "21").err == ""


@pytest.mark.parametrize("what", ["events", "deliveries", "dead-letters"])
def test_a_limit_beyond_all_numbers(cli: CommandLine, what: str) -> None:
    """A limit that no database takes is as good as none."""
    done = cli(what, "list", "--limit", "9" * 30)
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["events", "list", "--input", "line"], 'no input or process "line": did you mean "lines"?'),
        (["deliveries", "list", "--process", "claen"], 'no process "claen": did you mean "clean"?'),
        (["dead-letters", "list", "--process", "nope"], 'no process "nope": there is only "clean"'),
        (["dead-letters", "redrive", "--process", "nope"], 'no process "nope": there is only "clean"'),
        (["dead-letters", "discard", "--yes", "--process", "nope"], 'no process "nope": there is only "clean"'),
    ],
    ids=["events", "deliveries", "dead-letters", "redrive", "discard"],
)
def test_a_misspelt_name_is_4(cli: CommandLine, arguments: list[str], message: str) -> None:
    """A name that nobody knows is not taken for one that has nothing."""
    done = cli(*arguments)
    assert (done.code, done.out, done.err) == (4, "", f"error: the pipeline has {message}\n")


def test_a_process_that_was_taken_out_is_known(cli: CommandLine) -> None:
    """A process that the file has no more is still found by its name, as long as the journal has something of it."""
    cli.write("pipeline.toml", FIRST.replace("processes.clean", "processes.other"))
    assert len(cli("dead-letters", "list", "--process", "clean", "--json").objects) == 1
    done = cli("deliveries", "list", "--process", "clean", "--state", "parked")
    assert (done.code, done.err) == (0, "no deliveries\n")


def test_one_event_is_shown_with_its_data(cli: CommandLine) -> None:
    """Everything an event carries."""
    done = cli("events", "show", _uid(cli))
    assert 'data       {"n":1}' in done.lines
    assert cli("events", "show", _uid(cli), "--json").objects[0]["data"] == {"n": 1}


def test_a_trace_draws_what_became_of_an_event(cli: CommandLine) -> None:
    """The event, its delivery and the reason."""
    done = cli("events", "trace", _uid(cli, 1), "--logs")
    assert re.fullmatch(r"create lines/2  from lines  \S+ \S+  \S+", done.lines[0])
    assert done.lines[1].startswith("└─ clean  dead")
    assert done.lines[2].endswith("no such place")
    assert done.lines[3].endswith("│ looking at 2")


DERIVING = """
    version = 1
    [inputs.lines]
    type = "jsonl"
    options = { path = "lines.jsonl" }
    [processes.clean]
    type = "python"
    after = ["lines"]
    execution_context = { function = "work:clean" }
    [processes.count]
    type = "python"
    after = [{ node = "clean", on = "event" }]
    execution_context = { function = "work:count" }
"""

DERIVING_WORK = """
    def clean(event, context):
        context.emit(event.derive(location="cleansed"))

    def count(event, context):
        pass
"""


def test_a_trace_follows_derived_events(tmp_path: Path) -> None:
    """What a process emitted stands below its delivery, with what became of that."""
    cli = CommandLine(tmp_path).first({"n": 1})
    cli.write("pipeline.toml", DERIVING)
    cli.write("work.py", DERIVING_WORK)
    cli("run", "--until-idle")
    uid = cli("events", "list", "--input", "lines", "--json").objects[0]["uid"]
    shown = [re.sub(r"  \S+$", "", line) for line in cli("events", "trace", uid).lines]
    assert shown[1] == "└─ clean  done"
    assert shown[2].startswith("   └─ create cleansed/1  from clean")
    assert shown[3] == "      └─ count  done"
    tree = cli("events", "trace", uid, "--json").objects[0]
    assert tree["deliveries"][0]["derived"][0]["deliveries"][0]["process"] == "count"


@pytest.mark.parametrize("state", ["done", "dead"])
def test_deliveries_are_listed_by_state(cli: CommandLine, state: str) -> None:
    """--state narrows."""
    assert [each["state"] for each in cli("deliveries", "list", "--state", state, "--json").objects] == [state]


def test_one_delivery_is_shown_with_its_logs(cli: CommandLine) -> None:
    """Attempts, reasons and logs."""
    assert cli("dead-letters", "show", _dead(cli)).lines[-1] == "  │ looking at 2"


RAISING = """
    def clean(event, context):
        return {"price": parse(event.data["price"])}

    def parse(text):
        return float(text)
"""


@pytest.mark.parametrize("work", [RAISING, RAISING.replace("def clean", "async def clean")], ids=["def", "async def"])
def test_the_log_of_a_failure_begins_in_the_function(tmp_path: Path, work: str) -> None:
    """The traceback that a dead letter keeps is the author's code alone, without the way that the engine took to it."""
    cli = CommandLine(tmp_path).first({"price": "a lot"})
    cli.write("work.py", work)
    assert cli("run", "--until-idle").code == 0
    (attempt,) = cli("deliveries", "show", _dead(cli), "--json").objects[0]["attempts"]
    places = [line.strip() for line in attempt["logs"] if line.startswith("  File ")]
    assert places == [
        f'File "{tmp_path}/work.py", line {line}, in {name}' for line, name in ((3, "clean"), (6, "parse"))
    ]
    assert attempt["logs"][-1] == "ValueError: could not convert string to float: 'a lot'"


@pytest.mark.parametrize(
    "arguments",
    [["events", "show", "nope"], ["events", "trace", "nope"], ["deliveries", "show", "nope"]],
    ids=["event", "trace", "delivery"],
)
def test_what_is_not_there_is_4(cli: CommandLine, arguments: list[str]) -> None:
    """Exit code 4, and a message that names what was looked for."""
    done = cli(*arguments)
    assert (done.code, done.out) == (4, "")
    assert '"nope"' in done.err


def test_a_look_needs_neither_environment_nor_plugins(cli: CommandLine) -> None:
    """A look works where the run's secrets are not set and its plugins are not installed."""
    more = '[inputs.away]\ntype = "absent"\nconnection_string = { env = "NOWHERE" }\n'
    cli.append("pipeline.toml", more)
    assert cli("check").code == 2
    assert len(cli("events", "list", "--json").objects) == 2
    assert cli("status").code == 0


def test_a_look_works_beside_a_run(cli: CommandLine) -> None:
    """Reading waits for nobody, and the status names the process that runs."""
    with cli.running("run", "--set", "inputs.lines.options.follow=true") as run:
        run.line("ready")
        status = cli("status", "--json").objects[0]
        assert status["runner"] == run.process.pid
        assert len(cli("events", "list", "--json").objects) == 2


def test_a_status_counts(cli: CommandLine) -> None:
    """Deliveries by process and state, and that nothing runs."""
    lines = cli("status").lines
    assert lines[0].startswith("pipeline  not running here")
    assert lines[4].split() == ["clean", "0", "0", "0", "1", "1", "0"]
    status = cli("status", "--json").objects[0]
    assert (status["runner"], status["deliveries"]) == (None, {"clean": {"dead": 1, "done": 1}})


def test_a_killed_runner_is_not_running(cli: CommandLine) -> None:
    """A process id that a killed run has left behind fools nobody, so that no stranger is sent a signal."""
    with cli.running("run", "--set", "inputs.lines.options.follow=true") as run:
        run.line("ready")
        run.process.kill()
        run.wait()
    assert (cli.folder / ".orchestrator/journal.db.lock").read_text().strip() == str(run.process.pid)
    assert cli("status", "--json").objects[0]["runner"] is None
    assert cli("reload").code == 1


def test_a_watch_goes_on(cli: CommandLine) -> None:
    """--watch off a terminal prints one look after the other."""
    with cli.running("status", "--watch", "--json") as watch:
        looks = [json.loads(watch.line("events")) for _ in range(2)]
    assert looks[0]["time"] < looks[1]["time"]


def test_before_the_first_run(tmp_path: Path) -> None:
    """Without a journal a look finds nothing, says so, and makes no file."""
    cli = CommandLine(tmp_path).first()
    done = cli("events", "list")
    assert (done.code, done.out) == (0, "")
    assert "there is no journal at" in done.err
    assert cli("events", "show", "x").code == 4
    assert not (tmp_path / ".orchestrator").exists()


def test_a_journal_in_memory_can_not_be_looked_at(tmp_path: Path) -> None:
    """Nobody but the run itself sees a journal in memory: that is said, with what to do."""
    cli = CommandLine(tmp_path).first()
    cli.append("pipeline.toml", '[journal]\nurl = "memory:"\n')
    done = cli("status")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith('error: the journal is "memory:"')


def test_a_journal_that_can_not_be_opened_is_still_one(cli: CommandLine) -> None:
    """Where SQLite can't have its files beside it, as on a read-only disk, nobody is told to choose another one."""
    (cli.folder / ".orchestrator/journal.db-wal").mkdir()
    done = cli("status")
    assert done.code == 1
    assert done.err == f"error: {cli.folder}/.orchestrator/journal.db: unable to open database file (SQLITE_CANTOPEN)\n"


def test_a_file_that_is_no_journal(cli: CommandLine) -> None:
    """A journal that is something else is an error, not a traceback."""
    (cli.folder / ".orchestrator/journal.db").write_bytes(b"hello" * 1_000)
    done = cli("events", "list")
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert "Traceback" not in done.err


def test_e57_lists_have_one_line_for_each(tmp_path: Path) -> None:
    """E57: hostile ids and reasons can't forge a line of a list, and JSON stays on its line."""
    record = {"location": HOSTILE, "operation": "create", "id": HOSTILE, "uid": HOSTILE, "data": {"fail": HOSTILE}}
    cli = CommandLine(tmp_path).first()
    cli.write("lines.jsonl", json.dumps(record) + "\n")
    cli("run", "--until-idle")
    events, dead = cli("events", "list"), cli("dead-letters", "list")
    assert [len(found.lines) for found in (events, dead)] == [2, 2]
    assert ESCAPED in events.lines[1]
    assert ESCAPED in dead.lines[1]
    for arguments in (["events", "list", "--json"], ["events", "trace", HOSTILE], ["events", "show", HOSTILE]):
        done = cli(*arguments)
        assert done.code == 0
        assert all(line.isprintable() for line in done.out.removesuffix("\n").split("\n"))
