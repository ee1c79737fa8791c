"""Lines of events from a stream."""

from __future__ import annotations

import io
import os

import pytest

from orchestrator_core import EventError
from orchestrator_core.cli._emitting import compose, read_batches


def test_lines_are_numbered() -> None:
    """Each line knows its place, empty ones are passed over, and the last one needs no end."""
    batches = list(read_batches(io.BytesIO(b"a\n\n  \r\nb\r\nc"), 100))
    assert [line for batch in batches for line in batch] == [
        ("line 1: ", b"a"),
        ("line 4: ", b"b\r"),
        ("line 5: ", b"c"),
    ]


@pytest.mark.parametrize("text", [b"a\nb", b"a"], ids=["two lines", "one line without its end"])
def test_a_byte_order_mark_is_no_part_of_the_first_line(text: bytes) -> None:
    """What an editor on Windows puts in front of a file is passed over, as the input jsonl does."""
    lines = [line for batch in read_batches(io.BytesIO(b"\xef\xbb\xbf" + text), 100) for _, line in batch]
    assert lines == text.split(b"\n")


def test_a_line_is_not_kept_waiting() -> None:
    """What a slow source has written so far comes at once."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb", buffering=0) as source:
        batches = read_batches(stream, 100)
        source.write(b"a\nb\nc")
        assert next(batches) == [("line 1: ", b"a"), ("line 2: ", b"b")]


def test_batches_are_bounded() -> None:
    """Much at once comes in batches of a hundred."""
    batches = list(read_batches(io.BytesIO(b"x\n" * 250), 100))
    assert [len(batch) for batch in batches] == [100, 100, 50]


def test_an_endless_line_is_refused() -> None:
    """A line longer than any event is an error that names it, before all of it is in memory."""
    batches = read_batches(io.BytesIO(b"a\n" + b"x" * 10_000_000), 1_000_000)
    assert next(batches) == [("line 1: ", b"a")]
    with pytest.raises(EventError, match=r"^line 2: longer than 1,000,000 bytes"):
        next(batches)


def test_an_event_of_options() -> None:
    """Options become an event's JSON, with data parsed exactly."""
    assert (
        compose("t", "create", "7", '{"n": 1.10}') == '{"location":"t","operation":"create","id":"7","data":{"n":1.1}}'
    )


def test_data_that_is_no_json() -> None:
    """Data that is not JSON is an error that names the option."""
    with pytest.raises(EventError, match="--data is not JSON"):
        compose("t", "create", "7", "{oops")
