"""Inputs and processes as configured: which kind, with which options, and how to make them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from orchestrator_core._config.classes import message_of, resolve_types
from orchestrator_core._config.problems import ConfigurationProblems, Keys, Problem, did_you_mean, quote
from orchestrator_core._config.redaction import redact
from orchestrator_core._config.references import Resolver
from orchestrator_core._config.structure import Structure
from orchestrator_core._event import Operation
from orchestrator_core._pipeline import ProcessOptions
from orchestrator_core._secret import Secret
from orchestrator_core.hookspecs import InputType, ProcessType, component_fields

if TYPE_CHECKING:
    from orchestrator_core._contracts import Input, Process
    from orchestrator_core._plugins import Plugins

KindT = TypeVar("KindT", InputType, ProcessType)

BESIDE = ("connection_string", "operations")
"""The keys beside an input's options that its component gets as well if it has fields of these names."""


def _secret(value: Secret | str | None) -> Secret | None:
    return Secret(value) if isinstance(value, str) else value


def _operations(value: Iterable[Operation | str] | None) -> frozenset[Operation] | None:
    return None if value is None else frozenset(Operation(each) for each in value)


def _table() -> Any:  # noqa: ANN401 (an attrs field)
    # By its keys only: what an option holds may have come from the environment, secret or not.
    return attrs.field(factory=dict, repr=lambda table: f"<{', '.join(table)}>")


@attrs.frozen
class InputConfig:
    """An input as a ``[inputs.NAME]`` table describes it.

    >>> InputConfig("raw", "postgres", "postgresql://app:hunter2@db/raw", {"create"}, {"tables": ["public.t"]})
    InputConfig(name='raw', type='postgres', connection_string=Secret('********'), \
operations=frozenset({<Operation.CREATE: 'create'>}), options=<tables>)

    Attributes:
        name: its name in the pipeline.
        type: the kind of input, ``"<plugin>"`` or ``"<plugin>.<component>"``.
        connection_string: where the source is.
        operations: emit only events with one of these operations; ``None`` for all.
        options: the options of this kind of input.
    """

    name: str
    type: str
    connection_string: Secret | None = attrs.field(default=None, converter=_secret)
    operations: frozenset[Operation] | None = attrs.field(default=None, converter=_operations)
    options: Mapping[str, Any] = _table()

    def build(self, plugins: Plugins) -> Input:
        """Make the input.

        Raises:
            ConfigurationProblems: the plugins have no such kind of input, or its options are wrong.
        """
        kind = _kind(plugins.inputs, self.type, f"inputs.{self.name}.type")
        fields = option_keys(kind)
        if self.connection_string is not None and "connection_string" not in fields:
            place = f"inputs.{self.name}.connection_string"
            raise ConfigurationProblems([Problem(place, None, None, *no_connection_string(self.type))])
        table = {**self.options, **{key: each for key, each in self._beside().items() if key in fields}}
        made: Input = _build(kind, table, f"inputs.{self.name}.options")
        return made

    def _beside(self) -> Mapping[str, Any]:
        table: dict[str, Any] = {}
        if self.connection_string is not None:
            table["connection_string"] = self.connection_string.reveal()
        if self.operations is not None:
            table["operations"] = sorted(str(operation) for operation in self.operations)
        return table


@attrs.frozen
class ProcessConfig:
    """A process as a ``[processes.NAME]`` table describes it.

    Attributes:
        name: its name in the pipeline.
        type: the kind of process, ``"<plugin>"`` or ``"<plugin>.<component>"``.
        execution_context: the options of this kind of process.
        options: how the engine treats it.
    """

    name: str
    type: str
    execution_context: Mapping[str, Any] = _table()
    options: ProcessOptions = attrs.field(factory=ProcessOptions)

    def build(self, plugins: Plugins) -> Process:
        """Make the process.

        Raises:
            ConfigurationProblems: the plugins have no such kind of process, or its options are wrong.
        """
        kind = _kind(plugins.processes, self.type, f"processes.{self.name}.type")
        made: Process = _build(kind, self.execution_context, f"processes.{self.name}.execution_context")
        return made


def option_keys(kind: InputType | ProcessType) -> Mapping[str, str]:
    """Return the keys of a kind's options, with the names of its fields."""
    return {field.alias or field.name: field.name for field in component_fields(kind.factory)}


def no_connection_string(type_: str) -> tuple[str, str]:
    """Return message and hint for a connection string that nobody would read."""
    return f"{quote(type_)} takes no connection_string", "take it out"


def make(structure: Structure, factory: Any, table: Mapping[str, Any], keys: Keys) -> Any:  # noqa: ANN401 (any component)
    """Return a component made of its options, or ``None`` and keep what is wrong with them in `structure`."""
    if attrs.has(factory):
        return structure.attempt(table, factory, keys)
    for key in table:
        structure.add((*keys, key), f"unknown key {quote(key)}", "this kind takes no options", at_key=True)
    if table:
        return None
    try:
        return factory()
    except Exception as error:  # noqa: BLE001 (foreign code; whatever it raises is a problem with its configuration)
        structure.add(keys, message_of(error))
        return None


def unreadable(factory: Any) -> str | None:  # noqa: ANN401 (as above)
    """Say why the fields of a component can't be read, or return ``None``."""
    try:
        if attrs.has(factory):
            resolve_types(factory)
    except Exception as error:  # noqa: BLE001 (annotations are foreign code)
        return message_of(error)
    return None


def no_such_kind(kinds: Mapping[str, object], others: Mapping[str, object], type_: str, what: str) -> tuple[str, str]:
    """Return message and hint for a type that the loaded plugins do not have."""
    if type_ in others:
        return f"{quote(type_)} is not a kind of {what}", "inputs stand under [inputs], processes under [processes]"
    plugin = type_.partition(".")[0]
    return f"plugin {quote(plugin)} has no {what} {quote(type_)}", did_you_mean(type_, sorted(kinds))


def _kind(kinds: Mapping[str, KindT], type_: str, place: str) -> KindT:
    if type_ in kinds:
        return kinds[type_]
    message, hint = no_such_kind(kinds, {}, type_, place.split("s.", maxsplit=1)[0])
    raise ConfigurationProblems([Problem(place, None, None, message, hint)])


def _build(kind: InputType | ProcessType, table: Mapping[str, Any], place: str) -> Any:  # noqa: ANN401 (any component)
    structure = Structure(Resolver())
    # Without a file, relative paths begin where the program runs.
    folder = {"directory": Path()} if "directory" in option_keys(kind) else {}
    component = make(structure, kind.factory, {**folder, **table}, ())
    if not structure.findings:
        return component
    problems = []
    for finding in structure.findings:
        hint = did_you_mean(str(finding.keys[-1]), finding.known) if finding.known else finding.hint
        inside = "".join(f".{key}" for key in finding.keys)
        problems.append(Problem(place + inside, None, None, redact(finding.message), hint))
    raise ConfigurationProblems(problems)
