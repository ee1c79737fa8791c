"""``orchestrator init``: a first pipeline."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from orchestrator_core.cli import _options, _output
from orchestrator_core.cli._failures import Refused

_TEMPLATE = """\
# A pipeline: inputs are sources of events, processes are jobs that run once for each event, and "after" links them.
#
#   orchestrator check               is it right?
#   orchestrator graph               draw it
#   orchestrator run                 run it; Ctrl-C ends it when the running jobs are done
#   orchestrator status              see what is waiting, done and dead, from another terminal
#
#:schema ./.orchestrator/schema.json
version = 1

[pipeline]
name = "first"

# Where events and their outcomes are kept, relative to this file. A run that is killed goes on from here.
[journal]
url = "sqlite:.orchestrator/journal.db"

# An input: one event every two seconds.
[inputs.tick]
type = "timer"
options = { every = "2s" }

# A process: a command that is handed the event as JSON on its stdin. What it prints is its log.
[processes.greet]
type = "command"
after = ["tick"]
timeout = "30s"
retry = { attempts = 3, initial = "1s" }
execution_context = { argv = ["sh", "-c", "echo hello at $(date +%T)"] }

# A process behind another one: it runs when greet has done its job. With on = "dead" it would run when greet gave up.
[processes.count]
type = "command"
after = [{ node = "greet", on = "success" }]
execution_context = { argv = ["sh", "-c", "echo the event has $(wc -c) bytes"] }
"""


@click.command
@click.argument("file", default=_options.DEFAULT_FILE)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def init(*, file: str, force: bool) -> None:
    """Write a small, commented pipeline that runs as it is.

    FILE is pipeline.toml in the current folder unless given; its folder is made.
    """
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("w" if force else "x", encoding="utf-8") as target:
            target.write(_TEMPLATE)
    except FileExistsError:
        raise Refused(f"{file} is there already: choose another name, or write over it with --force") from None
    given = "" if file == _options.DEFAULT_FILE else f" {shlex.quote(file)}"
    _output.message(f"wrote {file}; now: orchestrator run{given}")
