"""Configuration, for whatever Hypothesis comes up with."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

from hypothesis import assume, example, given
from hypothesis import strategies as st

from orchestrator_core._config import ConfigurationProblems, load, normalised
from orchestrator_core._config.document import parse
from orchestrator_core._config.redaction import has_password, redact
from orchestrator_core._config.scalars import LONGEST, format_duration, format_rate, parse_duration, parse_rate
from tests.configuring import VALID, find

Keys: TypeAlias = tuple[str | int, ...]


def loaded(content: bytes, environ: Mapping[str, str] | None = None) -> str:
    """Load a file, and return all that is shown of it, be it problems or the configuration."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pipeline.toml")
        path.write_bytes(content)
        try:
            configuration = load(path, environ=environ or {}, find_plugins=find)
        except ConfigurationProblems as error:
            return f"{error} {error.problems!r}"
        return f"{configuration!r} {json.dumps(normalised(configuration))}"


@given(st.binary(max_size=200))
@example(b"\xef\xbb\xbf")
@example(b'"\\ud800" = 1')
def test_any_bytes_are_a_configuration_or_problems(content: bytes) -> None:
    """Nothing else is ever raised."""
    loaded(content)


@given(
    at=st.integers(0, len(VALID)),
    cut=st.integers(0, 40),
    put=st.one_of(
        st.text("[]{}\"'=.,#\n\\ -_aX05\u00e9\u202e\0\x1b", max_size=12),
        st.sampled_from(
            ["[inputs.a]", "1e999", "nan", "0x_", '"""', "'''", "2026-05-04", "{ env = 'X' }", "true", "[[x]]"]
        ),
    ),
)
def test_a_file_with_an_accident_is_a_configuration_or_problems(at: int, cut: int, put: str) -> None:
    """A slip of the hand anywhere; each problem is one line that a terminal can show."""
    shown = loaded((VALID[:at] + put + VALID[at + cut :]).encode())
    assert shown.replace("\n", "").isprintable()


NAMES = st.one_of(st.text("abz_-09", min_size=1, max_size=4), st.text("a .\"'\u00e9\\\t", max_size=3))
SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text(st.characters(codec="utf-8"), max_size=5)
)
TABLES = st.dictionaries(
    NAMES,
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


class Writer:
    """Writes values as TOML in one of the ways there are, and remembers where it put them."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.text = ""
        self.places: dict[Keys, tuple[int, int]] = {}
        self._draw = draw

    def table(self, table: Mapping[str, Any], keys: Keys = ()) -> None:
        """Write the entries of a table: values first, then tables and lists of tables under headers of their own."""
        headers = {key: value for key, value in table.items() if _is_table(value) and self._draw(st.booleans())}
        for key, value in table.items():
            if key not in headers:
                self._entry(key, value, (*keys, key))
        for key, value in headers.items():
            if isinstance(value, dict):
                self._header("[{}]", (*keys, key))
                self.table(value, (*keys, key))
            else:
                for index, each in enumerate(value):
                    self._header("[[{}]]", (*keys, key))
                    self.table(each, (*keys, key, index))

    def _header(self, form: str, keys: Keys) -> None:
        self.text += self._draw(st.sampled_from(["", "\n", "# caf\u00e9 [x]\n"]))
        self.text += form.format(".".join(self._key(key) for key in keys if isinstance(key, str))) + "\r\n"

    def _entry(self, key: str, value: Any, keys: Keys) -> None:
        dotted = isinstance(value, dict) and len(value) == 1 and self._draw(st.booleans())
        self.text += f"{self._key(key)}"
        if dotted:
            ((inner, leaf),) = value.items()
            self.text += " . "
            return self._entry(inner, leaf, (*keys, inner))
        self.text += " = "
        self._value(value, keys)
        self.text += " # \u00e9\n"
        return None

    def _value(self, value: Any, keys: Keys) -> None:
        line = self.text.rpartition("\n")[2]
        self.places[keys] = (self.text.count("\n") + 1, len(line) + 1)
        if isinstance(value, dict):
            self._sequence("{", "}", [(self._key(key), each, (*keys, key)) for key, each in value.items()])
        elif isinstance(value, list):
            self._sequence("[", "]", [("", each, (*keys, index)) for index, each in enumerate(value)])
        else:
            self.text += json.dumps(value, ensure_ascii=self._draw(st.booleans())).replace("\x7f", "\\u007f")

    def _sequence(self, first: str, last: str, entries: list[tuple[str, Any, Keys]]) -> None:
        self.text += first
        for index, (key, value, keys) in enumerate(entries):
            self.text += ", " if index else " "
            self.text += f"{key} = " if key else ""
            self._value(value, keys)
        self.text += f" {last}"

    def _key(self, key: str) -> str:
        bare = key != "" and all(
            character.isascii() and (character.isalnum() or character in "_-") for character in key
        )
        return key if bare and self._draw(st.booleans()) else json.dumps(key)


def _is_table(value: object) -> bool:
    tables = isinstance(value, list) and value and all(isinstance(each, dict) for each in value)
    return isinstance(value, dict) or bool(tables)


@st.composite
def documents(draw: st.DrawFn) -> tuple[dict[str, Any], str, dict[Keys, tuple[int, int]]]:
    """Draw values, a text that spells them, and the place of each value that is written behind an equals sign."""
    values = draw(TABLES)
    writer = Writer(draw)
    writer.table(values)
    # JSON writes what lies beyond the first plane as a pair of surrogates, which TOML refuses.
    assume("\\ud" not in writer.text)
    return values, writer.text, writer.places


@given(documents())
def test_each_value_is_where_it_was_written(document: tuple[dict[str, Any], str, dict[Keys, tuple[int, int]]]) -> None:
    """In every way of writing tables, keys and lists; bug to catch: a comment taken for the value before it."""
    values, text, places = document
    parsed = parse(text.encode())
    assert values == parsed.values
    assert places == {keys: parsed.places.value(keys) for keys in places}
    assert set(_paths(values)) <= parsed.places.keys.keys()


def _paths(value: Any, keys: Keys = ()) -> Iterator[Keys]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*keys, key)
        yield from _paths(each, (*keys, key))


@given(st.timedeltas(min_value=timedelta(microseconds=1), max_value=LONGEST))
def test_a_duration_reads_as_it_was_written(duration: timedelta) -> None:
    """To the microsecond."""
    assert duration == parse_duration(format_duration(duration))


@given(st.integers(1, 1_000), st.sampled_from("smhd"))
def test_a_rate_reads_as_it_was_written(number: int, unit: str) -> None:
    """In whichever unit."""
    rate = parse_rate(f"{number}/{unit}")
    assert abs(parse_rate(format_rate(rate)) / rate - 1) < 1e-9


PASSWORDS = st.text(
    st.characters(codec="ascii", categories=["L", "N", "P", "S"], exclude_characters="\"'<>"), min_size=1
)


@given(PASSWORDS.map(lambda text: f"hunter2{text}"))
def test_no_password_in_a_url_survives(password: str) -> None:
    """Whatever should have been escaped in it."""
    url = f"postgresql://app:{password}@db/shop"
    assert "hunter2" not in redact(url)
    assert redact(url) == redact(redact(url))


@given(st.text())
def test_redaction_is_stable(text: str) -> None:
    """What is redacted has no password left."""
    assert not has_password(redact(text))


@given(
    secret=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20).map(
        lambda text: f"hunter2{text}"
    ),
    key=st.sampled_from(["image", "token", "memory", "command", "env", "nothing"]),
    nested=st.booleans(),
)
def test_no_secret_from_elsewhere_is_ever_shown(secret: str, key: str, nested: bool) -> None:
    """Wherever it is put, whether it fits or not; bug to catch: a message that says what was found."""
    value = '{ A = { env = "SECRET" } }' if key == "env" else '{ env = "SECRET" }'
    context = f"{{ image = 'x', {key} = {f'[{value}]' if nested else value} }}".replace("image = 'x', image", "image")
    text = VALID.replace('{ image = "acme/job" }', context)
    assert "hunter2" not in loaded(text.encode(), {"SECRET": secret})
