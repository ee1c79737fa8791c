"""``--set path=value``."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrator_core._config.overrides import override
from tests.configuring import VALID, Folder

VALUES = {"a": {"b": 1, "list": ["x", {"k": 1}]}, "text": "t"}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a.b=2", {"b": 2, "list": ["x", {"k": 1}]}),
        ("a.b=two words", {"b": "two words", "list": ["x", {"k": 1}]}),
        ('a.b="2"', {"b": "2", "list": ["x", {"k": 1}]}),
        ("a.b=", {"b": "", "list": ["x", {"k": 1}]}),
        ("a.b=x=y", {"b": "x=y", "list": ["x", {"k": 1}]}),
        (" a . b = [1, 2] ", {"b": [1, 2], "list": ["x", {"k": 1}]}),
        ('a."b.c"={ env = "X" }', {"b": 1, "list": ["x", {"k": 1}], "b.c": {"env": "X"}}),
        ("a.list.0=y", {"b": 1, "list": ["y", {"k": 1}]}),
        ("a.list.1.k=2", {"b": 1, "list": ["x", {"k": 2}]}),
        ("a.new.table=true", {"b": 1, "list": ["x", {"k": 1}], "new": {"table": True}}),
    ],
)
def test_a_value_is_put_in(text: str, values: object) -> None:
    """Parsed as TOML where it is, else taken as text; the file's values are not touched."""
    assert (values, ()) == (override(VALUES, [text]).values["a"], override(VALUES, [text]).problems)
    assert 1 == VALUES["a"]["b"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.b", "--set a.b: error: expected path=value; such as pipeline.concurrency=4"),
        ("=1", "--set : error: the path is no dotted key; such as processes.NAME.timeout"),
        ("a..b=1", "--set a..b: error: the path is no dotted key; such as processes.NAME.timeout"),
        ("a.b.c=1", '--set a.b.c: error: "a.b" is no table; name a key of a table, or an index of a list'),
        ("a.list.2=1", '--set a.list.2: error: "a.list" is a list of 2; name a key of a table, or an index of a list'),
        ("a.list.x=1", '--set a.list.x: error: "a.list" is a list of 2; name a key of a table, or an index of a list'),
        (f"{'a.' * 40}b=1", f"--set {'a.' * 40}b: error: the path is no dotted key; such as processes.NAME.timeout"),
    ],
)
def test_an_override_that_can_not_be_put_in(text: str, message: str) -> None:
    """A problem with the override's path as its place."""
    assert [message] == [str(problem) for problem in override(VALUES, [text]).problems]


def test_a_name_that_is_misspelt(folder: Folder) -> None:
    """The override is at fault, not the process that it would make. Catches: type and after are missing."""
    (problem,) = folder.problems(VALID, overrides=["processes.jbo.timeout=5s"])
    assert '--set processes.jbo.timeout: error: there is no "processes.jbo" in the file; did you mean "job"?' == str(
        problem
    )


def test_a_new_input_of_a_name_like_another_s(folder: Folder) -> None:
    """What begins with its type is meant to be new. Catches: a hint that keeps a second one out."""
    added = ['inputs.rows2.type="tick"', 'processes.job.after=["rows", "rows2"]']
    assert {"rows", "rows2"} == folder.load(VALID, overrides=added).inputs.keys()


def test_the_last_override_of_a_path_counts(folder: Folder) -> None:
    """As on any command line."""
    configuration = folder.load(VALID, overrides=["pipeline.concurrency=2", "pipeline.concurrency=3"])
    assert 3 == configuration.pipeline.concurrency


def test_an_override_wins_over_the_file(folder: Folder) -> None:
    """A reference is a value like any other."""
    configuration = folder.load(VALID, overrides=['processes.job.timeout={ env = "T" }'], environ={"T": "5s"})
    assert timedelta(seconds=5) == configuration.processes["job"].options.timeout


def test_a_problem_with_an_override_is_reported_as_such(folder: Folder) -> None:
    """Even inside what the file has as well, and for tables that only overrides have made."""
    found = folder.problems(
        VALID,
        overrides=[
            "processes.job.execution_context={ image = 5 }",
            "processes.other.timeout=5",
            "processes.job.timout=5s",
        ],
    )
    assert [
        '--set processes.job.execution_context: error: expected text, found 5; put it in quotes: "5"',
        '--set processes.job.timout: error: unknown key "timout"; did you mean "timeout"?',
        '--set processes.other.timeout: error: "after" is missing',
        '--set processes.other.timeout: error: "type" is missing',
    ] == sorted(str(problem) for problem in found if "duration" not in problem.message)
