"""The engine's log, taken apart: nothing a container writes decides how much memory it costs or steers a terminal."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_docker import EngineError
from orchestrator_docker._frames import (
    LONGEST_LINE,
    LONGEST_OUTPUT,
    STDERR,
    STDOUT,
    Frames,
    Lines,
    Position,
    shown,
)


def frame(stream: int, content: bytes) -> bytes:
    """Return one frame as the engine sends it."""
    return struct.pack(">B3xL", stream, len(content)) + content


def lines_of(*pieces: bytes) -> Sequence[str]:
    """Return the lines that these pieces come to."""
    lines = Lines()
    return [line for piece in pieces for line in lines.feed(piece)] + list(lines.finish())


@given(
    frames=st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(max_size=100)), max_size=20),
    cuts=st.lists(st.integers(0, 2_000), max_size=10),
)
def test_frames_however_they_arrive(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    """Cut anywhere, the same frames come out. Catches: a head split over two reads."""
    data = b"".join(frame(*each) for each in frames)
    ends = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    reader = Frames()
    found = [each for begin, end in pairwise(ends) for each in reader.feed(data[begin:end])]
    assert frames == found


@pytest.mark.parametrize(
    "head",
    [struct.pack(">B3xL", 1, 0xFFFFFFFF), struct.pack(">B3xL", 9, 4), b"HTTP/1.1 500"],
    ids=["long", "9", "text"],
)
def test_d84_garbled_frame(head: bytes) -> None:
    """D84: a frame of 4 GiB or of an unknown stream is an error, and nothing is allocated for it."""
    with pytest.raises(EngineError, match="of no use"):
        list(Frames().feed(head))


@given(st.lists(st.text(st.characters(categories=["L", "N"]), max_size=20), max_size=20), st.integers(1, 7))
def test_lines_however_they_arrive(lines: list[str], size: int) -> None:
    """Cut anywhere, the same lines come out."""
    data = "".join(f"{line}\n" for line in lines).encode()
    assert lines == lines_of(*(data[at : at + size] for at in range(0, len(data), size)))


def test_d83_endless_line_is_cut() -> None:
    """D83: a line without an end costs no memory beyond one piece."""
    lines = Lines()
    count = sum(len(line) for _ in range(200) for line in lines.feed(b"x" * 16_384))
    assert 200 * 16_384 - LONGEST_LINE <= count
    assert len(lines._piece) <= LONGEST_LINE
    assert len(lines._whole) <= LONGEST_OUTPUT + 1


@pytest.mark.parametrize(
    ("written", "line"),
    [
        pytest.param(b"a\0b", "a\N{REPLACEMENT CHARACTER}b", id="NUL"),
        pytest.param(b"\xff\xfe", "\N{REPLACEMENT CHARACTER}" * 2, id="invalid UTF-8"),
        pytest.param(b"1 %\r50 %\r100 %", "100 %", id="progress bar"),
        pytest.param(b"done\r", "done", id="CRLF"),
        pytest.param(b"\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m", id="ANSI"),
        pytest.param(b"\x1b]52;c;cm0=\x07", "\\x1b]52;c;cm0=\\x07", id="OSC 52 clipboard"),
        pytest.param(b"\x1b]0;owned\x07", "\\x1b]0;owned\\x07", id="title"),
        pytest.param("\u202egnp.exe".encode(), "\\u202egnp.exe", id="bidi"),
        pytest.param(b"a\tb", "a\tb", id="tab"),
        pytest.param("1\u00a0000".encode(), "1\u00a0000", id="no-break space"),
    ],
)
def test_d83_hostile_bytes_are_shown(written: bytes, line: str) -> None:
    """D83: what would steer a terminal is written out."""
    assert line == shown(written)


def test_last_line_is_as_it_was_written() -> None:
    """The output is parsed from the bytes, not from what is shown."""
    lines = Lines()
    list(lines.feed(b'x\n"a\\u001b\tb"\n\n'))
    assert b'"a\\u001b\tb"' == lines.last


def test_last_line_without_an_end() -> None:
    """A last line need not end."""
    lines = Lines()
    list(lines.feed(b"1\n2"))
    list(lines.finish())
    assert b"2" == lines.last


@pytest.mark.parametrize(("size", "is_too_long"), [(LONGEST_OUTPUT, False), (LONGEST_OUTPUT + 1, True)])
def test_d85_last_line_over_the_cap(size: int, is_too_long: bool) -> None:
    """D85: one byte over the cap is too long."""
    lines = Lines()
    list(lines.feed(b"x" * size + b"\n"))
    assert is_too_long is lines.is_last_too_long


def test_log_is_read_on_after_a_cut() -> None:
    """What the engine sends again after a lost connection is skipped, also among lines of the same moment."""
    first, second = b"2026-01-01T00:00:00.000000001Z", b"2026-01-01T00:00:00.000000002Z"
    position = Position()
    assert [b"a", b"b", b"c"] == [position.take(each) for each in (first + b" a", second + b" b", second + b" c")]
    position.resume()
    again = [first + b" a", second + b" b", second + b" c", second + b" d"]
    assert [None, None, None, b"d"] == [position.take(each) for each in again]
