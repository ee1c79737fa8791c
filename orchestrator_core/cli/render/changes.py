"""What differs between two configurations of one pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator_core._config import Configuration


def changes(old: Configuration, new: Configuration) -> str:
    """Return what was added, changed and removed, in a line."""
    found = [
        *_named("input", old.inputs, new.inputs),
        *_named("process", old.processes, new.processes),
        *(["the links changed"] if old.links != new.links else []),
        *_settings("pipeline", old.pipeline, new.pipeline),
        *_settings("journal", old.journal, new.journal),
    ]
    return "; ".join(found) or "nothing has changed"


def _settings(table: str, old: attrs.AttrsInstance, new: attrs.AttrsInstance) -> Iterator[str]:
    for field in attrs.fields(type(new)):
        if getattr(old, field.name) != getattr(new, field.name):
            yield f"{table}.{field.name} changed"


def _named(kind: str, old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[str]:
    for name in new:
        if name not in old:
            yield f"{kind} {name} added"
        elif new[name] != old[name]:
            yield f"{kind} {name} changed"
    for name in old:
        if name not in new:
            yield f"{kind} {name} removed"
