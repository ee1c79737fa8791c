"""What is wrong with a configuration, as a good compiler shows it: the place, the line, and what to do."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import TYPE_CHECKING
from unicodedata import east_asian_width

from orchestrator_core._config.redaction import HIDDEN, redact
from orchestrator_core.cli.render.figures import count
from orchestrator_core.cli.render.style import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator_core._config.problems import Problem
    from orchestrator_core._json import JSON
    from orchestrator_core.cli.render.style import Look

_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|[\w.+-]+|\S')
_KEPT_SECRET = re.compile(
    r"((?:secret|passw(?:or)?d|pwd|token|api_?key|credential)\w*[\"']?\s*=\s*)([\"'])(.*?)\2", re.IGNORECASE
)
_LONGEST = 160


def problem_lines(problem: Problem, source: Sequence[str], look: Look) -> Iterator[str]:
    """Return the lines for one problem.

    Args:
        problem: the problem.
        source: the lines of the file it is in; empty where there is none.
        look: what can be shown.
    """
    error = problem.severity == "error"
    style = "bold red" if error else "bold yellow"
    place = look.paint(f"{one_line(problem.place)}:", "bold")
    severity = "" if error else look.paint("warning: ", style)
    yield f"{place} {severity}{one_line(problem.message)}"
    number, column = problem.line, problem.column
    if number is not None and column is not None and 0 < number <= len(source):
        yield from _excerpt(source[number - 1], number, column, style, look)
    if problem.hint:
        margin = " " * (len(str(number)) if number is not None else 0)
        yield f" {margin} {look.paint('=', 'dim')} {look.paint(one_line(problem.hint), 'cyan')}"


def _excerpt(line: str, number: int, column: int, style: str, look: Look) -> Iterator[str]:
    hidden = _hidden(line)
    at = _moved(column - 1, line, hidden)
    # Escaping changes lengths, so what stands before the place and what follows it go through it apart.
    before, word = _shown(hidden[:at]), _WORD.match(hidden[at:])
    if len(before) > _LONGEST:
        return
    bar = look.paint("|", "dim")
    yield f" {look.paint(str(number), 'dim')} {bar} {_cut(before + _shown(hidden[at:]))}"
    marks = "^" * min(_columns(_shown(word[0])) if word else 1, _LONGEST - len(before) + 1)
    yield f" {' ' * len(str(number))} {bar} {' ' * _columns(before)}{look.paint(marks, style)}"


def _moved(at: int, line: str, hidden: str) -> int:
    """Return where a place of a line is after something in the line was hidden."""
    same = _alike(line, hidden)
    if at <= same:
        return at
    tail = _alike(line[::-1], hidden[::-1])
    from_end = len(line) - at
    return len(hidden) - from_end if from_end <= tail else same


def _alike(one: str, other: str) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _columns(text: str) -> int:
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def _hidden(line: str) -> str:
    return _KEPT_SECRET.sub(rf"\1\2{HIDDEN}\2", redact(line))


def _shown(text: str) -> str:
    return one_line(text.expandtabs(4))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def verdict(problems: Sequence[Problem]) -> str:
    """Return how many errors and warnings there are."""
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    parts = ([count(errors, "error")] if errors else []) + ([count(warnings, "warning")] if warnings else [])
    return " and ".join(parts) or "no problems"


def problem_dict(problem: Problem) -> Mapping[str, JSON]:
    """Return a problem as a JSON object."""
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "severity": problem.severity,
        "message": problem.message,
        "hint": problem.hint or None,
        "plugin": problem.plugin or None,
    }
