"""Makes of a `where` filter the jsonpath that the trigger evaluates; it lets through just what the filter would."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import product
from typing import Any

from orchestrator_core import FilterError, Where

_NEVER = "(1 == 0)"


def to_jsonpath(where: Where) -> str:
    """Return the filter as a predicate over ``{"data": …, "before": …}``.

    In strict mode, as lax mode would look into lists by itself. A field that is not there makes a test unknown, which
    only ``not`` and ``exists`` must turn into an answer.

    Raises:
        FilterError: the filter tests something that a jsonpath can't.
    """
    return f"strict {_predicate(where.condition, 'where')}"


def _predicate(condition: Mapping[str, Any], place: str) -> str:
    if "field" in condition:
        return _field(condition, place)
    kind, inner = next(iter(condition.items()))
    if kind == "not":
        return _negation(_predicate(inner, f"{place}.not"))
    joint = " || " if kind == "any" else " && "
    return f"({joint.join(_predicate(each, f'{place}.{kind}[{index}]') for index, each in enumerate(inner))})"


def _field(condition: Mapping[str, Any], place: str) -> str:
    if condition["field"].split(".")[0] == "output":
        raise FilterError(f"{place}.field", "an input has no output: test a field of data or before")
    paths = list(_paths(condition["field"], place))
    present = " || ".join(f"exists({path})" for path in paths)
    parts = []
    if "exists" in condition:
        parts.append(f"({present})" if condition["exists"] else _negation(f"({present})"))
    tests = [_test(name, value, place) for name, value in condition.items() if name not in {"field", "exists"}]
    if tests:
        parts.append("(" + " || ".join(f"exists({path} ? ({' && '.join(tests)}))" for path in paths) + ")")
    return f"({' && '.join(parts)})"


def _paths(field: str, place: str) -> Iterator[str]:
    """Return the ways a field path can be read: digits are an index into a list, or a name in an object."""
    steps = []
    for part in field.split("."):
        name = f".{_literal(part, place)}"
        steps.append([name, f"[{int(part)}]"] if part.isascii() and part.isdigit() else [name])
    for chosen in product(*steps):
        yield "$" + "".join(chosen)


def _test(name: str, value: Any, place: str) -> str:  # noqa: ANN401 (JSON of any shape)
    where = f"{place}.{name}"
    match name:
        case "exact":
            return f"@ == {_literal(value, where)}"
        case "prefix":
            return f"@ starts with {_literal(value, where)}"
        case "suffix":
            return f"@ like_regex {_literal(re.escape(value) + '$', where)}"
        case "in":
            return "(" + " || ".join([f"@ == {_literal(each, where)}" for each in value] or [_NEVER]) + ")"
        case _:
            return f"@ {'>' if name == 'gt' else '<'} {_literal(value, where)}"


def _negation(predicate: str) -> str:
    return f"(!({predicate}) || ({predicate}) is unknown)"


def _literal(value: Any, place: str) -> str:  # noqa: ANN401 (JSON of any shape)
    if isinstance(value, list | Mapping):
        raise FilterError(place, "an input's filter tests text, numbers, true, false and null; put this on the link")
    if isinstance(value, str):
        if "\0" in value:
            raise FilterError(place, "no text in Postgres has a NUL character")
        return json.dumps(value, ensure_ascii=False)
    return str(value) if isinstance(value, Decimal) else json.dumps(value)
