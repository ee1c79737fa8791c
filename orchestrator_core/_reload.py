"""What differs between two configurations of one pipeline, and what of that takes a restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

import attrs

from orchestrator_core._contracts import Input, Process
from orchestrator_core._errors import ConfigurationError
from orchestrator_core._event import Operation
from orchestrator_core._pipeline import Pipeline, ProcessOptions

if TYPE_CHECKING:
    from orchestrator_core._config import Configuration

ConfigT = TypeVar("ConfigT")


@attrs.frozen
class Difference:
    """The way from one pipeline to another.

    Attributes:
        pipeline: the graph to come.
        inputs: the inputs that are new or changed, made and not entered.
        processes: the processes that are.
        old_inputs: the names of those that go, or are replaced.
        old_processes: the names of those that do.
    """

    pipeline: Pipeline
    inputs: Mapping[str, tuple[Input, frozenset[Operation] | None]]
    processes: Mapping[str, tuple[Process, ProcessOptions]]
    old_inputs: tuple[str, ...]
    old_processes: tuple[str, ...]


def difference(old: Configuration | None, new: Configuration, pipeline: Pipeline) -> Difference:
    """Return what has to change in a pipeline; one that was not made from a configuration is replaced whole.

    Raises:
        ConfigurationError: a restart is needed, or a component can't be made.
    """
    if old is not None and old.journal.url != new.journal.url:
        raise ConfigurationError("journal.url can't be changed while the pipeline runs: stop it and start it again")
    inputs = {
        name: (config.build(new.plugins), config.operations)
        for name, config in _changed({} if old is None else old.inputs, new.inputs)
    }
    processes = {
        name: (config.build(new.plugins), config.options)
        for name, config in _changed({} if old is None else old.processes, new.processes)
    }
    return Difference(
        new.graph(),
        inputs,
        processes,
        tuple(name for name in sorted(pipeline.inputs) if name in inputs or name not in new.inputs),
        tuple(name for name in pipeline.processes if name in processes or name not in new.processes),
    )


def _changed(old: Mapping[str, ConfigT], new: Mapping[str, ConfigT]) -> list[tuple[str, ConfigT]]:
    return [(name, config) for name, config in new.items() if old.get(name) != config]
