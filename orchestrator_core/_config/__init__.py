"""Configuration: TOML to typed values, with every problem at once and where it stands.

Imported when used: it brings cattrs, tree-sitter and tomllib, which a pipeline built in code need not pay for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator_core._config.components import InputConfig, ProcessConfig
    from orchestrator_core._config.configuration import Configuration
    from orchestrator_core._config.guarantees import Guarantee
    from orchestrator_core._config.json_schema import schema
    from orchestrator_core._config.loading import load
    from orchestrator_core._config.problems import ConfigurationProblems, Problem
    from orchestrator_core._config.shown import normalised
    from orchestrator_core._config.tables import JournalConfig, PipelineConfig

__all__ = [
    "Configuration",
    "ConfigurationProblems",
    "Guarantee",
    "InputConfig",
    "JournalConfig",
    "PipelineConfig",
    "Problem",
    "ProcessConfig",
    "load",
    "normalised",
    "schema",
]

_MODULES = {
    "Configuration": "configuration",
    "ConfigurationProblems": "problems",
    "Guarantee": "guarantees",
    "InputConfig": "components",
    "JournalConfig": "tables",
    "PipelineConfig": "tables",
    "Problem": "problems",
    "ProcessConfig": "components",
    "load": "loading",
    "normalised": "shown",
    "schema": "json_schema",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 (whatever is asked for)
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
