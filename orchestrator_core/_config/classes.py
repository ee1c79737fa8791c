"""One table to one attrs class by cattrs, and what exactly is wrong where that fails."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from decimal import Decimal
from typing import Any

import attrs
from cattrs import AttributeValidationNote, ClassValidationError, Converter, ForbiddenExtraKeysError, override
from cattrs.gen import make_dict_structure_fn

from orchestrator_core._config.problems import describe
from orchestrator_core._config.references import Mistake, Reference
from orchestrator_core._errors import OrchestratorError
from orchestrator_core.hookspecs import component_fields


class UnknownKey(Exception):  # noqa: N818 (a report rather than a failure)
    """A table has a key that its class does not know.

    Attributes:
        key: the key.
        known: the keys that there are.
    """

    def __init__(self, key: str, known: tuple[str, ...]) -> None:
        super().__init__(key)
        self.key = key
        self.known = known


def structure_class(
    kind: type[Any], converter: Converter, unsupported: Callable[[Any, Any], Any]
) -> Callable[[Any, Any], Any]:
    """Return the hook for an attrs class.

    Args:
        kind: the class.
        converter: makes the values of its fields.
        unsupported: the converter's hook for types that a file can't spell; a field that has an attrs converter
            of its own takes such a value as it stands.
    """
    resolve_types(kind)
    fields = {field.alias: field for field in component_fields(kind) if field.alias}
    as_it_is = {
        field.name
        for field in fields.values()
        if field.converter and converter.get_structure_hook(field.type) is unsupported
    }
    structure = _by_cattrs(kind, converter, as_it_is)

    def structure_field(field: attrs.Attribute[Any], value: object) -> object:
        return value if field.name in as_it_is or field.type is None else converter.structure(value, field.type)

    def hook(value: Any, _: object) -> Any:  # noqa: ANN401
        if isinstance(value, kind):
            return value
        table = value.table if isinstance(value, Reference) else value
        if not isinstance(table, Mapping):
            raise Mistake("expected a table", found=describe(value))
        try:
            return structure(table, kind)
        except ClassValidationError as error:
            mistakes = [*_explained(error, table, fields), *_invalid(kind, table, fields, structure_field)]
            raise ClassValidationError(error.message, mistakes or _by_constructor(error, fields), kind) from None

    return hook


def _by_cattrs(kind: type[Any], converter: Converter, as_it_is: Collection[str]) -> Callable[[Any, Any], Any]:
    options = {field.name for field in component_fields(kind)}
    overrides: dict[str, Any] = {
        **{name: override(struct_hook=lambda value, _: value) for name in as_it_is},
        **{field.name: override(omit=True) for field in attrs.fields(kind) if field.name not in options},
    }
    return make_dict_structure_fn(
        kind,
        converter,
        _cattrs_forbid_extra_keys=True,
        _cattrs_use_alias=True,
        _cattrs_use_linecache=False,
        **overrides,
    )


def resolve_types(kind: type[Any]) -> None:
    """Turn the annotations of a class's options from text into types.

    Only theirs: another field may name a type that its module imports for type checkers alone, and becomes `Any`.
    `JSON` names itself, which only its own module could follow.
    """
    options = {field.name for field in component_fields(kind)}
    for base in reversed(kind.__mro__):
        hints = {name: hint if name in options else Any for name, hint in inspect.get_annotations(base).items()}
        stand_in = type(base.__name__, (), {"__annotations__": hints, "__module__": base.__module__})
        names = {"JSON": Any, "Decimal": Decimal}
        attrs.resolve_types(stand_in, localns=names, attribs=list(attrs.fields(kind)))


def message_of(error: Exception) -> str:
    """Return what an exception of foreign code says, fit for a configuration's reader."""
    # attrs' own validators hand over the field and the value beside the message.
    if any(isinstance(arg, attrs.Attribute) for arg in error.args):
        return str(error.args[0])
    text = str(error)
    plain = isinstance(error, OrchestratorError | ValueError | TypeError)
    return text if text and plain else f"{type(error).__name__}: {text}"


def _explained(
    error: ClassValidationError, table: Mapping[str, Any], fields: Mapping[str, attrs.Attribute[Any]]
) -> Iterator[Exception]:
    """Yield what cattrs found in the table, before it called the class."""
    for inner in error.exceptions:
        notes = [note for note in getattr(inner, "__notes__", ()) if isinstance(note, AttributeValidationNote)]
        if isinstance(inner, ForbiddenExtraKeysError):
            yield from (UnknownKey(key, tuple(fields)) for key in table if key in inner.extra_fields)
        elif notes and isinstance(inner, KeyError):
            missing = next(alias for alias, field in fields.items() if field.name == notes[0].name)
            yield Mistake(f'"{missing}" is missing') if missing not in table else inner
        elif notes:
            yield inner


def _invalid(
    kind: type[Any],
    table: Mapping[str, Any],
    fields: Mapping[str, attrs.Attribute[Any]],
    structure: Callable[[attrs.Attribute[Any], Any], Any],
) -> Iterator[Exception]:
    """Run the validators of all fields on a trial object: the class itself stops at the first that complains."""
    trial = object.__new__(kind)
    given = []
    for alias, field in fields.items():
        try:
            value = structure(field, table[alias]) if alias in table else _default(field)
        except Exception:  # noqa: BLE001, S112 (cattrs has reported it)
            continue
        object.__setattr__(trial, field.name, value)
        if alias in table:
            given.append((alias, field, value))
    for alias, field, value in given:
        # Converters and validators are foreign code, and whatever they raise is how they say no.
        try:
            converted = _converted(field, value, trial)
            object.__setattr__(trial, field.name, converted)
            if field.validator is not None:
                field.validator(trial, field, converted)
        except AttributeError:
            continue  # it looks at another field, which is wrong itself
        except Exception as error:  # noqa: BLE001
            yield Mistake(message_of(error), inside=(alias,))


def _default(field: attrs.Attribute[Any]) -> Any:  # noqa: ANN401
    default: Any = field.default
    return default.factory() if isinstance(default, attrs.Factory) else default  # type: ignore[arg-type]


def _converted(field: attrs.Attribute[Any], value: Any, trial: object) -> Any:  # noqa: ANN401
    converter: Any = field.converter
    if isinstance(converter, attrs.Converter):
        return converter.__call__(value, trial, field)  # type: ignore[operator]
    return value if converter is None else converter(value)


def _by_constructor(error: ClassValidationError, fields: Mapping[str, attrs.Attribute[Any]]) -> list[Exception]:
    """Give what the class itself raised to the field with whose name the message begins."""
    mistakes: list[Exception] = []
    for inner in error.exceptions:
        message = message_of(inner)
        first = re.match(r"['\"]?(\w+)", message)
        field = first.group(1) if first and first.group(1) in fields else None
        mistakes.append(Mistake(message, inside=(field,) if field else ()))
    return mistakes
