"""The diagram as a tree, for terminals that are too narrow and pipelines that are too large for boxes."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator_core.cli.render.diagram import Diagram
    from orchestrator_core.cli.render.style import Look


def tree(diagram: Diagram, look: Look) -> list[str]:
    """Return the diagram as a tree, where a process with several upstream nodes stands below the first of them."""
    nodes = {node.name: node for node in diagram.nodes}
    below: dict[str, list[str]] = defaultdict(list)
    fed = {arrow.target for arrow in diagram.arrows}
    for arrow in diagram.arrows:
        if arrow.target not in below[arrow.source]:
            below[arrow.source].append(arrow.target)
    lines: list[str] = []
    shown: set[str] = set()
    # A stack of its own rather than recursion: a chain may be as long as the pipeline.
    stack = [(name, "", "") for name in reversed(nodes) if nodes[name].is_input or name not in fed]
    while stack:
        name, lead, rest = stack.pop()
        node = nodes[name]
        again = name in shown and bool(below[name])
        title = look.paint(name, "cyan" if node.is_input else "bold")
        caption = look.paint("see above" if again else node.caption, "dim")
        lines.append(f"{look.paint(lead, 'dim')}{title}  {caption}".rstrip())
        if again:
            continue
        shown.add(name)
        children = below[name]
        for index in range(len(children) - 1, -1, -1):
            branch, beside = ("└─▶ ", "    ") if index == len(children) - 1 else ("├─▶ ", "│   ")
            stack.append((children[index], rest + branch, rest + beside))
    return lines
