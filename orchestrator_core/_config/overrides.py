"""``--set path=value``: values that win over the file's."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from orchestrator_core._config.document import UnreadableError, parse, parse_value
from orchestrator_core._config.problems import Keys, Problem, nearest, quote

_NODE = 2


@attrs.frozen
class Overridden:
    """Values with the overrides in them.

    Attributes:
        values: the values.
        places: the overrides that were put in, as they are shown, by what they set.
        problems: what is wrong with the others.
    """

    values: dict[str, Any]
    places: Mapping[Keys, str]
    problems: tuple[Problem, ...]


def override(values: Mapping[str, Any], overrides: Iterable[str]) -> Overridden:
    """Put overrides into a file's values; of two for one path, the last one counts."""
    result: dict[str, Any] = copy.deepcopy(dict(values))
    places: dict[Keys, str] = {}
    problems: list[Problem] = []
    for text in overrides:
        path, equals, value = text.partition("=")
        shown = f"--set {path.strip()}"
        if not equals:
            problems.append(Problem(shown, None, None, "expected path=value", "such as pipeline.concurrency=4"))
            continue
        try:
            keys = _keys(path)
            if near := _meant(result, keys):
                message = f"there is no {quote('.'.join(keys[:2]))} in the file"
                problems.append(Problem(shown, None, None, message, f'did you mean "{near}"?'))
                continue
            places[_put(result, keys, _value(value.strip()))] = shown
        except UnreadableError as error:
            problems.append(Problem(shown, None, None, error.message, error.hint))
    return Overridden(result, places, tuple(problems))


def _meant(values: Mapping[str, Any], keys: tuple[str, ...]) -> str | None:
    """Return the input or process of a name like the one that the path has; a new one begins with its type."""
    section = values.get(keys[0])
    if keys[0] not in {"inputs", "processes"} or len(keys) <= _NODE or not isinstance(section, Mapping):
        return None
    return None if keys[1] in section or keys[_NODE] == "type" else nearest(keys[1], section)


def _value(text: str) -> Any:  # noqa: ANN401 (any TOML value)
    try:
        return parse_value(text)
    except UnreadableError:
        return text


def _keys(path: str) -> tuple[str, ...]:
    """Split a dotted path the way TOML does, quoted parts included."""
    try:
        table: Any = parse(path.strip().encode() + b" = 0").values
    except UnreadableError as error:
        raise UnreadableError("the path is no dotted key", "such as processes.NAME.timeout") from error
    keys: list[str] = []
    while isinstance(table, dict):
        ((key, table),) = table.items()
        keys.append(key)
    return tuple(keys)


def _put(values: dict[str, Any], path: tuple[str, ...], value: Any) -> Keys:  # noqa: ANN401 (any TOML value)
    """Set the value, and return where: digits index into lists."""
    table: Any = values
    keys: Keys = ()
    for part in path[:-1]:
        key = _step(table, part, keys)
        keys = (*keys, key)
        table = table.setdefault(key, {}) if isinstance(table, dict) else table[key]
    key = _step(table, path[-1], keys)
    table[key] = value
    return (*keys, key)


def _step(table: Any, part: str, keys: Keys) -> str | int:  # noqa: ANN401 (any TOML value)
    if isinstance(table, dict):
        return part
    if isinstance(table, list) and part.isdecimal() and int(part) < len(table):
        return int(part)
    what = f"a list of {len(table)}" if isinstance(table, list) else "no table"
    hint = "name a key of a table, or an index of a list"
    raise UnreadableError(f"{quote('.'.join(map(str, keys)))} is {what}", hint)
