"""`Secret`: it shows itself to nobody but the one who asks for it."""

from __future__ import annotations

import pickle
import traceback

import attrs
import pytest

from orchestrator_core import Secret

_TEXT = "hunter2"


@attrs.frozen
class _Connection:
    host: str
    password: Secret


@pytest.mark.parametrize(
    "shown",
    [
        str(Secret(_TEXT)),
        repr(Secret(_TEXT)),
        f"{Secret(_TEXT)}",
        f"{Secret(_TEXT)!r:>40}",
        "%s and %r" % (Secret(_TEXT), Secret(_TEXT)),  # noqa: UP031 (logging formats like this)
        repr([Secret(_TEXT)]),
        repr(_Connection("db", Secret(_TEXT))),
    ],
)
def test_it_is_never_shown(shown: str) -> None:
    """No way of formatting it tells what it is. Catches: a repr made by attrs."""
    assert ("hunter2" in shown, "********" in shown) == (False, True)


def test_it_does_not_show_in_a_traceback() -> None:
    """An error that mentions it mentions stars."""
    assert "ValueError: ********\n" == traceback.format_exception_only(ValueError(Secret(_TEXT)))[0]


def test_reveal() -> None:
    """Who needs the text asks for it by name."""
    assert _TEXT == Secret(_TEXT).reveal()


def test_secrets_compare_by_their_text() -> None:
    """Two configurations with the same secret are equal."""
    assert [True, False] == [Secret(_TEXT) == Secret(_TEXT), Secret(_TEXT) == Secret("other")]


def test_a_secret_is_not_its_text() -> None:
    """It can't be passed off where a text is due."""
    text: object = _TEXT
    assert Secret(_TEXT) != text


def test_an_empty_secret_is_false() -> None:
    """`if secret:` means what it says."""
    assert [True, False] == [bool(Secret(_TEXT)), bool(Secret(""))]


def test_it_survives_a_copy() -> None:
    """Pickling is for worker processes, which need the text."""
    assert _TEXT == pickle.loads(pickle.dumps(Secret(_TEXT))).reveal()
