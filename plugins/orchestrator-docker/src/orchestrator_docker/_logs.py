"""A container's log, followed while it runs: every line goes to the attempt, the last one may be its output."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import anyio

from orchestrator_docker import _stream
from orchestrator_docker._engine import Engine
from orchestrator_docker._errors import EngineError, EngineUnreachableError
from orchestrator_docker._frames import STDERR, STDOUT, Frames, Lines, Position

_LOG = logging.getLogger("orchestrator_docker")

_AGAIN_SECONDS = 0.1
_TAIL = 1_000
_TAIL_SECONDS = 60.0
_TAIL_TIMES = 5

# A log that is followed may end where the engine begins a new file, which it does every 10 MiB, so its tail is asked
# for. With its own words around each line the engine writes less than twice what it sends.
_ROTATED = 4 * 1024 * 1024


class Follower:
    """Reads the log of one container; use it from one task.

    Nothing is decided by it: a stream may hang when the engine restarts, or end early. It may be cancelled at any
    moment and read on later.

    Args:
        engine: the engine.
        container: the container's id.
        log: called with each line.

    Attributes:
        trouble: why the log can't be read, however often it is asked for; empty as long as it may be.
    """

    def __init__(self, engine: Engine, container: str, log: Callable[[str], None]) -> None:
        self._engine = engine
        self._container = container
        self._log = log
        self._lines = {STDOUT: Lines(), STDERR: Lines()}
        self._position = Position()
        self._frames = Frames()
        self._answer: _stream.Answer | None = None
        self._is_at_end = False
        self._is_finished = False
        self._received = 0
        self._may_miss = False
        self._is_garbled = not _stream.can_stream(engine)
        self.trouble = ""

    @property
    def is_at_end(self) -> bool:
        """Whether its end was read: what was cut off may have had other last words."""
        return self._is_at_end

    @property
    def stdout(self) -> Lines:
        """The lines of standard output."""
        return self._lines[STDOUT]

    @property
    def last_words(self) -> str:
        """The last line on standard error, or else on standard output, as far as it can be shown."""
        last = self._lines[STDERR].last or self._lines[STDOUT].last
        return last.decode(errors="replace").strip()

    async def follow(self) -> None:
        """Read until the log ends, which it does when the container has ended or the engine goes away."""
        if self._is_garbled:
            await anyio.sleep_forever()
        if self._answer is None:
            self._position.resume()
        await self._read("follow=1")

    async def _read(self, how: str) -> None:
        self._is_at_end = False
        with self._deciding_nothing():
            if self._answer is None:
                self._answer = await self._open(how)
            while data := await self._answer.receive():
                self._received += len(data)
                for stream, content in self._frames.feed(data):
                    self._take(stream, content)
            self._is_at_end = self._answer.is_whole
        await self._disconnect()

    @contextmanager
    def _deciding_nothing(self) -> Iterator[None]:
        try:
            yield
        except EngineError as error:
            if error.status is None or not error.is_its_own:
                self._is_garbled = True
                self.trouble = str(error)
                _LOG.warning("%s: the log of container %.12s is not followed any more", error, self._container)
        except EngineUnreachableError:
            pass  # whoever looks at the container finds out, and waits for the engine

    async def finish(self, within: float, *, is_cut: bool = False) -> None:
        """Read what is left of the log of a container that has ended; nothing, once that was done.

        Args:
            within: for so many seconds at most.
            is_cut: the engine went away meanwhile, so the end that was read may be none.
        """
        if self._is_finished:
            return
        with anyio.move_on_after(within):
            if not _stream.can_stream(self._engine):
                with self._deciding_nothing():
                    for stream, content in await self._engine.logs(self._container, _TAIL):
                        self._write(self._lines[stream], content)
                    self._is_at_end = True
            else:
                await self._follow_to_the_end()
        await self._disconnect()
        if not self._is_garbled and (is_cut or not self._is_at_end or self._received > _ROTATED):
            with anyio.move_on_after(_TAIL_SECONDS):
                await self._read_the_tail()
            await self._disconnect()
        self._end_lines()
        if not self._is_at_end:
            self._log("… the rest of the log could not be read …")
        self._is_finished = True

    async def _follow_to_the_end(self) -> None:
        """Read on, again and again where the answer is cut."""
        pause = 0.0
        while not (self._is_garbled or self._is_at_end):
            await anyio.sleep(pause)
            await self.follow()
            pause = _AGAIN_SECONDS
        if not self._is_garbled and self._received <= _ROTATED:
            # A log that is followed may end without its last line, if that has no end of its own: moby/moby#43860. Of
            # a longer log the tail is read anyway, and the place up to which this one was read may be gone.
            self._position.resume()
            await self._read("follow=0")

    async def _read_the_tail(self) -> None:
        """Read the last lines, some times where the answer is cut."""
        for _ in range(_TAIL_TIMES):
            self._may_miss = True
            self._position.skip()
            await self._read(f"follow=0&tail={_TAIL}")
            if self._is_garbled or self._is_at_end:
                return
            await anyio.sleep(_AGAIN_SECONDS)

    async def close(self) -> None:
        """Stop reading."""
        await self._disconnect()

    async def _open(self, how: str) -> _stream.Answer:
        self._frames = Frames()
        since = f"&since={_unix(self._position.moment)}" if self._position.moment else ""
        path = f"/containers/{self._container}/logs?{how}&stdout=1&stderr=1&timestamps=1{since}"
        return await _stream.get(self._engine, path)

    async def _disconnect(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            await answer.close()

    def _take(self, stream: int, frame: bytes) -> None:
        content = self._position.take(frame)
        if content is not None:
            if self._may_miss:
                self._end_lines()
                self._log("… some of the log was not read here …")
                self._may_miss = False
            self._write(self._lines[stream or STDOUT], content)

    def _end_lines(self) -> None:
        for lines in self._lines.values():
            for line in lines.finish():
                self._log(line)

    def _write(self, lines: Lines, content: bytes) -> None:
        for line in lines.feed(content):
            self._log(line)


def _unix(moment: str) -> str:
    """Return a moment as the engine wants it in a question; it keeps nanoseconds, which a float would not."""
    whole, _, fraction = moment.removesuffix("Z").partition(".")
    try:
        return f"{int(datetime.fromisoformat(whole + '+00:00').timestamp())}.{fraction or 0}"
    except ValueError as error:
        raise EngineError("reading the container's log", None, f"{moment!r} is no moment") from error
