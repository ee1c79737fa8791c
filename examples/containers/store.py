"""Runs in the engine, once for each line: keeps what the container has returned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator_core import dump_json

if TYPE_CHECKING:
    from orchestrator_core import AttemptContext, Event


def store(event: Event, context: AttemptContext) -> None:
    """Add one line to the file, beside the pipeline's own."""
    counted = {"line": event.id, **context.outputs["count"]}
    with (Path(__file__).parent / "counted.jsonl").open("a", encoding="utf-8") as file:
        file.write(f"{dump_json(counted)}\n")
