"""How cattrs makes each type of field of what TOML says: strictly, and with references read on the way.

cattrs by itself reads the text "5" as a number and text as a list of letters; it decides which hook a type gets, walks
tables and lists, and gathers the exceptions of all of them.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from datetime import date, time
from typing import Any, TypeAlias, get_args, get_origin

import attrs
from cattrs import BaseValidationError, Converter, IterableValidationError
from cattrs.cols import list_structure_factory, mapping_structure_factory

from orchestrator_core._config.annotations import (
    CONTAINERS,
    RawTable,
    arms_of,
    is_any,
    is_container,
    is_enum,
    is_literal,
    is_mapping,
    is_union,
    name_of,
    shape_of,
)
from orchestrator_core._config.classes import structure_class
from orchestrator_core._config.document import UnreadableError, parse_value
from orchestrator_core._config.problems import Keys, describe
from orchestrator_core._config.references import Mistake, Reference, Resolver
from orchestrator_core._config.scalars import SCALARS, structure_enum, structure_literal
from orchestrator_core._errors import FilterError
from orchestrator_core._filters import Where, malformations
from orchestrator_core._secret import Secret

Hook: TypeAlias = Callable[[Any, Any], Any]

_REFERENCES = 'a reference is { env = "NAME" }, with a default beside env, or { file = "/path" }'
_TOML = (str, int, float, list, dict, date, time, Reference)


def make_converter(resolver: Resolver) -> Converter:
    """Return a converter whose values may be references; cattrs asks the hooks registered last first."""
    converter = Converter(forbid_extra_keys=True, structure_fallback_factory=lambda _: _only_in_code)
    converter.register_structure_hook_factory(attrs.has, lambda kind: structure_class(kind, converter, _only_in_code))
    converter.register_structure_hook_factory(is_mapping, lambda kind: _mapping(kind, converter, resolver))
    converter.register_structure_hook_factory(is_container, lambda kind: _container(kind, converter, resolver))
    converter.register_structure_hook_factory(is_union, lambda kind: _union(kind, converter, resolver))
    converter.register_structure_hook_func(is_any, lambda value, _: resolve_all(value, resolver))
    converter.register_structure_hook_func(is_literal, _scalar(structure_literal, resolver))
    converter.register_structure_hook(RawTable, lambda value, _: table_of(value))
    converter.register_structure_hook(Where, lambda value, _: _where(value, resolver))
    for kind, hook in {**SCALARS, enum.Enum: structure_enum}.items():
        converter.register_structure_hook(kind, _scalar(hook, resolver))
    return converter


def resolve_all(value: Any, resolver: Resolver) -> Any:  # noqa: ANN401 (any TOML value)
    """Read every reference inside a value of no particular type."""
    if isinstance(value, Reference):
        return resolver.read(value)
    if isinstance(value, dict):
        return {key: resolve_all(each, resolver) for key, each in value.items()}
    if isinstance(value, list):
        return [resolve_all(each, resolver) for each in value]
    return value


def table_of(value: object) -> Mapping[str, Any]:
    """Return a table; where a table is expected, one of a reference's form is just a table."""
    if isinstance(value, Reference):
        return value.table
    if isinstance(value, Mapping):
        return value
    raise Mistake("expected a table", found=describe(value))


def _only_in_code(value: object, kind: Any) -> object:  # noqa: ANN401 (any annotation)
    if isinstance(value, _TOML):
        raise Mistake(f"a {getattr(kind, '__name__', kind)} can't be written in a file", "leave it out")
    return value


def _where(value: object, resolver: Resolver) -> Where:
    if isinstance(value, Where):
        return value
    condition = resolve_all(value, resolver)
    if mistakes := [Mistake(error.expected, inside=_inside(error, value)) for error in malformations(condition)]:
        raise IterableValidationError("the condition is malformed", mistakes, Where)
    return Where.parse(condition)


def _inside(error: FilterError, condition: object) -> Keys:
    """Return where in a condition an error is, as it is written: a list stands for ``all`` of it."""
    parts = error.path.replace("[", ".").replace("]", "").split(".")[2 if isinstance(condition, list) else 1 :]
    return tuple(int(part) if part.isdecimal() else part for part in parts)


def _scalar(hook: Hook, resolver: Resolver) -> Hook:
    def structure(value: object, kind: Any) -> object:  # noqa: ANN401
        # cattrs goes by the first base class: an enumeration of texts comes in as a text.
        make = structure_enum if is_enum(kind) else hook
        if isinstance(value, Reference):
            held = resolver.read(value, secret=kind is Secret)
            return _referred(value, held, lambda each: make(each, kind))
        # Already typed, as in code.
        if isinstance(kind, type) and kind not in {int, float, bool, date} and isinstance(value, kind):
            return value
        try:
            return make(value, kind)
        except Mistake as mistake:
            hint = _REFERENCES if isinstance(value, Mapping) else mistake.hint
            raise Mistake(mistake.message, hint, found=mistake.found) from None

    return structure


def _referred(reference: Reference, held: object, hook: Callable[[Any], Any]) -> object:
    """Structure what a reference holds: its text, or else the TOML value that the text spells."""
    try:
        return hook(held)
    except (Mistake, BaseValidationError) as error:
        # What was found stays unsaid: it may be a secret that was put in the wrong place.
        expected = error.message if isinstance(error, Mistake) else "expected a list of other values"
    try:
        return hook(parse_value(held if isinstance(held, str) else ""))
    except (UnreadableError, Mistake, BaseValidationError):
        raise Mistake(f"{reference} holds something else: {expected}") from None


def _container(kind: Any, converter: Converter, resolver: Resolver) -> Hook:  # noqa: ANN401
    make = CONTAINERS[get_origin(kind) or kind]
    element = (get_args(kind) or (Any,))[0]
    each = None if is_any(element) else list_structure_factory(list[element], converter)  # type: ignore[valid-type]

    def structure(value: object, _: object = None) -> object:
        if isinstance(value, Reference):
            return _referred(value, resolver.read(value), structure)
        if not isinstance(value, list | tuple | set | frozenset):
            hint = "put it in brackets" if isinstance(value, str) else ""
            raise Mistake("expected a list", hint, found=describe(value))
        return make([resolve_all(item, resolver) for item in value] if each is None else each(value, list))

    return structure


def _mapping(kind: Any, converter: Converter, resolver: Resolver) -> Hook:  # noqa: ANN401
    _, held = get_args(kind) or (str, Any)
    if is_any(held):
        return lambda value, _: {key: resolve_all(each, resolver) for key, each in table_of(value).items()}
    structure = mapping_structure_factory(dict[str, held], converter)  # type: ignore[valid-type]
    return lambda value, _: structure(table_of(value), dict)


def _union(kind: Any, converter: Converter, resolver: Resolver) -> Hook:  # noqa: ANN401
    arms = arms_of(kind)
    optional = len(arms) < len(get_args(kind))

    def structure(value: object, _: object) -> object:
        if value is None and optional:
            return None
        fitting = _fitting(value, arms)
        if isinstance(value, Reference) and shape_of(fitting[0]) != "table":
            resolver.read(value)  # what can't be read at all suits no type, and says why
        mistakes: list[Exception] = []
        for arm in fitting:
            try:
                return converter.structure(value, arm)
            except (Mistake, BaseValidationError) as mistake:
                mistakes.append(mistake)
        # One type of the right shape says best what is wrong inside; else the value may have been meant for any type.
        if len(mistakes) == 1 and (len(arms) == 1 or isinstance(mistakes[0], BaseValidationError)):
            raise mistakes[0]
        hint = mistakes[0].hint if mistakes and isinstance(mistakes[0], Mistake) else ""
        raise Mistake(f"expected {name_of(kind)}", hint, found="" if isinstance(value, Reference) else describe(value))

    return structure


def _fitting(value: object, arms: Sequence[Any]) -> Sequence[Any]:
    """Return the types of a union that a value may be meant for, by its shape."""
    if len(arms) == 1:
        return arms
    if isinstance(value, Reference):
        return [arm for arm in arms if shape_of(arm) != "table"] or arms
    shape = "table" if isinstance(value, Mapping) else "list" if isinstance(value, list | tuple) else "scalar"
    return [arm for arm in arms if shape_of(arm) == shape or isinstance(value, _code_type(arm))]


def _code_type(arm: object) -> type | tuple[()]:
    return arm if isinstance(arm, type) else ()
