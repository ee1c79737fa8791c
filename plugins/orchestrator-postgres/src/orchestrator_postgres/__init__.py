"""PostgreSQL for the orchestrator: changed rows as events, and SQL as exactly-once jobs."""

from __future__ import annotations

import click

from orchestrator_core import InputType, ProcessType, hookimpl
from orchestrator_postgres._errors import (
    ConnectionStringError,
    EmbeddedServerError,
    MissingRightError,
    MissingTableError,
    NotInstalledError,
    PostgresError,
    UnreachableError,
    UnsafeServerError,
)
from orchestrator_postgres._input import PostgresInput
from orchestrator_postgres._sql import PostgresSql

__all__ = [
    "ConnectionStringError",
    "EmbeddedServerError",
    "MissingRightError",
    "MissingTableError",
    "NotInstalledError",
    "PostgresError",
    "PostgresInput",
    "PostgresSql",
    "UnreachableError",
    "UnsafeServerError",
]


@hookimpl
def orchestrator_register_inputs() -> list[InputType]:
    """Return the input ``postgres``."""
    return [
        InputType(
            "postgres",
            PostgresInput,
            summary="rows changed in Postgres, by an outbox in the writer's own transaction",
            replayable=True,
            durable_ack=True,
            ordered=True,
        )
    ]


@hookimpl
def orchestrator_register_commands() -> list[click.Command]:
    """Return the group ``orchestrator postgres``."""
    from orchestrator_postgres._commands import postgres  # noqa: PLC0415 (only the command line needs it)

    return [postgres]


@hookimpl
def orchestrator_register_processes() -> list[ProcessType]:
    """Return the process ``postgres.sql``."""
    return [
        ProcessType(
            "sql", PostgresSql, summary="a SQL statement for each event, exactly-once in effect", idempotent=True
        )
    ]
