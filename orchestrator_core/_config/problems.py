"""What is wrong with a configuration, where it stands, and what would be right there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import attrs

from orchestrator_core._errors import ConfigurationError
from orchestrator_core._plugins import one_line

Keys: TypeAlias = tuple[str | int, ...]
"""Where a value stands in the tables: keys and list indices, from the outside in."""


@attrs.frozen
class Finding:
    """Something wrong, before its line and column are looked up.

    Attributes:
        keys: where it is.
        message: what is wrong, and what was expected.
        hint: what to do about it.
        severity: whether the configuration can be used all the same.
        at_key: whether the key itself is meant rather than its value.
        known: with an unknown key, the keys that its table has; the nearest becomes the hint.
        plugin: the plugin that is missing or broken, if that is what is wrong.
    """

    keys: Keys
    message: str
    hint: str = ""
    severity: Literal["error", "warning"] = attrs.field(default="error", kw_only=True)
    at_key: bool = attrs.field(default=False, kw_only=True)
    known: tuple[str, ...] | None = attrs.field(default=None, kw_only=True)
    plugin: str = attrs.field(default="", kw_only=True)


@attrs.frozen
class Problem:
    """One thing that is wrong with a configuration.

    >>> print(Problem("pipeline.toml", 12, 1, 'unknown key "imagee" in execution_context', 'did you mean "image"?'))
    pipeline.toml:12:1: error: unknown key "imagee" in execution_context; did you mean "image"?

    Attributes:
        file: the file, or ``--set path`` for an override, or the name of a value made in code.
        line: the line, from 1; ``None`` where there is none.
        column: the column in characters, from 1; ``None`` where there is none.
        message: what is wrong, and what was expected.
        hint: what to do about it; may be empty.
        severity: ``"error"``, or ``"warning"`` for what can be used all the same.
        plugin: the plugin that is missing or broken, if that is what is wrong.
    """

    file: str
    line: int | None
    column: int | None
    message: str
    hint: str = ""
    severity: Literal["error", "warning"] = "error"
    plugin: str = ""

    @property
    def place(self) -> str:
        """File, line and column as editors and terminals understand them."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)

    def __str__(self) -> str:
        hint = f"; {self.hint}" if self.hint else ""
        return f"{self.place}: {self.severity}: {self.message}{hint}"


class ConfigurationProblems(ConfigurationError):  # noqa: N818 (a plural, as it carries every problem at once)
    """A configuration can't be used.

    Attributes:
        problems: everything that is wrong, warnings too, in the order of the file.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @property
    def plugins(self) -> tuple[str, ...]:
        """The plugins that are missing or broken; the rest of the file can't be judged in full without them."""
        return tuple(dict.fromkeys(problem.plugin for problem in self.problems if problem.plugin))


def nearest(name: str, names: Iterable[str], likeness: float = 0.6) -> str | None:
    """Return the name that was probably meant."""
    by_lower = {each.lower(): each for each in names}
    close = difflib.get_close_matches(name.lower()[:80], by_lower, 1, likeness)
    return by_lower[close[0]] if close else None


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """Return a hint with the nearest name, or with all of them if they are few."""
    if near := nearest(name, names):
        return f'did you mean "{near}"?'
    if len(names) == 1:
        return f'there is only "{names[0]}"'
    return f"there are {', '.join(names)}" if 0 < len(names) <= 24 else ""  # noqa: PLR2004 (what still reads as a line)


def quote(text: object) -> str:
    """Return text in quotes, on one line, without what could drive a terminal, and not too long."""
    line = one_line(str(text))
    return f'"{line}"' if len(line) <= 80 else f'"{line[:77]}…"'  # noqa: PLR2004 (as above)


def describe(value: object) -> str:
    """Say what was found, in the words of the file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {quote(value)}"
    if isinstance(value, int | float):
        return one_line(f"{value!r:.40}")
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    return one_line(f"{type(value).__name__} {value!s:.40}")
