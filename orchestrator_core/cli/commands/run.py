"""``orchestrator run``: the pipeline, until it is told to stop."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Literal

import anyio
import click

from orchestrator_core.cli import _configuration, _options, _output
from orchestrator_core.cli._failures import FAILED
from orchestrator_core.cli._running import Run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from pathlib import Path

_THREAD_SECONDS = 0.5

_HELP = """\
Run the pipeline until it is stopped, and show what happens line by line.

What happens goes to stdout, what the command has to say about itself to stderr.

\b
Signals:
  SIGINT (Ctrl-C), SIGTERM   stop: no more events, running jobs may finish
  the same once more         stop now: what is cut off is done in the next run
  SIGHUP                     read the file again; a wrong one changes nothing

\b
Exit codes:
  0    ended by itself, or stopped by one signal; dead letters are no failure
  1    the run failed, or made dead letters and --fail-on-dead was given
  2    the configuration is wrong
  3    a plugin is missing or broken
  130  stopped by a SIGINT while it started, or at once by a second one
  143  stopped at once by a second SIGTERM
"""


@click.command(help=_HELP)
@_options.pipeline(argument=True)
@click.option("--until-idle", is_flag=True, help="End when nothing is left to do and no input has more just now.")
@click.option("--fail-on-dead", is_flag=True, help="End with exit code 1 if the run made dead letters.")
@_options.overrides
@click.option(
    "--log-format",
    type=click.Choice(["auto", "text", "json"]),
    default="auto",
    show_default=True,
    help="text: aligned lines, folded into counts when there are too many to read. auto: text, with colours and "
    "progress on a terminal. json: an object for each thing that happens.",
)
@click.option(
    "--drain-timeout",
    type=_options.Duration(),
    metavar="DURATION",
    help="How long running jobs may go on after the first signal, such as 30s.  [default: pipeline.grace]",
)
@click.option("-v", "--verbose", is_flag=True, help="Show debug messages and tracebacks.")
def run(
    *,
    path: Path,
    until_idle: bool,
    fail_on_dead: bool,
    overrides: Sequence[str],
    log_format: Literal["auto", "text", "json"],
    drain_timeout: timedelta | None,
    verbose: bool,
) -> None:
    """Run the pipeline."""
    configuration = _configuration.load(path, overrides)
    one = Run(
        configuration,
        reload=lambda: _configuration.read(path, overrides=overrides),
        look_at=f"orchestrator dead-letters list{_options.repeated(path)}",
        log_format=log_format,
        verbose=verbose,
        grace=drain_timeout,
    )
    # A `print` in somebody's function must not stand between the objects that a program reads.
    with redirect_stdout(sys.stderr if log_format == "json" else sys.stdout):
        summary = anyio.run(one.go, until_idle)
    code = FAILED if fail_on_dead and summary.dead else 0
    if one.cut_off_by is not None:
        code = 128 + one.cut_off_by
    _leave_hung_threads(code)
    sys.exit(code)


def _leave_hung_threads(code: int) -> None:
    """End the process at once if a function that timed out still runs: Python itself would wait for it for ever."""
    hung = [thread for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon]
    for thread in hung:
        thread.join(_THREAD_SECONDS)
    if left := sum(thread.is_alive() for thread in hung):
        _output.message(f"left behind: {left} {'call' if left == 1 else 'calls'} that timed out and did not return")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
