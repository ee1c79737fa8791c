"""Tables, and what may be said in JSON."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from orchestrator_core.cli.render.json_lines import json_line
from orchestrator_core.cli.render.style import PLAIN, Look
from orchestrator_core.cli.render.table import Cell, Column, table
from tests.unit.cli.notices import ESCAPED, HOSTILE

COLUMNS = (Column("ID"), Column("REASON", gives=True), Column("TRIES", right=True))


def test_off_a_terminal_a_table_is_as_wide_as_it_is() -> None:
    """Nothing is cut, wrapped, coloured or padded at the end."""
    rows: list[list[Cell]] = [["1", "r" * 300, "7"], ["22", ("short", "red"), "12"]]
    assert table(COLUMNS, rows, PLAIN) == [
        f"ID  REASON{' ' * 294}  TRIES",
        f"1   {'r' * 300}      7",
        f"22  short{' ' * 295}     12",
    ]


@pytest.mark.parametrize("width", [40, 80])
def test_on_a_terminal_only_what_may_give_is_cut(width: int) -> None:
    """Ids stay whole, reasons are cut with an ellipsis, and no line is wider than the terminal."""
    lines = table(COLUMNS, [("0123456789", "r" * 300, "7")], Look(width=width))
    assert max(map(len, lines)) <= width
    assert lines[1].startswith("0123456789  rrr")
    assert "…" in lines[1]


def test_on_a_terminal_what_wraps_is_not_cut() -> None:
    """A reason goes on below itself, word by word, and is whole."""
    columns = (Column("ID"), Column("REASON", wraps=True))
    assert table(columns, [("1", "one two three four five six seven")], Look(width=24)) == [
        "ID  REASON",
        "1   one two three four",
        "    five six seven",
    ]


def test_a_terminal_too_narrow_loses_nothing() -> None:
    """On a terminal that is narrower than the ids, every column is still there."""
    lines = table(COLUMNS, [("0123456789" * 4, "r" * 300, "7")], Look(width=20))
    assert lines[1].startswith("0123456789" * 4)
    assert lines[1].endswith("7")


def test_e57_cells_stay_on_their_line() -> None:
    """E57: a cell can neither break its row nor drive the terminal."""
    lines = table(COLUMNS, [("1", HOSTILE, "7")], PLAIN)
    assert len(lines) == 2
    assert ESCAPED in lines[1]


@pytest.mark.parametrize("value", ["[bold]x[/bold]", "[link=file:///etc/passwd]x[/link]", ":smile:"])
def test_e58_markup_is_text(value: str) -> None:
    """E58: what rich would take for markup or an emoji is printed as it is."""
    assert value in table(COLUMNS, [("1", value, "7")], PLAIN)[1]


def test_e57_json_is_one_printable_line() -> None:
    """E57: JSON escapes what ASCII's rules leave alone, and reads back the same."""
    value = {"name": HOSTILE, "astral": "\U000e0001", "plain": "Zoë 雨"}
    text = json_line(value)  # type: ignore[arg-type]  # a dict of text is JSON
    assert text.isprintable()
    assert "Zoë 雨" in text
    assert json.loads(text) == value


def test_json_keeps_every_digit() -> None:
    """A number that a float can't hold comes out as it went in."""
    assert json_line({"n": Decimal("0.1234567890123456789012345")}) == '{"n":0.1234567890123456789012345}'
