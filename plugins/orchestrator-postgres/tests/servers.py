"""Real PostgreSQL servers for tests: started here, stopped at the end, never mocked."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest

DEBIAN = "debian"
EMBEDDED = "embedded"

PATIENCE = 120.0
"""Seconds to wait for what must happen some time."""
_QUICK = ("synchronous_commit=off", "max_wal_size=256MB", "shared_buffers=32MB", "log_min_messages=fatal")


@attrs.define
class Server:
    """A server on a Unix socket, with everybody trusted.

    Attributes:
        home: holds its data and its socket.
        binaries: the directory of its programs.
        settings: ``name=value`` for the command line.
        port: only names the socket.
    """

    home: Path
    binaries: Path
    settings: Sequence[str] = ()
    port: int = 5432
    _process: subprocess.Popen[bytes] | None = None
    _databases: int = 0

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def version(self) -> int:
        """Its major version."""
        return int((self.home / "data" / "PG_VERSION").read_text())

    def dsn(self, database: str = "postgres", user: str = "postgres") -> str:
        """Return a connection string."""
        return f"host={self.home} port={self.port} dbname={database} user={user}"

    def client(self, name: str) -> str:
        """Return a client's program that understands the server: its own, else the embedded one, as the newest."""
        own = self.binaries / name
        return str(own if own.exists() else find_binaries(EMBEDDED) / name)

    def initialise(self) -> None:
        """Make the data directory."""
        command = [str(self.binaries / "initdb"), "-D", str(self.home / "data"), "-U", "postgres", "-A", "trust"]
        subprocess.run(
            [*command, "-E", "UTF8", "--no-locale", "--no-sync"], check=True, stdout=-3, **as_nobody(self.home)
        )

    def start(self) -> None:
        """Start it, and return once it answers."""
        options = [part for setting in (*_QUICK, *self.settings) for part in ("-c", setting)]
        command = [str(self.binaries / "postgres"), "-D", str(self.home / "data"), "-k", str(self.home)]
        command += ["-p", str(self.port), "-c", "listen_addresses=", *options]
        with (self.home / "log").open("ab") as log:
            process: subprocess.Popen[bytes] = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, **as_nobody(self.home)
            )
        self._process = process
        deadline = time.monotonic() + 30
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"no server: {(self.home / 'log').read_text()[-500:]}")
            time.sleep(0.02)

    def stop(self, number: int = signal.SIGINT) -> None:
        """Stop it: SIGINT for a fast shutdown, SIGQUIT as ``pg_ctl stop -m immediate`` does."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(60)
            self._process = None

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.dsn()).close()
        except psycopg.OperationalError:
            return False
        return True

    @contextmanager
    def database(self, options: str = "") -> Iterator[Database]:
        """Create a database, and drop it afterwards whoever is still connected."""
        self._databases += 1
        name = f"test_{os.getpid()}_{self._databases}"
        self._administer(f"CREATE DATABASE {name} {options}")
        try:
            yield Database(self, name)
        finally:
            self._administer(f"DROP DATABASE {name} WITH (FORCE)")

    def _administer(self, statement: str) -> None:
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(statement)


@attrs.frozen
class Database:
    """A database of one test.

    Attributes:
        server: where it is.
        name: its name.
    """

    server: Server
    name: str

    @property
    def dsn(self) -> str:
        """A connection string for it, as the superuser."""
        return self.server.dsn(self.name)

    def as_user(self, user: str) -> str:
        """Return a connection string for it, as another role."""
        return self.server.dsn(self.name, user)

    def execute(self, *statements: str, user: str = "postgres") -> list[tuple[Any, ...]]:
        """Run statements, each in a transaction of its own; return the rows of the last one."""
        with self.connect(user) as connection:
            rows = []
            for statement in statements:
                cursor = connection.execute(statement)
                rows = cursor.fetchall() if cursor.description is not None else []
            return rows

    def connect(self, user: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        """Open a connection in autocommit mode; use it in a ``with``."""
        return psycopg.connect(self.as_user(user), autocommit=True, options="-c statement_timeout=60s")


def find_binaries(kind: str) -> Path:
    """Return the directory of a server's programs, which `kind` names or is; without any, fail in CI, else skip."""
    if kind == EMBEDDED:
        from orchestrator_postgres._place import Place  # noqa: PLC0415

        return Place.of(Path(tempfile.mkdtemp(prefix="orchestrator-place-"))).binaries()
    if kind != DEBIAN:
        return Path(kind).resolve()
    found = (
        subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=False) if _has_pg() else None
    )
    binaries = Path(found.stdout.strip()) if found is not None else Path("/nonexistent")
    if not (binaries / "initdb").exists():
        say = pytest.fail if "CI" in os.environ else pytest.skip
        say("no PostgreSQL server on this machine: apt-get install postgresql libpq-dev")
    return binaries


@contextmanager
def serving(kind: str, *settings: str) -> Iterator[Server]:
    """Run a fresh server while the block runs."""
    home = Path(tempfile.mkdtemp(prefix="orchestrator-pg-"))
    home.chmod(0o755)
    server = Server(home, find_binaries(kind), settings)
    try:
        if os.geteuid() == 0:
            os.chown(home, _uid(), -1)
        server.initialise()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def until(true: Callable[[], object], what: str) -> None:
    """Wait until something outside of this program has happened."""
    pause = threading.Event()
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {PATIENCE:.0f} s for {what}")
        pause.wait(0.005)


def _has_pg() -> bool:
    return shutil.which("pg_config") is not None


def _uid() -> int:
    return pwd.getpwnam("nobody").pw_uid


def as_nobody(home: Path) -> dict[str, Any]:
    """Return what makes a program run without root's rights, and with nothing of ours in its environment."""
    environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
    if os.geteuid() != 0:
        return {"env": environment, "cwd": home}
    return {"env": environment, "cwd": home, "user": _uid(), "group": _uid(), "extra_groups": []}
