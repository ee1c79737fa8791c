"""A PostgreSQL server of a measure's own: Debian's with its defaults, so with fsync, as an unprivileged user."""

from __future__ import annotations

import os
import pwd
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import attrs
import psycopg

CONNECTIONS = 8
_USER = "postgres"
_START_SECONDS = 60
_PARTS = re.split(r"(?m)^-- name: (\w+)\n", files(__package__).joinpath("tables.sql").read_text("utf-8"))
TABLES: Mapping[str, str] = dict(zip(_PARTS[1::2], _PARTS[2::2], strict=True))
"""The statements of ``tables.sql`` by name."""


@attrs.frozen
class Server:
    """A server that runs.

    Attributes:
        home: its folder, with the socket in it.
        binaries: the folder of its programs.
    """

    home: Path
    binaries: Path

    @property
    def dsn(self) -> str:
        """A connection string."""
        return f"host={self.home} dbname=postgres user={_USER}"

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """Open a connection in autocommit mode; use it in a ``with``."""
        return psycopg.connect(self.dsn, autocommit=True)

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements, each in a transaction of its own; return the rows of the last one."""
        rows = []
        with self.connect() as connection:
            for statement in statements:
                cursor = connection.execute(statement)
                rows = cursor.fetchall() if cursor.description is not None else []
        return rows

    def write(self, script: str, *, seconds: int | None = None, each: int | None = None) -> float:
        """Have pgbench's connections run a script for so long, or so often each; return the transactions a second."""
        script_file = self.home / "script.sql"
        script_file.write_text(script)
        how = ["-T", str(seconds)] if seconds is not None else ["-t", str(each)]
        command = [str(self.binaries / "pgbench"), "-n", f"-c{CONNECTIONS}", "-j2", *how, "-f", str(script_file)]
        where = ["-h", str(self.home), "-U", _USER, _USER]
        done = subprocess.run([*command, *where], check=True, capture_output=True, text=True)
        found = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
        assert found is not None, done.stdout
        return float(found[1])

    def megabytes(self, table: str) -> float:
        """Return how much of the disk a table takes, with its indexes."""
        size: int = self.execute(f"SELECT pg_total_relation_size('{table}')")[0][0]
        return size / 2**20


def single(table: str) -> str:
    """Return pgbench's script: one row, one commit."""
    return TABLES["single"].replace("{table}", table)


def bulk(table: str, rows: int) -> str:
    """Return the statement that writes so many rows."""
    return TABLES["bulk"].replace("{table}", table).replace("{rows}", str(rows))


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Run a fresh server in a folder while the block runs."""
    found = subprocess.run(["pg_config", "--bindir"], check=True, capture_output=True, text=True)
    folder.chmod(0o711)  # the server's user is another one, and has to get to its own folder
    server = Server(folder / "server", Path(found.stdout.strip()))
    server.home.mkdir()
    who = _unprivileged(server.home)
    data = ["-D", str(server.home / "data")]
    subprocess.run(
        [server.binaries / "initdb", *data, "-U", _USER, "-A", "trust", "-E", "UTF8", "--no-locale"],
        check=True,
        stdout=subprocess.DEVNULL,
        **who,
    )
    with (server.home / "log").open("wb") as log:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            [server.binaries / "postgres", *data, "-k", str(server.home), "-c", "listen_addresses="],
            stdout=log,
            stderr=log,
            start_new_session=True,
            **who,
        )
    try:
        _wait_for(server, process)
        yield server
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _unprivileged(home: Path) -> dict[str, Any]:
    """Return how to start a program in that folder as its owner: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {"cwd": home}
    uid = pwd.getpwnam("nobody").pw_uid
    os.chown(home, uid, -1)
    return {"cwd": home, "user": uid, "group": uid, "extra_groups": []}


def _wait_for(server: Server, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            server.connect().close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((server.home / "log").read_text()) from None
            time.sleep(0.05)
        else:
            return
