"""References to the environment and to files; most of it is in the catalogue of bad inputs, C17 to C21."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator_core._config.references import Mistake, Reference, Resolver, mark


@pytest.mark.parametrize(
    "table", [{"env": "X"}, {"env": "X", "default": 5}, {"env": "X", "default": {"a": []}}, {"file": "/x"}]
)
def test_the_forms_of_a_reference(table: dict[str, object]) -> None:
    """The variable with or without a default, or a file."""
    assert {"a": [Reference(("a", 0), table)]} == mark({"a": [table]})


@pytest.mark.parametrize(
    "table", [{}, {"env": 5}, {"env": {"A": "b"}}, {"env": "X", "x": 1}, {"file": "x", "default": 1}, {"default": 1}]
)
def test_what_is_no_reference(table: dict[str, object]) -> None:
    """A table like any other."""
    assert table == mark(table)


def test_what_was_read_is_remembered(tmp_path: Path) -> None:
    """So that it can be kept out of messages; what is too short to be a secret would only make riddles of them."""
    (tmp_path / "secret").write_text("hunter2\n")
    resolver = Resolver({"LONG": "long enough", "ONE": "1"}, tmp_path)
    for table in ({"env": "LONG"}, {"env": "ONE"}, {"file": "secret"}, {"env": "X", "default": "in the file"}):
        resolver.read(Reference((), table))
    assert {"long enough", "hunter2"} == resolver.hidden


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    """The system's reason is told."""
    with pytest.raises(Mistake, match="can't be read: Not a directory"):
        Resolver({}, tmp_path).read(Reference((), {"file": "/dev/null/x"}))


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_a_file_s_name_that_is_none(tmp_path: Path, name: str) -> None:
    """Empty, or with a NUL, which would end it."""
    with pytest.raises(Mistake, match=r"is no file's name"):
        Resolver({}, tmp_path).read(Reference((), {"file": name}))


def test_a_file_that_is_not_utf_8(tmp_path: Path) -> None:
    """Text is expected."""
    (tmp_path / "secret").write_bytes(b"\xff\xfe")
    with pytest.raises(Mistake, match="is not UTF-8 text"):
        Resolver({}, tmp_path).read(Reference((), {"file": "secret"}))


def test_no_file_stays_open(tmp_path: Path) -> None:
    """Refused or read."""
    (tmp_path / "good").write_text("x")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("good", ".", "/dev/null", "missing"):
        try:
            Resolver({}, tmp_path).read(Reference((), {"file": name}))
        except Mistake:
            continue
    assert before == len(list(Path("/proc/self/fd").iterdir()))


def test_only_a_secret_s_file_is_warned_of(tmp_path: Path) -> None:
    """Everybody may read a statement."""
    (tmp_path / "query.sql").write_text("select 1")
    (tmp_path / "query.sql").chmod(0o644)
    resolver = Resolver({}, tmp_path)
    assert "select 1" == resolver.read(Reference(("statement",), {"file": "query.sql"}))
    assert {} == resolver.warnings
    resolver.read(Reference(("secret",), {"file": "query.sql"}), secret=True)
    assert [("secret",)] == list(resolver.warnings)
