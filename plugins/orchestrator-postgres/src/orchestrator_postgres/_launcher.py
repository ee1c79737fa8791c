"""Starts and stops the embedded server. Everything here blocks and is called from a worker thread."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from orchestrator_postgres._errors import EmbeddedServerError, explain
from orchestrator_postgres._statements import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator_postgres._place import Place

_log = logging.getLogger("orchestrator_postgres")

START_WITHIN = 60.0
STOP_WITHIN = 30.0
_LOOK_EVERY = 0.02
_BETWEEN_TRIES = 0.1
_NOT_GONE = ("already exists", "is still in use")
"""Words of a server that finds the last one's lock file or shared memory: what was killed takes a moment to be gone."""
_LOG_LIMIT = 1 << 20

# Children whose end this program must collect; a server that was adopted is somebody else's child.
_children: dict[int, subprocess.Popen[bytes]] = {}


def conninfo(place: Place, database: str = "postgres") -> Mapping[str, str]:
    """Return the connection parameters of a database on the server."""
    return {"host": str(place.socket), "port": "5432", "user": "postgres", "dbname": database}


def start(place: Place) -> None:
    """Make the server run: adopt the one that a killed program left behind, or start one.

    Raises:
        EmbeddedServerError: it does not come up; the message ends with its last words.
    """
    if _adopts(place):
        return
    binaries = place.binaries()
    if not place.data.exists():
        _log.info("starting Postgres (first time: about 5 s)")
        _initialise(place, binaries / "initdb")
    else:
        _log.info("starting Postgres")
    place.make_socket()
    command = [
        str(binaries / "postgres"), "-D", str(place.data), "-k", str(place.socket),
        "-c", "listen_addresses=", "-c", "unix_socket_permissions=0700", "-c", "max_connections=200",
    ]  # fmt: skip
    end = time.monotonic() + START_WITHIN
    while not _adopts(place):
        try:
            _serve(place, command)
        except EmbeddedServerError as error:
            if time.monotonic() > end or not any(words in error.cause for words in _NOT_GONE):
                raise
            time.sleep(_BETWEEN_TRIES)
        else:
            _log.info("Postgres runs; look in with: psql -h %s -U postgres", place.socket)
            return


def _adopts(place: Place) -> bool:
    """Tell whether a server that a killed program has left behind runs and answers."""
    if not _answers(place):
        return False
    _log.info("Postgres is still running in %s", place.home)
    return True


def stop(place: Place) -> None:
    """Stop the server: running statements are cancelled, what is committed is written out."""
    pid = _pid(place)
    if pid is None:
        return
    for number, seconds in ((signal.SIGINT, STOP_WITHIN), (signal.SIGQUIT, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        if _wait(lambda: _ended(pid), seconds):
            break
    _children.pop(pid, None)
    _log.info("Postgres has stopped")


def create_database(place: Place, name: str) -> Mapping[str, str]:
    """Create a database if it is not there; return its connection parameters."""
    import psycopg  # noqa: PLC0415 (a vendor's library, on first use)
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415

    try:
        with psycopg.connect(make_conninfo(**conninfo(place)), autocommit=True) as connection:
            if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchall():
                # The second is what the server says where somebody else is just about to create it.
                with contextlib.suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                    connection.execute(f"CREATE DATABASE {quote(name)}")
    except psycopg.Error as error:
        raise EmbeddedServerError(explain(error), f"see {place.log}") from error
    return conninfo(place, name)


def _initialise(place: Place, initdb: os.PathLike[str]) -> None:
    unfinished = place.data.with_name("data.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = [
        str(initdb), "-D", str(unfinished), "-U", "postgres", "-A", "trust", "-E", "UTF8",
        "--no-locale", "--no-instructions", *(["--sync-method=syncfs"] if sys.platform == "linux" else []),
    ]  # fmt: skip
    done = _as_user(place, command, subprocess.PIPE)
    output, _ = done.communicate()
    if done.returncode:
        words = output.decode(errors="replace").strip().splitlines()[-1:]
        raise EmbeddedServerError("".join(words) or "initdb failed", "see that the disk has room")
    unfinished.rename(place.data)


def _serve(place: Place, command: Sequence[str]) -> None:
    if place.log.exists() and place.log.stat().st_size > _LOG_LIMIT:
        place.log.unlink()
    with place.log.open("ab") as log:
        begin = log.tell()
        server = _as_user(place, command, log.fileno())
    _children[server.pid] = server
    if _wait(lambda: server.poll() is not None or _answers(place), START_WITHIN) and server.returncode is None:
        return
    if server.returncode is None:
        stop(place)
    words = place.log.read_bytes()[begin:].decode(errors="replace").strip().splitlines()[-3:]
    raise EmbeddedServerError(" / ".join(words) or "no answer", f"see {place.log}")


def _as_user(place: Place, command: Sequence[str], output: int) -> subprocess.Popen[bytes]:
    """Run a program as the place's user, in a session of its own so that the terminal's Ctrl-C does not reach it."""
    groups: Sequence[int] | None = None if place.user is None else []
    environment = {"PATH": os.defpath, "HOME": str(place.home), "LC_ALL": "C", "TZ": "UTC"}
    return subprocess.Popen(  # noqa: S603 (our own command line)
        command, user=place.user, group=place.group, extra_groups=groups, umask=0o077, cwd=place.home, env=environment,
        stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


def _answers(place: Place) -> bool:
    import psycopg  # noqa: PLC0415
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415

    if _pid(place) is None:
        return False
    try:
        with psycopg.connect(make_conninfo(**conninfo(place), connect_timeout="5")) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
    except psycopg.Error:
        return False
    return row is not None and row[0] == str(place.data)


def _pid(place: Place) -> int | None:
    try:
        return int((place.data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def _ended(pid: int) -> bool:
    if (child := _children.get(pid)) is not None:
        return child.poll() is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(_LOOK_EVERY)
    return True
