"""What the end of a container means for its delivery. Pure: from what the engine says to what the core is told."""

from __future__ import annotations

from datetime import timedelta

from orchestrator_core import Reject, RetryLater
from orchestrator_docker._containers import Container
from orchestrator_docker._errors import (
    ContainerNonZeroExit,
    ContainerStartError,
    ContainerTimeoutError,
    EngineRestartedError,
)

# The names are those of sysexits.h.
_TRY_AGAIN = 75
_NEVER = {64: "EX_USAGE", 65: "EX_DATAERR", 78: "EX_CONFIG"}

_SIGNALS = {132: "SIGILL", 134: "SIGABRT", 135: "SIGBUS", 136: "SIGFPE", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}

# What a container shows that was ended with its engine or host: killed, terminated, or no code at all.
_FALLEN = frozenset({137, 143, 255})

RESTART_AFTER = timedelta(seconds=1)


def judge(
    container: Container,
    *,
    image: str,
    last_words: str,
    lost_contact: bool,
    retry_after: timedelta,
    was_told_to_end: bool = False,
) -> None:
    """Return if a container has succeeded, raise what its delivery comes to if not.

    Args:
        container: the container, ended.
        image: its image.
        last_words: the last line that it wrote.
        lost_contact: the engine was away while it was started or ran.
        retry_after: how long to wait after exit code 75.
        was_told_to_end: it was sent a signal at its deadline, so nobody needs to compare the engine's clock with ours.

    Raises:
        RetryLater: it asks for it, or the engine took it down.
        Reject: it says that this event will never succeed.
        ContainerTimeoutError: it was ended at its deadline.
        ContainerStartError: it never ran.
        ContainerNonZeroExit: it failed.
    """
    code = container.exit_code
    if container.error:
        raise ContainerStartError(image, container.error)
    if code == 0:
        return
    if _was_timed_out(container) or (was_told_to_end and code in _FALLEN):
        raise ContainerTimeoutError(code)
    if lost_contact and code in _FALLEN and not container.is_out_of_memory:
        error = EngineRestartedError(code)
        raise RetryLater(RESTART_AFTER, str(error)) from error
    failure = ContainerNonZeroExit(code, _why(container, last_words))
    if code == _TRY_AGAIN:
        raise RetryLater(retry_after, str(failure)) from failure
    if code in _NEVER:
        raise Reject(f"{failure} ({_NEVER[code]})") from failure
    raise failure


def has_fallen(container: Container) -> bool:
    """Tell whether a container that nobody waited for was ended with its engine or host, and not by itself."""
    return (
        container.exit_code in _FALLEN
        and not container.is_out_of_memory
        and not container.error
        and not _was_timed_out(container)
    )


def _was_timed_out(container: Container) -> bool:
    owner, end = container.owner, container.finished_at
    return owner is not None and end is not None and container.exit_code in _FALLEN and end >= owner.deadline


def _why(container: Container, last_words: str) -> str:
    if container.is_out_of_memory:
        return "it ran out of memory: raise `memory`, or make the job need less"
    signal = _SIGNALS.get(container.exit_code)
    parts = [f"ended by {signal}" if signal else "", last_words]
    return ": ".join(part for part in parts if part)
