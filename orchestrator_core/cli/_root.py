"""The root of the command line: finds the one command that was asked for and imports nothing else."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

# Summaries stand here, so that --help imports no command, and the plugins' commands are left out of it, so that its
# cost does not depend on what is installed.
_SECTIONS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "Build and run": {
        "init": ("init:init", "Write a small pipeline.toml that runs as it is."),
        "check": ("check:check", "Report every problem, and what each path promises."),
        "graph": ("graph:graph", "Draw the pipeline."),
        "run": ("run:run", "Run the pipeline."),
        "reload": ("reload:reload", "Make the running pipeline read its file again."),
        "emit": ("emit:emit", "Hand events to the pipeline, whether it runs or not."),
    },
    "Look and mend": {
        "status": ("status:status", "Show how much is waiting, running, done and dead."),
        "events": ("events:events", "List events, show one, trace what became of it."),
        "deliveries": ("deliveries:deliveries", "List deliveries, show one with its attempts and logs."),
        "dead-letters": ("dead_letters:dead_letters", "List, show, redrive and discard dead letters."),
    },
    "Know what there is": {
        "plugins": ("plugins:plugins", "List the installed plugins."),
        "config": ("config:config", "Print the configuration as it was understood."),
        "schema": ("schema:schema", "Print the JSON Schema of pipeline.toml, for editors."),
    },
}
_INTERRUPTED = 130
_STDERR = 2
_COMMANDS = {name: entry for section in _SECTIONS.values() for name, entry in section.items()}


class _Root(click.Group):
    """Commands imported on use; a name that is none of them is looked up among the installed plugins."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (as above)
        if cmd_name not in _COMMANDS:
            from orchestrator_core.cli import _plugin_commands  # noqa: PLC0415 (only here it scans the entry points)

            return _plugin_commands.find(cmd_name)
        module, attribute = _COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(import_module(f"orchestrator_core.cli.commands.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            from orchestrator_core.cli import _plugin_commands  # noqa: PLC0415 (as above)

            ctx.fail(_plugin_commands.unknown(name, _COMMANDS))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (as above)
        width = max(map(len, _COMMANDS))
        for title, commands in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), summary) for name, (_, summary) in commands.items()])

    def invoke(self, ctx: click.Context) -> object:
        # The border of the program: what the engine raises on purpose ends as a message and an exit code, and what it
        # did not expect goes on as the traceback it is.
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(_INTERRUPTED)
        except Exception as error:
            from orchestrator_core.cli import _failures  # noqa: PLC0415 (a run without errors need not pay for it)

            code = _failures.report(error)
            if code is None:
                raise
            ctx.exit(code)


_HELP = """Run event-driven pipelines from one TOML file.

\b
Start with:                   orchestrator init && orchestrator run
Commands that a plugin has:   orchestrator PLUGIN --help
"""
_EPILOG = "Exit codes: 0 done, 1 run failed, 2 usage or configuration, 3 plugin missing or broken, 4 not found."


@click.group(
    cls=_Root,
    help=_HELP,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="orchestrator-engine", prog_name="orchestrator")
def root() -> None:
    """Hold the commands."""


def main() -> NoReturn:
    """Run the command line; the console script's entry point."""
    _open_standard_streams()
    # Data may hold what the terminal's encoding lacks; that must not end a command half-way.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    root(prog_name="orchestrator")
    raise AssertionError("click has exited")


def _open_standard_streams() -> None:
    """Stand /dev/null in for the streams that the caller has closed: else the journal could get the number of one."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(descriptor, True)  # noqa: FBT003 (its only form)
    os.close(descriptor)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if name == "stdin" else "w", encoding="utf-8", closefd=False))  # noqa: SIM115 (open to the end)
