"""The nearest right name, or the nearest right place, for a key that its table does not know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs

from orchestrator_core._config.problems import Keys, did_you_mean, nearest
from orchestrator_core._config.tables import (
    DefaultsTable,
    FileTable,
    InputTable,
    JournalConfig,
    PipelineConfig,
    ProcessTable,
    UpstreamTable,
)
from orchestrator_core._retry import RetryPolicy

_COMPONENT = {"inputs": "options", "processes": "execution_context"}
_NODE = 2
_SURER = 0.8

Place = tuple[str, Sequence[str]]


def for_unknown_key(keys: Keys, known: Sequence[str], components: Mapping[Keys, Sequence[str]]) -> str:
    """Say what to do about an unknown key.

    Args:
        keys: where it is.
        known: the keys that its table has.
        components: the option names of each input and process whose kind is known, by where it stands.
    """
    *outer, key = keys
    table, name = tuple(outer), str(key)
    if not table and name in {"include", "extends", "import"}:
        return "a pipeline is one file: write everything here"
    places = list(_elsewhere(table, components))
    for place, names in places:
        if name in names:
            return f"it belongs {place}"
    if near := nearest(name, known):
        return f'did you mean "{near}"?'
    for place, names in places:
        if near := nearest(name, names, _SURER):
            return f'did you mean "{near}", {place}?'
    return did_you_mean(name, known)


def _elsewhere(table: Keys, components: Mapping[Keys, Sequence[str]]) -> Iterator[Place]:
    """Yield the places where a key of this table may have been meant to be, nearest first."""
    section = str(table[0]) if table else ""
    node = table[:_NODE]
    header = ".".join(str(key) for key in node)
    own = _keys(InputTable if section == "inputs" else ProcessTable)
    inner = _COMPONENT.get(section, "")
    if inner and len(table) == _NODE:
        yield f"inside {inner}", components.get(node, ())
    if inner and len(table) > _NODE:
        yield f"in [{header}], beside {table[_NODE]}", own
    if section in {"processes", "defaults"} and table[-1] != "retry":
        yield "inside retry", _keys(RetryPolicy)
    if section == "defaults" and len(table) > 1:
        yield "in [defaults], beside retry", _keys(DefaultsTable)
    if section == "processes" and len(table) == _NODE:
        yield 'inside a table of after, such as after = [{ node = "…", … }]', _keys(UpstreamTable)
    for name, kind in (("journal", JournalConfig), ("pipeline", PipelineConfig), ("defaults", DefaultsTable)):
        # A node's name is its table's; that of the pipeline is another matter.
        if section != name:
            yield f"in [{name}]", [key for key in _keys(kind) if key != "name" or not table]
    if section in {"pipeline", "journal", "defaults"}:
        yield "at the top of the file", _keys(FileTable)


def _keys(kind: type[attrs.AttrsInstance]) -> list[str]:
    return [field.alias for field in attrs.fields(kind) if field.init and field.alias]
