"""``orchestrator config``: the configuration as it was understood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from orchestrator_core._config import normalised
from orchestrator_core.cli import _configuration, _options, _output
from orchestrator_core.cli.render.toml import toml_lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@click.command()
@_options.pipeline(argument=True)
@_options.overrides
@click.option("--format", "format_", type=click.Choice(["toml", "json"]), default="toml", show_default=True)
@_options.as_format_json
def config(*, path: Path, overrides: Sequence[str], format_: Literal["toml", "json"], as_json: bool) -> None:
    """Print the configuration as it was understood: every default filled in, secrets hidden.

    What stands in the environment or in another file is shown as the reference that leads to it.
    """
    tables = normalised(_configuration.load(path, overrides))
    if as_json or format_ == "json":
        _output.objects([tables])
    else:
        _output.data(toml_lines(tables))
