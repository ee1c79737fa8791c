"""`take_turn`: whoever creates objects in a database does so alone."""

from __future__ import annotations

from orchestrator_postgres._session import Connection, fetch
from orchestrator_postgres._statements import load


def take_turn(connection: Connection, schema: str) -> None:
    """Wait until nobody else changes a schema's objects, and see what they have made of it; holds until the commit.

    Two sessions that run ``CREATE OR REPLACE FUNCTION`` at once fail with "tuple concurrently updated".

    Args:
        connection: a connection in a transaction.
        schema: the schema; ``""`` for users' own set-up files.
    """
    statements = load("install", schema)
    fetch(connection, statements["take_turn"], {"schema": schema})
    fetch(connection, statements["look_again"])
