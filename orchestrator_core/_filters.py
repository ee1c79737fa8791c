"""What a link lets through: operations, location globs and the declarative `where` filter.

A condition is a table. Either it tests one field::

    { field = "data.country", exact = "NL" }

with one or more of ``exact, prefix, suffix, in, exists, gt, lt`` (all must hold), or it combines others::

    { any = [ … ] }    { all = [ … ] }    { not = { … } }

A field path starts with ``data``, ``before`` or, behind a process, ``output``; digits index into lists. A field that is
not there passes no test but ``exists = false``. ``gt`` and ``lt`` compare numbers with numbers and text with text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from orchestrator_core._errors import FilterError

if TYPE_CHECKING:
    from orchestrator_core._json import JSON

ROOTS = ("data", "before", "output")
DEPTH_LIMIT = 16

_MISSING = object()
_Test: TypeAlias = Callable[[Any, Any], bool]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _exact(found: Any, wanted: Any) -> bool:  # noqa: ANN401 (JSON of any shape)
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    return bool(found == wanted)


def _comparable(found: object, wanted: object) -> bool:
    return (_is_number(found) and _is_number(wanted)) or (isinstance(found, str) and isinstance(wanted, str))


_TESTS: Mapping[str, _Test] = {
    "exact": _exact,
    "prefix": lambda found, wanted: isinstance(found, str) and found.startswith(wanted),
    "suffix": lambda found, wanted: isinstance(found, str) and found.endswith(wanted),
    "in": lambda found, wanted: any(_exact(found, each) for each in wanted),
    "gt": lambda found, wanted: _comparable(found, wanted) and found > wanted,
    "lt": lambda found, wanted: _comparable(found, wanted) and found < wanted,
}

_OPERANDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "exact": (lambda _: True, "any value"),
    "prefix": (lambda value: isinstance(value, str), "text"),
    "suffix": (lambda value: isinstance(value, str), "text"),
    "in": (lambda value: isinstance(value, list | tuple), "a list"),
    "exists": (lambda value: isinstance(value, bool), "true or false"),
    "gt": (lambda value: _is_number(value) or isinstance(value, str), "a number or text"),
    "lt": (lambda value: _is_number(value) or isinstance(value, str), "a number or text"),
}


@attrs.frozen
class Where:
    """A checked condition, kept as the JSON it was written in.

    Attributes:
        condition: the condition's table.
    """

    condition: Mapping[str, Any]

    @classmethod
    def parse(cls, condition: object, path: str = "where") -> Where:
        """Check a condition; a list of them means that all must hold.

        Raises:
            FilterError: naming the place inside the condition and what would be right there.
        """
        for error in malformations(condition, path):
            raise error
        return cls(_as_table(condition))  # type: ignore[arg-type]  # it was seen to be a table

    @property
    def reads_output(self) -> bool:
        """Whether the answer depends on what the upstream process returned."""
        return _reads_output(self.condition)

    def matches(self, record: Mapping[str, JSON]) -> bool:
        """Tell whether the condition holds for ``{"data": …, "before": …, "output": …}``."""
        return _holds(self.condition, record)


def matches_location(location: str, globs: tuple[str, ...]) -> bool:
    """Tell whether a location matches any of the globs; case counts."""
    return any(fnmatchcase(location, glob) for glob in globs)


def malformations(condition: object, path: str = "where") -> Iterator[FilterError]:
    """Yield everything that is wrong with a condition."""
    yield from _in_condition(_as_table(condition), path, 0)


def _as_table(condition: object) -> object:
    return {"all": list(condition)} if isinstance(condition, list | tuple) else condition


def _in_condition(condition: object, path: str, depth: int) -> Iterator[FilterError]:
    if depth > DEPTH_LIMIT:
        yield FilterError(path, f"nested deeper than {DEPTH_LIMIT}: split it over several links")
    elif not isinstance(condition, Mapping) or not condition:
        yield FilterError(path, 'expected a table such as { field = "data.country", exact = "NL" }')
    elif "field" in condition:
        yield from _in_test(condition, path)
    elif len(condition) != 1 or (kind := next(iter(condition))) not in {"any", "all", "not"}:
        yield FilterError(path, 'expected "field" with a test, or exactly one of "any", "all", "not"')
    elif kind == "not":
        yield from _in_condition(condition[kind], f"{path}.not", depth + 1)
    elif not isinstance(inner := condition[kind], list | tuple) or not inner:
        yield FilterError(f"{path}.{kind}", "expected a list of one or more conditions")
    else:
        for index, each in enumerate(inner):
            yield from _in_condition(each, f"{path}.{kind}[{index}]", depth + 1)


def _in_test(condition: Mapping[str, Any], path: str) -> Iterator[FilterError]:
    field = condition["field"]
    if not isinstance(field, str) or field.split(".")[0] not in ROOTS:
        yield FilterError(f"{path}.field", f'expected a path starting with {", ".join(ROOTS)}, such as "data.country"')
    elif len(condition) == 1:
        yield FilterError(path, f"expected one of {', '.join(_OPERANDS)} beside field")
    for name, operand in condition.items():
        if name == "field":
            continue
        if name not in _OPERANDS:
            yield FilterError(f"{path}.{name}", f"no such test; there are {', '.join(_OPERANDS)}")
            continue
        accepts, expected = _OPERANDS[name]
        if not accepts(operand):
            yield FilterError(f"{path}.{name}", f"expected {expected}")


def _reads_output(condition: Mapping[str, Any]) -> bool:
    if "field" in condition:
        return bool(condition["field"].split(".")[0] == "output")
    inner = next(iter(condition.values()))
    return any(_reads_output(each) for each in (inner if isinstance(inner, list | tuple) else [inner]))


def _holds(condition: Mapping[str, Any], record: Mapping[str, JSON]) -> bool:
    if "field" in condition:
        found = _look_up(record, condition["field"])
        return all(_passes(found, name, wanted) for name, wanted in condition.items() if name != "field")
    kind, inner = next(iter(condition.items()))
    if kind == "not":
        return not _holds(inner, record)
    return (any if kind == "any" else all)(_holds(each, record) for each in inner)


def _passes(found: object, name: str, wanted: object) -> bool:
    if name == "exists":
        return (found is not _MISSING) is wanted
    return found is not _MISSING and _TESTS[name](found, wanted)


def _look_up(record: Mapping[str, JSON], path: str) -> object:
    found: Any = record
    for part in path.split("."):
        if isinstance(found, Mapping) and part in found:
            found = found[part]
        elif isinstance(found, list) and part.isascii() and part.isdigit() and int(part) < len(found):
            found = found[int(part)]
        else:
            return _MISSING
    return found
