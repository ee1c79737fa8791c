"""The reference pages say what the code is."""

from __future__ import annotations

from docs import reference

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
