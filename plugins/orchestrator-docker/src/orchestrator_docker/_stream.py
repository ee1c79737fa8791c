"""Answers of the engine that take as long as a container runs, read by the event loop: no thread waits for them.

The SDK would hold a thread for each. The requests are of HTTP/1.0, so that an answer is its bytes until the end of the
connection and nothing else needs to be understood of the protocol.
"""

from __future__ import annotations

import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio
from anyio.abc import ByteStream

from orchestrator_docker._errors import EngineError, EngineUnreachableError

if TYPE_CHECKING:
    from orchestrator_docker._engine import Engine

_ANSWER_WITHIN = 30.0
_LONGEST_HEAD = 64 * 1024


def can_stream(engine: Engine) -> bool:
    """Tell whether the engine is reached by a socket; a tunnel over SSH or a named pipe is the SDK's alone."""
    return urlsplit(engine.host).scheme in {"http+unix", "unix", "tcp", "http", "https"}


class Answer:
    """An answer as it comes: `receive` returns its next bytes, none at its end."""

    def __init__(self, stream: ByteStream, first: bytes) -> None:
        self._stream = stream
        self._first = first

    async def receive(self) -> bytes:
        """Return the next bytes; nothing is lost if this is cancelled. Empty at the end, cut off or not."""
        if self._first:
            first, self._first = self._first, b""
            return first
        try:
            return await self._stream.receive(64 * 1024)
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            return b""

    async def close(self) -> None:
        """Close the connection at once."""
        await anyio.aclose_forcefully(self._stream)


async def get(engine: Engine, path: str) -> Answer:
    """Ask for something that takes long.

    Raises:
        EngineUnreachableError: there is no connection.
        EngineError: the engine refused.
    """
    return await request(engine, f"GET /v{engine.version}{path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode(), path)


async def request(engine: Engine, head: bytes, path: str) -> Answer:
    """Send a request as it is, and return the answer behind its head."""
    stream: ByteStream | None = None
    answer: Answer | None = None
    try:
        with anyio.fail_after(_ANSWER_WITHIN):
            stream = await _connect(engine)
            await stream.send(head)
            top, _, body = (await _receive_head(stream)).partition(b"\r\n\r\n")
        _refuse_other_than_ok(top, body, path)
        answer = Answer(stream, body)
    except (OSError, anyio.EndOfStream, anyio.BrokenResourceError) as error:
        raise EngineUnreachableError(engine.where, str(error) or "the connection was cut") from error
    finally:
        if stream is not None and answer is None:
            await anyio.aclose_forcefully(stream)
    return answer


def _refuse_other_than_ok(top: bytes, body: bytes, path: str) -> None:
    words = top.split(b" ", 2)
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else None
    if status != HTTPStatus.OK:
        cause = body.decode(errors="replace")[:500].strip()
        raise EngineError(f"asking for {path.partition('?')[0]}", status, cause)


async def _receive_head(stream: ByteStream) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received and len(received) < _LONGEST_HEAD:
        received += await stream.receive(64 * 1024)
    return received


async def _connect(engine: Engine) -> ByteStream:
    address = urlsplit(engine.host)
    if address.scheme in {"http+unix", "unix"}:
        return await anyio.connect_unix(engine.where.removeprefix("unix://"))
    host, port = address.hostname or "localhost", address.port or 2375
    if engine.tls is None:
        return await anyio.connect_tcp(host, port)
    tls = engine.tls
    context = ssl.create_default_context(cafile=tls.ca_cert or None)
    if tls.cert:
        context.load_cert_chain(*tls.cert)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return await anyio.connect_tcp(host, port, ssl_context=context, tls_standard_compatible=False)
