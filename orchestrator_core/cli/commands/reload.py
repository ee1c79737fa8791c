"""``orchestrator reload``: make the running pipeline read its file again."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import click

from orchestrator_core.cli import _configuration, _journals, _options, _output
from orchestrator_core.cli._failures import FAILED
from orchestrator_core.cli._runner import find_runner

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@_options.pipeline(argument=True)
def reload(*, path: Path) -> None:
    """Make the running pipeline read its file again.

    The file is checked first; a wrong one is reported here and nobody is disturbed. The running process says what it
    changed.
    """
    configuration = _configuration.load(path)
    runner = find_runner(_journals.located(configuration).journal)
    if runner is None:
        _output.message("nothing runs on this pipeline's journal on this machine")
        sys.exit(FAILED)
    os.kill(runner, signal.SIGHUP)
    _output.message(f"asked process {runner} to read {path} again")
