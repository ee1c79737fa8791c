"""Senders of webhooks, polite and other, and an input to send them to."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import attrs
import standardwebhooks

from orchestrator_core import InputChanged, Journal, Notice, Orchestrator, Process
from orchestrator_core.testing import FakeInputContext
from orchestrator_webhook import WebhookInput

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@attrs.frozen
class Reply:
    """An answer as it came in.

    Attributes:
        status: its status; 0 if the connection was closed without one.
        headers: its headers, the names in lower case.
        body: its body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@attrs.define(eq=False)
class Sender:
    """Sends requests to an input that runs.

    Attributes:
        port: the input's port.
        path: its path.
        tls: how to verify it, if it has a certificate.
        component: the input.
    """

    port: int
    path: str = "/hook"
    tls: ssl.SSLContext | None = None
    component: WebhookInput | None = None

    async def waiting(self, count: int) -> None:
        """Wait until that many requests wait for the journal."""
        assert self.component is not None
        with anyio.fail_after(10):
            while self.component.endpoint.waiting != count:  # noqa: ASYNC110 (nothing tells of it)
                await anyio.sleep(0.001)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection."""
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls)

    async def raw(self, data: bytes, *, end: bool = False) -> Reply:
        """Send bytes on a connection of their own and read one answer."""
        reader, writer = await self.connect()
        try:
            writer.write(data)
            if end:
                writer.write_eof()
            return await read_reply(reader)
        finally:
            writer.close()

    async def post(self, body: bytes | object, headers: Mapping[str, str] | None = None, **line: str) -> Reply:
        """Post a body; what is not bytes is sent as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.raw(request(content, headers, path=line.get("path", self.path), method=line.get("method")))


def request(
    content: bytes, headers: Mapping[str, str] | None = None, *, path: str = "/hook", method: str | None = None
) -> bytes:
    """Return the bytes of a request."""
    lines = {"host": "localhost", "content-type": "application/json", "content-length": str(len(content))}
    lines |= headers or {}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method or 'POST'} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + content


async def read_reply(reader: asyncio.StreamReader) -> Reply:
    """Read an answer; a closed connection is one of status 0."""
    try:
        with anyio.fail_after(30):
            head = await reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").splitlines()[:-1]
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            return Reply(
                int(first.split()[1]), headers, await reader.readexactly(int(headers.get("content-length", 0)))
            )
    except (asyncio.IncompleteReadError, ConnectionError):
        return Reply(0, {}, b"")


def signed(content: bytes, id_: str = "msg_1", *, secret: str = SECRET, at: float | None = None) -> dict[str, str]:
    """Return the headers of Standard Webhooks, as its own library makes them."""
    now = int(time.time() if at is None else at)
    signature = standardwebhooks.Webhook(secret).sign(id_, datetime.fromtimestamp(now, UTC), content.decode())
    return {"webhook-id": id_, "webhook-timestamp": str(now), "webhook-signature": signature}


@asynccontextmanager
async def running_pipeline(journal: Journal, process: Process, **options: Any) -> AsyncIterator[Sender]:
    """Run a pipeline of one input and one process while the block runs, for a minute at most."""
    ready = anyio.Event()

    def observe(notice: Notice) -> None:
        if isinstance(notice, InputChanged) and notice.state == "ready":
            ready.set()

    port = free_port()
    given = {"path": "/hook", "auth": "none", "bind": f"127.0.0.1:{port}", **options}
    with anyio.fail_after(60):
        async with Orchestrator(journal=journal, observers=[observe]) as orchestrator:
            orchestrator.add_input("hooks", WebhookInput(**given))
            orchestrator.add_process("done", process)
            orchestrator.add_link("hooks", "done")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(orchestrator.run)
                await ready.wait()
                yield Sender(port, given["path"])
                orchestrator.stop()


@asynccontextmanager
async def receiving(
    context: FakeInputContext | None = None, *, seconds: float = 60, **options: Any
) -> AsyncIterator[tuple[Sender, Any]]:
    """Run an input while the block runs, for so many seconds at most; without options it takes JSON from anybody."""
    context = context or FakeInputContext("hooks")
    port = free_port()
    given = {"path": "/hook", "auth": "none", "bind": f"127.0.0.1:{port}", **options}
    component = WebhookInput(**given)
    assert component.bind is not None
    context.is_ready = False
    with anyio.fail_after(seconds):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(component.run, context)
            await context.until(lambda: context.is_ready)
            yield Sender(int(component.bind.rpartition(":")[2]), given["path"], component=component), context
            tasks.cancel_scope.cancel()
