"""`Configuration`: a checked pipeline, ready to be run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from orchestrator_core._config.components import InputConfig, ProcessConfig
from orchestrator_core._config.guarantees import Guarantee, guarantees
from orchestrator_core._config.problems import Problem
from orchestrator_core._config.tables import JournalConfig, PipelineConfig
from orchestrator_core._pipeline import Link, Pipeline
from orchestrator_core._plugins import Plugins

if TYPE_CHECKING:
    from orchestrator_core._contracts import Journal


@attrs.frozen(kw_only=True)
class Configuration:
    """A pipeline as its file describes it, every value typed and checked.

    Attributes:
        path: the file.
        pipeline: what holds for the whole pipeline.
        journal: where events and deliveries are kept; a file's path is absolute.
        inputs: the inputs, by name.
        processes: the processes, by name.
        links: the edges.
        plugins: the plugins that the file names, loaded.
        warnings: what is odd about the file, though it can be run.
        written: the tables as they are written, references unread.
    """

    path: Path
    pipeline: PipelineConfig
    journal: JournalConfig
    inputs: Mapping[str, InputConfig]
    processes: Mapping[str, ProcessConfig]
    links: tuple[Link, ...]
    plugins: Plugins = attrs.field(repr=False)
    warnings: tuple[Problem, ...] = ()
    written: Mapping[str, Any] = attrs.field(factory=dict, repr=False, eq=False)

    @classmethod
    def load(cls, path: str | Path, *, overrides: Iterable[str] = ()) -> Configuration:
        """Read and check a pipeline's file; for a plugin's own commands, which work on the pipeline's components.

        Args:
            path: the TOML file.
            overrides: ``path=value`` pairs that win over the file.

        Raises:
            ConfigurationError: with every problem that was found.
        """
        from orchestrator_core._config.loading import load  # noqa: PLC0415 (which imports this module)

        return load(path, overrides=overrides)

    def graph(self) -> Pipeline:
        """Return the DAG."""
        processes = {name: process.options for name, process in self.processes.items()}
        return Pipeline(inputs=self.inputs, processes=processes, links=self.links)

    def open_journal(self) -> Journal:
        """Make the journal that the file names; it opens when it is entered."""
        from orchestrator_core._journal import MemoryJournal, SqliteJournal  # noqa: PLC0415 (`check` opens none)

        if self.journal.scheme == "memory":
            return MemoryJournal()
        if self.journal.scheme == "sqlite":
            return SqliteJournal(self.journal.location)
        return self.plugins.journals[self.journal.scheme].factory(self.journal.url)

    def guarantees(self) -> tuple[Guarantee, ...]:
        """Say for each input and each process that its events reach what is promised."""
        inputs = {name: self.plugins.inputs[each.type] for name, each in self.inputs.items()}
        processes = {name: self.plugins.processes[each.type] for name, each in self.processes.items()}
        return guarantees(self.graph(), inputs, processes, durable=self.journal.scheme != "memory")
