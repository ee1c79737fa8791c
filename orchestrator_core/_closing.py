"""How a component that was entered is left: in peace, but not for ever."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack

import anyio

_LOG = logging.getLogger("orchestrator_core")

CLOSING_SECONDS = 5.0


async def leave(component: AsyncExitStack, name: str, scope: anyio.CancelScope | None = None) -> None:
    """Leave a component, however the run ends: it has a few seconds to close its connections.

    Args:
        component: what was entered.
        name: of the input or process, for the log.
        scope: the scope in which it was entered and is left, where the component may hold a task group of its own.
    """
    if scope is not None:
        await _leave_within(component, name, scope)
        return
    with anyio.CancelScope() as own:
        await _leave_within(component, name, own)


async def _leave_within(component: AsyncExitStack, name: str, scope: anyio.CancelScope) -> None:
    scope.shield, scope.deadline = True, anyio.current_time() + CLOSING_SECONDS
    try:
        await component.aclose()
    # The border to foreign code: what can't be closed must not end a run under way.
    except Exception:  # noqa: BLE001
        _LOG.exception('"%s" could not be closed', name)
    finally:
        if scope.cancel_called:
            _LOG.warning('"%s" was not closed within %g s', name, CLOSING_SECONDS)
