"""`Listener`: one port with the inputs behind it, opened by the first of them and closed by the last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.lowlevel import RunVar
from uvicorn.config import Config
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from orchestrator_webhook._app import App
from orchestrator_webhook._bind import Bind, ListenerOptions
from orchestrator_webhook._endpoint import Endpoint
from orchestrator_webhook._errors import ListenError
from orchestrator_webhook._protocol import Crowd, GuardedProtocol

_GRACE_SECONDS = 2.0

# By event loop: the inputs of a pipeline know nothing of each other, but their port is one.
_listeners: RunVar[dict[Bind, Listener]] = RunVar("webhook listeners")


@asynccontextmanager
async def listening(options: ListenerOptions, endpoint: Endpoint, name: str) -> AsyncIterator[None]:
    """Have requests to a path brought to an endpoint while the block runs.

    Args:
        options: the port, and how to listen there.
        endpoint: what answers.
        name: the input's name.

    Raises:
        ListenError: the port or the path is taken, or another input wants the port in another way.
    """
    listeners = _listeners.get(None)
    if listeners is None:
        _listeners.set(listeners := {})
    listener = listeners.setdefault(options.bind, Listener(options))
    listener.add(options, endpoint, name)
    try:
        await listener.open(name)
        yield
    finally:
        if listener.remove(endpoint):
            del listeners[options.bind]
            with anyio.CancelScope(shield=True):
                await listener.close()


class Listener:
    """A port, and the endpoints behind it by their paths."""

    def __init__(self, options: ListenerOptions) -> None:
        self._options = options
        self._endpoints: dict[str, Endpoint] = {}
        self._names: dict[str, str] = {}
        self._opening = anyio.Lock()
        self._server: asyncio.Server | None = None
        self._crowd = Crowd(options)

    def add(self, options: ListenerOptions, endpoint: Endpoint, name: str) -> None:
        """Put an endpoint behind the port.

        Raises:
            ListenError: its path is taken, or it wants the port in another way.
        """
        if options != self._options:
            first = next(iter(self._names.values()))
            raise ListenError(
                f'inputs "{first}" and "{name}" share {options.bind}, so tls, trust_forwarded and the limits of '
                "connections must be the same: make them so, or give one of them another bind"
            )
        if (holder := self._names.get(endpoint.path)) is not None:
            raise ListenError(
                f'inputs "{holder}" and "{name}" both have the path {endpoint.path} on {options.bind}: '
                "give one of them another path"
            )
        self._endpoints[endpoint.path] = endpoint
        self._names[endpoint.path] = name

    def remove(self, endpoint: Endpoint) -> bool:
        """Take an endpoint away; tell whether it was the last.

        Its path goes on saying that nobody listens just now, for as long as others keep the port open: an input that is
        replaced, or started again after a failure, is soon back, and a sender takes 404 for the end.
        """
        del self._names[endpoint.path]
        return not self._names

    async def open(self, name: str) -> None:
        """Open the port, unless it is open.

        Raises:
            ListenError: it can't be had.
        """
        async with self._opening:
            if self._server is None:
                # Cancelled in the midst of it, asyncio would leave behind an open port that nobody knows of.
                with anyio.CancelScope(shield=True):
                    self._server = await self._serve(name)

    async def _serve(self, name: str) -> asyncio.Server:
        options = self._options
        app: Any = App(self._endpoints.get)
        if options.trust_forwarded:
            app = ProxyHeadersMiddleware(app, trusted_hosts=list(options.trust_forwarded))
        config = Config(
            app,
            http=GuardedProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            proxy_headers=False,
            timeout_keep_alive=int(options.idle_seconds),
        )
        config.load()
        tls = None if options.tls is None else options.tls.context(options.directory)
        loop = asyncio.get_running_loop()
        try:
            return await loop.create_server(
                lambda: GuardedProtocol(config, self._crowd, {}),
                options.bind.host,
                options.bind.port,
                backlog=options.connections,
                ssl=tls,
                ssl_handshake_timeout=None if tls is None else options.head_seconds,
            )
        except OSError as error:
            raise ListenError(
                f'input "{name}" can\'t listen on {options.bind}: {error.strerror or error}; set bind to another port, '
                "or stop what holds this one"
            ) from error

    async def close(self) -> None:
        """Take no more connections, let running requests be answered, then cut off what is left."""
        if self._server is None:
            return
        self._server.close()
        self._crowd.closed = True
        for connection in list(self._crowd.connections):
            connection.shutdown()
        if self._crowd.connections:
            with anyio.move_on_after(_GRACE_SECONDS):
                await self._crowd.empty.wait()
        for connection in list(self._crowd.connections):
            connection.transport.abort()
        for task in list(self._crowd.tasks):
            task.cancel()
        if self._crowd.tasks:
            await asyncio.wait(self._crowd.tasks)
