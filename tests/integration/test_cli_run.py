"""``orchestrator run``, from start to end."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.integration.command_line import SECONDS, CommandLine
from tests.unit.cli.notices import ESCAPED, HOSTILE


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    """A folder to run commands in."""
    return CommandLine(tmp_path)


SLOW = """
    version = 1
    [pipeline]
    grace = "30s"
    [inputs.lines]
    type = "jsonl"
    options = { path = "lines.jsonl", follow = true }
    [processes.slow]
    type = "command"
    after = ["lines"]
    execution_context = { argv = ["sh", "-c", "echo begun; while test ! -e go; do sleep 0.05; done; echo ended"] }
"""
"""A pipeline that does not end by itself, whose process waits for the file ``go``."""


AGAIN = """
    [processes.again]
    type = "command"
    after = ["lines"]
    execution_context = { argv = ["echo", "hello"] }
"""


def _slow(cli: CommandLine) -> CommandLine:
    cli.write("pipeline.toml", SLOW)
    cli.events({"n": 1})
    return cli


def test_a_run_shows_the_flow_and_a_summary(cli: CommandLine) -> None:
    """What happens is shown line by line on stdout, and the summary comes last."""
    done = cli.first({"n": 1}, {"fail": "no such place"})("run", "--until-idle")
    assert done.code == 0
    text = [line[10:] for line in done.lines[:-7]]
    assert "ready                lines" in text
    assert "accepted             lines  2 events" in text
    assert "log                  clean -> looking at 1" in text
    assert [line for line in text if line.startswith("done") and line.endswith("lines/lines/1 → clean")]
    assert [line for line in text if line.startswith("dead") and line.endswith("lines/lines/2 → clean  no such place")]
    assert done.lines[-6].startswith("2 events accepted in ")
    assert done.lines[-4:-2] == ["PROCESS  DONE  DEAD  RETRIES  MEAN TIME", done.lines[-3]]
    assert done.lines[-3].split()[:4] == ["clean", "1", "1", "0"]
    assert done.lines[-1] == "1 dead letter: orchestrator dead-letters list"


def test_what_the_command_says_of_itself_is_on_stderr(cli: CommandLine) -> None:
    """The greeting is a message, not data."""
    done = cli.first({"n": 1})("run", "--until-idle")
    assert done.err == "pipeline: 1 input, 1 process; Ctrl-C stops\n"


@pytest.mark.parametrize(("record", "code"), [({"n": 1}, 0), ({"fail": "no"}, 1)], ids=["none", "one"])
def test_fail_on_dead(cli: CommandLine, record: dict[str, object], code: int) -> None:
    """With --fail-on-dead a run with a dead letter ends with 1."""
    assert cli.first(record)("run", "--until-idle", "--fail-on-dead").code == code


def test_dead_letters_of_an_earlier_run_fail_no_later_one(cli: CommandLine) -> None:
    """--fail-on-dead is about this run."""
    cli.first({"fail": "no"})("run", "--until-idle")
    assert cli("run", "--until-idle", "--fail-on-dead").code == 0


def test_a_second_run_goes_on(cli: CommandLine) -> None:
    """What was read and done in one run is not read again in the next."""
    cli.first({"n": 1})("run", "--until-idle")
    cli.events({"n": 1}, {"n": 2})
    assert "1 event accepted" in cli("run", "--until-idle").out


def test_a_run_in_json(cli: CommandLine) -> None:
    """With --log-format json each thing that happens is an object on stdout, and so is the summary."""
    done = cli.first({"n": 1}, {"fail": "no"})("run", "--until-idle", "--log-format", "json")
    notices = [each["notice"] for each in done.objects]
    assert notices.count("delivery_settled") == 2
    assert notices[-1] == "summary"
    assert done.objects[-1]["processes"] == {"clean": {"done": 1, "dead": 1, "retried": 0}}
    assert json.loads(done.err)["message"] == "pipeline: 1 input, 1 process; Ctrl-C stops"


def test_set_wins_over_the_file(cli: CommandLine) -> None:
    """--set changes a value for this run."""
    done = cli.first({"fail": "no"})("run", "--until-idle", "--set", "journal.url=memory:")
    assert done.lines[-1] == "1 dead letter: gone with this run, whose journal was in memory"
    assert not (cli.folder / ".orchestrator").exists()


@pytest.mark.parametrize("option", [["-c", "other.toml"], ["other.toml"]], ids=["option", "argument"])
def test_another_file(cli: CommandLine, option: list[str]) -> None:
    """The file is the argument or -c; the summary's advice names it."""
    cli.first({"fail": "no"})
    (cli.folder / "pipeline.toml").rename(cli.folder / "other.toml")
    done = cli("run", "--until-idle", *option)
    assert done.lines[-1] == "1 dead letter: orchestrator dead-letters list -c other.toml"


def test_an_event_that_goes_nowhere_is_counted(cli: CommandLine) -> None:
    """An event that no link lets through is accepted, shown and counted as unrouted."""
    cli.first({"n": 1})
    text = (cli.folder / "pipeline.toml").read_text("utf-8")
    only_updates = text.replace('after = ["lines"]', 'after = [{ node = "lines", operations = ["update"] }]')
    cli.write("pipeline.toml", only_updates)
    done = cli("run", "--until-idle")
    assert "1 event accepted" in done.lines[-4]
    assert "1 of them unrouted" in done.lines[-4]


def test_one_signal_drains(cli: CommandLine) -> None:
    """After the first signal the running job may finish; the run then ends with 0, and says what it does."""
    with _slow(cli).running("run") as run:
        run.line("slow -> begun")
        run.signal(signal.SIGINT)
        message = run.line("stopping", of="err")
        assert message == (
            "stopping: no more events are taken, 1 running job may take up to 30 s; once more stops at once"
        )
        cli.write("go", "")
        run.line("slow -> ended")
        assert run.wait() == 0
        assert "1 event accepted" in "\n".join(run.rest())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
def test_two_signals_stop_now(cli: CommandLine, number: signal.Signals, code: int) -> None:
    """The second signal cuts off what runs; the exit code is the signal's, and the next run does it again."""
    with _slow(cli).running("run") as run:
        run.line("slow -> begun")
        run.signal(number)
        run.line("stopping: no more", of="err")
        run.signal(number)
        run.line("stopping now", of="err")
        assert run.wait() == code
        assert "1 delivery not finished: the next run goes on from there" in run.rest()
    cli.write("go", "")
    assert "done" in cli("run", "--until-idle", "--set", "inputs.lines.options.follow=false").out


def test_the_drain_has_an_end(cli: CommandLine) -> None:
    """After --drain-timeout the running job is cut off, and that is still a stop in good order."""
    with _slow(cli).running("run", "--drain-timeout", "100ms") as run:
        run.line("slow -> begun")
        run.signal(signal.SIGTERM)
        run.line("may take up to 100 ms", of="err")
        assert run.wait() == 0


def test_c22_a_wrong_file_leaves_the_old_pipeline(cli: CommandLine) -> None:
    """C22: on SIGHUP a file that is wrong is reported with its place, and the old pipeline goes on."""
    with _slow(cli).running("run") as run:
        run.line("slow -> begun")
        cli.write("pipeline.toml", SLOW + "\n[nonsense]\n")
        run.signal(signal.SIGHUP)
        run.line('pipeline.toml:13:2: unknown key "nonsense"', of="err")
        run.line("the old pipeline goes on", of="err")
        cli.write("go", "")
        run.line("slow -> ended")
        run.signal(signal.SIGINT)
        assert run.wait() == 0


def test_a_right_file_changes_the_pipeline(cli: CommandLine) -> None:
    """On ``orchestrator reload`` a right file takes effect while the run goes on, and the run says what changed."""
    with _slow(cli).running("run") as run:
        run.line("slow -> begun")
        cli.append("pipeline.toml", AGAIN)
        asked = cli("reload")
        assert (asked.code, asked.err) == (0, f"asked process {run.process.pid} to read pipeline.toml again\n")
        run.line("read pipeline.toml again: process again added; the links changed", of="err")
        cli.append("lines.jsonl", '{"n": 2}\n')
        run.line("again -> hello")


def test_a_reload_names_the_settings_that_changed(cli: CommandLine) -> None:
    """What holds for the whole pipeline is applied and named, too. Catches: "nothing has changed"."""
    with _slow(cli).running("run") as run:
        run.line("slow -> begun")
        changed = SLOW.replace('"30s"', '"30s"\nconcurrency = 3') + "[journal]\nkeep_done = '1h'\n"
        cli.write("pipeline.toml", changed)
        run.signal(signal.SIGHUP)
        run.line("read pipeline.toml again: pipeline.concurrency changed; journal.keep_done changed", of="err")


def test_a_reload_to_another_journal_is_refused(cli: CommandLine) -> None:
    """The key is named, and the old pipeline goes on."""
    with _slow(cli).running("run") as run:
        run.line("slow -> begun")
        cli.append("pipeline.toml", "[journal]\nurl = 'sqlite:other.db'\n")
        run.signal(signal.SIGHUP)
        run.line("journal.url can't be changed while the pipeline runs", of="err")
        run.line("the old pipeline goes on", of="err")


def test_a_second_runner_is_refused(cli: CommandLine) -> None:
    """One journal has one runner at a time; the other one says who has it."""
    with _slow(cli).running("run") as run:
        run.line("slow -> begun")
        second = cli("run")
        assert second.code == 1
        assert f"in use by process {run.process.pid}" in second.err
        assert "Traceback" not in second.err


def test_a_reader_that_goes_away_does_not_end_the_run(cli: CommandLine) -> None:
    """When nobody reads stdout any more, that is said, and the run goes on to its end without it."""
    cli.first(*({"n": number} for number in range(2_000)))
    with subprocess.Popen(
        cli.command(("run", "--until-idle", "--log-format", "json")),
        cwd=cli.folder,
        env=cli.environ({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        messages = process.stderr.read()
        assert process.wait(SECONDS) == 0
    assert "the output can't be written (Broken pipe): the run goes on without it" in messages
    assert cli("status", "--json").objects[0]["deliveries"] == {"clean": {"done": 2_000}}


def test_e57_a_run_prints_one_line_for_each_thing(cli: CommandLine) -> None:
    """E57: hostile ids, logs and reasons can't forge a line or drive the terminal."""
    record = {"location": HOSTILE, "operation": "create", "id": HOSTILE, "data": {"fail": HOSTILE}}
    cli.first()
    cli.write("lines.jsonl", json.dumps(record) + "\n")
    done = cli("run", "--until-idle")
    assert all(line.isprintable() for line in done.out.removesuffix("\n").split("\n"))
    assert sum(ESCAPED in line for line in done.lines) == 2


def test_a_broken_process_is_reported_without_traceback(cli: CommandLine) -> None:
    """An exception of a process is a reason in a line."""
    cli.first({"n": 1})
    cli.write("work.py", "def clean(event, context): return 1 / 0\n")
    done = cli("run", "--until-idle")
    assert "ZeroDivisionError: division by zero" in done.out
    assert "Traceback" not in done.out + done.err


def test_a_drain_whose_time_is_over_says_so(cli: CommandLine) -> None:
    """A job that stays beyond its time, such as a program that ignores SIGTERM, is not said to have <1 ms left."""
    _slow(cli).write("pipeline.toml", SLOW.replace("echo begun;", "trap '' TERM; echo begun;"))
    with cli.running("run", "--drain-timeout", "100ms") as run:
        run.line("slow -> begun")
        run.signal(signal.SIGTERM)
        assert run.line("still running", of="err") == "stopping: 1 job still running, and its time is over"
        cli.write("go", "")
        assert run.wait() == 0


@pytest.mark.parametrize(("form", "stream"), [("json", "err"), ("text", "out")])
def test_what_a_function_prints_is_not_among_the_objects(cli: CommandLine, form: str, stream: str) -> None:
    """With --log-format json stdout has nothing but JSON: a `print` goes to stderr, and stays on stdout otherwise."""
    cli.first({"n": 1}).write("work.py", "def clean(event, context):\n    print('by print')\n")
    done = cli("run", "--until-idle", "--log-format", form)
    assert done.code == 0
    assert "by print" in getattr(done, stream).splitlines()
    if form == "json":
        assert [each["done"] for each in done.objects if each["notice"] == "summary"] == [1]


HANGS = """
    version = 1
    [inputs.lines]
    type = "jsonl"
    options = { path = "lines.jsonl" }
    [processes.hang]
    type = "python"
    after = ["lines"]
    timeout = "1s"
    retry = { attempts = 1 }
    execution_context = { function = "hanging:run" }
"""


def test_a_call_that_never_returns_does_not_keep_the_command(cli: CommandLine) -> None:
    """A function that hangs in its thread is said to be left behind, and the command ends.

    Catches: a command that waits for its threads.
    """
    cli.write("pipeline.toml", HANGS)
    cli.write("hanging.py", "import threading\n\ndef run(event, context):\n    threading.Event().wait()\n")
    cli.events({"n": 1})
    done = cli("run", "--until-idle")

    assert (0, "left behind: 1 call that timed out and did not return") == (done.code, done.err.splitlines()[-1])
