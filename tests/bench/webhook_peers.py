"""The programs at both ends of the webhook measures: ``python -m tests.bench.webhook_peers NAME PORT FOLDER``.

``bare`` is uvicorn and starlette answering 202 with no work, ``input`` a pipeline with a webhook input, ``receiver`` a
server that answers as fast as asyncio can. Each prints a line when it listens.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from orchestrator_core import InputChanged, Notice, Orchestrator, SqliteJournal
from tests.bench.engine import NoOp

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


async def bare(port: int, folder: Path) -> None:
    """Answer 202 to every POST."""
    import uvicorn  # noqa: PLC0415 (each program loads what it needs: its memory is measured)
    from starlette.applications import Starlette  # noqa: PLC0415
    from starlette.requests import Request  # noqa: PLC0415
    from starlette.responses import Response  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415

    async def accept(_: Request) -> Response:
        return Response(status_code=202)

    app = Starlette(routes=[Route("/hook", accept, methods=["POST"])])
    config = uvicorn.Config(app, port=port, http="httptools", loop="asyncio", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 (uvicorn does not tell)
            await asyncio.sleep(0.01)
        listening()


async def receive(port: int, folder: Path) -> None:
    """Accept signed requests, each into the journal and through a process that does nothing."""
    from orchestrator_webhook import WebhookInput  # noqa: PLC0415 (as above)

    def observe(notice: Notice) -> None:
        if isinstance(notice, InputChanged) and notice.state == "ready":
            listening()

    async with Orchestrator(journal=SqliteJournal(folder / "journal.db"), observers=[observe]) as orchestrator:
        orchestrator.add_input(
            "hooks", WebhookInput(path="/hook", auth="standard", secret=SECRET, bind=f"127.0.0.1:{port}")
        )
        orchestrator.add_process("work", NoOp())
        orchestrator.add_link("hooks", "work")
        await orchestrator.run()


class _Answering(asyncio.Protocol):
    """Answers each request of one client that asks, waits, and asks again."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if end and len(body) >= int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]):
            self._received = b""
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


async def answer(port: int, folder: Path) -> None:
    """Answer 200 to whatever comes."""
    server = await asyncio.get_running_loop().create_server(_Answering, "127.0.0.1", port)
    listening()
    await server.serve_forever()


def listening() -> None:
    """Tell whoever started this program."""
    print("listening", flush=True)


PROGRAMS: Mapping[str, Callable[[int, Path], Coroutine[Any, Any, None]]] = {
    "bare": bare,
    "input": receive,
    "receiver": answer,
}

if __name__ == "__main__":
    asyncio.run(PROGRAMS[sys.argv[1]](int(sys.argv[2]), Path(sys.argv[3])))
