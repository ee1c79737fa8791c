"""The inputs and processes of a file, and their links: each typed by itself, so that one mistake hides no other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import attrs

from orchestrator_core._config.graph import PlacedLink
from orchestrator_core._config.hooks import table_of
from orchestrator_core._config.problems import Keys
from orchestrator_core._config.references import Mistake
from orchestrator_core._config.structure import Structure
from orchestrator_core._config.tables import InputTable, ProcessTable, UpstreamTable

_TYPE = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})?")
_TABLES: Mapping[str, type[InputTable | ProcessTable]] = {"inputs": InputTable, "processes": ProcessTable}


@attrs.frozen
class Node:
    """An input or process as it is written.

    Attributes:
        section: the table it is in.
        name: its name.
        raw: its table, references unread.
        table: its table typed; ``None`` if something is wrong with it.
    """

    section: Literal["inputs", "processes"]
    name: str
    raw: Mapping[str, Any]
    table: Any

    @property
    def keys(self) -> Keys:
        """Where it stands."""
        return (self.section, self.name)

    @property
    def type(self) -> str | None:
        """Its kind, if that much can be read."""
        found = self.table.type if self.table is not None else self.raw.get("type")
        return found if isinstance(found, str) and _TYPE.fullmatch(found) else None

    @property
    def plugin(self) -> str | None:
        """The plugin that has its kind."""
        return self.type and self.type.partition(".")[0]

    @property
    def inner(self) -> str:
        """The key of its component's table."""
        return "options" if self.section == "inputs" else "execution_context"

    @property
    def own(self) -> Mapping[str, Any] | None:
        """Its component's table, references unread; ``None`` if that is no table."""
        try:
            return table_of(self.raw.get(self.inner, {}))
        except Mistake:
            return None


def read_nodes(section: Literal["inputs", "processes"], value: object, structure: Structure) -> Iterator[Node]:
    """Yield the inputs or the processes, those with mistakes too."""
    try:
        tables = table_of(value)
    except Mistake as mistake:
        structure.add((section,), str(mistake), f"write [{section}.NAME]")
        return
    for name, raw in tables.items():
        table = structure.attempt(raw, _TABLES[section], (section, name))
        node = Node(section, name, raw if isinstance(raw, Mapping) else {}, table)
        if node.type is None and (table is not None or isinstance(node.raw.get("type"), str)):
            structure.add((*node.keys, "type"), 'expected "<plugin>" or "<plugin>.<component>" of a-z, 0-9, _ and -')
        yield node


def read_links(process: Node, structure: Structure) -> Iterator[PlacedLink | None]:
    """Yield the links that lead to a process, and ``None`` for what can't be read."""
    after = process.raw.get("after")
    if not isinstance(after, list):
        after = process.table.after if process.table is not None else [None]
    for index, each in enumerate(after):
        upstream: str | UpstreamTable | None = structure.quietly(each, str | UpstreamTable)
        if isinstance(upstream, str):
            upstream = UpstreamTable(node=upstream)
        keys = (*process.keys, "after", index)
        yield None if upstream is None else PlacedLink(upstream.link(process.name), keys)
