"""Writes lines from a thread of its own, so that a paused terminal or a slow pipe never holds the pipeline."""

from __future__ import annotations

import os
import sys
from threading import Lock
from typing import TYPE_CHECKING, TextIO

import anyio

from orchestrator_core._clock import Clock, SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

_BACKLOG = 10_000
_PERIOD = 0.1
_ERASE = "\r\x1b[2K"


class Writer:
    """Lines on their way to stdout (data) and stderr (messages), in order.

    Lines may come from any thread. They are written every tenth of a second while `run` runs, and by `flush`.

    Attributes:
        progress: a line that is kept below all others and rewritten in place; only set it on a terminal.
    """

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None, clock: Clock | None = None) -> None:
        self.progress = ""
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._clock = clock or SystemClock()
        self._pending: list[tuple[TextIO, str]] = []
        self._shown = ""
        self._lock = Lock()

    @property
    def behind(self) -> bool:
        """Whether so much waits to be written that no more should be added."""
        return len(self._pending) >= _BACKLOG

    def line(self, text: str) -> None:
        """Add a line of data."""
        self._pending.append((self._out, text))

    def message(self, text: str) -> None:
        """Add a line that is for people alone."""
        self._pending.append((self._err, text))

    async def run(self, tick: Callable[[], None] = lambda: None) -> None:
        """Write until cancelled; `tick` is called before each look at what there is to write."""
        while True:
            await self._clock.sleep(_PERIOD)
            tick()
            if self._pending or self.progress != self._shown:
                await anyio.to_thread.run_sync(self.flush, abandon_on_cancel=True)

    def flush(self) -> None:
        """Write what there is to write."""
        with self._lock:
            pending, self._pending = self._pending, []
            progress = self.progress
            if self._shown and (pending or progress != self._shown):
                self._write(self._out, _ERASE)
            start = 0
            for end in range(1, len(pending) + 1):
                stream = pending[start][0]
                if end == len(pending) or pending[end][0] is not stream:
                    self._write(stream, "".join(f"{text}\n" for _, text in pending[start:end]))
                    start = end
            if progress:
                self._write(self._out, progress)
            self._shown = progress

    def _write(self, stream: TextIO, text: str) -> None:
        try:
            stream.write(text)
            stream.flush()
        except OSError as error:
            # The reader of a pipe has gone, or the disk is full. Work that was accepted is worth more than its report.
            self._silence(stream, error)

    def _silence(self, stream: TextIO, error: OSError) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        if stream is not self._err:
            self._write(self._err, f"the output can't be written ({error.strerror}): the run goes on without it\n")
