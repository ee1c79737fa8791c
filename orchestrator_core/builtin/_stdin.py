"""Lines of the standard input, kept until they are accepted: nobody can read them a second time."""

from __future__ import annotations

import os
from collections.abc import Sequence

import anyio
import anyio.lowlevel

from orchestrator_core.builtin._lines import LONGEST_LINE, Line

_CHUNK = 65536


class StandardInput:
    """The lines of a file descriptor that is read once.

    It is read only when it has something, so that a reader can be cancelled: a thread that waits for a terminal would
    keep the program from ending.

    Args:
        descriptor: where to read; the standard input.
    """

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        self._pending: list[Line] = []
        self._rest = bytearray()
        self._is_overlong = False
        self._has_ended = False
        self._number = 0

    async def read(self, limit: int) -> Sequence[Line]:
        """Wait for lines and return them; none at the end. The same ones come again until they are `done`."""
        while not self._pending and not self._has_ended:
            self._take(await self._receive())
        return self._pending[:limit]

    def done(self, lines: Sequence[Line]) -> None:
        """Forget lines that were read."""
        del self._pending[: len(lines)]

    async def _receive(self) -> bytes:
        try:
            await anyio.wait_readable(self._descriptor)
        except PermissionError:
            # Linux can't watch a regular file or /dev/null, which always have something to read, if only their end.
            await anyio.lowlevel.checkpoint()
        return os.read(self._descriptor, _CHUNK)

    def _take(self, chunk: bytes) -> None:
        *ended, rest = chunk.split(b"\n")
        for text in ended:
            self._rest += text
            self._end_line()
        self._rest += rest
        if len(self._rest) > LONGEST_LINE:
            self._is_overlong = True
            self._rest.clear()
        if not chunk:
            self._has_ended = True
            if self._rest or self._is_overlong:
                self._end_line()

    def _end_line(self) -> None:
        self._number += 1
        self._pending.append(Line(self._number, 0, None if self._is_overlong else bytes(self._rest).rstrip(b"\r")))
        self._is_overlong = False
        self._rest.clear()
