"""An event-driven pipeline orchestrator: inputs, processes, and a small core that never loses what it accepted.

The names in `__all__` are the public ones, with those of `orchestrator_core.hookspecs` and `orchestrator_core.testing`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator_core._clock import Clock, SystemClock
    from orchestrator_core._config import Configuration, InputConfig, ProcessConfig
    from orchestrator_core._contracts import (
        Appended,
        Attempt,
        AttemptContext,
        Claim,
        Claimed,
        Counts,
        DeliveryQuery,
        EventRecord,
        Input,
        InputContext,
        Journal,
        JournalReader,
        Process,
        ProcessExitStatus,
        ProcessStatus,
        Reconciliation,
        Settled,
        Settlement,
        Slots,
    )
    from orchestrator_core._delivery import FINISHED, Delivery, DeliveryState, Transition
    from orchestrator_core._errors import (
        ConfigurationError,
        DuplicateNameError,
        EventError,
        EventTooLargeError,
        FanOutLimitError,
        FilterError,
        HopLimitError,
        JournalBrokenError,
        JournalError,
        JournalLockedError,
        JournalUnavailableError,
        NotFoundError,
        OrchestratorError,
        PipelineCycleError,
        PipelineError,
        PluginError,
        PluginErrors,
        ProcessInterfaceConversionError,
        Reject,
        RetryLater,
        UnknownInputError,
        UnknownProcessError,
    )
    from orchestrator_core._event import Event, Operation, new_uid
    from orchestrator_core._filters import Where
    from orchestrator_core._journal import MemoryJournal, SqliteJournal
    from orchestrator_core._json import JSON, dump_json, load_json
    from orchestrator_core._notices import (
        AttemptLogged,
        AttemptStarted,
        DeliverySettled,
        EventsAccepted,
        InputChanged,
        LoopBlocked,
        Measured,
        Notice,
    )
    from orchestrator_core._orchestrator import Orchestrator
    from orchestrator_core._pipeline import Link, Pipeline, ProcessOptions
    from orchestrator_core._plan import Edge, Plan, Step, Upstream, resolve
    from orchestrator_core._retry import RetryPolicy
    from orchestrator_core._secret import Secret
    from orchestrator_core._summary import ProcessSummary, Summary
    from orchestrator_core.hookspecs import PLUGIN_API, InputType, JournalType, ProcessType, hookimpl

# A name is imported when it is first used, so that a plugin or a command pays only for what it needs: making the value
# types takes as long as importing the three libraries below them. The first layer that has a name is its home.
_LAYERS = (
    "_errors",
    "_json",
    "_event",
    "_clock",
    "_secret",
    "_retry",
    "_delivery",
    "_filters",
    "_plan",
    "_pipeline",
    "_notices",
    "_contracts",
    "hookspecs",
    "_summary",
    "_journal",
    "_orchestrator",
    "_config",
)

__all__ = [
    "FINISHED",
    "JSON",
    "PLUGIN_API",
    "Appended",
    "Attempt",
    "AttemptContext",
    "AttemptLogged",
    "AttemptStarted",
    "Claim",
    "Claimed",
    "Clock",
    "Configuration",
    "ConfigurationError",
    "Counts",
    "Delivery",
    "DeliveryQuery",
    "DeliverySettled",
    "DeliveryState",
    "DuplicateNameError",
    "Edge",
    "Event",
    "EventError",
    "EventRecord",
    "EventTooLargeError",
    "EventsAccepted",
    "FanOutLimitError",
    "FilterError",
    "HopLimitError",
    "Input",
    "InputChanged",
    "InputConfig",
    "InputContext",
    "InputType",
    "Journal",
    "JournalBrokenError",
    "JournalError",
    "JournalLockedError",
    "JournalReader",
    "JournalType",
    "JournalUnavailableError",
    "Link",
    "LoopBlocked",
    "Measured",
    "MemoryJournal",
    "NotFoundError",
    "Notice",
    "Operation",
    "Orchestrator",
    "OrchestratorError",
    "Pipeline",
    "PipelineCycleError",
    "PipelineError",
    "Plan",
    "PluginError",
    "PluginErrors",
    "Process",
    "ProcessConfig",
    "ProcessExitStatus",
    "ProcessInterfaceConversionError",
    "ProcessOptions",
    "ProcessStatus",
    "ProcessSummary",
    "ProcessType",
    "Reconciliation",
    "Reject",
    "RetryLater",
    "RetryPolicy",
    "Secret",
    "Settled",
    "Settlement",
    "Slots",
    "SqliteJournal",
    "Step",
    "Summary",
    "SystemClock",
    "Transition",
    "UnknownInputError",
    "UnknownProcessError",
    "Upstream",
    "Where",
    "dump_json",
    "hookimpl",
    "load_json",
    "new_uid",
    "resolve",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 (whatever is asked for)
    if name in __all__:
        for layer in _LAYERS:
            module = import_module(f"{__name__}.{layer}")
            if hasattr(module, name):
                found = globals()[name] = getattr(module, name)
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
