"""The diagram as one self-contained SVG, light or dark as its reader prefers."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from orchestrator_core.cli.render.diagram import Diagram, Node, arrange, heights
from orchestrator_core.cli.render.style import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator_core.cli.render.diagram import Arrow

# Plain colours, stated twice: several viewers know no variables in CSS.
_STYLE = """
svg { background: #fff; font: 13px ui-sans-serif, system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
rect { fill: #f5f7fa; stroke: #c3ccd5; } .input { fill: #e6f4f2; stroke: #2a9d8f; }
.name { fill: #1f2933; font-weight: 600; } .caption, .label { fill: #66727f; font-size: 11px; }
.label { text-anchor: middle; paint-order: stroke; stroke: #fff; stroke-width: 4px; }
.line { fill: none; stroke: #9aa5b1; stroke-width: 1.5; } .dead { stroke: #c8553d; stroke-dasharray: 5 4; }
.head { fill: #9aa5b1; } .dead-head { fill: #c8553d; }
@media (prefers-color-scheme: dark) {
  svg { background: #14191f; } rect { fill: #1f2730; stroke: #3a4653; } .input { fill: #173330; stroke: #3fb8a9; }
  .name { fill: #e8edf2; } .caption, .label { fill: #9aa5b1; } .label { stroke: #14191f; }
  .line { stroke: #66727f; } .dead { stroke: #e5806a; } .head { fill: #66727f; } .dead-head { fill: #e5806a; } }
""".strip()

_HEIGHT, _GAP, _BETWEEN, _MARGIN = 48.0, 22.0, 84.0, 20.0
_NAME, _CAPTION = 7.9, 7.6
"""Generous widths of a character: the reader's font is not known here."""


def svg(diagram: Diagram, title: str) -> str:
    """Return the diagram as the text of an SVG file."""
    layout = arrange(diagram)
    nodes = {node.name: node for node in diagram.nodes}
    middle = heights(layout, {True: _HEIGHT, False: 4.0}, _GAP)
    widths = [max([_width(nodes[spot.node]) for spot in column if spot.node] or [0.0]) for column in layout.columns]
    lefts = [_MARGIN + left for left in accumulate((width + _BETWEEN for width in widths), initial=0.0)]
    total = lefts[-1] - (_BETWEEN if widths else 0.0) + _MARGIN
    tall = max([place + _HEIGHT / 2 for spot, place in middle.items() if spot.node], default=0.0)
    tall = max([tall, *middle.values()]) + 2 * _MARGIN

    lines: list[str] = []
    labels: list[str] = []
    way = ""
    for start, end, arrow in layout.steps:
        right, y = lefts[start.column] + widths[start.column], middle[start] + _MARGIN
        left, to = lefts[end.column] - (7 if end.node else 0), middle[end] + _MARGIN
        bend = (left - right) / 2
        way = way or f"M{right:.1f} {y:.1f}"
        way += f" C{right + bend:.1f} {y:.1f} {left - bend:.1f} {to:.1f} {left:.1f} {to:.1f}"
        if end.node is None:
            way += f" H{lefts[end.column] + widths[end.column]:.1f}"
            continue
        lines.append(_line(arrow, way))
        labels.extend(_label(arrow, (right + left) / 2, (y + to) / 2))
        way = ""
    boxes = [
        box
        for column, left, width in zip(layout.columns, lefts, widths, strict=False)
        for spot in column
        if spot.node
        for box in _box(nodes[spot.node], left, middle[spot] + _MARGIN - _HEIGHT / 2, width)
    ]
    size = f'viewBox="0 0 {total:.0f} {tall:.0f}" width="{total:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<title>{_text(title)}</title>'
    return "\n".join([head, f"<style>{_STYLE}</style>", _MARKERS, *lines, *labels, *boxes, "</svg>"])


_MARKERS = "<defs>{}{}</defs>".format(
    *(
        f'<marker id="{name}" viewBox="0 0 8 8" refX="1" refY="4" markerWidth="8" markerHeight="8" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path class="{name}" d="M0 0L8 4L0 8z"/></marker>'
        for name in ("head", "dead-head")
    )
)


def _line(arrow: Arrow, way: str) -> str:
    kind, head = ("line dead", "dead-head") if arrow.on == "dead" else ("line", "head")
    about = f"{arrow.source} → {arrow.target}" + (f": {arrow.label}" if arrow.label else "")
    return f'<path class="{kind}" d="{way}" marker-end="url(#{head})"><title>{_text(about)}</title></path>'


def _label(arrow: Arrow, x: float, y: float) -> Iterator[str]:
    if not arrow.label:
        return
    label = one_line(arrow.label)
    short = label if len(label) <= 14 else f"{label[:13]}…"  # noqa: PLR2004 (what fits between two columns)
    yield f'<text class="label" x="{x:.1f}" y="{y - 6:.1f}">{escape(short)}<title>{escape(label)}</title></text>'


def _box(node: Node, x: float, y: float, width: float) -> Iterator[str]:
    kind, round_ = (' class="input"', _HEIGHT / 2) if node.is_input else ("", 8.0)
    yield f'<rect{kind} x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{_HEIGHT:.0f}" rx="{round_:.0f}"/>'
    yield f'<text class="name" x="{x + 16:.1f}" y="{y + 21:.1f}">{_text(node.name)}</text>'
    yield f'<text class="caption" x="{x + 16:.1f}" y="{y + 37:.1f}">{_text(node.caption)}</text>'


def _width(node: Node) -> float:
    return max(len(node.name) * _NAME, len(node.caption) * _CAPTION) + 32


def _text(text: str) -> str:
    return escape(one_line(text))
