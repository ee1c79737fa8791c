"""The standard streams: closed, broken, and the Ctrl-C that comes before anything has begun."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.command_line import SECONDS, CommandLine, Done

COMMANDS = {
    "run": ["run", "--until-idle"],
    "check": ["check", "--connect"],
    "status": ["status"],
    "emit": ["emit", "--location", "t", "--id", "9"],
}


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    """A folder with a pipeline of one event."""
    return CommandLine(tmp_path).first({"n": 1})


def _shell(cli: CommandLine, script: str, *arguments: str) -> Done:
    """Run a line of bash in which `"$@"` is the command."""
    done = subprocess.run(
        ["bash", "-c", script, "bash", *cli.command(arguments)],
        cwd=cli.folder,
        env=cli.environ({}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("command", COMMANDS)
def test_closed_streams_are_no_failure(cli: CommandLine, command: str) -> None:
    """Who starts it without standard streams, as some supervisors do, gets what it does and no traceback."""
    done = _shell(cli, '"$@" >&-', *COMMANDS[command])
    assert (done.code, done.out) == (0, "")
    assert "Traceback" not in done.err
    assert _shell(cli, '"$@" <&- >&- 2>&-', *COMMANDS[command]) == Done(0, "", "")


def test_no_file_gets_the_number_of_a_closed_stream(cli: CommandLine) -> None:
    """What a program prints to a stream that was closed can't land in the journal."""
    cli.write("work.py", "import os, pathlib\ndef clean(event, context): pathlib.Path('streams').write_text(_seen())\n")
    cli.append("work.py", "def _seen(): return ' '.join(os.readlink(f'/proc/self/fd/{n}') for n in range(3))\n")
    _shell(cli, '"$@" <&- >&- 2>&-', "run", "--until-idle")
    assert (cli.folder / "streams").read_text() == " ".join([os.devnull] * 3)


@pytest.mark.parametrize(
    "arguments",
    [["events", "list", "--limit", "2000"], ["check", "--connect"], COMMANDS["emit"]],
    ids=["events", "check", "emit"],
)
def test_a_reader_that_goes_away_ends_a_command_in_silence(cli: CommandLine, arguments: list[str]) -> None:
    """As with `head`: what it did not want is no error."""
    cli.events(*({"n": number} for number in range(2_000)))
    cli("run", "--until-idle")
    assert _shell(cli, '"$@" | true', *arguments) == Done(0, "", "")


INTERRUPTED = """
    import os, signal
    os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.parametrize("command", ["run", "check", "config"])
def test_ctrl_c_while_it_starts(cli: CommandLine, command: str) -> None:
    """It ends with 130 and a word; the plugin that was just being imported is not called broken."""
    info = cli.folder / "site/slow-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[orchestrator_core.plugins]\nslow = slow_module\n")
    cli.write("site/slow_module.py", INTERRUPTED)
    cli.append("pipeline.toml", '[pipeline]\nplugins = ["slow"]\n')
    done = cli(command, PYTHONPATH=f"{cli.folder}/site")
    assert (done.code, done.out, done.err) == (130, "", "interrupted\n")
