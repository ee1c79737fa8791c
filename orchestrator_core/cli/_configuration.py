"""Loading the pipeline's file for a command."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from orchestrator_core._config import load as read
from orchestrator_core.cli import _failures
from orchestrator_core.cli.render.style import Look

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator_core._config import Configuration

__all__ = ["load", "read"]


def load(path: Path, overrides: Sequence[str] = ()) -> Configuration:
    """Return the configuration, and say on stderr what is doubtful about it.

    Raises:
        ConfigurationProblems: with everything that is wrong.
    """
    configuration = read(path, overrides=overrides)
    if configuration.warnings:
        for line in _failures.problems(configuration.warnings, Look.of(sys.stderr)):
            click.echo(line, err=True, color=True)
    return configuration
