"""What an annotation says about a field: which of the shapes that TOML knows, and in which words."""

from __future__ import annotations

import enum
import types
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from pathlib import Path
from typing import Any, ForwardRef, Literal, NewType, Union, get_args, get_origin

import attrs

from orchestrator_core._config.scalars import choices
from orchestrator_core._secret import Secret

RawTable = NewType("RawTable", Mapping[str, Any])
"""A table that is structured later, when the type of its component is known."""

CONTAINERS: Mapping[Any, Callable[[Sequence[Any]], Any]] = {
    list: list,
    Sequence: tuple,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    AbstractSet: frozenset,
}
"""The types for lists in a file, and how to make them."""

_WORDS: Mapping[Any, str] = {
    str: "text",
    Secret: "text",
    Path: "a path",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    timedelta: 'a duration such as "30s"',
}


def is_any(kind: object) -> bool:
    """Tell whether a field takes anything. Of a recursive alias such as `JSON`, only names are left to see."""
    return kind is None or kind is Any or kind is object or _names_itself(kind)


def is_enum(kind: object) -> bool:
    """Tell whether a field takes the members of an enumeration."""
    return isinstance(kind, type) and issubclass(kind, enum.Enum)


def is_literal(kind: object) -> bool:
    """Tell whether a field takes one of the values that its annotation lists."""
    return get_origin(kind) is Literal


def is_union(kind: object) -> bool:
    """Tell whether a field takes values of several types."""
    return get_origin(kind) in {Union, types.UnionType}


def is_mapping(kind: object) -> bool:
    """Tell whether a field takes a table of any keys."""
    return (get_origin(kind) or kind) in {dict, Mapping}


def is_container(kind: object) -> bool:
    """Tell whether a field takes a list of one kind of element."""
    return (get_origin(kind) or kind) in CONTAINERS and get_args(kind)[1:] in {(), (...,)}


def arms_of(kind: object) -> list[Any]:
    """Return the types of a union, without ``None``, which TOML can't say."""
    return [arm for arm in get_args(kind) if arm is not types.NoneType]


def shape_of(kind: object) -> Literal["table", "list", "scalar"]:
    """Say how a value of this type looks in a file."""
    if is_mapping(kind) or (isinstance(kind, type) and attrs.has(kind) and kind is not Secret):
        return "table"
    return "list" if (get_origin(kind) or kind) in CONTAINERS else "scalar"


def name_of(kind: Any) -> str:  # noqa: ANN401 (any annotation)
    """Name a type in the words of the file."""
    if is_union(kind):
        return " or ".join(dict.fromkeys(name_of(arm) for arm in arms_of(kind)))
    if is_literal(kind):
        return choices([str(each) for each in get_args(kind)])
    if is_enum(kind):
        return choices([str(member.value) for member in kind])
    return _WORDS.get(kind) or {"list": "a list", "table": "a table", "scalar": "a value"}[shape_of(kind)]


def _names_itself(kind: object) -> bool:
    return isinstance(kind, str | ForwardRef) or (not is_literal(kind) and any(map(_names_itself, get_args(kind))))
