"""Commands that plugins bring: ``orchestrator <plugin> …``."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import click

from orchestrator_core._plugins import Plugins, installed

if TYPE_CHECKING:
    from collections.abc import Iterable


def find(name: str) -> click.Command | None:
    """Return the command of the plugin of that name, or ``None`` if no such plugin is installed.

    A plugin that registers one command under its own name brings that; otherwise its commands are put in a group of
    that name. Only this plugin is imported.

    Raises:
        PluginError: the plugin can't be loaded.
        PluginErrors: for several reasons.
    """
    if all(plugin.name != name for plugin in installed()):
        return None
    commands = {command.name or "": command for command in Plugins.load([name]).commands}
    if name in commands and len(commands) == 1:
        return commands[name]
    if not commands:
        return click.Group(name, help=f"The plugin {name} is installed and brings no commands of its own.")
    return click.Group(name, commands, help=f"Commands of the plugin {name}.")


def unknown(name: str, builtin: Iterable[str]) -> str:
    """Say that there is no such command, and which one may have been meant."""
    known = [*builtin, *(plugin.name for plugin in installed())]
    if close := difflib.get_close_matches(name, known, 1):
        return f'no command and no installed plugin "{name}": did you mean "{close[0]}"?'
    return f'no command and no installed plugin "{name}": "orchestrator --help" lists the commands'
