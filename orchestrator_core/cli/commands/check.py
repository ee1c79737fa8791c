"""``orchestrator check``: is the pipeline right, and what does it promise?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

import anyio
import attrs
import click

from orchestrator_core._config.problems import ConfigurationProblems
from orchestrator_core.cli import _configuration, _failures, _options, _output
from orchestrator_core.cli._connecting import Reached, connect_all
from orchestrator_core.cli.render.figures import count, duration
from orchestrator_core.cli.render.problems import problem_dict, verdict
from orchestrator_core.cli.render.style import one_line
from orchestrator_core.cli.render.table import Column, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from orchestrator_core._config.problems import Problem
    from orchestrator_core._json import JSON

_COLUMNS = (Column("FROM", gives=True), Column("TO", gives=True), Column("EVENTS"), Column("RUNS"), Column("ORDER"))

_HELP = """\
Report every problem of the pipeline at once, and what each of its paths promises.

\b
Exit codes:
  0   right
  1   right, but with --connect something is out of reach
  2   wrong
  3   a plugin is missing or broken
"""


@click.command(help=_HELP)
@_options.pipeline(argument=True)
@_options.overrides
@click.option("--connect", is_flag=True, help="Ask every input and process whether it reaches what it needs.")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
@_options.as_format_json
def check(
    *, path: Path, overrides: Sequence[str], connect: bool, format_: Literal["text", "json"], as_json: bool
) -> None:
    """Check the pipeline."""
    if as_json or format_ == "json":
        code = _check_as_json(path, overrides, connect=connect)
    else:
        code = _check_as_text(path, overrides, connect=connect)
    sys.exit(code)


def _check_as_text(path: Path, overrides: Sequence[str], *, connect: bool) -> int:
    configuration = _configuration.load(path, overrides)
    look = _output.look()
    guarantees = configuration.guarantees()
    rows = [(each.input, each.process, each.source, each.effect, each.order) for each in guarantees]
    _output.data(table(_COLUMNS, rows, look) if rows else [])
    if any(not each.durable for each in guarantees):
        _output.data(["", 'The journal is "memory:": what was accepted is lost with the process that runs it.'])
    code, answers = 0, list[Reached]()

    width = max(map(len, [*configuration.inputs, *configuration.processes]), default=0)

    def show(reached: Reached) -> None:
        answers.append(reached)
        _output.data([_reached_line(reached, width)])

    if connect:
        _output.data([""])
        code = anyio.run(connect_all, configuration, show)
    inputs = count(len(configuration.inputs), "input")
    processes = count(len(configuration.processes), "process", "processes")
    away = sum(reached.problem is not None for reached in answers)
    unreachable = f", {away} unreachable" if away else ""
    _output.message(f"{path}: {inputs}, {processes}, {verdict(configuration.warnings)}{unreachable}")
    return code


def _reached_line(reached: Reached, width: int) -> str:
    word, style = ("reached", "green") if reached.asked else ("not asked", "dim")
    about = duration(reached.seconds) if reached.asked else ""
    if reached.problem is not None:
        word, style, about = "unreachable", "bold red", one_line(reached.problem)
    return f"{_output.look().paint(f'{word:11}', style)}  {reached.name:{width}}  {about}".rstrip()


def _check_as_json(path: Path, overrides: Sequence[str], *, connect: bool) -> int:
    try:
        configuration = _configuration.read(path, overrides=overrides)
    except ConfigurationProblems as wrong:
        _output.objects([{"usable": False, "problems": _problems(wrong.problems)}])
        return _failures.code(wrong) or _failures.WRONG
    reached: list[Reached] = []
    code = anyio.run(connect_all, configuration, reached.append) if connect else 0
    report: dict[str, JSON] = {
        "usable": True,
        "problems": _problems(configuration.warnings),
        "guarantees": [attrs.asdict(each) for each in configuration.guarantees()],
    }
    if connect:
        report["connections"] = [attrs.asdict(each) for each in reached]
    _output.objects([report])
    return code


def _problems(problems: Iterable[Problem]) -> list[JSON]:
    return [dict(problem_dict(problem)) for problem in problems]
