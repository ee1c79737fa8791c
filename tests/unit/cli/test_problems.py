"""How problems of a configuration are shown."""

from __future__ import annotations

import pytest

from orchestrator_core._config.problems import Problem
from orchestrator_core.cli.render.problems import problem_lines, verdict
from orchestrator_core.cli.render.style import PLAIN, Look
from tests.unit.cli.notices import ESCAPED, HOSTILE


def _shown(problem: Problem, *source: str, look: Look = PLAIN) -> list[str]:
    return list(problem_lines(problem, source, look))


def test_a_problem_shows_the_place() -> None:
    """File, line, column and message in one line, then the source with a caret, then what to do."""
    problem = Problem("p.toml", 2, 1, 'unknown key "aftr" in processes.clean', 'did you mean "after"?')
    assert _shown(problem, "[processes.clean]", 'aftr = ["raw"]') == [
        'p.toml:2:1: unknown key "aftr" in processes.clean',
        ' 2 | aftr = ["raw"]',
        "   | ^^^^",
        '   = did you mean "after"?',
    ]


def test_a_warning_says_so() -> None:
    """What can be used all the same is marked."""
    problem = Problem("p.toml", 1, 1, "odd", severity="warning")
    assert _shown(problem, "a = 1")[0] == "p.toml:1:1: warning: odd"


def test_a_problem_without_a_place_is_one_line() -> None:
    """A wrong override has no line to show."""
    assert _shown(Problem("--set a", None, None, "expected path=value")) == ["--set a: expected path=value"]


def test_a_place_that_is_no_longer_there_shows_no_source() -> None:
    """A file that was changed since it was read leads to no wrong line."""
    assert _shown(Problem("p.toml", 9, 1, "odd"), "a = 1") == ["p.toml:9:1: odd"]


@pytest.mark.parametrize(
    ("line", "column", "caret"),
    [
        pytest.param("\tx = 1", 2, "   |     ^", id="tab"),
        pytest.param('name = "雨", x = 1', 13, "   |              ^", id="wide characters"),
        pytest.param('a = "b\u2028c", x = 1', 12, "   |                 ^", id="escaped characters"),
        pytest.param('a = "one two"', 5, "   |     ^^^^^^^^^", id="a string is underlined whole"),
        pytest.param("a = ", 5, "   |     ^", id="behind the end"),
    ],
)
def test_the_caret_stands_below_its_place(line: str, column: int, caret: str) -> None:
    """Whatever the characters before it take on the screen, the caret is where the problem is."""
    assert _shown(Problem("p.toml", 1, column, "odd"), line)[2] == caret


@pytest.mark.parametrize(
    "line",
    [
        pytest.param('dsn = "postgresql://app:hunter2@db/shop", x = 1', id="URL"),
        pytest.param('dsn = "host=db password=hunter2", x = 1', id="DSN"),
        pytest.param('{ secret = "hunter2", x = 1 }', id="key"),
        pytest.param("{ api_token = 'hunter2', x = 1 }", id="literal string"),
        pytest.param('{ "password" = "hunter2", x = 1 }', id="quoted key"),
    ],
)
def test_the_source_shows_no_secret(line: str) -> None:
    """A password in the line is hidden, and the caret still points to its place behind it."""
    shown = _shown(Problem("p.toml", 1, line.index("x =") + 1, "odd"), line)
    assert "hunter2" not in "".join(shown)
    assert shown[1].index("x = 1") == shown[2].index("^")


def test_a_long_line_is_cut() -> None:
    """A line of a megabyte does not flood the terminal, and a place far inside it shows none of it."""
    line = "a = " + "1" * 1_000_000
    assert max(map(len, _shown(Problem("p.toml", 1, 5, "odd"), line))) < 200
    assert len(_shown(Problem("p.toml", 1, 500_000, "odd"), line)) == 1


def test_e57_the_file_can_not_drive_the_terminal() -> None:
    """E57: escape sequences in the file, in its name and in messages are shown as what they are."""
    shown = _shown(Problem(HOSTILE, 1, 1, HOSTILE, HOSTILE), f"a = 1  # {HOSTILE}")
    assert all(line.isprintable() for line in shown)
    assert [ESCAPED in line for line in shown] == [True, True, False, True]


def test_the_verdict_counts() -> None:
    """Errors and warnings are counted apart."""
    error = Problem("p.toml", 1, 1, "odd")
    warning = Problem("p.toml", 1, 1, "odd", severity="warning")
    assert verdict([error, warning, error]) == "2 errors and 1 warning"
    assert verdict([]) == "no problems"
