"""`Target`: which database a component works on, and how to connect to it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

import anyio
import attrs

from orchestrator_core import Secret
from orchestrator_postgres._errors import ConnectionStringError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator_postgres._embedded import EmbeddedServer
    from orchestrator_postgres._session import Session

EMBEDDED = "embedded:"
_THREADS = 64


def secret(value: Secret | str) -> Secret:
    """Make text a `Secret`."""
    return value if isinstance(value, Secret) else Secret(value)


@attrs.define
class Target:
    """A database, by its connection string. Enter it before the first `connect`, leave it last.

    Attributes:
        connection_string: a libpq connection string or URL, or ``embedded:NAME``.
        directory: the folder under which an embedded server lives, in ``.orchestrator/postgres``.
        application_name: how the sessions name themselves to the server.
    """

    connection_string: Secret
    directory: Path
    application_name: str = "orchestrator"
    _conninfo: Mapping[str, str] | None = attrs.field(init=False, default=None, repr=False)
    _server: EmbeddedServer | None = attrs.field(init=False, default=None, repr=False)
    _limiter: anyio.CapacityLimiter | None = attrs.field(init=False, default=None, repr=False)

    @property
    def embedded(self) -> str | None:
        """The database's name on the embedded server, ``None`` if it is on another."""
        text = self.connection_string.reveal()
        return text.removeprefix(EMBEDDED) if text.startswith(EMBEDDED) else None

    async def connect(self) -> Session:
        """Open a session; for the errors see `Session.open`."""
        from orchestrator_postgres._session import Session  # noqa: PLC0415 (brings psycopg)

        if self._conninfo is None or self._limiter is None:
            raise RuntimeError("enter the component before it is used: async with component")
        return await Session.open(self._conninfo, describe(self._conninfo), self._limiter)

    async def __aenter__(self) -> Self:
        self._limiter = anyio.CapacityLimiter(_THREADS)
        name = self.embedded
        if name is None:
            conninfo = parse(self.connection_string)
        else:
            from orchestrator_postgres._embedded import EmbeddedServer  # noqa: PLC0415 (starts a server)

            server = await EmbeddedServer.join(self.directory)
            async with AsyncExitStack() as stack:
                stack.push_async_callback(server.leave)  # nobody leaves what was not entered
                conninfo = await server.database(name)
                stack.pop_all()
            self._server = server
        self._conninfo = {"application_name": self.application_name, **conninfo}
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            await server.leave()


def parse(connection_string: Secret) -> Mapping[str, str]:
    """Return the parameters of a connection string.

    Raises:
        ConnectionStringError: it can't be read.
    """
    import psycopg  # noqa: PLC0415 (a vendor's library, on first use)
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    text = connection_string.reveal()
    if not text.strip():
        raise ConnectionStringError("is empty")
    try:
        return {name: str(value) for name, value in conninfo_to_dict(text).items() if value is not None}
    except psycopg.Error:
        # libpq's message repeats a part of the string, which may be the password.
        raise ConnectionStringError("is not one that libpq understands") from None


def describe(conninfo: Mapping[str, str]) -> str:
    """Name a database for people, without its password."""
    user = conninfo.get("user")
    host = conninfo.get("host") or conninfo.get("hostaddr") or "the local socket"
    port = f":{conninfo['port']}" if "port" in conninfo and not host.startswith("/") else ""
    name = conninfo.get("dbname") or user or "the default one"
    return f"database {name} at {host}{port}" + (f" as {user}" if user else "")
