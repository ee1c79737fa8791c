"""What is said to a program on another event loop than asyncio's."""

from __future__ import annotations

import asyncio

from orchestrator_webhook._errors import AsyncioOnlyError


def require_asyncio() -> None:
    """Raise unless asyncio runs this program.

    Raises:
        AsyncioOnlyError: something else does.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise AsyncioOnlyError from None
