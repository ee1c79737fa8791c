"""`Operation`: five members, their names, and the two names that other people use for them."""

from __future__ import annotations

import pytest

from orchestrator_core import Event, EventError, Operation


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unknown", Operation.UNKNOWN),
        ("create", Operation.CREATE),
        ("read", Operation.READ),
        ("update", Operation.UPDATE),
        ("delete", Operation.DELETE),
        ("insert", Operation.CREATE),
        ("remove", Operation.DELETE),
        ("INSERT", Operation.CREATE),
        ("Delete", Operation.DELETE),
        (" update\n", Operation.UPDATE),
    ],
)
def test_text_is_parsed(text: str, expected: Operation) -> None:
    """Names and aliases parse in any case."""
    assert expected is Operation(text)


@pytest.mark.parametrize("operation", Operation, ids=str)
def test_every_name_parses_back(operation: Operation) -> None:
    """What an operation is called is an operation, `unknown` included."""
    assert operation is Operation(str(operation))


@pytest.mark.parametrize("found", ["", "upsert", "creates", None, 1, b"create"], ids=repr)
def test_anything_else_is_refused(found: object) -> None:
    """There is no sixth operation."""
    with pytest.raises(ValueError, match="is not a valid Operation"):
        Operation(found)


def test_an_unknown_name_in_an_event_lists_the_known_ones() -> None:
    """The error says what would be right."""
    with pytest.raises(EventError) as caught:
        Event(location="t", operation="upsert", id="1")
    assert 'Unknown operation "upsert": use one of unknown, create, read, update, delete' == str(caught.value)
