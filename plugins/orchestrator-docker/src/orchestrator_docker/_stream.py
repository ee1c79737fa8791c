"""Answers of the engine that take as long as a container runs, read by the event loop: no thread waits for them.

The SDK would hold a thread for each. An answer in chunks says where it ends, so that one that was cut is told from one
that is whole.
"""

from __future__ import annotations

import ssl
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio
import httptools
from anyio.abc import ByteStream

from orchestrator_docker._errors import EngineError, EngineUnreachableError

if TYPE_CHECKING:
    from orchestrator_docker._engine import Engine

_ANSWER_WITHIN = 30.0
_PIECE = 64 * 1024
_LONGEST_HEAD = 64 * 1024
_LONGEST_CAUSE = 500


def can_stream(engine: Engine) -> bool:
    """Tell whether the engine is reached by a socket; a tunnel over SSH or a named pipe is the SDK's alone."""
    return urlsplit(engine.host).scheme in {"http+unix", "unix", "tcp", "http", "https"}


class Answer:
    """An answer as it comes: `receive` returns its next bytes, none at its end.

    Attributes:
        is_whole: whether it has come to its own end; one that is not sent in chunks ends with its connection, however
            that ends.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: deque[bytes] = deque()
        self._has_head = False
        self._is_chunked = False
        self.is_whole = False

    async def head(self) -> int:
        """Read the head, and return the status.

        Raises:
            EndOfStream, BrokenResourceError: there is none.
            HttpParserError: this is no HTTP.
        """
        received = 0
        while not self._has_head:
            data = await self._stream.receive(_PIECE)
            received += len(data)
            self._parser.feed_data(data)
            if received > _LONGEST_HEAD and not self._has_head:
                raise httptools.HttpParserError("its head has no end")
        return int(self._parser.get_status_code())

    async def receive(self) -> bytes:
        """Return the next bytes; nothing is lost if this is cancelled. Empty at the end, cut off or not."""
        while not self._pieces and not self.is_whole:
            try:
                self._parser.feed_data(await self._stream.receive(_PIECE))
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
                self.is_whole = not self._is_chunked
                break
            except httptools.HttpParserError:
                break
        pieces, self._pieces = self._pieces, deque()
        return b"".join(pieces)

    async def close(self) -> None:
        """Close the connection at once."""
        await anyio.aclose_forcefully(self._stream)

    # What the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a line of the head."""
        if name.lower() == b"transfer-encoding":
            self._is_chunked = b"chunked" in value.lower()

    def on_headers_complete(self) -> None:
        """Take the end of the head."""
        self._has_head = True

    def on_body(self, body: bytes) -> None:
        """Take some of the body."""
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        """Take the end of the body."""
        self.is_whole = True


async def get(engine: Engine, path: str) -> Answer:
    """Ask for something that takes long.

    Raises:
        EngineUnreachableError: there is no connection.
        EngineError: the engine refused, or talks nonsense.
    """
    return await _request(engine, "GET", path, b"")


async def post(engine: Engine, path: str, body: bytes) -> Answer:
    """Ask for something that takes long, with a question in JSON; for the errors see `get`."""
    return await _request(engine, "POST", path, body)


async def _request(engine: Engine, method: str, path: str, body: bytes) -> Answer:
    what = f"asking for {path.partition('?')[0]}"
    head = (
        f"{method} /v{engine.version}{path} HTTP/1.1",
        "Host: docker",
        "Connection: close",
        *((("Content-Type: application/json", f"Content-Length: {len(body)}")) if body else ()),
        "\r\n",
    )
    stream: ByteStream | None = None
    answer: Answer | None = None
    try:
        with anyio.fail_after(_ANSWER_WITHIN):
            stream = await _connect(engine)
            await stream.send("\r\n".join(head).encode() + body)
            begun = Answer(stream)
            status = await begun.head()
            if status != HTTPStatus.OK:
                cause = (await begun.receive())[:_LONGEST_CAUSE].decode(errors="replace").strip()
                raise EngineError(what, status, cause)
        answer = begun
    except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
        raise EngineError(what, None, str(error)) from error
    except TimeoutError as error:  # an error of the system's too, but without its words
        cause = str(error) or f"no answer within {_ANSWER_WITHIN:g} s"
        raise EngineUnreachableError(engine.where, cause) from error
    except (OSError, anyio.EndOfStream, anyio.BrokenResourceError) as error:
        raise EngineUnreachableError(engine.where, str(error) or "the connection was cut") from error
    finally:
        if stream is not None and answer is None:
            await anyio.aclose_forcefully(stream)
    return answer


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
