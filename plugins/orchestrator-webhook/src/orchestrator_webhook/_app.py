"""`App`: the ASGI application in front of the endpoints, and `asgi` for programs that have a server of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from orchestrator_webhook._endpoint import Endpoint, SenderGoneError
from orchestrator_webhook._http import Answer, Refusal

if TYPE_CHECKING:
    from orchestrator_core import Orchestrator

Find: TypeAlias = Callable[[str], Endpoint | None]

_NOT_FOUND = Refusal(404, "not found").answer


@attrs.frozen
class App:
    """An ASGI application that brings each request to the endpoint of its path.

    Attributes:
        find: returns the endpoint of a path.
    """

    find: Find

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 (ASGI's dictionaries)
        """Serve one connection of the ASGI protocol."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        elif scope["type"] == "http":
            endpoint = self._endpoint(scope)
            try:
                answer = _NOT_FOUND if endpoint is None else await endpoint.answer(scope, receive)
            except SenderGoneError:
                return
            await _send(answer, send)

    def _endpoint(self, scope: Any) -> Endpoint | None:  # noqa: ANN401
        # Paths are taken as they are: an escaped one is nobody's, so that no two spellings lead to one place.
        if b"%" in (scope.get("raw_path") or b""):
            return None
        root, path = scope.get("root_path", ""), scope["path"]
        return self.find(path.removeprefix(root) if root else path)


async def _send(answer: Answer, send: Any) -> None:  # noqa: ANN401
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.raw_headers()})
    await send({"type": "http.response.body", "body": answer.body})


async def _live(receive: Any, send: Any) -> None:  # noqa: ANN401
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def asgi(orchestrator: Orchestrator) -> App:
    """Return an ASGI application for the webhook inputs of a pipeline, to be mounted in a program's own.

    Give those inputs ``serve=False``, so that they open no port. They answer while the orchestrator runs; before and
    after it, requests get 503.

    Args:
        orchestrator: the pipeline; inputs that are added later are found too.
    """
    from orchestrator_webhook._input import WebhookInput  # noqa: PLC0415 (which imports this)

    def find(path: str) -> Endpoint | None:
        for component in orchestrator.inputs.values():
            if isinstance(component, WebhookInput) and component.path == path:
                return component.endpoint
        return None

    return App(find)
