"""Where commands write: data to stdout, messages to stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from orchestrator_core.cli.render.json_lines import json_line
from orchestrator_core.cli.render.style import Look, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator_core._json import JSON


def look() -> Look:
    """Return what stdout can show."""
    return Look.of(sys.stdout)


def data(lines: Iterable[str]) -> None:
    """Print lines that are already rendered."""
    for line in lines:
        click.echo(line, color=True)


def objects(values: Iterable[JSON]) -> None:
    """Print JSON values, one a line."""
    for value in values:
        click.echo(json_line(value))


def message(text: str) -> None:
    """Say something that is no data."""
    click.echo(one_line(text), err=True)


def more(limit: int) -> None:
    """Say that a list is not all there is: whoever counts its lines must not take it for that."""
    message(f"these are the newest {limit:,}; --limit shows more")
