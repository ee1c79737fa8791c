"""`Client`: the pooled connections of one webhook process, and the one place that knows aiohttp."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

import aiohttp
import attrs
from aiohttp.abc import AbstractResolver, ResolveResult

from orchestrator_webhook._errors import EgressRefusedError, UnansweredError

if TYPE_CHECKING:
    from orchestrator_webhook._networks import Guard
    from orchestrator_webhook._target import Target

ANSWER_LIMIT = 64 * 1024
_MOST_ADDRESSES = 16
_DNS_SECONDS = 5.0


@attrs.frozen
class Answer:
    """What a receiver said.

    Attributes:
        status: the status code.
        reason: the words beside it.
        headers: the headers, by any case.
        content: the body, at most `ANSWER_LIMIT` bytes of it.
        cut_off: why the body is not complete, if it is not.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    content: bytes
    cut_off: str | None = None

    @property
    def is_success(self) -> bool:
        """Whether the receiver has taken the request over."""
        return 200 <= self.status < 300  # noqa: PLR2004


class GuardedResolver(AbstractResolver):
    """Resolves a name once and lets through only what may be connected to: aiohttp connects to exactly that.

    So a name that leads elsewhere the next time (DNS rebinding) leads nowhere.
    """

    def __init__(self, guard: Guard, resolver: AbstractResolver | None = None, seconds: float = _DNS_SECONDS) -> None:
        self._guard = guard
        self._resolver = aiohttp.ThreadedResolver() if resolver is None else resolver
        self._seconds = seconds

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the host's addresses.

        Raises:
            EgressRefusedError: one of them is neither public nor opened; a mixture is no accident.
        """
        async with asyncio.timeout(self._seconds):
            found = await self._resolver.resolve(host, port, family)
        for each in found:
            self._guard.check(host, each["host"])
        return found[:_MOST_ADDRESSES]

    async def close(self) -> None:
        """Close the resolver behind it."""
        await self._resolver.close()


class Client:
    """A pool of connections to one target. Enter it before the first `send`, leave it last.

    Args:
        target: where to send.
        guard: which addresses may be connected to.
        connections: the most connections at a time.
        connect_timeout: seconds for a connection with its TLS handshake.
        timeout: seconds for a whole request.
        tls: how to verify the receiver and prove who we are; ``None`` for the system's way.
    """

    def __init__(
        self,
        target: Target,
        guard: Guard,
        *,
        connections: int,
        connect_timeout: float,
        timeout: float,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._target = target
        self._seconds = timeout
        self._connect_seconds = connect_timeout
        self._tls = tls
        self._resolver = GuardedResolver(guard)
        connector = aiohttp.TCPConnector(
            resolver=self._resolver,
            family=socket.AF_UNSPEC,
            limit=connections,
            limit_per_host=connections,
            ssl=True if tls is None else tls,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=connect_timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            # The size of an answer is bounded, in its headers too.
            max_line_size=8 * 1024,
            max_field_size=8 * 1024,
            max_headers=100,
        )

    async def __aenter__(self) -> Self:
        await self._session.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._session.close()

    async def connect(self) -> None:
        """Open a connection as a request would, and close it.

        Raises:
            UnansweredError: it can't be opened.
            EgressRefusedError: the receiver's address may not be connected to.
        """
        try:
            found = await self._resolver.resolve(self._target.host, self._target.url.port or 0)
            async with asyncio.timeout(self._connect_seconds):
                writer = await self._open(found)
                writer.transport.abort()  # at once: a receiver need not take part in TLS's goodbye
                await writer.wait_closed()
        except TimeoutError as error:
            raise UnansweredError(self._target.shown, "no connection in time") from error
        except (OSError, ValueError) as error:
            raise UnansweredError(self._target.shown, _cause(error)) from error

    async def _open(self, addresses: Sequence[ResolveResult]) -> asyncio.StreamWriter:
        """Connect to the first address that can be connected to, as a request does."""
        port, tls = self._target.url.port, self._target.url.scheme == "https"
        failed: OSError | None = None
        for address in addresses:
            try:
                _, writer = await asyncio.open_connection(
                    address["host"],
                    port,
                    ssl=(self._tls or ssl.create_default_context()) if tls else None,
                    server_hostname=self._target.host if tls else None,
                )
            except OSError as error:
                failed = error
            else:
                return writer
        raise failed or OSError("the name has no address")

    async def send(self, method: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        """Send one request and read the answer.

        Raises:
            UnansweredError: there was none.
            EgressRefusedError: the receiver's address may not be connected to.
        """
        try:
            async with self._session.request(
                method, self._target.url, data=content, headers=headers, allow_redirects=False
            ) as response:
                body, cut_off = await self._read(response)
                return Answer(response.status, response.reason or "", response.headers, body, cut_off)
        except EgressRefusedError:
            raise
        except TimeoutError as error:
            raise UnansweredError(self._target.shown, self._late(error)) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UnansweredError(self._target.shown, _cause(error)) from error

    async def _read(self, response: aiohttp.ClientResponse) -> tuple[bytes, str | None]:
        """Read the answer's body up to the limit; that it breaks off changes nothing about its status."""
        content = bytearray()
        try:
            while len(content) < ANSWER_LIMIT and (chunk := await response.content.read(ANSWER_LIMIT - len(content))):
                content += chunk
        except TimeoutError as error:
            return bytes(content), self._late(error)
        except (aiohttp.ClientError, OSError) as error:
            return bytes(content), _cause(error)
        if not response.content.at_eof():
            response.close()  # the connection is full of what nobody will read
            return bytes(content), f"it is over {ANSWER_LIMIT:,} bytes"
        return bytes(content), None

    def _late(self, error: TimeoutError) -> str:
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return "no connection in time"
        return f"no complete answer within {self._seconds:g} s"


def _cause(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text:.300}" if text else type(error).__name__
