"""Runs a user's set-up file: the tables that a pipeline needs, on a database that may be new."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio

from orchestrator_postgres._errors import PostgresError
from orchestrator_postgres._session import Connection, Session
from orchestrator_postgres._turn import take_turn

if TYPE_CHECKING:
    from pathlib import Path

_WITHIN = 60.0


async def run_setup(session: Session, path: Path) -> None:
    """Run a file with SQL in one transaction, after any other set-up that runs just now.

    Raises:
        PostgresError: the file can't be read, or the server refused.
    """
    try:
        script = await anyio.Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PostgresError(f"setup: can't read {path}: {error}") from error
    await session.call(partial(_run, script=script), f"running {path.name}", within=_WITHIN)


def _run(connection: Connection, script: str) -> None:
    with connection.transaction():
        take_turn(connection, "")
        connection.execute(script.encode())
