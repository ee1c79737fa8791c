"""`PostgresSql`: a SQL statement for each event, its effect exactly-once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import attrs

from orchestrator_core import ConfigurationError, ProcessStatus, RetryLater, Secret
from orchestrator_postgres._errors import UnreachableError
from orchestrator_postgres._script import Script
from orchestrator_postgres._target import Target, secret

if TYPE_CHECKING:
    from orchestrator_core import AttemptContext, Event
    from orchestrator_postgres._apply import Applier

RETRY_AFTER = timedelta(seconds=1)


@attrs.define(kw_only=True)
class PostgresSql:
    """Runs SQL for each event, in one transaction with a note of the delivery: a repeated attempt does nothing.

    Placeholders name fields of the event, as in ``%(data.city)s``; the rows that the last statement returns become the
    output, each an object by column.

    >>> PostgresSql("host=db dbname=shop", statement="INSERT INTO seen VALUES (%(id)s)").statement
    'INSERT INTO seen VALUES (%(id)s)'

    Attributes:
        connection_string: a libpq connection string or URL, or ``embedded:NAME`` for a private server.
        statement: the SQL; several statements are run in order.
        file: a file with the SQL, instead of ``statement``.
        parameters: shorter names for placeholders: the name, and the field it stands for.
        setup: a file with SQL to be run once at the start, such as ``CREATE TABLE IF NOT EXISTS``.
        output: ``rows`` to hand the returned rows downstream, ``none`` to drop them.
        schema: the schema of the process's own table ``applied``.
        install: ``auto`` creates that table if it is missing, ``never`` changes nothing.
        keep_applied: how long a delivery is remembered; longer than anybody might redrive it.
        directory: the folder that files and an embedded server are relative to.
    """

    connection_string: Secret = attrs.field(converter=secret, kw_only=False)
    statement: str | None = None
    file: Path | None = None
    parameters: Mapping[str, str] = attrs.field(factory=dict)
    setup: Path | None = None
    output: Literal["rows", "none"] = attrs.field(default="rows", validator=attrs.validators.in_(("rows", "none")))
    schema: str = "orchestrator"
    install: Literal["auto", "never"] = attrs.field(default="auto", validator=attrs.validators.in_(("auto", "never")))
    keep_applied: timedelta = timedelta(days=30)
    directory: Path = Path()
    _script: Script = attrs.field(init=False, repr=False, eq=False)
    _stack: AsyncExitStack = attrs.field(init=False, factory=AsyncExitStack, repr=False, eq=False)
    _applier: Applier | None = attrs.field(init=False, default=None, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        self._script = Script.parse(self._text(), self.parameters)

    async def __aenter__(self) -> Self:
        self._applier = await self._stack.enter_async_context(self._use())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def check(self) -> None:
        """Connect, and see that the table of deliveries is there or may be created."""
        async with self._use() as applier:
            await applier.check()

    async def run(self, event: Event, context: AttemptContext) -> ProcessStatus | None:
        """Run the SQL and note the delivery in one transaction.

        Raises:
            RetryLater: the server is away; that is no failure of the delivery.
            Reject: a constraint, a value or the SQL is wrong: trying again would not help.
            PostgresError: something else failed, and may succeed later.
        """
        try:
            rows = await self._ready().apply(event, context)
        except UnreachableError as error:
            raise RetryLater(RETRY_AFTER, str(error)) from error
        return ProcessStatus(output=rows) if rows and self.output == "rows" else None

    @asynccontextmanager
    async def _use(self) -> AsyncIterator[Applier]:
        from orchestrator_postgres._apply import Applier  # noqa: PLC0415 (brings psycopg)

        setup = self.directory / self.setup if self.setup is not None else None
        async with Target(self.connection_string, self.directory) as target:
            applier = Applier(target, self._script, self.schema, self.install == "auto", setup, self.keep_applied)
            try:
                yield applier
            finally:
                applier.close()

    def _text(self) -> str:
        if (self.statement is None) == (self.file is None):
            raise ConfigurationError("give either `statement` or `file`")
        if self.statement is not None:
            return self.statement
        path = self.directory / str(self.file)
        try:
            return path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"file: can't read {path}: {error}") from error

    def _ready(self) -> Applier:
        if self._applier is None:
            raise RuntimeError("enter the process before it runs: async with process")
        return self._applier
