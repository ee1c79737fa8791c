"""``orchestrator graph``: the pipeline as a drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs
import click

from orchestrator_core.cli import _configuration, _options, _output
from orchestrator_core.cli.render.conditions import condition_of
from orchestrator_core.cli.render.diagram import Arrow, Diagram, Node

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator_core._config import Configuration, ProcessConfig
    from orchestrator_core._json import JSON


@click.command()
@_options.pipeline(argument=True)
@_options.overrides
@click.option(
    "--format", "format_", type=click.Choice(["text", "mermaid", "svg", "json"]), default="text", show_default=True
)
@_options.as_format_json
def graph(
    *, path: Path, overrides: Sequence[str], format_: Literal["text", "mermaid", "svg", "json"], as_json: bool
) -> None:
    """Draw the pipeline.

    Inputs have round corners, dotted lines are those that a dead letter takes.
    """
    configuration = _configuration.load(path, overrides)
    diagram = diagram_of(configuration)
    if as_json or format_ == "json":
        nodes: list[JSON] = [attrs.asdict(node) for node in diagram.nodes]
        arrows: list[JSON] = [attrs.asdict(arrow) for arrow in diagram.arrows]
        _output.objects([{"name": configuration.pipeline.name, "nodes": nodes, "links": arrows}])
    elif format_ == "text":
        from orchestrator_core.cli.render.diagram_text import draw  # noqa: PLC0415 (each format pays for itself)

        _output.data(draw(diagram, _output.look()))
    elif format_ == "mermaid":
        from orchestrator_core.cli.render.diagram_mermaid import mermaid  # noqa: PLC0415 (as above)

        _output.data(mermaid(diagram))
    else:
        from orchestrator_core.cli.render.diagram_svg import svg  # noqa: PLC0415 (as above)

        _output.data([svg(diagram, configuration.pipeline.name)])


def diagram_of(configuration: Configuration) -> Diagram:
    """Return what there is to draw of a configuration."""
    nodes = [
        *(Node(name, each.type, is_input=True) for name, each in configuration.inputs.items()),
        *(Node(name, each.type, _note(each)) for name, each in configuration.processes.items()),
    ]
    arrows = [Arrow(link.source, link.target, link.on, condition_of(link)) for link in configuration.links]
    return Diagram(tuple(nodes), tuple(arrows))


def _note(process: ProcessConfig) -> str:
    parts = [
        "join any" if process.options.join == "any" else "",
        "by key" if process.options.ordered_by == "key" else "",
    ]
    return ", ".join(part for part in parts if part)
