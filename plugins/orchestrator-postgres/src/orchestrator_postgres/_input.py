"""`PostgresInput`: rows changed in Postgres, as events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import attrs

from orchestrator_core import ConfigurationError, Operation, Secret, Where
from orchestrator_postgres._condition import to_jsonpath
from orchestrator_postgres._errors import UnreachableError, UnsafeServerError
from orchestrator_postgres._pace import Pace, Wake
from orchestrator_postgres._target import Target, secret
from orchestrator_postgres._watch import ALL_OPERATIONS, Watch

if TYPE_CHECKING:
    from orchestrator_core import InputContext
    from orchestrator_postgres._session import Session
    from orchestrator_postgres._state import Server

OLDEST_SERVER = 130_000
DUE_POLL = 0.1
_RETRY_FIRST, _RETRY_MOST = 0.1, 5.0


def _operations(value: Iterable[Operation | str] | None) -> frozenset[Operation] | None:
    if value is None:
        return None
    operations = frozenset(Operation(each) for each in value)
    if not operations or operations - ALL_OPERATIONS - {Operation.READ}:
        raise ConfigurationError("operations of a postgres input are create, update and delete, one or more of them")
    return operations


def _where(value: Where | Mapping[str, Any] | Sequence[Any] | None) -> Where | None:
    return value if value is None or isinstance(value, Where) else Where.parse(value)


def _names(value: Iterable[str] | str) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _some_names(value: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)


@attrs.define(kw_only=True)
class PostgresInput:
    """Rows changed in Postgres, as events; what is committed is neither lost nor repeated.

    A trigger writes each change into an outbox table in the user's own transaction; the input claims the rows, and they
    are gone once the engine has accepted the events.

    >>> PostgresInput("host=db dbname=shop", tables=["public.orders"]).tables
    ('public.orders',)

    Attributes:
        connection_string: a libpq connection string or URL, or ``embedded:NAME`` for a private server.
        operations: which of create, update and delete to record; all of them if not given.
        tables: names and globs of tables, such as ``public.orders`` or ``sales.*``.
        columns: the columns that events carry; all of them if not given.
        key_only: events carry the key's columns only.
        max_payload: the most bytes of a row; a larger one is reduced to its key and ``truncated``.
        wake: ``auto`` lets writers ring while the input waits, ``notify`` in every commit, ``poll`` never.
        poll: the longest time between two looks at the outbox.
        batch: the most rows handed over at a time.
        schema: the schema of the input's own objects.
        install: ``auto`` puts in missing objects at the start, ``never`` changes nothing.
        setup: a file with SQL to be run at the start, such as ``CREATE TABLE IF NOT EXISTS``.
        where: only changes for which this condition holds, written as on a link; evaluated by the trigger.
        changed: only updates that change one of these columns.
        backfill: emit the rows that are there already as read events, once.
        check_every: how often to look for triggers that were disabled, dropped or changed.
        accept_fsync_off: run on a server that can lose what it has confirmed.
        directory: the folder that ``setup`` and an embedded server are relative to.
    """

    connection_string: Secret = attrs.field(converter=secret, kw_only=False)
    operations: frozenset[Operation] | None = attrs.field(default=None, converter=_operations)
    tables: tuple[str, ...] = attrs.field(default=("public.*",), converter=_names)
    columns: tuple[str, ...] | None = attrs.field(default=None, converter=_some_names)
    key_only: bool = False
    max_payload: int = attrs.field(default=262_144, validator=attrs.validators.in_(range(256, 1 << 28)))
    wake: Wake = attrs.field(default="auto", validator=attrs.validators.in_(("auto", "notify", "poll")))
    poll: timedelta = timedelta(seconds=1)
    batch: int = attrs.field(default=500, validator=attrs.validators.in_(range(1, 10_001)))
    schema: str = "orchestrator"
    install: Literal["auto", "never"] = attrs.field(default="auto", validator=attrs.validators.in_(("auto", "never")))
    setup: Path | None = None
    where: Where | None = attrs.field(default=None, converter=_where)
    changed: tuple[str, ...] | None = attrs.field(default=None, converter=_some_names)
    backfill: bool = False
    check_every: timedelta = timedelta(minutes=1)
    accept_fsync_off: bool = False
    directory: Path = Path()
    _target: Target | None = attrs.field(init=False, default=None, repr=False)
    _served: int = attrs.field(init=False, default=0, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.where is not None:
            to_jsonpath(self.where)
        if self.backfill and self.operations is not None and Operation.READ not in self.operations:
            raise ConfigurationError('backfill = true makes read events: add "read" to operations')

    async def __aenter__(self) -> Self:
        self._target = await Target(self.connection_string, self.directory).__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._target is not None:
            await self._target.__aexit__(*exc_info)

    async def check(self) -> None:
        """Connect, and see that the server is fit and that what has to be there is.

        Raises:
            PostgresError: something is not; the message says what mends it.
        """
        from orchestrator_postgres._install import ensure_ready  # noqa: PLC0415 (brings psycopg)

        async with Target(self.connection_string, self.directory) as target, await target.connect() as session:
            await self._fit_server(session)
            # Objects that are put in at the start, and tables that the set-up file makes, need not be there yet.
            watch, tables = self.watch(""), self.setup is None
            await ensure_ready(session, watch, installed=self.install == "never", tables=tables)

    async def run(self, context: InputContext) -> None:
        """Hand over changes until cancelled; connect again, with a growing delay, whenever the connection breaks."""
        delay = _RETRY_FIRST
        while True:
            began = self._served
            try:
                await self._serve(context)
            except UnreachableError as error:
                context.healthy(str(error))
            # Only a server that can't be worked with at all is left alone for longer each time.
            delay = _RETRY_FIRST if self._served > began else min(delay * 2, _RETRY_MOST)
            await context.sleep(delay)

    async def _serve(self, context: InputContext) -> None:
        from orchestrator_postgres._backfill import Backfill  # noqa: PLC0415 (brings psycopg)
        from orchestrator_postgres._handover import HandOver  # noqa: PLC0415
        from orchestrator_postgres._install import ensure_installed  # noqa: PLC0415
        from orchestrator_postgres._setup import run_setup  # noqa: PLC0415

        target = self._target
        if target is None:
            raise RuntimeError("enter the input before it runs: async with input")
        watch = self.watch(context.name)
        async with await target.connect() as session:
            pace = await self._pace(context, session)
            if self.setup is not None:
                await run_setup(session, self.directory / self.setup)
            state = await ensure_installed(session, watch, may_change=self.install == "auto")
            context.healthy()
            self._served += 1
            backfill = await Backfill.resume(session, watch, state.tables, self.batch) if self.backfill else None
            check_every = self.check_every.total_seconds()
            await HandOver(context, target, watch, session, pace, self.batch, check_every, backfill).run()

    def watch(self, name: str) -> Watch:
        """Return what the input wants of its database when it is called `name`."""
        return Watch(
            name=name,
            tables=self.tables,
            operations=(self.operations or ALL_OPERATIONS) & ALL_OPERATIONS,
            columns=self.columns,
            changed=self.changed,
            condition=None if self.where is None else to_jsonpath(self.where),
            key_only=self.key_only,
            max_payload=self.max_payload,
            schema=self.schema,
        )

    async def _pace(self, context: InputContext, session: Session) -> Pace:
        """Look at the server, and choose how to be woken on it."""
        server = await self._fit_server(session)
        if server.prepared_transactions and self.wake == "auto":
            # NOTIFY would make PREPARE TRANSACTION fail, so nobody rings on such a server.
            context.log.info("two-phase commit is enabled at %s, so the outbox is polled", session.where)
            return Pace("poll", min(self.poll.total_seconds(), DUE_POLL))
        return Pace(self.wake, self.poll.total_seconds())

    async def _fit_server(self, session: Session) -> Server:
        from orchestrator_postgres._state import read_server  # noqa: PLC0415 (brings psycopg)

        server = await session.call(read_server, "reading the server's settings")
        require_fit(server, session.where, accept_fsync_off=self.accept_fsync_off)
        return server


def require_known(server: Server, where: str) -> None:
    """See that a server is new enough for our statements, which otherwise fail at some column that it lacks.

    Raises:
        UnsafeServerError: it is not.
    """
    if server.version < OLDEST_SERVER:
        raise UnsafeServerError(f"{where} runs Postgres {server.version // 10_000}; 13 or newer is needed")


def require_fit(server: Server, where: str, *, accept_fsync_off: bool) -> None:
    """See that a server can keep the promise.

    Raises:
        UnsafeServerError: it can't.
        UnreachableError: it takes no writes just now.
    """
    require_known(server, where)
    if server.read_only:
        state = "it is a standby, still recovers or is set to read-only"
        raise UnreachableError(where, f"{state}; waiting for it to take writes")
    if not server.fsync and not accept_fsync_off:
        raise UnsafeServerError(
            f"{where} runs with fsync = off and can lose what it has confirmed: "
            "turn fsync on, or set accept_fsync_off = true"
        )
