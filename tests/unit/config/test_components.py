"""Inputs and processes configured in code."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator_core import InputConfig, Operation, ProcessConfig, ProcessOptions, Secret
from orchestrator_core._config import ConfigurationProblems
from tests.configuring import PLUGINS, Call, Job, Rows, Tick


def test_an_input_by_position() -> None:
    """The order of the keys in a file."""
    config = InputConfig("raw", "rows", "postgresql://db", ["insert"], {"tables": ["t"]})
    assert (Secret("postgresql://db"), frozenset({Operation.CREATE})) == (config.connection_string, config.operations)
    assert Rows(Secret("postgresql://db"), ("t",), operations=frozenset({Operation.CREATE})) == config.build(PLUGINS)


def test_an_input_with_nothing_but_its_type() -> None:
    """Everything else has a default."""
    assert Tick() == InputConfig("tick", "tick").build(PLUGINS)


def test_options_are_typed_or_as_in_a_file() -> None:
    """Both make the same component."""
    typed = InputConfig("tick", "tick", options={"every": timedelta(seconds=5)})
    written = InputConfig("tick", "tick", options={"every": "5s"})
    assert typed.build(PLUGINS) == written.build(PLUGINS) == Tick(timedelta(seconds=5))


def test_a_process_by_position() -> None:
    """Its options for the engine come last."""
    config = ProcessConfig("job", "job", {"image": "x", "directory": "/d", "token": "t"}, ProcessOptions(concurrency=2))
    assert Job("x", Path("/d"), token=Secret("t")) == config.build(PLUGINS)
    assert 2 == config.options.concurrency


def test_a_process_with_nothing_but_its_type() -> None:
    """Everything else has a default."""
    config = ProcessConfig("call", "call")
    assert Call() == config.build(PLUGINS)
    assert ProcessOptions() == config.options


def test_each_build_is_a_component_of_its_own() -> None:
    """Two pipelines may be made of one configuration."""
    config = ProcessConfig("call", "call")
    assert config.build(PLUGINS) is not config.build(PLUGINS)


def test_the_directory_is_the_working_directory_in_code() -> None:
    """There is no file whose folder it could be."""
    assert Job("x", Path()) == ProcessConfig("job", "job", {"image": "x"}).build(PLUGINS)


@pytest.mark.parametrize(
    ("config", "problems"),
    [
        pytest.param(
            InputConfig("raw", "rows", "x", options={"tabels": [], "batch": 0}),
            [
                'inputs.raw.options.tabels: error: unknown key "tabels"; did you mean "tables"?',
                "inputs.raw.options.batch: error: 'batch' must be >= 1: 0",
            ],
            id="options",
        ),
        pytest.param(
            InputConfig("raw", "rows"),
            ['inputs.raw.options: error: "connection_string" is missing'],
            id="no connection string",
        ),
        pytest.param(
            InputConfig("tick", "tick", "x"),
            ['inputs.tick.connection_string: error: "tick" takes no connection_string; take it out'],
            id="connection string that nobody reads",
        ),
        pytest.param(
            InputConfig("raw", "row"),
            ['inputs.raw.type: error: plugin "row" has no input "row"; did you mean "rows"?'],
            id="type",
        ),
    ],
)
def test_an_input_that_can_not_be_made(config: InputConfig, problems: list[str]) -> None:
    """Everything wrong at once, by the names of the tables."""
    with pytest.raises(ConfigurationProblems) as caught:
        config.build(PLUGINS)
    assert problems == [str(problem) for problem in caught.value.problems]


def test_a_process_that_can_not_be_made() -> None:
    """Nested places are named too."""
    with pytest.raises(ConfigurationProblems) as caught:
        ProcessConfig("job", "job", {"image": "x", "env": {"A": 5}, "command": ["x", 5]}).build(PLUGINS)
    assert [
        'processes.job.execution_context.env.A: error: expected text, found 5; put it in quotes: "5"',
        'processes.job.execution_context.command.1: error: expected text, found 5; put it in quotes: "5"',
    ] == [str(problem) for problem in caught.value.problems]


def test_options_are_shown_by_their_keys() -> None:
    """What they hold may be secret, whatever its type."""
    input_ = repr(InputConfig("raw", "rows", "hunter2", options={"url": "hunter2", "x": 1}))
    process = repr(ProcessConfig("a", "b", {"k": "hunter2"}))
    assert "hunter2" not in input_ + process
    assert ("<url, x>" in input_, "<k>" in process) == (True, True)
