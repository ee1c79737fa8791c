"""Runs the pipeline of its folder and ends the process, without a goodbye, when a point is passed for the nth time.

Usage: ``killed_at.py POINT TIMES``. The points are those at which accepting a request goes one step on.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from itertools import count
from typing import Any

import anyio
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from orchestrator_core import Orchestrator, SqliteJournal
from orchestrator_webhook._endpoint import Endpoint
from orchestrator_webhook._gathering import Gathering
from orchestrator_webhook._protocol import GuardedProtocol, PoliteTransport

POINTS = {
    "connected": (GuardedProtocol, "connection_made", "after"),
    "received": (GuardedProtocol, "data_received", "before"),
    "head": (HttpToolsProtocol, "on_headers_complete", "after"),
    "body": (HttpToolsProtocol, "on_message_complete", "after"),
    "genuine": (Gathering, "emit", "before"),
    "gathered": (SqliteJournal, "append", "before"),
    "uncommitted": (SqliteJournal, "append", "inside"),
    "committed": (SqliteJournal, "append", "after"),
    "accepted": (Gathering, "emit", "after"),
    "answered": (Endpoint, "answer", "after"),
    "writing": (PoliteTransport, "_flush", "before"),
    "written": (PoliteTransport, "_flush", "after"),
    "settled": (SqliteJournal, "settle", "after"),
}
"""Where the process may end: before, inside or after a call of a method."""


def kill() -> None:
    """End this process as ``kill -9`` would."""
    os._exit(9)


def arm(point: str, times: int) -> None:
    """Wrap the method of a point so that a later call of it ends the process."""
    owner, name, moment = POINTS[point]
    method, numbers = getattr(owner, name), count(1)
    wrap = _awaited if inspect.iscoroutinefunction(method) else _plain
    setattr(owner, name, wrap(method, lambda: next(numbers) == times, moment))


def _plain(method: Callable[..., Any], is_due: Callable[[], bool], moment: str) -> Callable[..., Any]:
    def wrapper(*args: Any) -> Any:
        if not is_due():
            return method(*args)
        if moment == "before":
            kill()
        method(*args)
        kill()
        return None

    return wrapper


def _awaited(method: Callable[..., Any], is_due: Callable[[], bool], moment: str) -> Callable[..., Any]:
    async def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not is_due():
            return await method(self, *args, **kwargs)
        if moment == "before":
            kill()
        if moment == "inside":
            self._connection.set_trace_callback(lambda statement: kill() if statement == "COMMIT" else None)
        await method(self, *args, **kwargs)
        kill()
        return None

    return wrapper


async def main() -> None:
    """Run the pipeline until it is stopped or killed."""
    async with Orchestrator.from_toml("pipeline.toml") as orchestrator:
        await orchestrator.run()


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]))
    anyio.run(main)
