"""The JSON Schema of one value, by its type."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, TypeAlias, get_args

import attrs

from orchestrator_core._config.annotations import (
    RawTable,
    arms_of,
    is_any,
    is_container,
    is_enum,
    is_literal,
    is_mapping,
    is_union,
)
from orchestrator_core._config.classes import resolve_types
from orchestrator_core._config.fields import help_of, summary_of
from orchestrator_core._config.scalars import DURATION_PATTERN, RATE_PATTERN, Rate
from orchestrator_core._config.shown import show
from orchestrator_core._event import Operation
from orchestrator_core._filters import ROOTS, Where
from orchestrator_core._secret import Secret
from orchestrator_core.hookspecs import component_fields

JsonSchema: TypeAlias = dict[str, Any]

_REFERENCE: JsonSchema = {"$ref": "#/$defs/reference"}
_CONDITION: JsonSchema = {"$ref": "#/$defs/condition"}
_FIELD = rf"^({'|'.join(ROOTS)})(\..*)?$"
_TEXT: JsonSchema = {"anyOf": [{"type": "string"}, _REFERENCE]}
_ORDERED: JsonSchema = {"anyOf": [{"type": "number"}, {"type": "string"}, _REFERENCE]}

_SCALARS: dict[Any, JsonSchema] = {
    str: {"type": "string"},
    Secret: {"type": "string"},
    Path: {"type": "string", "minLength": 1},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    timedelta: {"type": "string", "pattern": f"^{DURATION_PATTERN}$"},
    Rate: {"type": "string", "pattern": f"^{RATE_PATTERN}$"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    time: {"type": "string", "format": "time"},
    Operation: {"enum": [*(operation.value for operation in Operation), "insert", "remove"]},
    RawTable: {"type": "object", "additionalProperties": True},
}

DEFINITIONS: JsonSchema = {
    "reference": {
        "description": "A value that stands elsewhere.",
        "type": "object",
        "properties": {
            "env": {"type": "string", "description": "the environment variable that holds the value"},
            "default": {"description": "the value if the variable is not set"},
            "file": {
                "type": "string",
                "description": "the file that holds the value, without a newline at its end",
            },
        },
        "additionalProperties": False,
        "oneOf": [{"required": ["env"]}, {"required": ["file"]}],
    },
    "condition": {
        "description": "A condition on an event: a test of one field, or a combination of others.",
        "type": "object",
        "properties": {
            "field": {
                "type": "string",
                "pattern": _FIELD,
                "description": "the field to test",
            },
            "exact": {"description": "it is this value"},
            "prefix": {**_TEXT, "description": "it begins with this text"},
            "suffix": {**_TEXT, "description": "it ends with this text"},
            "in": {"type": "array", "description": "it is one of these values"},
            "exists": {"type": "boolean", "description": "whether it is there"},
            "gt": {**_ORDERED, "description": "it is greater than this"},
            "lt": {**_ORDERED, "description": "it is less than this"},
            "any": {"type": "array", "items": _CONDITION, "minItems": 1, "description": "one of these holds"},
            "all": {"type": "array", "items": _CONDITION, "minItems": 1, "description": "all of these hold"},
            "not": {**_CONDITION, "description": "this does not hold"},
        },
        "additionalProperties": False,
        "minProperties": 1,
    },
}
"""What the schemas of values refer to."""


def schema_of(kind: Any) -> JsonSchema | None:  # noqa: ANN401 (any annotation)
    """Return the schema of a field's type, or ``None`` if a file can't spell it."""
    arms = _arms(kind)
    # Where a table is expected, one of a reference's form is just a table.
    if any(arm.get("type") != "object" and arm not in ({}, _CONDITION) for arm in arms):
        arms.append(_REFERENCE)
    if not arms:
        return None
    return arms[0] if len(arms) == 1 else {"anyOf": arms}


def class_schema(kind: type[Any], leave_out: Collection[str] = ()) -> JsonSchema:
    """Return the schema of the table for an attrs class: strict, and documented by its docstring."""
    resolve_types(kind)
    texts = help_of(kind)
    properties: JsonSchema = {}
    required: list[str] = []
    for field in component_fields(kind):
        key = field.alias or field.name
        found = schema_of(field.type)
        if found is None or key in leave_out:
            continue
        properties[key] = {**found, **({"description": texts[key]} if texts[key] else {}), **_default(field)}
        if field.default is attrs.NOTHING:
            required.append(key)
    summary = summary_of(kind)
    return {
        **({"description": summary} if summary else {}),
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": required} if required else {}),
    }


def _default(field: attrs.Attribute[Any]) -> JsonSchema:
    default: Any = field.default
    if default is None or default is attrs.NOTHING or isinstance(default, attrs.Factory | Secret):
        return {}
    shown = show(default)
    return {"default": shown} if isinstance(shown, str | int | float | list) else {}


def _arms(kind: Any) -> list[JsonSchema]:  # noqa: ANN401, PLR0911 (one line for each kind of type)
    if is_any(kind):
        return [{}]
    if kind in _SCALARS:
        return [_SCALARS[kind]]
    if kind is Where:
        return [_CONDITION, {"type": "array", "items": _CONDITION, "minItems": 1}]
    if is_literal(kind):
        return [{"enum": list(get_args(kind))}]
    if is_enum(kind):
        return [{"enum": [member.value for member in kind]}]
    if is_union(kind):
        return [schema for arm in arms_of(kind) for schema in _arms(arm)]
    if is_mapping(kind):
        return _nested("additionalProperties", (get_args(kind) or (str, Any))[1], {"type": "object"})
    if is_container(kind):
        return _nested("items", (get_args(kind) or (Any,))[0], {"type": "array"})
    return [class_schema(kind)] if isinstance(kind, type) and attrs.has(kind) else []


def _nested(key: str, kind: Any, outer: JsonSchema) -> list[JsonSchema]:  # noqa: ANN401 (any annotation)
    inner = schema_of(kind)
    return [] if inner is None else [{**outer, key: inner or True}]
