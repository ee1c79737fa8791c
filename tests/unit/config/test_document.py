"""Documents: values by tomllib, places by tree-sitter."""

from __future__ import annotations

import pytest

from orchestrator_core._config.document import UnreadableError, parse, parse_value

TOML = b"""\
version = 1
[a."b c"]   # a comment
x = { env = "Y", "q z" = [1, { k = 2 }, # another
  5] }
y.z."k" = "s"
[[t]]
a = 1
[[t]]
a = 2
[t.u]
"\xc3\xa9\xc3\xa9" = "\xc3\xa9"
\xc3\xa9 = 5
"""


PLACES = [
    pytest.param(("version",), (1, 1), (1, 11), id="top"),
    pytest.param(("a", "b c"), (2, 4), (2, 4), id="quoted header"),
    pytest.param(("a", "b c", "x", "env"), (3, 7), (3, 13), id="inline table"),
    pytest.param(("a", "b c", "x", "q z", 1, "k"), (3, 32), (3, 36), id="table in a list"),
    pytest.param(("a", "b c", "x", "q z", 2), (4, 3), (4, 3), id="element behind a comment"),
    pytest.param(("a", "b c", "y", "z", "k"), (5, 5), (5, 11), id="dotted key"),
    pytest.param(("t", 0, "a"), (7, 1), (7, 5), id="first of an array of tables"),
    pytest.param(("t", 1, "a"), (9, 1), (9, 5), id="second of an array of tables"),
    pytest.param(("t", 1, "u", "\u00e9\u00e9"), (11, 1), (11, 8), id="table inside the second"),
    pytest.param(("t", 1, "u", "nothing", "at all"), (10, 4), (10, 4), id="not in the file"),
    pytest.param((), (1, 1), (1, 1), id="the file"),
]


@pytest.mark.parametrize(("keys", "key", "value"), PLACES)
def test_every_key_and_value_has_a_place(
    keys: tuple[str | int, ...], key: tuple[int, int], value: tuple[int, int]
) -> None:
    """Line and column count from 1, columns in characters; what is not there is where its table is."""
    places = parse(TOML.replace("é = 5\n".encode(), b"")).places
    assert (key, value) == (places.key(keys), places.value(keys))


@pytest.mark.parametrize(
    ("text", "message", "at"),
    [
        ("a = 1\nb =\n", "not TOML: Invalid value", (2, 4)),
        ("a = 1\na = 2", "not TOML: Cannot overwrite a value", (2, 6)),
        ('a = "x', "not TOML: Unterminated string", (1, 7)),
        ("a = 1\r\nb = \u0007", "not TOML: Invalid value", (2, 5)),
    ],
)
def test_a_syntax_error_has_a_place(text: str, message: str, at: tuple[int, int]) -> None:
    """It is tomllib's, apart from its message."""
    with pytest.raises(UnreadableError) as caught:
        parse(text.encode())
    assert (message, at) == (caught.value.message, caught.value.at)


def test_values_are_those_of_tomllib() -> None:
    """Dates, exact integers and multi-line strings included."""
    assert {"a": {"b": [2**62, "x\ny"]}} == parse(b'[a]\nb = [4611686018427387904, """\nx\ny"""]').values


@pytest.mark.parametrize(("text", "value"), [("5", 5), ('["a", 1]', ["a", 1]), ("{ a = 1 }", {"a": 1}), ('"x"', "x")])
def test_a_value_by_itself(text: str, value: object) -> None:
    """As behind an equals sign."""
    assert value == parse_value(text)


@pytest.mark.parametrize("text", ["", "x", "1\nother = 2", "1 2", "\ud800"])
def test_a_value_by_itself_that_is_none(text: str) -> None:
    """Nor are several values one."""
    with pytest.raises(UnreadableError):
        parse_value(text)
