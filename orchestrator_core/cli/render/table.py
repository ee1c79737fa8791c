"""Tables without lines, as wide as their content, shortened only on a terminal."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs

from orchestrator_core.cli.render.style import Look, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console, RenderableType
    from rich.text import Text

Cell: TypeAlias = "str | tuple[str, str]"
"""A text, or a text and its style."""

_UNLIMITED = 1_000_000
_SHORTEST = 12


@attrs.frozen
class Column:
    """One column of a table.

    Attributes:
        title: its heading.
        gives: whether it may be shortened where the terminal is too narrow for all.
        wraps: whether it goes on in the next line instead; off a terminal nothing does.
        right: align it to the right.
    """

    title: str
    gives: bool = False
    wraps: bool = False
    right: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[Cell]], look: Look) -> list[str]:
    """Return the lines of a table, headings first; every cell is escaped, and so can't break its line."""
    from rich.table import Table  # noqa: PLC0415 (rich costs more than most commands; only those with a table pay)

    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    texts = [[_text(cell, column) for cell, column in zip(row, columns, strict=True)] for row in rows]
    widths = [max([len(column.title), *(row[index].cell_len for row in texts)]) for index, column in enumerate(columns)]
    flexible = [column.gives or column.wraps for column in columns]
    least = [min(width, _SHORTEST) if flexes else width for flexes, width in zip(flexible, widths, strict=True)]
    for column, flexes, width in zip(columns, flexible, least, strict=True):
        justify: Literal["left", "right"] = "right" if column.right else "left"
        grid.add_column(column.title, justify=justify, min_width=width, no_wrap=not flexes)
    for row in texts:
        grid.add_row(*row)
    # Narrower than that, rich would leave out whole columns; the terminal's own wrapping loses nothing.
    needed = sum(least) + 2 * len(columns)
    return lines(grid, attrs.evolve(look, width=max(look.width, needed)) if look.width else look)


def lines(renderable: RenderableType, look: Look) -> list[str]:
    """Return what rich makes of something, line by line."""
    console = recording(look)
    console.print(renderable)
    file = console.file
    assert isinstance(file, StringIO)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def recording(look: Look) -> Console:
    """Return a rich console that writes to a text in memory."""
    from rich.console import Console  # noqa: PLC0415 (as above)

    return Console(
        file=StringIO(),
        width=look.width or _UNLIMITED,
        color_system="standard" if look.colour else None,
        force_terminal=look.colour,
        no_color=not look.colour,
        markup=False,
        emoji=False,
        highlight=False,
    )


def _text(cell: Cell, column: Column) -> Text:
    from rich.text import Text  # noqa: PLC0415 (as above)

    text, style = (cell, "") if isinstance(cell, str) else cell
    return Text(one_line(text), style, no_wrap=not column.wraps, overflow="fold" if column.wraps else "ellipsis")
