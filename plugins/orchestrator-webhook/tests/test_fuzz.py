"""Requests by dice find no 500, no hang, and nothing that stops the input."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from random import Random
from typing import Any

import anyio
import pytest
from fuzzing import INPUTS, NOW, Dice
from sending import Sender, free_port, receiving

from orchestrator_core.testing import FakeInputContext, SimulatedClock

pytestmark = [pytest.mark.anyio, pytest.mark.chaos]

AT_A_TIME = 32
ANSWERS = frozenset((100, 200, 202, 400, 401, 404, 405, 408, 413, 415, 417, 422, 431))
"""Every answer that a request may get while nothing is wrong here."""

QUICK: dict[str, Any] = {
    "head_timeout": timedelta(seconds=0.3),
    "body_timeout": timedelta(seconds=0.3),
    "idle_timeout": timedelta(seconds=1),
}


async def answers(sender: Sender, pieces: list[bytes]) -> list[int]:
    """Send a request piece by piece, and return the statuses of all answers until the connection is closed."""
    reader, writer = await sender.connect()
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        # Whatever was sent, the end comes: an answer that closes, a deadline, or the idle connection's time.
        received = await reader.read()
    except ConnectionError:
        return []
    finally:
        writer.close()
    lines = [line.split(b" ")[1] for line in received.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    return [int(status) for status in lines]


async def test_requests_by_dice(
    times: Callable[[str, int], int], request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is answered with what it deserves, or its connection is closed in time; valid ones are still accepted.

    Catches: any exception on the way from the socket to the event, for it would be a 500 and a logged error.
    """
    seed, count = request.config.getoption("--seed"), times("fuzzed", 20_000)
    print(f"seed: {seed}, requests: {count}")  # noqa: T201 (pytest shows it with a failure)
    dice, left, found = Dice(Random(seed)), iter(range(count)), Counter[int]()
    broken: list[dict[str, Any]] = []
    wrong: list[tuple[list[int], bytes]] = []
    loop = asyncio.get_running_loop()

    async def send(sender: Sender) -> None:
        for _ in left:
            pieces = dice.request()
            with anyio.fail_after(60):
                statuses = await answers(sender, pieces)
            if not ANSWERS.issuperset(statuses):
                wrong.append((statuses, b"".join(pieces)[:5_000]))
            found.update(statuses or [0])

    async with AsyncExitStack() as stack:
        stack.callback(loop.set_exception_handler, loop.get_exception_handler())
        loop.set_exception_handler(lambda _, context: broken.append(context))
        port = free_port()
        sender, bind = Sender(port), f"127.0.0.1:{port}"
        given = {"bind": bind, "clock": SimulatedClock(start=NOW), **QUICK}
        for path, options in INPUTS.items():
            context = FakeInputContext(path.strip("/"))
            await stack.enter_async_context(receiving(context, seconds=7_200, path=path, **given, **options))
        async with anyio.create_task_group() as tasks:
            for _ in range(AT_A_TIME):
                tasks.start_soon(send, sender)
        assert 202 == (await sender.post(b"{}", path="/json")).status
    assert [] == wrong
    assert [] == broken
    assert [] == [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    # The dice are of no use if they never, or always, make a request that is accepted.
    assert found[202] > count / 10
    assert found.total() - found[202] > count / 10
    print(dict(found))  # noqa: T201 (as above)
