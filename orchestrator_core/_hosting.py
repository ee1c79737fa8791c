"""How a component is entered, tried again, and left: in one task, in peace, but not for ever."""

from __future__ import annotations

import logging
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import anyio
from anyio.abc import TaskStatus

from orchestrator_core._errors import message_of

_LOG = logging.getLogger("orchestrator_core")

CLOSING_SECONDS = 5.0
_FIRST_DELAY = 1.0
_LONGEST_DELAY = 60.0


async def host(
    component: AbstractAsyncContextManager[Any],
    name: str,
    closing: anyio.Event,
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Keep a component entered until it is to be closed; run it in a task of its own.

    Entering and leaving in one task, with a scope around both, is what a component needs that holds a task group open.
    Cancellation ends the entering; after that the component stays until `closing`, however the run ends.

    Args:
        component: what to enter. What that raises is raised, and later what ends a task group that it holds open.
        name: of the input or process, for the log.
        closing: set when nothing uses the component any more.
        task_status: started once it is entered.
    """
    with anyio.CancelScope() as scope:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(component)
            scope.shield = True
            task_status.started()
            await closing.wait()
            await _leave(stack.pop_all(), name, scope)


async def _leave(component: AsyncExitStack, name: str, scope: anyio.CancelScope) -> None:
    """Leave a component: it has a few seconds to close its connections."""
    scope.deadline = anyio.current_time() + CLOSING_SECONDS
    try:
        await component.aclose()
    # The border to foreign code: what can't be closed must not end a run under way.
    except Exception:  # noqa: BLE001
        _LOG.exception('"%s" could not be closed', name)
    finally:
        if scope.cancel_called:
            _LOG.warning('"%s" was not closed within %g s', name, CLOSING_SECONDS)


def restart_delay(failures: int) -> float:
    """Return how many seconds to wait after so many failures in a row."""
    return min(_FIRST_DELAY * 2.0 ** min(failures - 1, 16), _LONGEST_DELAY)


def describe(error: BaseException) -> str:
    """Say an exception in one line; of a group, its members."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(describe(each) for each in error.exceptions)
    text = " ".join(message_of(error).split())
    kind = type(error).__name__
    return f"{kind}: {text}" if text else kind
