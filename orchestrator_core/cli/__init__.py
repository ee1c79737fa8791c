"""The `orchestrator` command: one module for each command in `commands`, what they print in `render`."""

from __future__ import annotations

from orchestrator_core.cli._root import main

__all__ = ["main"]
