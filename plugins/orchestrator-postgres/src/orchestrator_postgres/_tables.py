"""Which tables an input watches, and by which triggers: pure decisions on what the catalogue says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import attrs

from orchestrator_core import Operation
from orchestrator_postgres._statements import quote, quote_literal
from orchestrator_postgres._watch import digest

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

_WILDCARDS = frozenset("*?[")
_EVENTS = {Operation.CREATE: "INSERT", Operation.UPDATE: "UPDATE", Operation.DELETE: "DELETE"}
_TRANSITIONS = {
    Operation.CREATE: "NEW TABLE AS after_rows",
    Operation.UPDATE: "OLD TABLE AS before_rows NEW TABLE AS after_rows",
    Operation.DELETE: "OLD TABLE AS before_rows",
}
# pg_trigger.tgtype, from catalog/pg_trigger.h
_ROW, _TYPE = 1, {"INSERT": 4, "DELETE": 8, "UPDATE": 16, "TRUNCATE": 32}


@attrs.frozen
class Table:
    """A table as the catalogue has it.

    Attributes:
        oid: its object id.
        schema: the schema it is in.
        name: its name, unquoted.
        partitioned: rows live in its partitions.
        root: of a partition, the location of the partitioned table above all.
        inherits: has a parent or children in the old way of inheritance.
        key: the columns of its key; empty if it has none.
    """

    oid: int
    schema: str
    name: str
    partitioned: bool = False
    root: str | None = None
    inherits: bool = False
    key: tuple[str, ...] = ()

    @property
    def location(self) -> str:
        """What events call it: schema and name as they are, with a dot between."""
        return f"{self.schema}.{self.name}"

    @property
    def quoted(self) -> str:
        """Its name as SQL."""
        return f"{quote(self.schema)}.{quote(self.name)}"

    @property
    def by_row(self) -> bool:
        """Whether it needs row triggers: its statement triggers would miss rows written through another table."""
        return self.partitioned or self.inherits or self.root is not None


@attrs.frozen
class Trigger:
    """One of our triggers, wanted or found.

    Attributes:
        table: the oid of its table.
        location: the location of its table.
        name: its name.
        function: the name of the function in our schema.
        type: what makes it fire, as the bits of ``pg_trigger.tgtype``.
        arguments: the function's arguments: the input, the key's columns, and for row triggers the location.
        enabled: it fires in ordinary sessions.
    """

    table: int
    location: str = attrs.field(eq=False)
    name: str
    function: str
    type: int
    arguments: tuple[str, ...]
    enabled: bool = True


def select(patterns: Sequence[str], tables: Iterable[Table]) -> tuple[list[Table], list[str]]:
    """Choose the tables that an input watches.

    A pattern is a table's location or a glob over locations; without a dot it means a table in ``public``. A partition
    is watched through its root, so a glob never means one, and its name does only while its root is not watched.

    Returns:
        the tables, and the names among the patterns that match none.
    """
    patterns = [pattern if "." in pattern else f"public.{pattern}" for pattern in patterns]
    known = list(tables)
    named = set(patterns)
    chosen = [
        table
        for table in known
        if table.location in named
        or (table.root is None and any(fnmatchcase(table.location, pattern) for pattern in patterns))
    ]
    watched = {table.location for table in chosen}
    missing = [name for name in patterns if not _WILDCARDS & set(name) and name not in watched]
    return [table for table in chosen if table.root not in watched], missing


def wanted_triggers(input: str, table: Table, operations: AbstractSet[Operation]) -> list[Trigger]:  # noqa: A002
    """Return the triggers that a table needs for an input."""
    key = "{" + ",".join('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in table.key) + "}"
    prefix = trigger_prefix(input, table.location)
    fires = [_EVENTS[operation] for operation in _EVENTS if operation in operations]

    def trigger(kind: str, bits: int, *arguments: str) -> Trigger:
        return Trigger(table.oid, table.location, prefix + kind, f"capture_{kind}", bits, (input, key, *arguments))

    place = (table.location,) if table.by_row else ()
    if table.by_row:
        triggers = [trigger("row", _ROW | sum(_TYPE[event] for event in fires), *place)] if fires else []
    else:
        triggers = [trigger(event.lower(), _TYPE[event]) for event in fires]
    if Operation.DELETE in operations:
        triggers.append(trigger("truncate", _TYPE["TRUNCATE"], *place))
    return triggers


def partition_triggers(input: str, partition: Table, operations: AbstractSet[Operation]) -> list[Trigger]:  # noqa: A002
    """Return the triggers that a partition needs beside those it has from its root: TRUNCATE does not go up."""
    if partition.root is None or Operation.DELETE not in operations:
        return []
    name = trigger_prefix(input, partition.location) + "truncate"
    arguments = (input, "{}", partition.root, partition.location)
    return [Trigger(partition.oid, partition.location, name, "capture_truncate", _TYPE["TRUNCATE"], arguments)]


def trigger_prefix(input: str, location: str) -> str:  # noqa: A002
    """Return what the names of an input's triggers on a table begin with; short, for the limit is 63 bytes."""
    return f"orchestrator_{digest(input, location)}_"


def create_trigger(trigger: Trigger, quoted: str, schema: str) -> str:
    """Return the SQL that creates a trigger.

    Args:
        trigger: the trigger.
        quoted: its table's name as SQL.
        schema: the schema of our functions.
    """
    events = [event for event, bit in _TYPE.items() if trigger.type & bit]
    transitions = "".join(
        f"REFERENCING {_TRANSITIONS[operation]} "
        for operation, event in _EVENTS.items()
        if not trigger.type & _ROW and event in events
    )
    level = "ROW" if trigger.type & _ROW else "STATEMENT"
    arguments = ", ".join(quote_literal(argument) for argument in trigger.arguments)
    return (
        f"CREATE TRIGGER {quote(trigger.name)} AFTER {' OR '.join(events)} ON {quoted} {transitions}"
        f"FOR EACH {level} EXECUTE FUNCTION {quote(schema)}.{trigger.function}({arguments})"
    )


def drop_trigger(trigger: Trigger, quoted: str) -> str:
    """Return the SQL that drops a trigger.

    Args:
        trigger: the trigger.
        quoted: its table's name as SQL.
    """
    return f"DROP TRIGGER IF EXISTS {quote(trigger.name)} ON {quoted}"
