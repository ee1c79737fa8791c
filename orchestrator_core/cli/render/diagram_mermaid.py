"""The diagram in Mermaid's language, which code hosts draw inside Markdown: https://mermaid.js.org/syntax/flowchart.html."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator_core.cli.render.style import one_line

if TYPE_CHECKING:
    from orchestrator_core.cli.render.diagram import Diagram


def mermaid(diagram: Diagram) -> list[str]:
    """Return the diagram line by line."""
    # Numbered ids: a node may be called "end" or "graph", which Mermaid takes for its own words.
    ids = {node.name: f"n{index}" for index, node in enumerate(diagram.nodes)}
    lines = ["flowchart LR"]
    for node in diagram.nodes:
        opening, closing = ("([", "])") if node.is_input else ("[", "]")
        caption = f"<br/><small>{_quoted(node.caption)}</small>" if node.caption else ""
        lines.append(f'    {ids[node.name]}{opening}"{_quoted(node.name)}{caption}"{closing}')
    for arrow in diagram.arrows:
        line = "-.->" if arrow.on == "dead" else "-->"
        label = f'|"{_quoted(arrow.label)}"|' if arrow.label else ""
        lines.append(f"    {ids[arrow.source]} {line}{label} {ids[arrow.target]}")
    return lines


def _quoted(text: str) -> str:
    """Return text with what means something to Mermaid or HTML as Mermaid's entity codes."""
    return "".join(character if character not in _SPECIAL else f"#{ord(character)};" for character in one_line(text))


_SPECIAL = frozenset('#"<>&`|;')
