"""Where errors become messages and exit codes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from orchestrator_core._config.problems import ConfigurationProblems, Problem
from orchestrator_core._errors import (
    ConfigurationError,
    EventError,
    NotFoundError,
    OrchestratorError,
    PluginError,
    PluginErrors,
    UnknownInputError,
)
from orchestrator_core.cli.render.problems import problem_lines, verdict
from orchestrator_core.cli.render.style import Look, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FAILED, WRONG, PLUGIN, NOT_FOUND = 1, 2, 3, 4
"""The exit codes beside 0; `orchestrator --help` says what they mean."""


class Refused(click.ClickException):
    """What was asked for makes no sense here, though it was asked for in the right words."""

    exit_code = WRONG

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message the way that all other errors are."""
        click.echo(f"error: {one_line(self.format_message())}", file=file, err=True)


class Unknown(Refused):
    """A name that neither the pipeline's file nor its journal knows."""

    exit_code = NOT_FOUND


_SIZE_LIMIT = 256 * 1024


def report(error: BaseException) -> int | None:
    """Say on stderr what went wrong, and return the exit code; ``None`` for an error that nobody foresaw."""
    leaves = list(_leaves(error))
    for leaf in leaves:
        if isinstance(leaf, BrokenPipeError):
            raise leaf  # whoever read the output has gone, as `head` does; click ends in silence
    codes = [code(leaf) for leaf in leaves]
    if None in codes:
        return None
    look = Look.of(sys.stderr)
    for leaf in leaves:
        for line in lines(leaf, look):
            click.echo(line, err=True, color=True)
    return min((each for each in codes if each is not None), default=FAILED)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    elif isinstance(error, PluginErrors):
        yield from error.errors
    else:
        yield error


def code(error: BaseException) -> int | None:
    """Return the exit code of an error, `None` if nobody foresaw it."""
    match error:
        case ConfigurationProblems():
            errors = [problem for problem in error.problems if problem.severity == "error"]
            return PLUGIN if errors and all(problem.plugin for problem in errors) else WRONG
        case PluginError():
            return PLUGIN
        case NotFoundError():
            return NOT_FOUND
        case ConfigurationError() | EventError() | UnknownInputError():
            return WRONG
        case OrchestratorError() | OSError():
            return FAILED
    return None


def lines(error: BaseException, look: Look) -> Iterator[str]:
    """Return what to say about an error that was foreseen."""
    if isinstance(error, ConfigurationProblems):
        yield from problems(error.problems, look)
    else:
        yield f"error: {one_line(_text(error))}"


def _text(error: BaseException) -> str:
    return ": ".join([*getattr(error, "__notes__", ()), message(error)])


def message(error: BaseException) -> str:
    """Return an error's own words, the system's without its number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


def problems(found: Sequence[Problem], look: Look) -> Iterator[str]:
    """Return the lines for the problems of a configuration, with what stands in the file, and how many they are."""
    sources = {file: _source(file) for file in {problem.file for problem in found}}
    for problem in found:
        yield from problem_lines(problem, sources[problem.file], look)
        yield ""
    yield look.paint(verdict(found), "bold")


def _source(file: str) -> Sequence[str]:
    """Return the lines of a configuration file, none if it is no longer what it was or never was a file."""
    path = Path(file)
    try:
        if not path.is_file() or path.stat().st_size > _SIZE_LIMIT:
            return ()
        # TOML knows two ends of a line; str.splitlines knows ten.
        return path.read_text(encoding="utf-8-sig", errors="replace").replace("\r\n", "\n").split("\n")
    except (OSError, ValueError):
        return ()
