"""A receiver of webhooks that does to each request what its script says, down to the bytes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self, TypeAlias

import attrs

from orchestrator_core import Event
from orchestrator_webhook import WebhookProcess

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
EVENT = Event(location="public.orders", operation="create", id="7", trigger="shop", uid="u-1", data={"total": 12.5})


@attrs.frozen
class Request:
    """A request as it came in.

    Attributes:
        method: its method.
        path: its path and query.
        headers: its headers, the names in lower case.
        body: its body.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


Line: TypeAlias = "bytes | Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]"
"""What the receiver does to a request: bytes to answer with, or a function that takes over the connection."""


class Receiver:
    """A receiver on the loopback.

    Attributes:
        requests: what it has received, oldest first.
        script: what it does to each request in turn; the last line repeats.
        connections: how many connections were opened.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.requests: list[Request] = []
        self.script: list[Line] = [OK]
        self.connections = 0
        self._tls = tls
        self._host = host
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, 0, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """Where to call it."""
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}/hook"

    def process(self, **options: Any) -> WebhookProcess:
        """Return a process that calls it."""
        return WebhookProcess(**{"url": self.url, "allow_networks": ["127.0.0.0/8"], **options})

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").splitlines()[:-1]
                method, path, _ = first.split(" ")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.requests.append(Request(method, path, headers, body))
                line = self.script[min(len(self.requests), len(self.script)) - 1]
                if not isinstance(line, bytes):
                    await line(reader, writer)
                    return
                writer.write(line)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone, as it may
        finally:
            writer.close()


def answer(status: str, body: bytes = b"", **headers: str) -> bytes:
    """Return the bytes of an answer."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines])
    return head.encode() + b"\r\n\r\n" + body
