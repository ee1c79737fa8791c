"""A grid of characters on which lines know which way they go, so that they meet, branch and cross as they should."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from orchestrator_core.cli.render.diagram import Arrow
    from orchestrator_core.cli.render.style import Look

_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_SOLID = " ╵╷│╴╯╮┤╶╰╭├─┴┬┼"
_DOTTED = " ╵╷┆╴╯╮┤╶╰╭├┄┴┬┼"
"""The characters by the ways that they go, added up."""

_HORIZONTAL, _VERTICAL = _LEFT | _RIGHT, _UP | _DOWN


@attrs.define
class _Cell:
    """A character of a line: which ways it goes, for which sources, and whether all of it is dotted."""

    ways: dict[str, int] = attrs.field(factory=lambda: defaultdict(int))
    dotted: bool = True

    @property
    def text(self) -> str:
        ways = list(self.ways.values())
        # Lines of two sources that cross are drawn as a bridge; only lines of one source have junctions.
        if sorted(ways) == [_VERTICAL, _HORIZONTAL]:
            return "┆" if self.dotted else "│"
        joined = 0
        for each in ways:
            joined |= each
        return (_DOTTED if self.dotted else _SOLID)[joined]


class Canvas:
    """A grid of characters."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._cells: dict[tuple[int, int], _Cell] = defaultdict(_Cell)
        self._texts: dict[tuple[int, int], tuple[str, str]] = {}

    def across(self, row: int, start: int, end: int, arrow: Arrow) -> None:
        """Draw from the middle of one column to the middle of another."""
        for column in range(start, end):
            self._way(row, column, _RIGHT, arrow)
            self._way(row, column + 1, _LEFT, arrow)

    def down(self, column: int, start: int, end: int, arrow: Arrow) -> None:
        """Draw from the middle of one row to the middle of another, whichever is above."""
        for row in range(min(start, end), max(start, end)):
            self._way(row, column, _DOWN, arrow)
            self._way(row + 1, column, _UP, arrow)

    def write(self, row: int, column: int, text: str, style: str = "") -> None:
        """Write over whatever is there."""
        for at, character in enumerate(text):
            self._texts[row, column + at] = (character, style)

    def lines(self) -> list[str]:
        """Return what was drawn."""
        places = self._cells.keys() | self._texts.keys()
        rows: dict[int, list[int]] = defaultdict(list)
        for row, column in places:
            rows[row].append(column)
        return [self._line(row, max(rows[row], default=-1)) for row in range(max(rows, default=-1) + 1)]

    def _way(self, row: int, column: int, way: int, arrow: Arrow) -> None:
        cell = self._cells[row, column]
        cell.ways[arrow.source] |= way
        cell.dotted = cell.dotted and arrow.on == "dead"

    def _line(self, row: int, last: int) -> str:
        parts: list[tuple[str, str]] = []
        for column in range(last + 1):
            if (row, column) in self._texts:
                character, style = self._texts[row, column]
            elif (row, column) in self._cells:
                character, style = self._cells[row, column].text, "dim"
            else:
                character, style = " ", ""
            if parts and parts[-1][1] == style:
                parts[-1] = (parts[-1][0] + character, style)
            else:
                parts.append((character, style))
        return "".join(self._look.paint(text, style) for text, style in parts).rstrip()
