"""``orchestrator emit``: events from the command line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import anyio
import click

from orchestrator_core._errors import OrchestratorError
from orchestrator_core.cli import _configuration, _emitting, _options, _output
from orchestrator_core.cli.render.json_lines import json_line

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator_core.cli._emitting import Emitted

_HELP = """\
Hand events to the pipeline, and print the uid of each once it is accepted.

EVENT is an event as JSON, or - for one event a line on stdin. Or give --location and --id, and --operation and
--data if wanted. Works whether the pipeline runs or not; if not, the next run takes them up.

\b
orchestrator emit --location orders --id 7 --data '{"total": 12.5}'
orchestrator emit '{"location": "orders", "operation": "create", "id": "7"}'
orchestrator emit - < events.jsonl
"""


@click.command(help=_HELP)
@click.argument("event", required=False)
@_options.pipeline(argument=False)
@click.option("--input", "trigger", metavar="NAME", help="As if this input had emitted it; not needed if there is one.")
@click.option("--location", help="Table, topic or path the event is about.")
@click.option("--operation", default="create", show_default=True, help="create, read, update, delete or unknown.")
@click.option("--id", "id_", help="The record's id.")
@click.option("--data", metavar="JSON", help="The record.")
@_options.as_json
def emit(
    *,
    event: str | None,
    path: Path,
    trigger: str | None,
    location: str | None,
    operation: str,
    id_: str | None,
    data: str | None,
    as_json: bool,
) -> None:
    """Accept events."""
    fields = {"location": location, "id": id_, "data": data}
    given = [f"--{name}" for name, value in fields.items() if value is not None]
    if event is not None and given:
        raise click.UsageError(f"an EVENT says it all: leave out {', '.join(given)}")
    if event is None and (location is None or id_ is None):
        raise click.UsageError("give an event as JSON, or - to read events from stdin, or --location and --id")
    configuration = _configuration.read(path)
    if event == "-":
        batches = _emitting.read_batches(sys.stdin.buffer, configuration.pipeline.max_event_bytes)
    else:
        text = event if event is not None else _emitting.compose(location or "", operation, id_ or "", data)
        batches = iter([[("", text)]])

    total = _emitting.Total()

    def show(emitted: Emitted) -> None:
        total.add(emitted)
        _output.data([json_line(emitted.to_dict()) if as_json else emitted.event.uid])

    try:
        anyio.run(_emitting.emit_all, configuration, batches, trigger, show)
    except (OrchestratorError, KeyboardInterrupt):  # which is told next
        if total.accepted or total.known:
            _output.message(f"{total.sentence()}, before this:")
        raise
    _output.message(total.sentence())
