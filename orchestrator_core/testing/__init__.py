"""For tests of plugins and of programs that embed the engine: contract suites, fakes, and a clock that stands still.

Names ending in ``Contract`` are pytest classes to derive from, and import pytest; `JournalMachine` imports Hypothesis;
the rest needs neither.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from orchestrator_core.testing._clock import SimulatedClock
from orchestrator_core.testing._components import (
    Cue,
    Gate,
    Play,
    RecordingProcess,
    Run,
    ScriptedInput,
    ScriptedProcess,
)
from orchestrator_core.testing._contexts import FakeAttemptContext, FakeInputContext

if TYPE_CHECKING:
    from orchestrator_core.testing._component_contracts import InputContract, ProcessContract
    from orchestrator_core.testing._journal import JournalContract
    from orchestrator_core.testing._machine import JournalMachine

_LATER = {
    "InputContract": "_component_contracts",
    "JournalContract": "_journal",
    "JournalMachine": "_machine",
    "ProcessContract": "_component_contracts",
}

__all__ = [
    "Cue",
    "FakeAttemptContext",
    "FakeInputContext",
    "Gate",
    "InputContract",
    "JournalContract",
    "JournalMachine",
    "Play",
    "ProcessContract",
    "RecordingProcess",
    "Run",
    "ScriptedInput",
    "ScriptedProcess",
    "SimulatedClock",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 (whatever is asked for)
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = f"{__name__}.{_LATER[name]}"
    if (pytest := sys.modules.get("pytest")) is not None and module not in sys.modules:
        pytest.register_assert_rewrite(module)  # so that a failing contract shows both sides of its assertion
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return __all__
