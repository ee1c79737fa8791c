"""What a database holds of an input, read from its catalogue: `State`, and what is wrong with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs

from orchestrator_postgres._session import Connection, fetch
from orchestrator_postgres._statements import load, quote
from orchestrator_postgres._tables import Table, Trigger, partition_triggers, select, wanted_triggers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator_postgres._watch import Watch

VERSION = 2
"""The version of the objects in the database; a newer plugin brings an older database up to date."""

_OBJECT_FILES = ("schema", "capture", "backfill", "claim")
_FUNCTION = re.compile(r"CREATE OR REPLACE FUNCTION [^(]*\.(\w+)(\(.*?)AS \$function\$(.*?)\$function\$", re.DOTALL)
_SETTING = re.compile(r"""\bSET "?(\w+)"? = (?:'([^']*)'|(.+?))(?=\s+SET\b|\s*$)""", re.MULTILINE)
_COMMENT = "orchestrator-postgres objects, version "


@attrs.frozen
class Server:
    """The server's settings that matter here.

    Attributes:
        version: as the number 150018 for 15.18.
        read_only: it is a standby, still replays its log, or is set to take no writes.
        fsync: what it confirms is on the disk.
        prepared_transactions: how many transactions may be prepared; 0 forbids two-phase commit.
        database: the database's name.
        user: the role of the session.
    """

    version: int
    read_only: bool
    fsync: bool
    prepared_transactions: int
    database: str
    user: str


@attrs.frozen
class Function:
    """One of our functions.

    Attributes:
        name: its name; several may share it.
        body: its source.
        definer: it runs with its owner's rights.
        settings: what it sets while it runs, as the catalogue has it: ``name=value``.
        public: everybody may call it.
    """

    name: str
    body: str
    definer: bool
    settings: frozenset[str]
    public: bool = False


@attrs.frozen(kw_only=True)
class State:
    """What there is of an input.

    Attributes:
        server: the server's settings.
        version: the version of our objects; 0 if there are none.
        row: the input's own row; ``None`` if there is none.
        altered: our functions that are missing, or not as we made them.
        tables: the tables it watches.
        known: the locations of all the tables there are.
        missing: names in ``tables`` that no table has.
        wanted: the triggers it needs.
        found: the triggers it has, on whatever tables.
        names: the names of all those tables as SQL.
    """

    server: Server
    version: int
    row: Mapping[str, Any] | None
    altered: Sequence[str]
    tables: Sequence[Table]
    known: Sequence[str]
    missing: Sequence[str]
    wanted: Sequence[Trigger]
    found: Sequence[Trigger]
    names: Mapping[int, str]

    @property
    def to_create(self) -> list[Trigger]:
        """The triggers that are not there, or not as they have to be."""
        found = set(self.found)
        return [trigger for trigger in self.wanted if trigger not in found]

    @property
    def to_drop(self) -> list[Trigger]:
        """The triggers that are wrong or not needed any more."""
        wanted = set(self.wanted)
        return [trigger for trigger in self.found if trigger not in wanted]

    def problems(self, watch: Watch) -> list[str]:
        """Say what keeps the input from seeing every change, one sentence each; nothing if all is well."""
        if self.version < VERSION:
            return self.missing_objects(watch.schema)
        problems = [] if self.row == watch.row() else [f'the row of input "{watch.name}" is not as configured']
        problems += self.missing_objects(watch.schema)
        problems += [f"the table {name} does not exist" for name in self.missing]
        by_name = {(trigger.table, trigger.name): trigger for trigger in self.found}
        problems += [_describe(trigger, by_name.get((trigger.table, trigger.name))) for trigger in self.to_create]
        current = {(trigger.table, trigger.name) for trigger in self.wanted}
        problems += [
            f"trigger {trigger.name} on {trigger.location} is not needed any more"
            for trigger in self.to_drop
            if (trigger.table, trigger.name) not in current
        ]
        return problems

    def missing_objects(self, schema: str) -> list[str]:
        """Say which of the objects that all inputs share are not as they have to be."""
        if self.version < VERSION:
            found = f"are of version {self.version}" if self.version else "are not there"
            return [f"the objects in schema {schema} {found}"]
        return [f"the function {schema}.{name} is missing or has been changed" for name in self.altered]


def _describe(wanted: Trigger, found: Trigger | None) -> str:
    if found is None:
        return f"the table {wanted.location} has no trigger {wanted.name}, so its changes go unseen"
    state = "has been changed" if found.enabled else "is disabled, so changes go unseen"
    return f"trigger {wanted.name} on {wanted.location} {state}"


def read_server(connection: Connection) -> Server:
    """Read the server's settings."""
    return Server(*fetch(connection, load("inspect", "")["server"])[0])


def read_state(connection: Connection, watch: Watch) -> State:
    """Read all of it; takes no lock that a writer could notice."""
    statements = load("inspect", watch.schema)
    names = {"name": watch.schema, "schema": quote(watch.schema), "input": watch.name}
    version = 0
    row = None
    altered: list[str] = []
    for comment, has_input, has_outbox in fetch(connection, statements["version"], names):
        if has_input and has_outbox:
            version = parse_comment(comment)
    if version:
        columns = ("options", "version", "columns", "changed", "condition", "key_only", "max_payload", "channel")
        rows = fetch(connection, statements["input"], names)
        row = dict(zip(columns, rows[0], strict=True)) if rows else None
    if version == VERSION:
        there = {
            Function(name, body, definer, frozenset(settings), public)
            for name, body, definer, settings, public in fetch(connection, statements["functions"], names)
        }
        altered = sorted({function.name for function in wanted_functions(watch.schema) if function not in there})
    tables, everything, missing = _read_tables(connection, statements, names, watch)
    roots = {table.location for table in tables}
    partitions = [table for table in everything if table.root in roots]
    found = fetch(connection, statements["triggers"], names)
    ours = [
        (place, _found_trigger(*fields)) for fields in found for place in [fields[1:3]] if fields[7][0] == watch.name
    ]
    wanted = [trigger for table in tables for trigger in wanted_triggers(watch.name, table, watch.operations)]
    wanted += [trigger for table in partitions for trigger in partition_triggers(watch.name, table, watch.operations)]
    return State(
        server=read_server(connection),
        version=version,
        row=row,
        altered=altered,
        tables=tables,
        known=[table.location for table in everything],
        missing=missing,
        wanted=wanted,
        found=[trigger for _, trigger in ours],
        names={table.oid: table.quoted for table in partitions}
        | {trigger.table: f"{quote(schema)}.{quote(name)}" for (schema, name), trigger in ours}
        | {table.oid: table.quoted for table in tables},
    )


def _read_tables(
    connection: Connection, statements: Mapping[str, str], names: Mapping[str, str], watch: Watch
) -> tuple[list[Table], list[Table], list[str]]:
    everything = [
        Table(oid, schema, name, partitioned, root, inherits and not is_partition)
        for oid, schema, name, partitioned, is_partition, inherits, root in fetch(
            connection, statements["tables"], names
        )
    ]
    chosen, missing = select(watch.tables, everything)
    keys = dict(fetch(connection, statements["keys"], {"tables": [table.oid for table in chosen]}))
    tables = [attrs.evolve(table, key=tuple(keys.get(table.oid, ()))) for table in chosen]
    return tables, everything, missing


def _found_trigger(  # noqa: PLR0917 (a row, column by column)
    table: int, schema: str, relation: str, name: str, enabled: str, function: str, bits: int, arguments: Sequence[str]
) -> Trigger:
    # tgargs ends each argument with a zero byte, so the last part is empty.
    return Trigger(table, f"{schema}.{relation}", name, function, bits, tuple(arguments[:-1]), enabled in {"O", "A"})


def object_statements(schema: str) -> Sequence[str]:
    """Return the SQL that creates our objects, in order."""
    return [statement for file in _OBJECT_FILES for statement in load(file, schema).values()]


def wanted_functions(schema: str) -> Sequence[Function]:
    """Return each function that we create, as the catalogue has it."""
    return [
        Function(name, body, "SECURITY DEFINER" in head, _settings(head))
        for name, head, body in _FUNCTION.findall("\n".join(object_statements(schema)))
    ]


def _settings(head: str) -> frozenset[str]:
    return frozenset(f"{name}={quoted or bare}" for name, quoted, bare in _SETTING.findall(head))


def make_comment() -> str:
    """Return the comment on our schema that tells the version of what is in it."""
    return f"{_COMMENT}{VERSION}"


def parse_comment(comment: str | None) -> int:
    """Return the version that a comment tells; 0 if it tells none."""
    number = (comment or "").removeprefix(_COMMENT)
    return int(number) if number.isdigit() else 0
