"""The diagram as boxes and lines of characters."""

from __future__ import annotations

from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from itertools import accumulate
from typing import TYPE_CHECKING

import attrs

from orchestrator_core.cli.render.canvas import Canvas
from orchestrator_core.cli.render.diagram import Diagram, Layout, Node, Spot, arrange, heights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator_core.cli.render.diagram import Arrow
    from orchestrator_core.cli.render.style import Look

_BOX_HEIGHT = 4
_BETWEEN = 5


def boxes(diagram: Diagram, look: Look) -> list[str] | None:
    """Return the drawing line by line; ``None`` if it is too wide, or if its lines could be misread."""
    layout = arrange(diagram)
    nodes = {node.name: node for node in diagram.nodes}
    try:
        placed = _place(layout, nodes, offset=0)
    except CycleError:
        try:
            placed = _place(layout, nodes, offset=1)
        except CycleError:
            return None
    if look.width is not None and placed.lefts[-1] + placed.widths[-1] > look.width:
        return None
    canvas = Canvas(look)
    for start, end, arrow in layout.steps:
        placed.draw_step(canvas, start, end, arrow)
    for column in layout.columns:
        for spot in column:
            if spot.node is not None:
                left, width = placed.lefts[spot.column], placed.widths[spot.column]
                _draw_box(canvas, nodes[spot.node], placed.ins[spot] - 1, left, width)
    return canvas.lines()


@attrs.frozen
class _Placed:
    """Where boxes and lines go.

    Attributes:
        ins: the row in which arrows reach each spot.
        outs: the row in which arrows leave it.
        lefts: where each column of boxes begins.
        widths: how wide it is.
        tracks: how far right of its column's edge a spot's line turns up or down.
    """

    ins: Mapping[Spot, int]
    outs: Mapping[Spot, int]
    lefts: Sequence[int]
    widths: Sequence[int]
    tracks: Mapping[Spot, int]

    def draw_step(self, canvas: Canvas, start: Spot, end: Spot, arrow: Arrow) -> None:
        """Draw an arrow to the right as far as its source's track, along it, and on to the next column."""
        edge = self.lefts[start.column] + self.widths[start.column]
        track = edge + 1 + self.tracks.get(start, 0)
        canvas.across(self.outs[start], edge - 1, track, arrow)
        canvas.down(track, self.outs[start], self.ins[end], arrow)
        left = self.lefts[end.column]
        if end.node is None:
            canvas.across(self.ins[end], track, left + self.widths[end.column], arrow)
        else:
            canvas.across(self.ins[end], track, left - 1, arrow)
            canvas.write(self.ins[end], left - 1, "▶", "dim")


def _place(layout: Layout, nodes: Mapping[str, Node], *, offset: int) -> _Placed:
    """Place everything; arrows leave a box `offset` rows below the one in which they reach it.

    Raises:
        CycleError: some lines would lie on each other and look joined.
    """
    ins = _rows(layout)
    outs = {spot: row + offset if spot.node is not None else row for spot, row in ins.items()}
    widths = [max([_width(nodes[spot.node]) for spot in column if spot.node] or [1]) for column in layout.columns]
    tracks = [_tracks(layout, index, ins, outs) for index in range(len(layout.columns))]
    steps = (width + max([*taken.values(), 0]) + _BETWEEN for width, taken in zip(widths, tracks, strict=True))
    lefts = list(accumulate(steps, initial=0))[:-1]
    return _Placed(ins, outs, lefts, widths, {spot: at for taken in tracks for spot, at in taken.items()})


def _rows(layout: Layout) -> dict[Spot, int]:
    """Round the places to rows without letting two spots of a column meet; a node's row is that of its name."""
    middle = heights(layout, {True: float(_BOX_HEIGHT), False: 1.0}, 0.0)
    rows: dict[Spot, int] = {}
    for column in layout.columns:
        free = 0
        for spot in column:
            is_node = spot.node is not None
            top = max(round(middle[spot] - (_BOX_HEIGHT / 2 if is_node else 0.5)), free)
            rows[spot] = top + 1 if is_node else top
            free = top + (_BOX_HEIGHT if is_node else 1)
    return rows


def _tracks(layout: Layout, column: int, ins: Mapping[Spot, int], outs: Mapping[Spot, int]) -> dict[Spot, int]:
    """Give each source of a column that leads up or down a place for its vertical line.

    Where one source stands in the row of another's target, its line must turn off before the other's turns in.
    """
    targets: dict[Spot, set[int]] = defaultdict(set)
    for start, end, _ in layout.steps:
        if start.column == column:
            targets[start].add(ins[end])
    turning = {spot: rows for spot, rows in targets.items() if rows != {outs[spot]}}
    before = {
        spot: {other for other in turning if outs[other] in rows and turning[other] != rows}
        for spot, rows in turning.items()
    }
    taken: dict[Spot, int] = {}
    for spot in TopologicalSorter(before).static_order():
        at = max([taken[other] + 1 for other in before[spot]], default=0)
        while any(taken[other] == at and _overlap(spot, other, turning, outs) for other in taken):
            at += 1
        taken[spot] = at
    return taken


def _overlap(spot: Spot, other: Spot, turning: Mapping[Spot, set[int]], outs: Mapping[Spot, int]) -> bool:
    """Tell whether the vertical lines of two sources would lie on each other in one place, and must not."""
    if turning[other] == turning[spot]:
        return False  # they lead to the same places, so they may as well join on the way
    one, two = {outs[spot], *turning[spot]}, {outs[other], *turning[other]}
    return min(one) <= max(two) and min(two) <= max(one)


def _width(node: Node) -> int:
    return max(len(node.name), len(node.caption)) + 4


def _draw_box(canvas: Canvas, node: Node, row: int, column: int, width: int) -> None:
    corners = "╭╮╰╯" if node.is_input else "┌┐└┘"
    style = "cyan" if node.is_input else ""
    canvas.write(row, column, f"{corners[0]}{'─' * (width - 2)}{corners[1]}", style)
    for offset, text, bold in ((1, node.name, "bold"), (2, node.caption, "dim")):
        canvas.write(row + offset, column, "│", style)
        canvas.write(row + offset, column + 1, f" {text}".ljust(width - 2), bold)
        canvas.write(row + offset, column + width - 1, "│", style)
    canvas.write(row + 3, column, f"{corners[2]}{'─' * (width - 2)}{corners[3]}", style)
