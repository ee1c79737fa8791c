"""A pull with its progress on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import attrs
import click

from orchestrator_docker._engine import Engine


@attrs.frozen
class Progress:
    """How far the pull of one layer is.

    Attributes:
        layer: which layer; empty for what concerns the whole image.
        what: what is being done with it.
        done: bytes done.
        total: bytes in all, 0 if not known.
    """

    layer: str
    what: str
    done: int = 0
    total: int = 0

    @classmethod
    def read(cls, line: Mapping[str, Any]) -> Progress:
        """Read one line of the engine's answer."""
        detail = line.get("progressDetail") or {}
        return cls(
            str(line.get("id") or ""),
            str(line.get("status") or ""),
            int(detail.get("current") or 0),
            int(detail.get("total") or 0),
        )


async def pull_shown(engine: Engine, image: str) -> None:
    """Pull an image; on a terminal with a bar for each layer, else with one line at the end.

    Raises:
        DockerError: it can't be had.
    """
    if not sys.stderr.isatty():
        await engine.pull(image)
        click.echo(f"pulled {image}", err=True)
        return
    from rich import progress  # noqa: PLC0415 (only a terminal needs it)
    from rich.console import Console  # noqa: PLC0415

    columns = (progress.TextColumn("{task.description}"), progress.BarColumn(), progress.DownloadColumn())
    with progress.Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, progress.TaskID] = {}

        def show(line: Mapping[str, Any]) -> None:
            step = Progress.read(line)
            if step.layer and step.total:
                if step.layer not in tasks:
                    tasks[step.layer] = bars.add_task(step.layer)
                bars.update(
                    tasks[step.layer], description=f"{step.layer} {step.what}", completed=step.done, total=step.total
                )

        await engine.pull(image, show)
    click.echo(f"pulled {image}", err=True)
