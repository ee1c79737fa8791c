"""`EmbeddedServer`: one private Postgres for everybody who names it, stopped when the last of them has left.

Components of one program share a server by its directory. Programs share it by a lock file that each holds for as long
as it uses the server; whoever finds itself alone when leaving stops it. A killed program holds no lock, so the server
that it left running is adopted by the next one.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import threading
from typing import IO, TYPE_CHECKING

import anyio
import attrs
from anyio import to_thread

from orchestrator_postgres import _launcher
from orchestrator_postgres._errors import EmbeddedServerError
from orchestrator_postgres._place import Place

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# The servers of this program by directory, and the lock under which they start, stop and change hands. Shared by
# design: two servers on one data directory would destroy it.
_servers: dict[Path, EmbeddedServer] = {}
_lock = threading.Lock()


@attrs.define(eq=False)
class EmbeddedServer:
    """A running private server. Get it by `join`, and give it back by `leave`.

    Attributes:
        place: where it lives.
    """

    place: Place
    _users: int = 0
    _presence: IO[str] | None = None

    @classmethod
    async def join(cls, directory: Path) -> EmbeddedServer:
        """Return the server of a directory, started if need be.

        Raises:
            EmbeddedServerError: it can't be started; the message says what to do.
        """
        return await to_thread.run_sync(cls._join, directory)

    @classmethod
    def _join(cls, directory: Path) -> EmbeddedServer:
        directory = directory.absolute()
        with _lock:
            server = _servers.get(directory)
            if server is None:
                server = cls(Place.of(directory))
                server.start()
                _servers[directory] = server
            server._users += 1
            return server

    async def leave(self) -> None:
        """Give the server back; the last one stops it. Runs to its end even when cancelled."""
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(self._leave)

    def _leave(self) -> None:
        with _lock:
            self._users -= 1
            if self._users == 0:
                _servers.pop(self.place.directory, None)
                self.stop()

    async def database(self, name: str) -> Mapping[str, str]:
        """Return the connection parameters of a database, created if it is not there."""
        return await to_thread.run_sync(_launcher.create_database, self.place, name)

    def start(self) -> None:
        """Start the server, or join those who use it; blocks."""
        with _turn(self.place):
            self._presence = (self.place.home / "users.lock").open("w")
            fcntl.flock(self._presence, fcntl.LOCK_SH)
            try:
                _launcher.start(self.place)
            except EmbeddedServerError:
                self._presence.close()
                raise

    def stop(self) -> None:
        """Leave the server, and stop it if nobody else uses it; blocks."""
        presence, self._presence = self._presence, None
        if presence is None:
            return
        with _turn(self.place), presence:
            try:
                fcntl.flock(presence, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            _launcher.stop(self.place)


def _turn(place: Place) -> IO[str]:
    """Hold the right to start or stop the server, against other programs; closing the file gives it back."""
    turn = (place.home / "turn.lock").open("w")
    fcntl.flock(turn, fcntl.LOCK_EX)
    return turn


@atexit.register
def _stop_all() -> None:
    """Stop what a program leaves running that ends without leaving its components."""
    for server in list(_servers.values()):
        server.stop()


def _forget() -> None:
    """A forked child has no part in its parent's servers."""
    _servers.clear()


os.register_at_fork(after_in_child=_forget)
