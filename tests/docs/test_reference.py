"""The reference pages say what the code is."""

from __future__ import annotations

from collections.abc import Iterator

import click

from docs import reference
from orchestrator_core.cli._root import root

PAGE = reference.CONFIGURATION.read_text("utf-8")


def test_tables_say_what_the_classes_say() -> None:
    """Each table is what `python docs/reference.py` writes."""
    assert PAGE == reference.configuration(PAGE)


def test_every_table_and_kind_has_a_place() -> None:
    """The file's tables, and every kind of input and process of the plugins here, are on the page."""
    assert [name for name in reference.names() if f"<!-- reference: {name} -->" not in PAGE] == []


def test_every_key_is_explained() -> None:
    """No key stands there without its meaning."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert [row for row in rows if row.endswith("|  |")] == []


def test_the_command_line_is_the_help() -> None:
    """Every command's help stands on its page as it is; `python docs/reference.py` writes it."""
    page = reference.COMMAND_LINE.read_text("utf-8")
    assert page == reference.command_line(page)


def test_every_help_fits_a_terminal_of_80_columns() -> None:
    """No command's help, those of the plugins here included, is wider than that or breaks a summary off."""
    helps = dict(_helps(root, "orchestrator"))
    assert {"orchestrator run", "orchestrator postgres doctor", "orchestrator docker ps"} < helps.keys()
    lines = [(name, line) for name, text in helps.items() for line in text.splitlines()]
    assert [each for each in lines if len(each[1]) > 80] == []
    assert [each for each in lines if each[1].endswith("...") and "Usage:" not in each[1]] == []


def _helps(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[tuple[str, str]]:
    width = 78  # what click takes of 80
    context = click.Context(command, parent, name.rpartition(" ")[2], terminal_width=width, **root.context_settings)
    yield name, command.get_help(context)
    if isinstance(command, click.Group):
        plugins = [] if parent else ["docker", "postgres", "webhook"]
        for each in [*command.list_commands(context), *plugins]:
            inner = command.get_command(context, each)
            assert inner is not None
            yield from _helps(inner, f"{name} {each}", context)
