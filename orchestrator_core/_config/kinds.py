"""The kinds of the inputs and processes: their plugins, and their options typed by trying them out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from orchestrator_core._config.components import (
    BESIDE,
    InputConfig,
    ProcessConfig,
    make,
    no_connection_string,
    no_such_kind,
    option_keys,
    unreadable,
)
from orchestrator_core._config.literals import literal_secrets
from orchestrator_core._config.nodes import Node
from orchestrator_core._config.problems import Finding, Keys, quote
from orchestrator_core._config.structure import Structure
from orchestrator_core._errors import PluginError
from orchestrator_core._pipeline import ProcessOptions
from orchestrator_core._plugins import Plugins
from orchestrator_core.hookspecs import InputType, ProcessType

_ENGINES = "allow_privileged"
_WITHIN = 3


@attrs.frozen
class Fitted:
    """A node whose component could be made.

    Attributes:
        node: the node.
        options: its component's options as the component holds them, those given only.
    """

    node: Node
    options: Mapping[str, Any]

    def as_input(self) -> InputConfig:
        """Return the input's configuration."""
        table = self.node.table
        return InputConfig(self.node.name, table.type, table.connection_string, table.operations, self.options)

    def as_process(self, options: ProcessOptions) -> ProcessConfig:
        """Return the process's configuration."""
        return ProcessConfig(self.node.name, self.node.table.type, self.options, options)


def plugin_findings(error: PluginError, nodes: Iterable[Node], named: Mapping[Keys, str]) -> Iterator[Finding]:
    """Say at each place that names a plugin why it can't be used.

    Args:
        error: what is wrong with it.
        nodes: the inputs and processes.
        named: the plugins that other places name.
    """
    name = error.plugin.partition(".")[0]
    origin = f" ({error.distribution} {error.version})".replace(" )", ")") if error.distribution else ""
    places = [(*node.keys, "type") for node in nodes if node.plugin == name]
    places += [keys for keys, plugin in named.items() if plugin in {name, error.plugin}]
    for keys in places or [()]:
        yield Finding(keys, f'plugin "{error.plugin}"{origin}: {error.cause}', error.remedy, plugin=name)


def kind_of(node: Node, plugins: Plugins, structure: Structure) -> InputType | ProcessType | None:
    """Return a node's kind; ``None`` if there is none, which is a finding unless its plugin is to blame."""
    kinds: list[Mapping[str, Any]] = [plugins.inputs, plugins.processes]
    own, others = kinds if node.section == "inputs" else reversed(kinds)
    if node.type is None or node.type in own:
        return own.get(node.type or "")
    if node.plugin not in {error.plugin.partition(".")[0] for error in plugins.errors}:
        what = "input" if node.section == "inputs" else "process"
        structure.add((*node.keys, "type"), *no_such_kind(own, others, node.type, what))
    return None


def fit(node: Node, kind: InputType | ProcessType, engine: Mapping[str, Any], structure: Structure) -> Fitted | None:
    """Make a node's component once to see whether its options are right.

    Args:
        node: the node.
        kind: its kind.
        engine: what the engine gives to every component that has a field of that name.
        structure: gets the findings.
    """
    if problem := unreadable(kind.factory):
        message = f"the options of {quote(node.type)} can't be read: {problem}"
        plugin = node.plugin or ""
        keys = (*node.keys, "type")
        structure.findings.append(Finding(keys, message, f'upgrade the plugin "{plugin}"', plugin=plugin))
        return None
    fields = option_keys(kind)
    structure.findings.extend(_misplaced(node, fields))
    if node.own is None:
        return None
    table = {**{key: value for key, value in engine.items() if key in fields}, **node.own}
    if node.section == "inputs":
        table |= {key: node.raw[key] for key in BESIDE if key in fields and key in node.raw}
    before = len(structure.findings)
    component = make(structure, kind.factory, table, (*node.keys, node.inner))
    structure.findings[before:] = [_beside(finding) for finding in structure.findings[before:]]
    if component is None or node.table is None:
        return None
    structure.findings.extend(literal_secrets(component, node.own, (*node.keys, node.inner)))
    apart = BESIDE if node.section == "inputs" else ()
    return Fitted(node, {key: getattr(component, fields[key]) for key in table if key not in apart})


def option_names(node: Node, kind: InputType | ProcessType) -> tuple[str, ...]:
    """Return the keys that a node's component takes inside its own table."""
    elsewhere = {*BESIDE, _ENGINES} if node.section == "inputs" else {_ENGINES}
    return tuple(key for key in option_keys(kind) if key not in elsewhere)


def _misplaced(node: Node, fields: Mapping[str, str]) -> Iterator[Finding]:
    """Refuse options that stand at another place, and a connection string that nobody reads."""
    places = {_ENGINES: "it belongs in [pipeline]"}
    if node.section == "inputs":
        places |= dict.fromkeys(BESIDE, f"it belongs in [inputs.{node.name}], beside options")
    for key, hint in places.items():
        if key in fields and key in (node.own or {}):
            yield Finding((*node.keys, node.inner, key), f"{quote(key)} is no option", hint, at_key=True)
    if node.section == "inputs" and "connection_string" in node.raw and "connection_string" not in fields:
        yield Finding((*node.keys, "connection_string"), *no_connection_string(str(node.type)), at_key=True)


def _beside(finding: Finding) -> Finding:
    """Put a finding about an input's connection string or operations where these stand: beside its options."""
    keys = finding.keys
    if keys[0] == "inputs" and len(keys) > _WITHIN and keys[_WITHIN] in BESIDE:
        return attrs.evolve(finding, keys=(*keys[: _WITHIN - 1], *keys[_WITHIN:]))
    return finding
