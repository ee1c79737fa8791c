"""Typed values of tables: every type that a component's field may have, and what is said where it does not fit."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs
import pytest

from orchestrator_core import JSON, Operation, RetryPolicy, Secret, Where
from orchestrator_core._config.problems import Finding
from orchestrator_core._config.references import Resolver, mark
from orchestrator_core._config.structure import Structure

if TYPE_CHECKING:
    from decimal import Context


class Colour(enum.StrEnum):
    """An enumeration that is text as well."""

    RED = "red"
    GREEN = "green"


@attrs.frozen
class Inner:
    """A table inside a table."""

    number: int
    text: str = "t"


@attrs.frozen
class Everything:
    """A field of each type."""

    boolean: bool = False
    number: int = 0
    real: float = 0.0
    text: str = ""
    secret: Secret | None = None
    path: Path | None = None
    duration: timedelta | None = None
    moment: datetime | None = None
    day: date | None = None
    colour: Colour = Colour.RED
    operation: Operation = attrs.field(default=Operation.READ, converter=Operation)
    literal: Literal["one", 2, True] = 2
    texts: list[str] = attrs.field(factory=list)
    numbers: tuple[int, ...] = ()
    operations: frozenset[Operation] = frozenset()
    inners: Sequence[Inner] = ()
    table: Mapping[str, int] = attrs.field(factory=dict)
    inner: Inner | None = None
    text_or_texts: str | list[str] = ""
    text_or_table: str | Mapping[str, str] = ""
    number_or_inner: int | Inner = 0
    anything: Any = None
    json: JSON = None
    where: Where | None = None
    pattern: re.Pattern[str] = attrs.field(default="", converter=re.compile)
    context: Any = None
    retry: RetryPolicy = attrs.field(factory=RetryPolicy)
    _hidden: Context | None = None


ENVIRON = {"EIGHT": "8", "TRUE": "true", "LIST": '["a", "b"]', "TEXT": "text", "SECRET": "hunter2", "TIME": "5s"}


def made(table: object) -> Everything:
    """Return the typed table."""
    structure = Structure(Resolver(ENVIRON))
    value = structure.attempt(mark(table), Everything, ())
    assert [] == structure.findings
    assert value is not None
    return value


def findings(table: object) -> Sequence[Finding]:
    """Return what is wrong with a table."""
    structure = Structure(Resolver(ENVIRON))
    assert structure.attempt(mark(table), Everything, ()) is None
    return structure.findings


FITS = [
    ("boolean", True, True),
    ("number", 5, 5),
    ("real", 5, 5.0),
    ("real", 0.5, 0.5),
    ("text", "x", "x"),
    ("secret", "x", Secret("x")),
    ("path", "a/b", Path("a/b")),
    ("duration", "1h30m", timedelta(minutes=90)),
    ("moment", datetime(2026, 5, 4, tzinfo=UTC), datetime(2026, 5, 4, tzinfo=UTC)),
    ("day", date(2026, 5, 4), date(2026, 5, 4)),
    ("colour", "green", Colour.GREEN),
    ("operation", "INSERT", Operation.CREATE),
    ("literal", "one", "one"),
    ("literal", True, True),
    ("texts", ["a", "b"], ["a", "b"]),
    ("numbers", [1, 2], (1, 2)),
    ("operations", ["insert", "delete"], frozenset({Operation.CREATE, Operation.DELETE})),
    ("inners", [{"number": 1}], (Inner(1),)),
    ("table", {"a": 1}, {"a": 1}),
    ("inner", {"number": 1, "text": "x"}, Inner(1, "x")),
    ("text_or_texts", ["a"], ["a"]),
    ("text_or_table", {"a": "b"}, {"a": "b"}),
    ("number_or_inner", {"number": 1}, Inner(1)),
    ("anything", [{"a": 1}, 2], [{"a": 1}, 2]),
    ("json", {"a": [1, 0.5, "x", True]}, {"a": [1, 0.5, "x", True]}),
    ("where", {"field": "data.x", "gt": 1}, Where({"field": "data.x", "gt": 1})),
    ("where", [{"field": "data.x", "gt": 1}], Where({"all": [{"field": "data.x", "gt": 1}]})),
    ("pattern", "a+", re.compile("a+")),
    ("retry", {"attempts": 2}, RetryPolicy(attempts=2)),
]


@pytest.mark.parametrize(("key", "value", "typed"), FITS)
def test_a_value_that_fits(key: str, value: object, typed: object) -> None:
    """It becomes what the field is typed as; typed already, as in code, it stays as it is."""
    assert typed == getattr(made({key: value}), key)
    assert typed == getattr(made({key: typed}), key)


REFERENCES = [
    ("number", "EIGHT", 8),
    ("real", "EIGHT", 8.0),
    ("boolean", "TRUE", True),
    ("text", "EIGHT", "8"),
    ("secret", "SECRET", Secret("hunter2")),
    ("path", "TEXT", Path("text")),
    ("duration", "TIME", timedelta(seconds=5)),
    ("texts", "LIST", ["a", "b"]),
    ("text_or_texts", "LIST", '["a", "b"]'),
    ("anything", "EIGHT", "8"),
    ("json", "TEXT", "text"),
    ("text_or_table", "TEXT", "text"),
]


@pytest.mark.parametrize(("key", "name", "typed"), REFERENCES)
def test_a_value_by_reference(key: str, name: str, typed: object) -> None:
    """The text, or, where text does not fit, the TOML value that it spells."""
    assert typed == getattr(made({key: {"env": name}}), key)


def test_references_inside_lists_and_tables() -> None:
    """Any value may be one."""
    table = {"texts": [{"env": "TEXT"}], "table": {"a": {"env": "EIGHT"}}, "json": {"x": [{"env": "TEXT"}]}}
    found = made(table)
    assert (["text"], {"a": 8}, {"x": ["text"]}) == (found.texts, found.table, found.json)


def test_a_table_of_a_reference_s_form_where_a_table_is_expected() -> None:
    """It is just a table: no text could take its place."""
    assert {"env": 8} == made({"table": {"env": 8}}).table
    assert [(("table", "env"), 'expected a whole number, found the text "EIGHT"')] == [
        (finding.keys, finding.message) for finding in findings({"table": {"env": "EIGHT"}})
    ]


def test_a_default_is_taken_as_it_is_written() -> None:
    """It has its own type, and is not asked when the variable is set."""
    assert 3 == made({"number": {"env": "NONE", "default": 3}}).number
    assert 8 == made({"number": {"env": "EIGHT", "default": 3}}).number


MISFITS = [
    pytest.param({"number": "5"}, ("number",), 'expected a whole number, found the text "5"', id="text for a number"),
    pytest.param({"number": True}, ("number",), "expected a whole number, found true", id="boolean for a number"),
    pytest.param({"real": float("nan")}, ("real",), "expected a number, found nan", id="nan"),
    pytest.param({"real": 10**400}, ("real",), "expected a number, found 1" + "0" * 39, id="too large for a float"),
    pytest.param({"boolean": 1}, ("boolean",), "expected true or false, found 1", id="number for a boolean"),
    pytest.param({"secret": 5}, ("secret",), None, id="number for a secret"),
    pytest.param({"path": "a\0b"}, ("path",), None, id="path with NUL"),
    pytest.param({"day": datetime(2026, 5, 4, tzinfo=UTC)}, ("day",), None, id="moment for a day"),
    pytest.param({"literal": 1}, ("literal",), 'expected "one", "2" or "True", found 1', id="1 is not true"),
    pytest.param({"texts": "abc"}, ("texts",), 'expected a list, found the text "abc"', id="text for a list"),
    pytest.param({"texts": ["a", 1]}, ("texts", 1), "expected text, found 1", id="element"),
    pytest.param({"inners": [{"number": "1"}]}, ("inners", 0, "number"), None, id="field of a table of a list"),
    pytest.param({"inner": {"number": 1, "txt": ""}}, ("inner", "txt"), 'unknown key "txt"', id="unknown key inside"),
    pytest.param({"inner": {}}, ("inner",), '"number" is missing', id="missing key"),
    pytest.param({"inner": 5}, ("inner",), "expected a table, found 5", id="number for a table"),
    pytest.param({"text_or_texts": 5}, ("text_or_texts",), None, id="neither"),
    pytest.param({"text_or_texts": [5]}, ("text_or_texts", 0), "expected text, found 5", id="element of either"),
    pytest.param({"number_or_inner": {"number": ""}}, ("number_or_inner", "number"), None, id="field of either"),
    pytest.param({"where": {"any": [{"field": "x"}]}}, ("where", "any", 0, "field"), None, id="place in a condition"),
    pytest.param(
        {"where": [{"field": "data.x", "gt": 1}, {"field": "data.y", "is": 1}]},
        ("where", 1, "is"),
        None,
        id="place in a list of conditions",
    ),
    pytest.param({"pattern": "("}, ("pattern",), None, id="converter"),
    pytest.param({"retry": {"attempts": 0}}, ("retry", "attempts"), None, id="validator"),
    pytest.param({"hidden": 1}, ("hidden",), 'unknown key "hidden"', id="private field"),
    pytest.param(
        {"number": {"evn": "X"}}, ("number",), "expected a whole number, found a table", id="misspelt reference"
    ),
    pytest.param({"number": {"env": "TEXT"}}, ("number",), None, id="reference that does not fit"),
    pytest.param({"texts": {"env": "NONE"}}, ("texts",), None, id="reference to nothing"),
    pytest.param({"text_or_texts": {"env": "NONE"}}, ("text_or_texts",), None, id="either, by reference to nothing"),
]


@pytest.mark.parametrize(("table", "keys", "message"), MISFITS)
def test_a_value_that_does_not_fit(table: object, keys: tuple[str | int, ...], message: str | None) -> None:
    """One finding, at its place; nothing is read as something else."""
    (found,) = findings(table)
    assert keys == found.keys
    assert message in {found.message, None}


def test_everything_wrong_is_found_at_once() -> None:
    """Types, validators, missing and unknown keys, at every depth, in the order of the fields."""
    found = findings(
        {"number": "", "texts": [1, "", 2], "inner": {"x": 1}, "retry": {"attempts": 0, "max": 1}, "zz": 1}
    )
    assert {
        ("number",),
        ("texts", 0),
        ("texts", 2),
        ("inner",),
        ("inner", "x"),
        ("retry", "attempts"),
        ("retry", "max"),
        ("zz",),
    } == {finding.keys for finding in found}


def test_everything_wrong_with_a_condition_is_found_at_once() -> None:
    """Each at its place, however deep. Catches: a file that is mended and checked once for each."""
    found = findings({"where": [{"field": "x", "exat": 1}, {"not": {"any": [{"field": "data.x", "in": 1}, 5]}}]})
    assert [
        ("where", 0, "field"),
        ("where", 0, "exat"),
        ("where", 1, "not", "any", 0, "in"),
        ("where", 1, "not", "any", 1),
    ] == [finding.keys for finding in found]


@attrs.frozen
class Checked:
    """Several fields with validators, and one that needs two."""

    low: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    high: int = attrs.field(default=9, validator=attrs.validators.ge(1))
    name: str = attrs.field(default="", validator=attrs.validators.matches_re("[a-z]*"))

    @high.validator
    def _in_order(self, _: object, high: int) -> None:
        if high < self.low:
            raise ValueError(f"high must be at least low, found {high}")

    def __attrs_post_init__(self) -> None:
        if self.name == "taken":
            raise RuntimeError("name is taken")
        if self.name == "other":
            raise ValueError("the name is another's")


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ({"low": 0, "high": 0}, [(("low",), "'low' must be >= 1: 0"), (("high",), "'high' must be >= 1: 0")]),
        ({"low": 5, "high": 3}, [(("high",), "high must be at least low, found 3")]),
        (
            {"low": "", "high": 0},
            [(("low",), 'expected a whole number, found the text ""'), (("high",), "'high' must be >= 1: 0")],
        ),
        ({"low": "", "high": 3}, [(("low",), 'expected a whole number, found the text ""')]),
        ({"name": "taken"}, [((), "RuntimeError: name is taken")]),
        ({"name": "other"}, [((), "the name is another's")]),
        ({"low": 0, "x": 1}, [(("x",), 'unknown key "x"'), (("low",), "'low' must be >= 1: 0")]),
    ],
)
def test_validators_all_speak(table: object, found: object) -> None:
    """The class itself stops at the first, and does not come to them while a type is wrong."""
    structure = Structure(Resolver({}))
    assert structure.attempt(table, Checked, ()) is None
    assert found == [(finding.keys, finding.message) for finding in structure.findings]


def test_what_a_reference_holds_is_not_told() -> None:
    """A secret put in the wrong place stays one."""
    for key in ("number", "boolean", "duration", "texts", "literal", "colour"):
        (found,) = findings({key: {"env": "SECRET"}})
        assert "hunter2" not in f"{found}"
        assert found.message.startswith('{ env = "SECRET" } holds something else: expected ')
