"""Loading the pipeline's file for a command."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from orchestrator_core._config import load as read
from orchestrator_core.cli import _failures
from orchestrator_core.cli.render.style import Look

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import FrameType

    from orchestrator_core._config import Configuration

__all__ = ["load", "read"]


def load(path: Path, overrides: Sequence[str] = ()) -> Configuration:
    """Return the configuration, and say on stderr what is doubtful about it.

    Raises:
        ConfigurationProblems: with everything that is wrong.
    """
    with _heeding_ctrl_c():
        configuration = read(path, overrides=overrides)
    if configuration.warnings:
        for line in _failures.problems(configuration.warnings, Look.of(sys.stderr)):
            click.echo(line, err=True, color=True)
    return configuration


@contextmanager
def _heeding_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C end the command, also while a plugin is imported: there it would count as the plugin's failure."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    pressed = False

    def press(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, press)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if pressed:
            raise KeyboardInterrupt
