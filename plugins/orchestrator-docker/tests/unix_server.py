"""A server behind a socket of the file system, each of its connections served by a thread."""

from __future__ import annotations

import socketserver
import threading
from pathlib import Path
from typing import Any

_LOOK_SECONDS = 0.02


class UnixServer:
    """Listens from the moment it is made.

    Args:
        socket: where it listens.
        handler: serves one connection.
    """

    def __init__(self, socket: Path, handler: type[socketserver.StreamRequestHandler]) -> None:
        self._server = _Server(str(socket), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_LOOK_SECONDS,))
        self._thread.start()

    def close(self) -> None:
        """Listen no more: who comes is refused. What has begun goes on."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def get_request(self) -> Any:
        line, _ = super().get_request()
        return line, ("", 0)  # the handler wants an address to show
