"""The pipeline as a diagram: nodes and arrows in columns, placed so that lines are short and cross seldom."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SWEEPS = 8


@attrs.frozen
class Node:
    """An input or a process.

    Attributes:
        name: its name in the pipeline.
        type: what stands in ``type``.
        note: what else to say of it in a word or two.
        is_input: whether it is an input.
    """

    name: str
    type: str = ""
    note: str = ""
    is_input: bool = attrs.field(default=False, kw_only=True)

    @property
    def caption(self) -> str:
        """The second line of its box."""
        return " · ".join(part for part in (self.type, self.note) if part)


@attrs.frozen
class Arrow:
    """A link.

    Attributes:
        source: the node it starts at.
        target: the process it leads to.
        on: ``success``, ``dead``, ``settled`` or ``event``.
        condition: what it lets through, empty for everything.
    """

    source: str
    target: str
    on: str = "success"
    condition: str = ""

    @property
    def label(self) -> str:
        """What there is to say of it; empty for a plain link."""
        on = "" if self.on == "success" else f"on {self.on}"
        return ", ".join(part for part in (on, self.condition) if part)


@attrs.frozen
class Diagram:
    """What to draw.

    Attributes:
        nodes: in the order of the configuration.
        arrows: in the order of the configuration.
    """

    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...]


@attrs.frozen
class Spot:
    """A place in a column: a node, or a point that a long arrow passes.

    Attributes:
        column: which column, from the left.
        source: the node, or where the arrow comes from that passes here.
        node: the node; ``None`` for a point that is passed.
    """

    column: int
    source: str
    node: str | None = None


@attrs.frozen
class Layout:
    """Where everything goes.

    Attributes:
        columns: the spots of each column, from the top.
        steps: the pieces of the arrows from one column to the next, and the arrow each belongs to.
    """

    columns: tuple[tuple[Spot, ...], ...]
    steps: tuple[tuple[Spot, Spot, Arrow], ...]


def arrange(diagram: Diagram) -> Layout:
    """Place nodes in columns by the longest way that leads to them, and order each column to cross few lines."""
    column = _columns(diagram)
    steps = [step for arrow in diagram.arrows for step in _pieces(arrow, column)]
    spots: dict[int, dict[Spot, None]] = defaultdict(dict)
    for node in diagram.nodes:
        spots[column[node.name]][Spot(column[node.name], node.name, node.name)] = None
    for start, end, _ in steps:
        spots[start.column][start] = None
        spots[end.column][end] = None
    order = [list(spots[index]) for index in range(max(spots, default=-1) + 1)]
    best = _ordered(order, steps)
    return Layout(tuple(tuple(each) for each in best), tuple(steps))


def _columns(diagram: Diagram) -> dict[str, int]:
    column = {node.name: 0 for node in diagram.nodes}
    # The graph has no cycle, so this many rounds reach the end of its longest path.
    for _ in diagram.nodes:
        moved = False
        for arrow in diagram.arrows:
            if column[arrow.target] <= column[arrow.source]:
                column[arrow.target] = column[arrow.source] + 1
                moved = True
        if not moved:
            break
    for node in diagram.nodes:
        targets = [column[arrow.target] for arrow in diagram.arrows if arrow.source == node.name]
        if node.is_input and targets:
            column[node.name] = min(targets) - 1
    return column


def _pieces(arrow: Arrow, column: Mapping[str, int]) -> list[tuple[Spot, Spot, Arrow]]:
    first, last = column[arrow.source], column[arrow.target]
    way = [
        Spot(first, arrow.source, arrow.source),
        *(Spot(index, arrow.source) for index in range(first + 1, last)),
        Spot(last, arrow.target, arrow.target),
    ]
    return [(start, end, arrow) for start, end in pairwise(way)]


def _ordered(columns: list[list[Spot]], steps: Sequence[tuple[Spot, Spot, Arrow]]) -> list[list[Spot]]:
    """Order each column by the mean place of its neighbours, to and fro, and keep the best of what came out."""
    before, after = defaultdict(list), defaultdict(list)
    for start, end, _ in steps:
        before[end].append(start)
        after[start].append(end)
    best, fewest = [list(column) for column in columns], _crossings(columns, after)
    for sweep in range(_SWEEPS):
        neighbours = after if sweep % 2 else before
        indices = range(len(columns) - 1, -1, -1) if sweep % 2 else range(len(columns))
        for index in indices:
            place = {spot: at for column in columns for at, spot in enumerate(column)}
            columns[index].sort(key=lambda spot: _mean([place[each] for each in neighbours[spot]] or [place[spot]]))
        if (crossings := _crossings(columns, after)) < fewest:
            best, fewest = [list(column) for column in columns], crossings
    return best


def _crossings(columns: Sequence[Sequence[Spot]], after: Mapping[Spot, Sequence[Spot]]) -> int:
    total = 0
    for left, right in pairwise(columns):
        place = {spot: at for at, spot in enumerate(right)}
        ends: list[int] = []
        for spot in left:
            reached = [place[end] for end in after.get(spot, ())]
            total += sum(1 for end in ends for each in reached if each < end)
            ends.extend(reached)
    return total


def heights(layout: Layout, size: Mapping[bool, float], gap: float) -> dict[Spot, float]:
    """Return the middle of each spot from the top, so that lines are as straight as the order allows.

    Args:
        layout: what to place.
        size: the height of a node (``True``) and of a point that is passed (``False``).
        gap: the least space between two spots of a column.
    """
    neighbours = defaultdict(list)
    for start, end, _ in layout.steps:
        neighbours[start].append(end)
        neighbours[end].append(start)
    middle: dict[Spot, float] = {}
    for column in layout.columns:
        middle.update(zip(column, _spread([(0.0, 1.0)] * len(column), _distances(column, size, gap)), strict=True))
    for _ in range(_SWEEPS):
        for column in (*layout.columns, *reversed(layout.columns)):
            wanted = [_wanted(spot, neighbours[spot], middle) for spot in column]
            middle.update(zip(column, _spread(wanted, _distances(column, size, gap)), strict=True))
    top = min((each - size[spot.node is not None] / 2 for spot, each in middle.items()), default=0.0)
    return {spot: each - top for spot, each in middle.items()}


def _wanted(spot: Spot, neighbours: Sequence[Spot], middle: Mapping[Spot, float]) -> tuple[float, float]:
    """Return where a spot would best be and how much that counts: a bend in a passing line is the ugliest."""
    if spot.node is None:
        passing = [each for each in neighbours if each.node is None]
        return _mean([middle[each] for each in passing or neighbours]), 8.0
    return _mean([middle[each] for each in neighbours] or [middle[spot]]), 1.0


def _distances(column: Sequence[Spot], size: Mapping[bool, float], gap: float) -> list[float]:
    halves = [size[spot.node is not None] / 2 for spot in column]
    return [0.0, *(upper + gap + lower for upper, lower in pairwise(halves))]


def _spread(wanted: Sequence[tuple[float, float]], distances: Sequence[float]) -> list[float]:
    """Return the places nearest to those wanted (weighted least squares) that keep order and distances.

    This is isotonic regression by pooling neighbours that want to pass each other.
    """
    pools: list[tuple[float, float, int]] = []
    offsets: list[float] = []
    for (place, weight), distance in zip(wanted, distances, strict=True):
        offsets.append((offsets[-1] if offsets else 0.0) + distance)
        mean, count = place - offsets[-1], 1
        while pools and pools[-1][0] > mean:
            other, others, more = pools.pop()
            mean = (mean * weight + other * others) / (weight + others)
            weight, count = weight + others, count + more  # noqa: PLW2901 (the pool's own)
        pools.append((mean, weight, count))
    placed = [mean for mean, _, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(placed, offsets, strict=True)]


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)
