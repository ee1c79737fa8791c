"""`GuardedProtocol`: uvicorn's HTTP, with the limits that it lacks against slow and hostile senders."""

from __future__ import annotations

import asyncio
import logging
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Literal, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from orchestrator_webhook._bind import ListenerOptions

_LINGER_SECONDS = 1.0
_VERSIONS = frozenset(("1.0", "1.1"))


class Crowd(ServerState):
    """The connections of one listener.

    When there are too many, one that has not sent a complete request makes room, the oldest first: so whoever opens
    hundreds and sends nothing, or one byte at a time, drives out nobody but himself.

    Attributes:
        options: the limits.
        pending: the connections without a complete request, the oldest first.
        closed: there are to be no more.
        empty: set while there is no connection, once there was one.
    """

    def __init__(self, options: ListenerOptions) -> None:
        super().__init__()
        self.options = options
        self.pending: dict[GuardedProtocol, None] = {}
        self._open: set[GuardedProtocol] = set()
        self.closed = False
        self.empty = asyncio.Event()
        self._second = 0

    def arrived(self, connection: GuardedProtocol) -> None:
        """Take note of a new connection, and make room for it."""
        self._open.add(connection)
        self.empty.clear()
        self.pending[connection] = None
        if self.closed:  # it was accepted before that, and its handshake has taken until now
            connection.refuse(HTTPStatus.SERVICE_UNAVAILABLE)
        elif len(self._open) > self.options.connections:
            oldest = next(iter(self.pending))
            oldest.refuse(HTTPStatus.SERVICE_UNAVAILABLE)
            self._forget(oldest)  # though its closing takes a moment

    def gone(self, connection: GuardedProtocol) -> None:
        """Take note that a connection is closed."""
        self._forget(connection)
        if not self.connections:
            self.empty.set()

    def _forget(self, connection: GuardedProtocol) -> None:
        self._open.discard(connection)
        self.pending.pop(connection, None)

    def set_date(self) -> None:
        """Have answers carry the date, made once a second."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self.default_headers = [(b"date", formatdate(second, usegmt=True).encode())]


class PoliteTransport:
    """A transport with two manners.

    What is written goes out at the end of the event loop's round, in one piece: uvicorn writes the head and the body of
    an answer apart, and a call of the kernel is what an answer costs most.

    Closed in the midst of a request, it reads on for a while and forgets what it reads. The kernel would reset the
    connection, and a sender that is still sending would lose the answer.
    """

    def __init__(self, transport: asyncio.Transport, connection: GuardedProtocol) -> None:
        self._transport = transport
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._unsent: list[bytes] = []
        self._lingers = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (whatever a transport has)
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send it soon; nobody hears what is said after the end."""
        if self._lingers:
            return
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(data)

    def _flush(self) -> None:
        if self._unsent:
            data = b"".join(self._unsent)
            self._unsent.clear()
            if not self._transport.is_closing():
                self._transport.write(data)

    def is_closing(self) -> bool:
        """Tell whether it is closed, or will be."""
        return self._lingers or self._transport.is_closing()

    def close(self) -> None:
        """Send what is to be sent, then the end; close when the sender has done so, or its time is over."""
        if self.is_closing():
            return
        self._flush()
        if not self._connection.has_unread_input or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._lingers = True
        self._transport.write_eof()
        self._transport.resume_reading()
        self._loop.call_later(_LINGER_SECONDS, self._transport.close)


class _BadRequestError(Exception):
    """Raised in a callback of the parser, which makes an error of its own of it."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection. A head that is too large or too slow, and what is no plain request, is refused and closed."""

    def __init__(
        self,
        config: Config,
        server_state: Crowd,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = logging.getLogger("orchestrator_webhook.http")
        self.access_log = False
        self._crowd = server_state
        self._limits = server_state.options
        self._part: Literal["idle", "head", "body"] = "idle"
        self._completed = False
        self._parsed = self._fed = 0
        self._status = HTTPStatus.BAD_REQUEST
        self._deadline: asyncio.TimerHandle | None = None

    # Called by the event loop

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock: a connection that says nothing is as slow as one that says little."""
        super().connection_made(transport)
        self._raw = transport
        self.transport = cast("asyncio.Transport", PoliteTransport(transport, self))
        self._start_deadline()
        self._crowd.arrived(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        self._stop_deadline()
        self.transport = self._raw
        super().connection_lost(exc)
        self._crowd.gone(self)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; see `HttpToolsProtocol.data_received`, which logs every broken request as a warning."""
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        part, self._completed = self._part, False
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.refuse(self._status)
            return
        # The parser tells of a header when it is complete; until then only this sees how much of it there is. What
        # holds the end of another request as well is not counted: it can't be told apart.
        if self._part == "head" and part != "body" and not self._completed:
            self._fed += len(data)
        if self._fed > self._limits.head_bytes:
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._part != "head" and self._is_answering:
            self._stop_deadline()
        elif self._deadline is None:
            self._start_deadline()

    # Called by the parser

    def on_message_begin(self) -> None:
        """Begin to count."""
        super().on_message_begin()
        self._part = "head"
        self._parsed = 0

    def on_url(self, url: bytes) -> None:
        """Count."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count; the trailers behind a body as well."""
        super().on_header(name, value)
        self._count(len(name) + len(value) + 4)

    def _count(self, size: int) -> None:
        self._parsed += size
        if self._parsed > self._limits.head_bytes:
            self._status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise _BadRequestError

    def on_headers_complete(self) -> None:
        """Refuse what is no plain request to this server, then start the application."""
        if (
            not self.url.startswith(b"/")
            or self.parser.get_http_version() not in _VERSIONS
            or self.parser.should_upgrade()
        ):
            raise _BadRequestError
        self._crowd.set_date()
        super().on_headers_complete()
        # uvicorn would append a body's trailers to the headers that the application has begun to read.
        self.headers = []
        self._part = "body"
        self._parsed = self._fed = 0

    def on_message_complete(self) -> None:
        """From here on the sender has done its part."""
        super().on_message_complete()
        self._part = "idle"
        self._completed = True
        if self._is_answering:
            self._crowd.pending.pop(self, None)

    def on_response_complete(self) -> None:
        """From here on it is the sender's turn again."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self._crowd.pending[self] = None

    # Ends

    @property
    def has_unread_input(self) -> bool:
        """Whether the sender may still be sending."""
        return self._part != "idle"

    def refuse(self, status: HTTPStatus) -> None:
        """Answer what is not worth an application, and close the connection."""
        self._stop_deadline()
        if self.transport.is_closing():
            return
        if not self._is_answering:
            body = b'{"error":"%s"}' % status.phrase.lower().encode()
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self.transport.close()

    @property
    def _is_answering(self) -> bool:
        # Before the first request there is no cycle, though uvicorn types it as if there were.
        return not getattr(self.cycle, "response_complete", True)

    def _start_deadline(self) -> None:
        self._deadline = self.loop.call_later(self._limits.head_seconds, self.refuse, HTTPStatus.REQUEST_TIMEOUT)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
