"""Tables as TOML: headings for what stands at the top, one line for everything inside."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator_core._json import dump_json

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_HEADINGS = 2
"""How deep a table still has a heading of its own, such as ``[inputs.raw]``."""


def toml_lines(tables: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """Return the lines of a document."""
    headed = {key: value for key, value in tables.items() if isinstance(value, Mapping) and _has_heading(path, value)}
    for key, value in tables.items():
        if key not in headed:
            yield f"{_key(key)} = {_value(value)}"
    for key, value in headed.items():
        inside = (*path, key)
        if not value or not all(isinstance(each, Mapping) and _has_heading(inside, each) for each in value.values()):
            yield ""
            yield f"[{'.'.join(map(_key, inside))}]"
        yield from toml_lines(value, inside)


def _has_heading(path: tuple[str, ...], table: Mapping[str, Any]) -> bool:
    return len(path) < _HEADINGS - 1 or (len(path) < _HEADINGS and bool(table))


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _string(text: str) -> str:
    """Return text in quotes. TOML's basic strings are those of JSON, but it knows no pairs of escapes."""
    quoted = dump_json(text)
    if quoted.isprintable():
        return quoted
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in quoted)


def _value(value: Any) -> str:  # noqa: ANN401 (any JSON value)
    """Return a value on one line."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_key(key)} = {_value(each)}' for key, each in value.items())} }}" if value else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, float):
        return repr(value)
    return _string(value) if isinstance(value, str) else dump_json(value)
