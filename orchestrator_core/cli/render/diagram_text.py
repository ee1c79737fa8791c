"""The diagram in characters: boxes and lines where they fit, a tree where they do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator_core.cli.render.diagram_boxes import boxes
from orchestrator_core.cli.render.diagram_tree import tree

if TYPE_CHECKING:
    from orchestrator_core.cli.render.diagram import Diagram
    from orchestrator_core.cli.render.style import Look

_MOST_BOXES = 60


def draw(diagram: Diagram, look: Look) -> list[str]:
    """Return the diagram line by line, and below it what the links let through."""
    lines = boxes(diagram, look) if len(diagram.nodes) <= _MOST_BOXES else None
    lines = lines or tree(diagram, look)
    conditions = [(f"{arrow.source} → {arrow.target}", arrow.label) for arrow in diagram.arrows if arrow.label]
    width = max((len(link) for link, _ in conditions), default=0)
    return [*lines, *([""] if conditions else []), *(f"{link.ljust(width)}  {label}" for link, label in conditions)]
