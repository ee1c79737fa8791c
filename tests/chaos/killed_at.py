"""Runs the pipeline of its folder and ends the process, without a goodbye, at one call of the journal.

Usage: ``killed_at.py CALL before|inside|after``. Ends with 9 where it was killed, with 0 if there are fewer calls.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from itertools import count
from typing import Any

import anyio

from orchestrator_core import Orchestrator, SqliteJournal

CALLS = ("register", "reap", "append", "claim", "settle", "log", "park", "prune", "load_checkpoint")


def kill() -> None:
    """End this process as ``kill -9`` would."""
    os._exit(9)


def arm(call: int, moment: str) -> None:
    """Wrap the journal's methods so that one call ends the process."""
    numbers = count(1)
    for name in CALLS:
        setattr(SqliteJournal, name, _wrapped(getattr(SqliteJournal, name), numbers, call, moment))


def _wrapped(method: Callable[..., Any], numbers: count[int], call: int, moment: str) -> Callable[..., Any]:
    async def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        if next(numbers) != call:
            return await method(self, *args, **kwargs)
        if moment == "before":
            kill()
        if moment == "inside":
            self._connection.set_trace_callback(lambda statement: kill() if statement == "COMMIT" else None)
        result = await method(self, *args, **kwargs)
        kill()
        return result

    return wrapper


async def main() -> None:
    """Run the pipeline until it is idle."""
    async with Orchestrator.from_toml("pipeline.toml") as orchestrator:
        await orchestrator.run(until_idle=True)


if __name__ == "__main__":
    arm(int(sys.argv[1]), sys.argv[2])
    anyio.run(main)
