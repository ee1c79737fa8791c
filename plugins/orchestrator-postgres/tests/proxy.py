"""A TCP proxy in front of a server's Unix socket, which cuts the network between as it is told to."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import attrs

Cut = Literal["reset", "silence", "deaf", "mute"]
"""How a network fails: connections are reset; nothing gets through; nothing comes back; nothing goes out."""


@attrs.define(eq=False)
class Proxy:
    """Passes bytes between clients and a server until it is told otherwise.

    Attributes:
        port: where it listens on 127.0.0.1.
    """

    port: int
    _upstream: Path
    _outward: threading.Event = attrs.field(factory=threading.Event)
    _inward: threading.Event = attrs.field(factory=threading.Event)
    _open: set[socket.socket] = attrs.field(factory=set)
    _threads: list[threading.Thread] = attrs.field(factory=list)

    @contextmanager
    def cut(self, how: Cut) -> Iterator[None]:
        """Cut the network while the block runs; what was only held up gets through afterwards, as TCP does it."""
        if how == "reset":
            for line in self._open.copy():
                _reset(line)
        if how in {"silence", "mute"}:
            self._outward.clear()
        if how in {"silence", "deaf"}:
            self._inward.clear()
        try:
            yield
        finally:
            self._outward.set()
            self._inward.set()

    def close(self) -> None:
        """Reset what is open, and wait until nothing is."""
        with self.cut("reset"):
            for thread in self._threads:
                thread.join()

    def serve(self, listener: socket.socket) -> None:
        """Take in clients until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(str(self._upstream))
                except OSError:
                    client.close()
                    server.close()
                    continue
                self._open |= {client, server}
                for ends in ((client, server, self._outward), (server, client, self._inward)):
                    self._threads.append(threading.Thread(target=self._pass, args=ends))
                    self._threads[-1].start()

    def _pass(self, source: socket.socket, sink: socket.socket, gate: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                gate.wait()
                sink.sendall(data)
        self._open.discard(source)
        _wake(sink)  # each thread closes the line that it reads
        source.close()


def _wake(line: socket.socket) -> None:
    """End a thread's wait on a connection."""
    with suppress(OSError):
        line.shutdown(socket.SHUT_RD)


def _reset(line: socket.socket) -> None:
    """Let a connection end with RST instead of FIN when it is closed, and have it closed."""
    with suppress(OSError):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    _wake(line)


@contextmanager
def proxying(upstream: Path) -> Iterator[Proxy]:
    """Run a proxy in front of a Unix socket while the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = Proxy(listener.getsockname()[1], upstream)
        with proxy.cut("silence"):
            pass  # opens both ways
        thread = threading.Thread(target=proxy.serve, args=[listener])
        thread.start()
        try:
            yield proxy
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            proxy.close()
