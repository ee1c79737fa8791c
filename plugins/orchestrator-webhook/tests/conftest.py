"""What the plugin's tests share: asyncio, and a receiver whose answers a test writes."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the helpers beside the tests; test folders are no packages

from receiving import Receiver


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, the plugin's only event loop."""
    return "asyncio"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver on the loopback that answers 200 until it is told otherwise."""
    async with Receiver() as receiver:
        yield receiver
