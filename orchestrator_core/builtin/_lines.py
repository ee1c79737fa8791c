"""Lines of a file from a position on, also while it grows, is rotated, cut short or written anew."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import attrs

LONGEST_LINE = 16 * 1024 * 1024
_SAMPLE = 4096


@attrs.frozen
class Line:
    """One line.

    Attributes:
        number: its number, from 1.
        offset: where it begins, in bytes.
        text: its bytes without the line break; ``None`` if it is longer than `LONGEST_LINE`.
    """

    number: int
    offset: int
    text: bytes | None


@attrs.frozen
class Position:
    """How far a file was read; the input's checkpoint.

    Attributes:
        offset: bytes read.
        line: lines read.
        inode: the file's inode; the successor of a rotated file has another.
        sample: a hash of what stands at the beginning and right before `offset`; what was written anew has another.
        generation: how many files were read under the same path before.
    """

    offset: int = 0
    line: int = 0
    inode: int = 0
    sample: str = ""
    generation: int = 0


class LineFile:
    """A file that is read line by line. All methods block.

    It stays the same file while what was read of it still stands there. If it may grow, its inode must be the same as
    well, since a log's successor may begin with the same lines; a file at rest may be copied, or saved by an editor.

    Args:
        path: the file.
        position: where to go on.
        grows: wait for the line break of the last line, and go over to the successor when the file was rotated.
    """

    def __init__(self, path: Path, position: Position, *, grows: bool) -> None:
        self.position = position
        self._path = path
        self._grows = grows
        self._file: BinaryIO | None = None

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def read(self, limit: int) -> tuple[Sequence[Line], str | None]:
        """Return the next lines, none at the end; and, if reading has begun anew, why.

        Raises:
            OSError: the file can't be opened or read.
        """
        file = self._file = self._file or self._open()
        why = self._why_anew(file)
        if why is not None:
            self.position = Position(generation=self.position.generation + 1)
        lines = self._lines(file, limit, to_the_end=not self._grows)
        if lines or not self._grows or not self._is_rotated(file):
            return lines, why
        # What was written between the last look and the rotation, and a last line without a line break.
        if lines := self._lines(file, limit, to_the_end=True):
            return lines, why
        self.close()
        self.position = Position(generation=self.position.generation + 1)
        return self.read(limit)[0], "was rotated"

    def _open(self) -> BinaryIO:
        file = _open(self._path)
        if self._grows and self._why_anew(file) and (predecessor := self._find_predecessor()):
            file.close()
            return predecessor
        return file

    def _find_predecessor(self) -> BinaryIO | None:
        """Find the rest of a file that was rotated while nobody looked: under another name in the same folder."""
        with os.scandir(self._path.parent) as entries:
            for entry in entries:
                if entry.inode() == self.position.inode and entry.is_file(follow_symlinks=False):
                    file = _open(Path(entry.path))
                    if not self._why_anew(file):
                        return file
                    file.close()
        return None

    def _is_rotated(self, file: BinaryIO) -> bool:
        try:
            return self._path.stat().st_ino != os.fstat(file.fileno()).st_ino
        except FileNotFoundError:
            return False

    def _why_anew(self, file: BinaryIO) -> str | None:
        position, now = self.position, os.fstat(file.fileno())
        if not position.offset:
            return None
        if self._grows and now.st_ino != position.inode:
            return "is another file now"
        if now.st_size < position.offset:
            return "was cut short"
        return None if _sample(file, position.offset) == position.sample else "was written anew"

    def _lines(self, file: BinaryIO, limit: int, *, to_the_end: bool) -> Sequence[Line]:
        lines: list[Line] = []
        number, offset = self.position.line, self.position.offset
        file.seek(offset)
        while len(lines) < limit:
            text, length, is_ended = _line(file)
            if not length or not (is_ended or to_the_end):
                break
            number += 1
            lines.append(Line(number, offset, text))
            offset += length
        if lines:
            inode = os.fstat(file.fileno()).st_ino
            self.position = Position(offset, number, inode, _sample(file, offset), self.position.generation)
        return lines


def _open(path: Path) -> BinaryIO:
    # Asked before, since opening a pipe would wait for somebody to write into it.
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(f'{path} is no regular file: pipe it into the engine and use path = "-"')
    return path.open("rb")


def _line(file: BinaryIO) -> tuple[bytes | None, int, bool]:
    """Return the next line, its length, and whether it has its line break."""
    text = piece = file.readline(LONGEST_LINE)
    length = len(piece)
    while len(piece) == LONGEST_LINE and not piece.endswith(b"\n"):
        piece = file.readline(LONGEST_LINE)
        length += len(piece)
    return text.rstrip(b"\r\n") if length == len(text) else None, length, piece.endswith(b"\n")


def _sample(file: BinaryIO, offset: int) -> str:
    head = os.pread(file.fileno(), min(_SAMPLE, offset), 0)
    tail = os.pread(file.fileno(), min(_SAMPLE, offset), max(0, offset - _SAMPLE))
    return hashlib.sha256(head + tail).hexdigest()[:32]
