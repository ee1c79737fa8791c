"""The JSON Schema of a configuration file, for the plugins at hand: completion and checks in an editor."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from orchestrator_core._config.components import BESIDE, unreadable
from orchestrator_core._config.json_types import DEFINITIONS, JsonSchema, class_schema
from orchestrator_core._config.tables import VERSION, FileTable, InputTable, ProcessTable
from orchestrator_core.hookspecs import InputType, ProcessType, component_fields

if TYPE_CHECKING:
    from orchestrator_core._plugins import Plugins

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NAMES = "^[a-z0-9_][a-z0-9_-]{0,62}$"


def schema(plugins: Plugins) -> JsonSchema:
    """Return the JSON Schema (2020-12) of the files that these plugins make possible.

    One strict object: no key that nobody reads is allowed anywhere. What stands in ``options`` or ``execution_context``
    depends on ``type``. Any single value or list may be a reference instead.
    """
    file = class_schema(FileTable)
    properties = file["properties"]
    properties["version"] = {"const": VERSION, "description": properties["version"]["description"]}
    inputs = {name: kind for name, kind in plugins.inputs.items() if not unreadable(kind.factory)}
    processes = {name: kind for name, kind in plugins.processes.items() if not unreadable(kind.factory)}
    properties["inputs"] |= _nodes(class_schema(InputTable), _inputs(inputs), inputs)
    properties["processes"] |= _nodes(class_schema(ProcessTable), _processes(processes), processes)
    return {
        "$schema": DIALECT,
        "title": "An orchestrator pipeline",
        **file,
        "required": ["version", "inputs", "processes"],
        "$defs": {
            **DEFINITIONS,
            **{f"input.{name}": _component(kind, {*BESIDE, "allow_privileged"}) for name, kind in inputs.items()},
            **{f"process.{name}": _component(kind, {"allow_privileged"}) for name, kind in processes.items()},
        },
    }


def _nodes(
    table: JsonSchema, by_type: Iterable[JsonSchema], kinds: Mapping[str, InputType | ProcessType]
) -> JsonSchema:
    """Return the schema of the tables of inputs or processes: of the engine's keys, then by their type."""
    kind = table["properties"]["type"]
    summaries = [f"{name}: {each.summary}" for name, each in sorted(kinds.items()) if each.summary]
    table["properties"]["type"] = {
        "anyOf": [{"enum": sorted(kinds)}, {"$ref": "#/$defs/reference"}],
        "description": "\n".join([kind["description"], *summaries]),
    }
    conditions = list(by_type)
    return {
        "propertyNames": {"pattern": _NAMES},
        "additionalProperties": {**table, **({"allOf": conditions} if conditions else {})},
    }


def _inputs(kinds: Mapping[str, InputType]) -> Iterable[JsonSchema]:
    for name, kind in kinds.items():
        fields = {field.alias for field in component_fields(kind.factory)}
        beside: JsonSchema = {} if "connection_string" in fields else {"connection_string": False}
        yield _if_type(name, {"options": {"$ref": _place("input", name)}, **beside}, _required(kind, "options"))


def _processes(kinds: Mapping[str, ProcessType]) -> Iterable[JsonSchema]:
    for name, kind in kinds.items():
        properties = {"execution_context": {"$ref": _place("process", name)}}
        yield _if_type(name, properties, _required(kind, "execution_context"))


def _if_type(name: str, properties: JsonSchema, required: list[str]) -> JsonSchema:
    return {
        "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
        "then": {"properties": properties, **({"required": required} if required else {})},
    }


def _required(kind: InputType | ProcessType, inner: str) -> list[str]:
    """Return the keys of a node that its kind can't do without."""
    missing = {field.alias for field in component_fields(kind.factory) if field.default is attrs.NOTHING}
    beside = [key for key in BESIDE if key in missing and inner == "options"]
    own = missing - set(beside) - {"directory", "allow_privileged"}
    return [*beside, *([inner] if own else [])]


def _component(kind: InputType | ProcessType, leave_out: Collection[str]) -> JsonSchema:
    """Return the schema of a component's own table."""
    factory: Any = kind.factory
    if not attrs.has(factory):
        return {"type": "object", "additionalProperties": False}
    table = class_schema(factory, leave_out)
    table["properties"].get("directory", {}).pop("default", None)  # it is the file's folder
    required = [key for key in table.pop("required", ()) if key != "directory"]
    return {**table, **({"required": required} if required else {})}


def _place(what: str, name: str) -> str:
    return f"#/$defs/{what}.{name}"
