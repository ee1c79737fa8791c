"""The commands about the pipeline's file: init, check, graph, config, schema."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.integration.command_line import CommandLine


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    """A folder to run commands in."""
    return CommandLine(tmp_path)


def test_init_writes_a_pipeline_that_runs(cli: CommandLine) -> None:
    """What init writes is right and runs as it is."""
    assert cli("init").err == "wrote pipeline.toml; now: orchestrator run\n"
    assert cli("check").err == "pipeline.toml: 1 input, 2 processes, no problems\n"
    with cli.running("run") as run:
        run.line("greet -> hello")
        run.line("count -> the event has")


def test_init_writes_over_nothing(cli: CommandLine) -> None:
    """A file that is there stays as it is, unless that is asked for."""
    cli.write("pipeline.toml", "mine")
    refused = cli("init")
    assert (refused.code, (cli.folder / "pipeline.toml").read_text()) == (2, "mine")
    assert refused.err.startswith("error: pipeline.toml is there already")
    assert cli("init", "--force").code == 0


def test_init_makes_the_folder(cli: CommandLine) -> None:
    """A name in a folder that is not there yet makes it, and the next command can be copied as it is told."""
    done = cli("init", "my pipelines/first.toml")
    assert (done.code, done.err) == (
        0,
        "wrote my pipelines/first.toml; now: orchestrator run 'my pipelines/first.toml'\n",
    )
    assert cli("check", "my pipelines/first.toml").code == 0


def test_init_under_another_name(cli: CommandLine) -> None:
    """The file may have any name."""
    assert cli("init", "other.toml").err == "wrote other.toml; now: orchestrator run other.toml\n"
    assert cli("check", "other.toml").code == 0


@pytest.mark.parametrize("command", ["run", "check", "graph", "config", "status", "reload"])
def test_without_a_file(cli: CommandLine, command: str) -> None:
    """In a folder without a pipeline every command says how to come by one."""
    done = cli(command)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        'error: there is no pipeline.toml in this folder: name a file, or write one with "orchestrator init"\n'
    )


@pytest.mark.parametrize("command", ["run", "check", "graph", "config", "status", "reload"])
def test_a_file_that_is_not_there(cli: CommandLine, command: str) -> None:
    """A file that was named and is not there is named in the error."""
    done = cli(command, "nope.toml")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("nope.toml: ")


WRONG = """
    version = 1
    [inputs.lines]
    type = "jsonl"
    options = { pth = "lines.jsonl" }
    [processes.clean]
    type = "python"
    aftr = ["lines"]
    execution_context = { function = "work:clean" }
"""


def test_check_reports_every_problem_at_once(cli: CommandLine) -> None:
    """Each problem has its place, its line with a caret, and what to do; the last line counts them."""
    cli.write("pipeline.toml", WRONG.lstrip("\n"))
    done = cli("check")
    assert (done.code, done.out) == (2, "")
    lines = done.err.splitlines()
    at = lines.index('pipeline.toml:7:1: unknown key "aftr"')
    assert lines[at + 1 : at + 4] == [' 7 | aftr = ["lines"]', "   | ^^^^", '   = did you mean "after"?']
    assert any(line.startswith('pipeline.toml:4:13: unknown key "pth"') for line in lines)
    assert lines[-1].endswith("errors")


@pytest.mark.parametrize("command", [["run"], ["graph"], ["config"], ["emit", "--location", "t", "--id", "1"]])
def test_every_command_reports_a_wrong_file_alike(cli: CommandLine, command: list[str]) -> None:
    """Whoever needs the whole file reports its problems the way that check does."""
    cli.write("pipeline.toml", WRONG)
    assert (cli(*command).code, cli(*command).err) == (2, cli("check").err)


def test_a_wrong_override_is_reported(cli: CommandLine) -> None:
    """A wrong --set is a problem like any other, and says that it is the override."""
    done = cli.first()("check", "--set", "pipeline.concurency=2")
    assert done.code == 2
    assert done.err.startswith("--set pipeline.concurency: unknown key")


def test_a_missing_plugin_is_3(cli: CommandLine) -> None:
    """When nothing but a plugin is missing, the exit code says so."""
    cli.first()
    text = (cli.folder / "pipeline.toml").read_text("utf-8")
    cli.write("pipeline.toml", text.replace('"python"', '"absent"').replace('{ function = "work:clean" }', "{}"))
    done = cli("check")
    assert done.code == 3
    assert '"absent"' in done.err


def test_check_says_what_each_path_promises(cli: CommandLine) -> None:
    """For each input and each process that its events reach: what is accepted, how often it runs, in which order."""
    done = cli.first()("check")
    assert done.lines[0].split() == ["FROM", "TO", "EVENTS", "RUNS", "ORDER"]
    assert done.lines[1].split()[:2] == ["lines", "clean"]
    assert "at-least-once" in done.lines[1]


def test_check_as_json(cli: CommandLine) -> None:
    """The same for programs, problems included, with the same exit codes."""
    right = cli.first()("check", "--format", "json")
    assert right.objects[0]["usable"] is True
    assert right.objects[0]["guarantees"][0]["process"] == "clean"
    cli.write("pipeline.toml", WRONG)
    wrong = cli("check", "--json")
    assert (wrong.code, wrong.err, wrong.objects[0]["usable"]) == (2, "", False)
    assert {(each["line"], each["column"]) for each in wrong.objects[0]["problems"]} >= {(8, 1)}


CHECKED = """
    version = 1
    [inputs.lines]
    type = "jsonl"
    options = { path = "lines.jsonl" }
    [processes.clean]
    type = "echo"
    after = ["lines"]
    [processes.mute]
    type = "echo.mute"
    after = ["lines"]
"""

PLUGIN = """
    import anyio, attrs
    from orchestrator_core import ProcessType, hookimpl

    @attrs.frozen
    class Echo:
        reachable: bool = True
        async def run(self, event, context): ...
        async def check(self):
            if not self.reachable:
                raise ConnectionError("nobody\\x1b[31m listens")

    @attrs.frozen
    class Mute:
        async def run(self, event, context): ...

    @hookimpl
    def orchestrator_register_processes():
        return [ProcessType("echo", Echo), ProcessType("mute", Mute)]
"""


def _plugin(cli: CommandLine) -> dict[str, str]:
    """Install a plugin with a process that can tell what it reaches; return the environment to run with."""
    cli.events()
    info = cli.folder / "site/echo-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: echo\nVersion: 1.0\nSummary: says it\n")
    (info / "entry_points.txt").write_text("[orchestrator_core.plugins]\necho = echo_module\n")
    cli.write("site/echo_module.py", PLUGIN)
    return {"PYTHONPATH": str(cli.folder / "site")}


def test_check_connects(cli: CommandLine) -> None:
    """With --connect every component that can tell is asked, and the others are said to be not asked."""
    environ = _plugin(cli)
    cli.write("pipeline.toml", CHECKED)
    done = cli("check", "--connect", **environ)
    assert done.code == 0
    assert sorted(line.split()[:2] for line in done.lines[-3:]) == [
        ["not", "asked"],
        ["reached", "clean"],
        ["reached", "lines"],
    ]


def test_check_finds_what_is_out_of_reach(cli: CommandLine) -> None:
    """What is out of reach is named with the reason, escaped, and the exit code is 1."""
    environ = _plugin(cli)
    cli.write("pipeline.toml", CHECKED)
    unreachable = ["--set", "processes.clean.execution_context.reachable=false"]
    done = cli("check", "--connect", *unreachable, **environ)
    assert done.code == 1
    assert r"unreachable  clean  ConnectionError: nobody\x1b[31m listens" in done.lines
    assert done.err.splitlines()[-1].endswith("no problems, 1 unreachable")
    as_json = cli("check", "--connect", "--json", *unreachable, **environ)
    assert as_json.code == 1
    problems = {each["name"]: each["problem"] for each in as_json.objects[0]["connections"]}
    assert problems == {"lines": None, "mute": None, "clean": "ConnectionError: nobody\x1b[31m listens"}


COLUMNS = """
    [processes.a_longer_one]
    type = "command"
    after = ["lines"]
    execution_context = { argv = ["no-such-program"] }
"""


def test_check_says_what_is_out_of_reach_in_columns(cli: CommandLine) -> None:
    """What the engine or the system says needs no name of an exception, and all reasons begin at one edge."""
    cli.first()
    cli.append("pipeline.toml", COLUMNS)
    (cli.folder / "lines.jsonl").unlink()
    done = cli("check", "--connect")
    assert done.code == 1
    reached, *unreachable = sorted(done.lines[-3:])
    assert reached.startswith("reached      clean         ")
    assert unreachable == [
        'unreachable  a_longer_one  there is no program "no-such-program": install it, or correct argv',
        f"unreachable  lines         {cli.folder}/lines.jsonl: No such file or directory",
    ]


def test_graph_draws_the_pipeline(cli: CommandLine) -> None:
    """As text, as Mermaid, as SVG and as JSON."""
    cli.first()
    assert cli("graph").lines == [
        "╭───────╮     ┌────────┐",
        "│ lines │────▶│ clean  │",
        "│ jsonl │     │ python │",
        "╰───────╯     └────────┘",
    ]
    assert cli("graph", "--format", "mermaid").lines[0] == "flowchart LR"
    assert ET.fromstring(cli("graph", "--format", "svg").out).tag.endswith("svg")
    found = cli("graph", "--format", "json").objects[0]
    assert [node["name"] for node in found["nodes"]] == ["lines", "clean"]
    assert [(link["source"], link["target"]) for link in found["links"]] == [("lines", "clean")]


def test_config_prints_what_was_understood(cli: CommandLine) -> None:
    """As TOML that reads back, with defaults filled in and overrides in force; as JSON the same."""
    cli.first()
    found = tomllib.loads(cli("config", "--set", "pipeline.concurrency=2").out)
    assert found["pipeline"]["concurrency"] == 2
    assert found["processes"]["clean"]["retry"]["attempts"] == 1
    assert found["processes"]["clean"]["timeout"] == "1h"
    assert cli("config", "--json", "--set", "pipeline.concurrency=2").objects == [found]


def test_config_shows_no_secret(cli: CommandLine) -> None:
    """C19: a password that stands in the file, in the environment or in another file is not printed by any command."""
    cli.first()
    cli.append(
        "pipeline.toml",
        """
        [processes.tell]
        type = "command"
        after = ["clean"]
        [processes.tell.execution_context]
        argv = ["true"]
        env = { DSN = "postgresql://app:hunter2@db/shop", KEY = { env = "KEY" } }
        """,
    )
    for command in (["config"], ["config", "--json"], ["check"], ["graph"], ["run", "--until-idle"]):
        done = cli(*command, KEY="hunter2")
        assert done.code == 0
        assert "hunter2" not in done.out + done.err


def test_schema_is_json_schema(cli: CommandLine) -> None:
    """The schema of the installed plugins, on stdout or in a file whose folder is made."""
    printed = cli("schema")
    assert json.loads(printed.out)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    written = cli("schema", "-o", ".orchestrator/schema.json")
    assert written.err.splitlines()[-1] == "wrote .orchestrator/schema.json"
    assert (cli.folder / ".orchestrator/schema.json").read_text("utf-8") == printed.out


def test_schema_leaves_out_broken_plugins(cli: CommandLine) -> None:
    """A plugin that can't be imported is named on stderr; the others are in the schema."""
    environ = _plugin(cli)
    cli.write("site/echo_module.py", "raise RuntimeError('broken')")
    done = cli("schema", **environ)
    assert done.code == 0
    assert 'left out: plugin "echo" (echo 1.0)' in done.err
    assert '"jsonl"' in done.out


def test_two_files_are_one_too_many(cli: CommandLine) -> None:
    """The file by argument and by -c must be the same."""
    done = cli("check", "a.toml", "-c", "b.toml")
    assert done.code == 2
    assert 'two pipeline files, "a.toml" and "b.toml"' in done.err
