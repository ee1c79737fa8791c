"""PgBouncer in front of a server, for the tests of what a pooler does to a connection."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import pytest
from servers import Database, as_nobody, until

_PORT = 6432
_CONFIGURATION = """
    [databases]
    * = host={home} port={port} user=postgres
    [pgbouncer]
    listen_addr =
    listen_port = {own_port}
    unix_socket_dir = {home}
    auth_type = any
    pool_mode = {mode}
    default_pool_size = 2
"""


@contextmanager
def pooled(database: Database, mode: Literal["transaction", "session"]) -> Iterator[str]:
    """Return a connection string for a database through PgBouncer while the block runs."""
    if shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:" + os.defpath) is None:
        say = pytest.fail if "CI" in os.environ else pytest.skip
        say("no PgBouncer on this machine: apt-get install pgbouncer")
    server = database.server
    file = server.home / "pgbouncer.ini"
    lines = _CONFIGURATION.format(home=server.home, port=server.port, own_port=_PORT, mode=mode).split("\n")
    file.write_text("\n".join(line.strip() for line in lines))
    process = subprocess.Popen(["/usr/sbin/pgbouncer", "-q", str(file)], stderr=-3, stdout=-3, **as_nobody(server.home))
    try:
        until(lambda: _listens(str(server.home / f".s.PGSQL.{_PORT}")), "PgBouncer")
        yield f"host={server.home} port={_PORT} dbname={database.name} user=postgres"
    finally:
        process.terminate()
        process.wait()


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as line:
        return line.connect_ex(path) == 0
