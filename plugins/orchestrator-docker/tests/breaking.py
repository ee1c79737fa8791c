"""A socket in front of a real engine that breaks what goes through it, as it is told or at random."""

from __future__ import annotations

import contextlib
import random
import socket
import socketserver
from collections import Counter
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from answers import answer
from unix_server import UnixServer

_PIECE = 64 * 1024
_TROUBLE = answer({"message": "out of luck"}, 500)


class Fault(Enum):
    """What happens to a request."""

    UNHEARD = "the connection is closed before the engine hears of it"
    REFUSED = "it is answered 500 before the engine hears of it"
    UNSAID = "the engine does it, and the answer is lost"
    TROUBLED = "the engine does it, and the answer is 500"
    CUT = "the engine does it, and the answer is cut"


class BreakingProxy:
    """Passes requests on to an engine, each over a connection of its own.

    Args:
        socket: where it listens.
        engine: the engine's socket.

    Attributes:
        share: of how many requests something breaks, from 0 to 1.
        rng: chooses which, and what.
        broken: how often each fault has struck.
    """

    def __init__(self, socket: Path, engine: Path) -> None:
        self.socket = socket
        self.engine = engine
        self.share = 0.0
        self.rng = random.Random(0)
        self.broken: Counter[Fault] = Counter()
        self._server: UnixServer | None = None

    @property
    def host(self) -> str:
        """What goes into `DOCKER_HOST`."""
        return f"unix://{self.socket}"

    def open(self) -> None:
        """Listen."""
        proxy = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    proxy._pass_on(self.rfile, self.wfile)

        self._server = UnixServer(self.socket, Handler)

    def close(self) -> None:
        """Listen no more: who comes is refused. What has begun goes on."""
        assert self._server is not None
        self._server.close()
        self.socket.unlink()

    def _pass_on(self, asked: Any, back: Any) -> None:
        request = _read_request(asked)
        if not request:
            return
        fault = self._choose(b"follow=1" in request.split(b"\r\n", 1)[0])
        if fault is Fault.UNHEARD:
            return
        if fault is Fault.REFUSED:
            back.write(_TROUBLE)
            return
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self.engine))
            line.sendall(request)
            if fault is Fault.CUT:
                _copy(line, back, self.rng.randrange(1, 1_000))
            elif fault is None:
                _copy(line, back)
            else:
                while line.recv(_PIECE):
                    pass
                back.write(_TROUBLE if fault is Fault.TROUBLED else b"")

    def _choose(self, follows: bool) -> Fault | None:
        if self.rng.random() >= self.share:
            return None
        # Of an answer that lasts as long as its container, the end is never awaited here.
        fault = self.rng.choice([Fault.UNHEARD, Fault.REFUSED, Fault.CUT] if follows else list(Fault))
        self.broken[fault] += 1
        return fault


def _read_request(asked: Any) -> bytes:
    """Return a request that asks the engine to close the connection behind its answer, so that it ends somewhere."""
    lines, length = [asked.readline()], 0
    while (line := asked.readline()) not in {b"\r\n", b""}:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        if name.lower() != b"connection":
            lines.append(line)
    if not lines[0]:
        return b""
    return b"".join([*lines, b"Connection: close\r\n\r\n", asked.read(length)])


def _copy(source: socket.socket, target: Any, limit: int | None = None) -> None:
    """Copy what comes until its end, or so many bytes."""
    while (limit is None or limit > 0) and (data := source.recv(_PIECE)):
        target.write(data[:limit])
        if limit is not None:
            limit -= len(data)


@contextlib.contextmanager
def breaking(engine: Path) -> Iterator[BreakingProxy]:
    """Put a proxy in front of an engine."""
    proxy = BreakingProxy(engine.with_name("breaking.sock"), engine)
    proxy.open()
    try:
        yield proxy
    finally:
        proxy.close()
