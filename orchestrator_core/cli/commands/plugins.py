"""``orchestrator plugins``: what is installed."""

from __future__ import annotations

import attrs
import click

from orchestrator_core._plugins import installed
from orchestrator_core.cli import _options, _output
from orchestrator_core.cli.render.table import Column, table

_COLUMNS = (Column("NAME"), Column("DISTRIBUTION"), Column("VERSION"), Column("SUMMARY", gives=True))


@click.command
@_options.as_json
def plugins(*, as_json: bool) -> None:
    """List the installed plugins, by their metadata: none of them is imported.

    NAME is what stands in front of the dot in "type", and what a pipeline lists under "plugins".
    """
    found = installed()
    if as_json:
        _output.objects(attrs.asdict(plugin) for plugin in found)
        return
    rows = [(plugin.name, plugin.distribution, plugin.version, plugin.summary) for plugin in found]
    _output.data(table(_COLUMNS, rows, _output.look()))
