"""How it looks in a terminal, and that it looks plain elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest

from tests.integration.command_line import SECONDS, CommandLine

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
REASON = "the sensor is broken and somebody should look at it " * 3


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    """A folder with a pipeline of one event that becomes a dead letter."""
    return CommandLine(tmp_path).first({"fail": REASON.strip()})


@contextmanager
def _terminal(
    cli: CommandLine, *arguments: str, columns: int = 80, environ: Mapping[str, str] | None = None
) -> Iterator[pexpect.spawn[str]]:
    own = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "COLUMNS", "LINES"}}
    child = pexpect.spawn(
        sys.executable,
        ["-m", "orchestrator_core.cli", *arguments],
        cwd=str(cli.folder),
        env={**own, "TERM": "xterm-256color", **(environ or {})},
        dimensions=(50, columns),
        encoding="utf-8",
        timeout=SECONDS,
    )
    try:
        yield child
    finally:
        child.close(force=True)


def _shown(cli: CommandLine, *arguments: str, columns: int = 80, environ: Mapping[str, str] | None = None) -> str:
    with _terminal(cli, *arguments, columns=columns, environ=environ) as child:
        child.expect(pexpect.EOF)
        return str(child.before)


@pytest.mark.parametrize("columns", [80, 120])
def test_a_run_fits_the_terminal(cli: CommandLine, columns: int) -> None:
    """No line is wider than the terminal, and a long reason stands whole below its line."""
    text = ESCAPES.sub("", _shown(cli, "run", "--until-idle", columns=columns))
    assert max(map(len, text.splitlines())) <= columns
    assert REASON.strip() in " ".join(text.replace("└", " ").split())


def test_a_terminal_has_colours(cli: CommandLine) -> None:
    """States are coloured."""
    assert "\x1b[1;31mdead" in _shown(cli, "run", "--until-idle")


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb"])
@pytest.mark.parametrize(
    "arguments", [["run", "--until-idle"], ["graph"], ["status"], ["check"]], ids=["run", "graph", "status", "check"]
)
def test_colours_can_be_switched_off(cli: CommandLine, arguments: list[str], environ: dict[str, str]) -> None:
    """With NO_COLOR, and on a dumb terminal, there is no escape sequence at all."""
    assert "\x1b" not in _shown(cli, *arguments, environ=environ)


def test_off_a_terminal_it_is_plain(cli: CommandLine) -> None:
    """In a pipe there are neither colours nor wrapped lines, whatever the environment says about colours."""
    done = cli("run", "--until-idle", FORCE_COLOR="1", COLUMNS="40")
    assert "\x1b" not in done.out + done.err
    assert sum(REASON.strip() in line for line in done.lines) == 1
    listed = cli("dead-letters", "list", FORCE_COLOR="1", COLUMNS="40")
    assert "\x1b" not in listed.out
    assert REASON.strip() in listed.lines[1]


def test_a_list_fits_the_terminal(cli: CommandLine) -> None:
    """On a terminal a long reason goes on in the next line, other long columns are cut, and ids are whole."""
    cli("run", "--until-idle")
    dead = cli("dead-letters", "list", "--json").objects[0]["id"]
    lines = ESCAPES.sub("", _shown(cli, "dead-letters", "list")).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].startswith(dead)
    reason = " ".join(line[lines[0].index("REASON") :].strip() for line in lines[1:])
    assert reason.split() == REASON.split()


def test_a_narrow_terminal_gets_a_tree(cli: CommandLine) -> None:
    """A pipeline that does not fit is drawn as a tree."""
    assert "└─▶ clean" in ESCAPES.sub("", _shown(cli, "graph", columns=20))


def test_a_live_status(cli: CommandLine) -> None:
    """--watch rewrites the table in place until Ctrl-C, which is how it ends."""
    with _terminal(cli, "status", "--watch") as child:
        child.expect("PROCESS")
        child.expect("PROCESS")
        child.sendintr()
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 0


def test_ctrl_c_drains_a_run(cli: CommandLine) -> None:
    """Ctrl-C stops a run in good order."""
    with _terminal(cli, "run", "--set", "inputs.lines.options.follow=true") as child:
        child.expect("ready")
        child.sendintr()
        child.expect("stopping: no more events are taken, no job is running")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 0


def test_discarding_asks_on_a_terminal(cli: CommandLine) -> None:
    """Before it discards more than was named it asks; a no changes nothing."""
    cli("run", "--until-idle")
    with _terminal(cli, "dead-letters", "discard", "--all") as child:
        child.expect("Discard 1 dead letter")
        child.sendline("n")
        child.expect(pexpect.EOF)
    assert len(cli("dead-letters", "list", "--json").objects) == 1


def test_a_terminal_that_goes_away_stops_the_run(cli: CommandLine) -> None:
    """When its window is closed the run ends, though the signal is the one that means reload elsewhere."""
    master, slave = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "orchestrator_core.cli", "run", "--set", "inputs.lines.options.follow=true"],
        cwd=cli.folder,
        preexec_fn=lambda: os.login_tty(slave),  # noqa: PLW1509 (no threads here; nothing else makes it its terminal)
    ) as process:
        os.close(slave)
        shown = b""
        while b"ready" not in shown:
            shown += os.read(master, 4096)
        os.close(master)
        assert process.wait(SECONDS) == 0
