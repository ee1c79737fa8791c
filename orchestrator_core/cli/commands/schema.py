"""``orchestrator schema``: what a pipeline's file may hold, for editors."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator_core._config import schema as schema_of
from orchestrator_core._json import dump_json
from orchestrator_core._plugins import Plugins, installed
from orchestrator_core.cli import _output


@click.command()
@click.option("-o", "--output", metavar="FILE", help="Write it there; folders are made.  [default: stdout]")
def schema(*, output: str | None) -> None:
    """Print the JSON Schema of pipeline.toml, for the plugins that are installed.

    An editor that knows TOML then completes and checks the file as you type. Write it to .orchestrator/schema.json,
    and let the file begin with the line "#:schema ./.orchestrator/schema.json". Plugins are imported for this.
    """
    plugins = Plugins.probe(plugin.name for plugin in installed())
    for error in plugins.errors:
        _output.message(f"left out: {error}")
    text = dump_json(schema_of(plugins))
    if output is None:
        _output.data([text])
        return
    path = Path(output)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n", encoding="utf-8")
    _output.message(f"wrote {output}")
