"""Asks components whether they reach what they need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import attrs

from orchestrator_core._clock import SystemClock
from orchestrator_core._errors import OrchestratorError
from orchestrator_core.cli._failures import FAILED, message

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator_core._config import Configuration

SECONDS = 10.0
_AT_ONCE = 8


@attrs.frozen
class Reached:
    """What one component answered.

    Attributes:
        name: the input or process.
        asked: whether it has a way to tell.
        problem: why it can't do its work; ``None`` if it can.
        seconds: how long it took to find out.
    """

    name: str
    asked: bool
    problem: str | None = None
    seconds: float = 0.0


async def connect_all(configuration: Configuration, on_answer: Callable[[Reached], None]) -> int:
    """Ask all components, several at a time, and return the exit code; each answer is passed on when it comes."""
    components: dict[str, Any] = {}
    for name, source in configuration.inputs.items():
        components[name] = source.build(configuration.plugins)
    for name, process in configuration.processes.items():
        components[name] = process.build(configuration.plugins)
    limiter = anyio.CapacityLimiter(_AT_ONCE)
    answers: list[Reached] = []

    async def ask(name: str, component: Any) -> None:  # noqa: ANN401 (an input or a process)
        async with limiter:
            answer = await _ask(name, component)
        answers.append(answer)
        on_answer(answer)

    async with anyio.create_task_group() as tasks:
        for name, component in components.items():
            tasks.start_soon(ask, name, component)
    return FAILED if any(answer.problem is not None for answer in answers) else 0


async def _ask(name: str, component: Any) -> Reached:  # noqa: ANN401 (as above)
    if not callable(getattr(component, "check", None)):
        return Reached(name, asked=False)
    clock = SystemClock()
    began = clock.monotonic()
    problem = None
    try:
        with anyio.fail_after(SECONDS):
            await component.check()
    except TimeoutError:
        problem = f"no answer within {SECONDS:.0f} s"
    except Exception as error:  # noqa: BLE001 (the border to foreign code: any failure is the answer)
        problem = _reason(error)
    return Reached(name, asked=True, problem=problem, seconds=clock.monotonic() - began)


def _reason(error: Exception) -> str:
    if isinstance(error, OrchestratorError) or (isinstance(error, OSError) and error.strerror):
        return message(error)  # those explain themselves
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
