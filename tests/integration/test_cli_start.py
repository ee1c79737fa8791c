"""What the command costs before it does anything, and how it finds its commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.command_line import CommandLine

COMMANDS = [
    "init", "check", "graph", "run", "reload", "emit", "status", "events", "deliveries", "dead-letters", "plugins",
    "config", "schema",
]  # fmt: skip

MODULES = """
import sys
before = set(sys.modules)
sys.argv = ["orchestrator", *sys.argv[1:]]
from orchestrator_core.cli import main
try:
    main()
except SystemExit:
    pass
print("\\n".join(sorted(set(sys.modules) - before)))
"""


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    """A folder to run commands in, with a plugin that leaves a file behind when it is imported."""
    cli = CommandLine(tmp_path)
    info = tmp_path / "site/loud-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loud\nVersion: 1.0\nSummary: makes noise\n")
    (info / "entry_points.txt").write_text("[orchestrator_core.plugins]\nloud = loud_module\n")
    cli.write("site/loud_module.py", LOUD)
    return cli


LOUD = """
    import pathlib
    import click
    from orchestrator_core import hookimpl

    pathlib.Path(__file__).with_name("imported").touch()

    @click.command()
    @click.option("--twice", is_flag=True)
    def shout(twice):
        click.echo("loud" * (1 + twice))

    @hookimpl
    def orchestrator_register_commands():
        return [shout]
"""


def _site(cli: CommandLine) -> dict[str, str]:
    return {"PYTHONPATH": str(cli.folder / "site")}


def _was_imported(cli: CommandLine) -> bool:
    return (cli.folder / "site/imported").exists()


def _imported(*arguments: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", MODULES, *arguments], capture_output=True, text=True, check=True)
    return {line for line in done.stdout.splitlines() if not line.startswith(" ")}


def test_help_imports_next_to_nothing() -> None:
    """--help neither imports a command nor scans for plugins, so it costs the same however many are installed."""
    modules = _imported("--help")
    own = {name for name in modules if name.startswith("orchestrator_core.")}
    assert own == {"orchestrator_core.cli", "orchestrator_core.cli._root"}
    assert modules & {"rich", "anyio", "importlib.metadata", "attr", "pluggy", "sqlite3", "tomllib"} == set()


def test_a_command_imports_no_other() -> None:
    """A command imports its own module and none of its neighbours'."""
    modules = _imported("plugins", "--json")
    commands = {name.rpartition(".")[2] for name in modules if name.startswith("orchestrator_core.cli.commands.")}
    assert commands == {"plugins"}
    assert "rich" not in modules


def test_help_names_every_command(cli: CommandLine) -> None:
    """Each command stands in --help with a line, and the exit codes are explained."""
    text = cli("--help").out
    assert [command for command in COMMANDS if f"\n  {command} " not in text] == []
    assert "Exit codes: 0 done, 1 run failed, 2 usage" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(cli: CommandLine, command: str) -> None:
    """Each command explains itself."""
    done = cli(command, "--help")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Usage: orchestrator {command} ")


def test_the_signals_are_explained(cli: CommandLine) -> None:
    """What a signal does and which exit code follows is in the help of run."""
    text = " ".join(cli("run", "--help").out.split())
    assert "130 stopped by a SIGINT while it started, or at once by a second one" in text
    assert "143 stopped at once by a second SIGTERM" in text
    assert "0 ended by itself, or stopped by one signal" in text


def test_version(cli: CommandLine) -> None:
    """--version names the distribution's version."""
    assert cli("--version").out.startswith("orchestrator, version ")


def test_plugins_are_listed_without_being_imported(cli: CommandLine) -> None:
    """G79: the list comes from metadata; a plugin's code does not run."""
    done = cli("plugins", **_site(cli))
    assert ["loud", "loud", "1.0", "makes", "noise"] in [line.split() for line in done.lines]
    assert not _was_imported(cli)


def test_a_plugin_brings_commands(cli: CommandLine) -> None:
    """A plugin's commands are at its name."""
    assert cli("loud", "shout", "--twice", **_site(cli)).out == "loudloud\n"


def test_a_plugin_with_one_command_of_its_own_name(cli: CommandLine) -> None:
    """A plugin may bring one command that bears its name, which then stands at it."""
    cli.write("site/loud_module.py", LOUD.replace("def shout", "def loud").replace("[shout]", "[loud]"))
    assert cli("loud", **_site(cli)).out == "loud\n"


def test_built_in_commands_import_no_plugin(cli: CommandLine) -> None:
    """Neither help nor a built-in command runs a plugin's code."""
    cli("--help", **_site(cli))
    cli("events", "--help", **_site(cli))
    assert not _was_imported(cli)


def test_a_broken_plugin_is_3(cli: CommandLine) -> None:
    """A command of a plugin that can't be imported ends with 3 and says what is wrong with it."""
    cli.write("site/loud_module.py", "raise RuntimeError('broken')")
    done = cli("loud", **_site(cli))
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith('error: plugin "loud" (loud 1.0): importing it raised RuntimeError: broken')
    assert "Traceback" not in done.err


@pytest.mark.parametrize(("name", "meant"), [("stauts", "status"), ("lound", "loud")], ids=["command", "plugin"])
def test_a_misspelt_command(cli: CommandLine, name: str, meant: str) -> None:
    """An unknown name is an error with the nearest command or plugin."""
    done = cli(name, **_site(cli))
    assert done.code == 2
    assert f'no command and no installed plugin "{name}": did you mean "{meant}"?' in done.err


def test_an_unknown_option_is_2(cli: CommandLine) -> None:
    """Wrong usage ends with 2."""
    assert cli("run", "--nope").code == 2
    assert cli("--nope").code == 2
