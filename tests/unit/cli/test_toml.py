"""Tables printed as TOML."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from orchestrator_core.cli.render.toml import toml_lines

_KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=12,
)


def test_tables_have_headings() -> None:
    """Nodes stand under headings of their own, their options on one line."""
    tables = {
        "version": 1,
        "pipeline": {"name": "rain"},
        "inputs": {"raw": {"type": "timer", "options": {"every": "2s"}}},
        "processes": {},
    }
    assert list(toml_lines(tables)) == [
        "version = 1",
        "",
        "[pipeline]",
        'name = "rain"',
        "",
        "[inputs.raw]",
        'type = "timer"',
        'options = { every = "2s" }',
        "",
        "[processes]",
    ]


@given(st.dictionaries(_KEYS, _VALUES, max_size=4))
def test_what_is_printed_reads_back(tables: dict[str, object]) -> None:
    """Whatever the tables hold, TOML reads the same from what was printed."""
    assert tomllib.loads("\n".join(toml_lines(tables))) == tables


@given(st.dictionaries(_KEYS, _VALUES, max_size=4))
def test_e57_every_line_is_printable(tables: dict[str, object]) -> None:
    """E57: no value can break a line or drive the terminal."""
    assert all(line.isprintable() for line in toml_lines(tables))
