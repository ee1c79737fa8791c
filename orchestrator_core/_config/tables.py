"""The tables of a configuration file as classes: their fields are the keys, their docstrings the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

import attrs

from orchestrator_core._config.annotations import RawTable
from orchestrator_core._config.redaction import redact
from orchestrator_core._config.scalars import Rate
from orchestrator_core._event import Operation
from orchestrator_core._filters import Where
from orchestrator_core._pipeline import Link, ProcessOptions
from orchestrator_core._retry import RetryPolicy
from orchestrator_core._secret import Secret

VERSION = 1
JOURNAL_URL = "sqlite:.orchestrator/journal.db"
_at_least_one = attrs.validators.optional(attrs.validators.ge(1))


@attrs.frozen(kw_only=True)
class PipelineConfig:
    """What holds for the whole pipeline.

    Attributes:
        name: what the pipeline is called in logs and metrics.
        concurrency: how many attempts may run at once.
        plugins: plugins to load besides those that a type names, such as observers.
        allow_privileged: let processes ask for rights over their host.
        max_event_bytes: the largest event that is accepted, in bytes of JSON.
        grace: how long running attempts may go on when the engine stops.
    """

    name: str = "pipeline"
    concurrency: int = attrs.field(default=8, validator=attrs.validators.ge(1))
    plugins: tuple[str, ...] = ()
    allow_privileged: bool = False
    max_event_bytes: int = attrs.field(default=1024 * 1024, validator=attrs.validators.ge(1))
    grace: timedelta = timedelta(seconds=30)


@attrs.frozen(kw_only=True)
class JournalConfig:
    """Where events and deliveries are kept.

    Attributes:
        url: "sqlite:PATH" (relative to this file), "memory:", or the URL of a plugin's journal.
        keep_done: how long to keep events after all their deliveries have succeeded.
    """

    url: str = attrs.field(default=JOURNAL_URL, repr=lambda url: repr(redact(url)))
    keep_done: timedelta = timedelta(days=7)

    @property
    def scheme(self) -> str:
        """The part of the URL before the colon."""
        return self.url.partition(":")[0]

    @property
    def location(self) -> str:
        """The part of the URL behind the colon: with "sqlite:", the file."""
        return self.url.partition(":")[2]


@attrs.frozen(kw_only=True)
class DefaultsTable:
    """What holds for every process that does not say otherwise.

    Attributes:
        timeout: the longest that one attempt may take.
        retry: when a failure is tried again.
        concurrency: how many attempts of the process may run at once.
        rate: how many attempts of the process may start, for example "10/s".
        ordered_by: "key" makes deliveries of one key start in accept order and never overlap.
        on_dead: with ordered_by, whether a dead letter holds back its key ("hold") or not ("skip").
        join: with several upstream processes, whether to wait for all of them or for the first ("any").
    """

    timeout: timedelta | None = None
    retry: RetryPolicy | None = None
    concurrency: int | None = attrs.field(default=None, validator=_at_least_one)
    rate: Rate | None = None
    ordered_by: Literal["key"] | None = None
    on_dead: Literal["skip", "hold"] | None = None
    join: Literal["all", "any"] | None = None


@attrs.frozen(kw_only=True)
class InputTable:
    """One input.

    Attributes:
        type: the kind of input, "<plugin>" or "<plugin>.<component>".
        connection_string: where the source is; best kept in an environment variable or a file.
        operations: emit only events with one of these operations.
        options: the options of this kind of input.
    """

    type: str
    connection_string: Secret | None = None
    operations: frozenset[Operation] | None = None
    options: RawTable = attrs.field(factory=lambda: RawTable({}))


@attrs.frozen(kw_only=True)
class UpstreamTable:
    """One upstream node of a process, with what it lets through.

    Attributes:
        node: the input or process.
        on: behind a process, what lets the event through: its "success", its death ("dead"), either ("settled"), or
            "event" for each event that the process itself emits.
        operations: only events with one of these operations.
        locations: only events whose location matches one of these globs.
        where: only events for which this condition holds.
    """

    node: str
    on: Literal["success", "dead", "settled", "event"] = "success"
    operations: frozenset[Operation] | None = None
    locations: tuple[str, ...] | None = None
    where: Where | None = None

    def link(self, target: str) -> Link:
        """Return the edge to a process."""
        return Link(
            self.node, target, on=self.on, operations=self.operations, locations=self.locations, where=self.where
        )


@attrs.frozen(kw_only=True)
class ProcessTable(DefaultsTable):
    """One process.

    Attributes:
        type: the kind of process, "<plugin>" or "<plugin>.<component>".
        after: the inputs and processes that it follows, by name or as tables with conditions.
        execution_context: the options of this kind of process.
    """

    type: str
    after: tuple[str | UpstreamTable, ...]
    execution_context: RawTable = attrs.field(factory=lambda: RawTable({}))


@attrs.frozen(kw_only=True)
class FileTable:
    """A pipeline's configuration file.

    Attributes:
        version: the version of this format.
        pipeline: what holds for the whole pipeline.
        journal: where events and deliveries are kept.
        defaults: what holds for every process that does not say otherwise.
        inputs: the inputs, by name.
        processes: the processes, by name.
    """

    version: int
    pipeline: PipelineConfig = PipelineConfig()
    journal: JournalConfig = JournalConfig()
    defaults: DefaultsTable = DefaultsTable()
    inputs: Mapping[str, InputTable] = attrs.field(factory=dict)
    processes: Mapping[str, ProcessTable] = attrs.field(factory=dict)


def treatment(own: Mapping[str, Any], defaults: Mapping[str, Any]) -> ProcessOptions:
    """Return how the engine treats a process: its own keys, else the defaults', else the engine's; retry key by key."""
    return ProcessOptions(
        **{**defaults, **own, "retry": RetryPolicy(**{**defaults.get("retry", {}), **own.get("retry", {})})}
    )


def given(table: DefaultsTable | None, raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a table says for `treatment`, typed, without what it leaves out."""
    if table is None:
        return {}
    said: dict[str, Any] = {name: getattr(table, name) for name in attrs.fields_dict(DefaultsTable) if name in raw}
    if table.retry is not None:
        said["retry"] = {name: getattr(table.retry, name) for name in raw["retry"]}
    return said
