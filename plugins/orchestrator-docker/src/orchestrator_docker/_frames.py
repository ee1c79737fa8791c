"""The engine's log, taken apart: frames, their moments, and the lines that they come to. No I/O here.

An answer carries standard output and standard error in frames: eight bytes of head (stream, three zeros, length) and
as many bytes as it says; with ``timestamps=1`` each begins with its moment. What a container writes may be hostile:
it never decides how much is kept in memory, and what would steer a terminal is written out.
"""

from __future__ import annotations

import struct
import sys
import unicodedata
from collections.abc import Iterator

import attrs

from orchestrator_docker._errors import EngineError

STDOUT, STDERR = 1, 2

# On this stream the engine says why it can't read a log any further.
_TROUBLE = 3

LONGEST_LINE = 16 * 1024
LONGEST_OUTPUT = 1024 * 1024

# The engine cuts what a container writes into pieces of 16 KiB.
_LONGEST_FRAME = 1024 * 1024
_HEAD = struct.Struct(">B3xL")
_MOMENT = 40


class Frames:
    """Splits the bytes of an answer into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the frames that are complete with these bytes: their stream and content.

        Raises:
            EngineError: this is no log, or the engine can't read it any further.
        """
        self._buffer += data
        begin = 0
        while len(self._buffer) - begin >= _HEAD.size:
            stream, length = _HEAD.unpack_from(self._buffer, begin)
            if stream not in {0, STDOUT, STDERR, _TROUBLE} or length > _LONGEST_FRAME:
                raise EngineError(
                    "reading the container's log", None, f"a frame of stream {stream} and {length:,} bytes"
                )
            end = begin + _HEAD.size + length
            if len(self._buffer) < end:
                break
            content = bytes(self._buffer[begin + _HEAD.size : end])
            if stream == _TROUBLE:
                raise EngineError("reading the container's log", None, shown(content.strip()))
            yield stream, content
            begin = end
        del self._buffer[:begin]


@attrs.define
class Position:
    """How far a log was read, so that it can be read on after the connection was lost.

    Attributes:
        moment: of the newest frame, as the engine writes it; such texts sort by time.
        count: how many frames of that moment were read.
    """

    moment: str = ""
    count: int = 0
    _again: int = 0

    def resume(self) -> None:
        """Expect what was read of the newest moment once more."""
        self._again = self.count

    def skip(self) -> None:
        """Expect the end of the log, which may hold more or less of the newest moment than was read."""
        self._again = sys.maxsize

    def take(self, content: bytes) -> bytes | None:
        """Return a frame's content without its moment, ``None`` if it was read before."""
        stamp, space, rest = content[:_MOMENT].partition(b" ")
        if not space:
            return content
        moment = stamp.decode("ascii", "replace")
        if moment < self.moment:
            return None
        if moment == self.moment:
            if self._again:
                self._again -= 1
                return None
            self.count += 1
        else:
            self.moment, self.count, self._again = moment, 1, 0
        return rest + content[_MOMENT:]


class Lines:
    """Puts the pieces of one stream together into lines fit to be shown, and remembers the last one as it was."""

    def __init__(self) -> None:
        self._piece = bytearray()
        self._whole = bytearray()
        self._last = b""
        self.is_last_too_long = False

    def feed(self, data: bytes) -> Iterator[str]:
        """Yield the lines that are complete with this piece; what is longer than `LONGEST_LINE` is cut."""
        *ended, rest = data.split(b"\n")
        for each in ended:
            self._add(each)
            yield shown(bytes(self._piece))
            self._end()
        self._add(rest)
        while len(self._piece) > LONGEST_LINE:
            yield shown(bytes(self._piece[:LONGEST_LINE]))
            del self._piece[:LONGEST_LINE]

    def finish(self) -> Iterator[str]:
        """Yield what is left without an end of line."""
        if self._piece:
            yield shown(bytes(self._piece))
        self._end()

    @property
    def last(self) -> bytes:
        """The last line that was not empty, as it was written, up to `LONGEST_OUTPUT`."""
        return self._last

    def _add(self, piece: bytes) -> None:
        self._piece += piece
        room = LONGEST_OUTPUT + 1 - len(self._whole)
        if room > 0:
            self._whole += piece[:room]

    def _end(self) -> None:
        if self._whole.strip():
            self._last = bytes(self._whole[:LONGEST_OUTPUT])
            self.is_last_too_long = len(self._whole) > LONGEST_OUTPUT
        self._piece.clear()
        self._whole.clear()


def shown(line: bytes) -> str:
    r"""Return a line as a reader may see it: of a progress bar its last state, and nothing that steers a terminal.

    >>> shown(b"10 %\r100 %\r")
    '100 %'
    >>> shown(b"\x1b]52;c;ZXZpbA==\x07")
    '\\x1b]52;c;ZXZpbA==\\x07'
    """
    text = line.decode(errors="replace").rstrip("\r")
    if "\r" in text:
        text = next((each for each in reversed(text.split("\r")) if each), "")
    if text.isprintable():
        return text
    return "".join(map(_printable, text))


def _printable(character: str) -> str:
    if character == "\0":
        return "\N{REPLACEMENT CHARACTER}"
    if character.isprintable() or character == "\t" or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode("ascii")
