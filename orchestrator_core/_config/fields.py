"""What a class says about its fields: the documentation behind the configuration's keys."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from orchestrator_core.hookspecs import component_fields

_ENTRY = re.compile(r"    (\w+): (.*)")


def summary_of(kind: type[Any]) -> str:
    """Return the first line of a class's docstring, unless attrs or Python wrote it."""
    doc = inspect.getdoc(kind) if kind.__doc__ else None
    return doc.splitlines()[0].strip() if doc else ""


def help_of(kind: type[Any]) -> Mapping[str, str]:
    """Return the description of each field by its key: ``metadata={"help": …}``, else the docstring's Attributes."""
    described = {name: text for base in reversed(kind.__mro__) for name, text in _attributes(base).items()}
    return {
        field.alias or field.name: str(field.metadata.get("help") or described.get(field.name, ""))
        for field in component_fields(kind)
    }


def _attributes(kind: type[Any]) -> Mapping[str, str]:
    """Return the entries under ``Attributes:`` in the Google style."""
    entries: dict[str, str] = {}
    name = ""
    inside = False
    for line in inspect.cleandoc(kind.__doc__ or "").splitlines():
        if line and not line.startswith(" "):
            inside = line == "Attributes:"
        elif inside and (entry := _ENTRY.fullmatch(line)):
            name, entries[entry[1]] = entry[1], entry[2]
        elif inside and name and line.startswith("        "):
            entries[name] += f" {line.strip()}"
    return {name: text.replace("``", "").replace("`", "") for name, text in entries.items()}
