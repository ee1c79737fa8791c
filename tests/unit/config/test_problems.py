"""How problems are said."""

from __future__ import annotations

import pytest

from orchestrator_core._config import ConfigurationProblems, Problem
from orchestrator_core._config.problems import describe, did_you_mean, quote


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("p.toml", 3, 5, "wrong", "mend it"), "p.toml:3:5: error: wrong; mend it"),
        (Problem("p.toml", 3, 5, "odd", severity="warning"), "p.toml:3:5: warning: odd"),
        (Problem("--set a.b", None, None, "wrong"), "--set a.b: error: wrong"),
    ],
)
def test_a_problem_as_text(problem: Problem, text: str) -> None:
    """The way compilers say it, which editors can follow."""
    assert text == str(problem)


def test_several_problems_as_text() -> None:
    """A line for each."""
    error = ConfigurationProblems([Problem("p.toml", 1, 1, "a"), Problem("p.toml", 2, 1, "b", plugin="x")])
    assert "p.toml:1:1: error: a\np.toml:2:1: error: b" == str(error)
    assert ("x",) == error.plugins


@pytest.mark.parametrize(
    ("name", "names", "hint"),
    [
        ("imgae", ["image", "env"], 'did you mean "image"?'),
        ("IMAGE", ["image", "env"], 'did you mean "image"?'),
        ("xyz", ["image", "env"], "there are image, env"),
        ("xyz", ["image"], 'there is only "image"'),
        ("xyz", [], ""),
        ("xyz", [f"key{number}" for number in range(100)], ""),
        ("x" * 100_000, ["image", "env"], "there are image, env"),
    ],
)
def test_the_nearest_name(name: str, names: list[str], hint: str) -> None:
    """Else all of them, if they are few."""
    assert hint == did_you_mean(name, names)


@pytest.mark.parametrize(
    ("text", "quoted"),
    [("a b", '"a b"'), ("a\nb\x1b[2J", r'"a\nb\x1b[2J"'), ("\u202egpj", r'"\u202egpj"'), ("x" * 99, f'"{"x" * 77}…"')],
)
def test_text_from_the_file(text: str, quoted: str) -> None:
    """On one line, harmless to a terminal, not too long."""
    assert quoted == quote(text)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "true"),
        ("x", 'the text "x"'),
        (5, "5"),
        (0.5, "0.5"),
        ({}, "a table"),
        ([], "a list"),
        (None, "NoneType None"),
    ],
)
def test_what_was_found(value: object, words: str) -> None:
    """In the words of the file."""
    assert words == describe(value)
