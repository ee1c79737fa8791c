"""Pipelines in TOML for tests of the configuration, with components that do nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from textwrap import dedent
from typing import Literal

import attrs
import pytest

from orchestrator_core import (
    AttemptContext,
    Event,
    InputContext,
    InputType,
    Operation,
    PluginError,
    ProcessType,
    Secret,
)
from orchestrator_core._config import Configuration, ConfigurationProblems, Problem, load
from orchestrator_core._plugins import Plugins

VALID = """
version = 1

[inputs.rows]
type = "rows"
connection_string = "postgresql://db/raw"

[processes.job]
type = "job"
after = ["rows"]
execution_context = { image = "acme/job" }
"""


@attrs.frozen
class Rows:
    """Rows of a table.

    Attributes:
        connection_string: the database.
        tables: the tables to watch;
            all of them if empty.
        batch: how many rows at a time.
        wake: how to notice new rows.
        port: where to listen.
        operations: what to watch for.
    """

    connection_string: Secret
    tables: Sequence[str] = ()
    batch: int = attrs.field(default=100, validator=attrs.validators.ge(1))
    poll: timedelta = attrs.field(default=timedelta(seconds=1), metadata={"help": "how often to look"})
    wake: Literal["auto", "notify", "poll"] = "auto"
    port: int = attrs.field(default=80, validator=[attrs.validators.ge(1), attrs.validators.le(65_535)])
    operations: frozenset[Operation] | None = None

    async def run(self, context: InputContext) -> None:
        """Emit nothing."""


@attrs.frozen
class Tick:
    """An input without a connection."""

    every: timedelta = timedelta(seconds=1)

    async def run(self, context: InputContext) -> None:
        """Emit nothing."""


@attrs.frozen
class Job:
    """A container.

    Attributes:
        image: what to run.
    """

    image: str
    directory: Path
    env: Mapping[str, str] = attrs.field(factory=dict)
    token: Secret | None = None
    memory: float | None = None
    command: str | list[str] = ""
    allow_privileged: bool = False

    async def run(self, event: Event, context: AttemptContext) -> None:
        """Do nothing."""


@attrs.frozen
class Call:
    """A call of something."""

    url: str = attrs.field(default="http://localhost")

    @url.validator
    def _check_url(self, _: object, url: str) -> None:
        if not url.startswith("http"):
            raise ValueError(f"url must begin with http, found {url!r}")

    async def run(self, event: Event, context: AttemptContext) -> None:
        """Do nothing."""


PLUGINS = Plugins(
    inputs={
        "rows": InputType("rows", Rows, summary="rows of a table", replayable=True, durable_ack=True, ordered=True),
        "tick": InputType("tick", Tick),
    },
    processes={
        "job": ProcessType("job", Job, summary="a container", reconciles=True),
        "call": ProcessType("call", Call),
        "call.once": ProcessType("once", Call, idempotent=True),
    },
)


def find(names: Iterable[str]) -> Plugins:
    """Return the plugins of this module; others are not installed."""
    known = {type_.partition(".")[0] for type_ in (*PLUGINS.inputs, *PLUGINS.processes)}
    missing = [PluginError(name, "is not installed", f"pip install orchestrator-{name}") for name in names]
    return attrs.evolve(PLUGINS, errors=[error for error in missing if error.plugin not in known])


class Folder:
    """A folder with a configuration file in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path / "pipeline.toml"

    def load(
        self, text: str | bytes, *, overrides: Iterable[str] = (), environ: Mapping[str, str] | None = None
    ) -> Configuration:
        """Write the file and load it."""
        self.file.write_bytes(text if isinstance(text, bytes) else dedent(text).encode())
        return load(self.file, overrides=overrides, environ=environ or {}, find_plugins=find)

    def problems(
        self, text: str | bytes, *, overrides: Iterable[str] = (), environ: Mapping[str, str] | None = None
    ) -> Sequence[Problem]:
        """Write a file that must not load, and return what is wrong."""
        with pytest.raises(ConfigurationProblems) as caught:
            self.load(text, overrides=overrides, environ=environ)
        assert str(caught.value).replace("\n", "").isprintable()
        return caught.value.problems

    def said(self, text: str | bytes, *, environ: Mapping[str, str] | None = None) -> Sequence[str]:
        """As `problems`, each as ``line:column: message; hint``."""
        return [
            str(problem).removeprefix(f"{self.file}:").replace(" error:", "", 1)
            for problem in self.problems(text, environ=environ)
        ]
