"""`Where` and location globs: what a link lets through."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from orchestrator_core import JSON, FilterError, Where
from orchestrator_core._filters import matches_location

_RECORD: Mapping[str, JSON] = {
    "data": {
        "country": "NL",
        "rain": 12,
        "exact": Decimal("0.1000000000000000055511151231257827"),
        "dry": False,
        "note": None,
        "tags": ["wet", "cold"],
        "station": {"name": "De Bilt", "7": "seven"},
        "": "empty",
    },
    "before": {"rain": 3},
    "output": None,
}


def holds(condition: object) -> bool:
    """Tell whether a condition holds for the record."""
    return Where.parse(condition).matches(_RECORD)


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ({"field": "data.country", "exact": "NL"}, True),
        ({"field": "data.country", "exact": "nl"}, False),
        ({"field": "data.rain", "exact": 12}, True),
        ({"field": "data.rain", "exact": 12.0}, True),
        ({"field": "data.rain", "exact": "12"}, False),
        ({"field": "data.note", "exact": None}, True),
        ({"field": "data.tags", "exact": ["wet", "cold"]}, True),
        ({"field": "data.country", "prefix": "N"}, True),
        ({"field": "data.country", "prefix": "L"}, False),
        ({"field": "data.country", "suffix": "L"}, True),
        ({"field": "data.country", "suffix": "N"}, False),
        ({"field": "data.rain", "prefix": "1"}, False),
        ({"field": "data.country", "in": ["BE", "NL"]}, True),
        ({"field": "data.country", "in": ["BE"]}, False),
        ({"field": "data.country", "in": []}, False),
        ({"field": "data.rain", "gt": 11.5}, True),
        ({"field": "data.rain", "gt": 12}, False),
        ({"field": "data.rain", "lt": 13}, True),
        ({"field": "data.rain", "lt": 12}, False),
        ({"field": "data.exact", "gt": 0.0999}, True),
        ({"field": "data.country", "gt": "MX"}, True),
        ({"field": "data.country", "lt": "MX"}, False),
        ({"field": "data.country", "exists": True}, True),
        ({"field": "data.note", "exists": True}, True),
        ({"field": "data.nothing", "exists": False}, True),
        ({"field": "data.nothing", "exists": True}, False),
        ({"field": "data.rain", "gt": 10, "lt": 20}, True),
        ({"field": "data.rain", "gt": 10, "lt": 11}, False),
        ({"field": "before.rain", "lt": 10}, True),
        ({"field": "output", "exact": None}, True),
    ],
    ids=str,
)
def test_tests(test: dict[str, Any], expected: bool) -> None:
    """Each test says what its name says; several in one table must all hold."""
    assert expected is holds(test)


@pytest.mark.parametrize(
    "test", [{"exact": None}, {"prefix": ""}, {"suffix": ""}, {"in": [None]}, {"gt": -1}, {"lt": 1}], ids=str
)
def test_what_is_not_there_passes_no_test(test: dict[str, Any]) -> None:
    """A missing field is not null, not empty and not small. Catches: a default for what is missing."""
    assert holds({"field": "data.nothing", **test}) is False


@pytest.mark.parametrize("test", [{"exact": 0}, {"in": [0, 0.0]}, {"gt": -1}, {"lt": 1}], ids=str)
def test_true_and_false_are_no_numbers(test: dict[str, Any]) -> None:
    """JSON's false is not 0. Catches: Python's idea of it."""
    assert holds({"field": "data.dry", **test}) is False
    assert holds({"field": "data.dry", "exact": False}) is True


@pytest.mark.parametrize("bound", ["5", "", "zz"])
def test_numbers_do_not_compare_with_texts(bound: str) -> None:
    """Neither more nor less. Catches: an exception in the middle of routing."""
    assert [False, False] == [holds({"field": "data.rain", name: bound}) for name in ("gt", "lt")]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("data.station.name", True),
        ("data.tags.1", True),
        ("data.tags.2", False),
        ("data.tags.-1", False),
        ("data.tags.\u0660", False),
        ("data.station.7", True),
        ("data.country.0", False),
        ("data.", True),
        ("data..name", False),
        ("data", True),
    ],
)
def test_paths(path: str, expected: bool) -> None:
    """Dots go down tables, digits index lists, and nothing indexes texts."""
    assert expected is holds({"field": path, "exists": True})


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"any": [{"field": "data.rain", "gt": 99}, {"field": "data.rain", "lt": 99}]}, True),
        ({"any": [{"field": "data.rain", "gt": 99}]}, False),
        ({"all": [{"field": "data.rain", "gt": 1}, {"field": "data.rain", "lt": 99}]}, True),
        ({"all": [{"field": "data.rain", "gt": 1}, {"field": "data.rain", "gt": 99}]}, False),
        ({"not": {"field": "data.nothing", "exact": 1}}, True),
        ({"not": {"all": [{"field": "data.rain", "gt": 1}]}}, False),
        ([{"field": "data.rain", "gt": 1}, {"field": "data.rain", "gt": 99}], False),
    ],
    ids=str,
)
def test_combinations(condition: object, expected: bool) -> None:
    """`any`, `all` and `not` nest; a list means all."""
    assert expected is holds(condition)


@pytest.mark.parametrize(
    ("condition", "path", "expected"),
    [
        (None, "where", "expected a table"),
        ({}, "where", "expected a table"),
        ("data.x = 1", "where", "expected a table"),
        ([], "where.all", "expected a list of one or more"),
        ({"field": "data.x"}, "where", "expected one of exact, prefix"),
        ({"field": "x", "exact": 1}, "where.field", "starting with data, before, output"),
        ({"field": 7, "exact": 1}, "where.field", "starting with data, before, output"),
        ({"field": "data.x", "equals": 1}, "where.equals", "no such test; there are exact, prefix"),
        ({"field": "data.x", "prefix": 1}, "where.prefix", "expected text"),
        ({"field": "data.x", "in": "abc"}, "where.in", "expected a list"),
        ({"field": "data.x", "exists": 1}, "where.exists", "expected true or false"),
        ({"field": "data.x", "gt": True}, "where.gt", "expected a number or text"),
        ({"field": "data.x", "lt": None}, "where.lt", "expected a number or text"),
        ({"any": [], "all": []}, "where", 'exactly one of "any", "all", "not"'),
        ({"or": []}, "where", 'exactly one of "any", "all", "not"'),
        ({"any": {}}, "where.any", "expected a list of one or more"),
        ({"not": []}, "where.not", "expected a table"),
        (
            {"any": [{"field": "data.x", "exact": 1}, {"not": {"field": "y", "gt": 1}}]},
            "where.any[1].not.field",
            "start",
        ),
    ],
    ids=str,
)
def test_malformed_conditions_are_refused(condition: object, path: str, expected: str) -> None:
    """The error names the place inside the condition and what would be right there."""
    with pytest.raises(FilterError, match=re.escape(expected)) as caught:
        Where.parse(condition)
    assert path == caught.value.path


def test_depth_is_limited() -> None:
    """Endless nesting is refused before it is walked. Catches: a recursion error out of a file."""
    condition: dict[str, Any] = {"field": "data.x", "exact": 1}
    for _ in range(5_000):
        condition = {"not": condition}
    with pytest.raises(FilterError, match="nested deeper than 16"):
        Where.parse(condition)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"field": "output.ok", "exact": True}, True),
        ({"field": "output", "exists": True}, True),
        ({"field": "outputs", "exact": 1}, None),
        ({"field": "data.output", "exact": True}, False),
        ({"all": [{"field": "data.x", "gt": 1}, {"not": {"field": "output.n", "lt": 5}}]}, True),
        ({"any": [{"field": "data.x", "gt": 1}]}, False),
    ],
    ids=str,
)
def test_reads_output(condition: dict[str, Any], expected: bool | None) -> None:
    """Whether the answer has to wait for the upstream process."""
    if expected is None:
        with pytest.raises(FilterError):
            Where.parse(condition)
    else:
        assert expected is Where.parse(condition).reads_output


@pytest.mark.parametrize(
    ("globs", "expected"),
    [
        (("public.orders",), True),
        (("public.*",), True),
        (("*",), True),
        (("PUBLIC.*",), False),
        (("public.order",), False),
        (("other.*", "*.orders"), True),
        (("public.order[st]",), True),
        ((), False),
    ],
)
def test_locations(globs: tuple[str, ...], expected: bool) -> None:
    """Any glob is enough, the whole location has to match, and case counts on every platform."""
    assert expected is matches_location("public.orders", globs)
