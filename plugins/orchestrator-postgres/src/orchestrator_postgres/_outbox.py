"""`Outbox`: the hand-over of one input's rows, in one short transaction each time."""

from __future__ import annotations

import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from orchestrator_core import JSON, Event, EventError, Operation, load_json
from orchestrator_postgres._floor import Floor
from orchestrator_postgres._session import Connection, Session, fetch
from orchestrator_postgres._statements import load, quote_literal

if TYPE_CHECKING:
    from collections.abc import Sequence

_OPERATIONS = {operation.value: operation for operation in Operation}
_LITERAL = re.compile(r"\{(floor|server|limit|input)\}")


@attrs.frozen
class Batch:
    """What was claimed.

    Attributes:
        events: the events in the order in which they happened; claimed, so that nobody else gets them.
        held: another orchestrator is handing this input over just now.
        asleep: writers ring.
        whole: the whole outbox was looked at.
    """

    events: Sequence[Event] = ()
    held: bool = False
    asleep: bool = True
    whole: bool = True


@attrs.frozen
class Outbox:
    """The rows of one input that wait to be handed over.

    Attributes:
        session: a session of the database, used for nothing else meanwhile.
        schema: the schema of our objects.
        input: the input's name.
    """

    session: Session
    schema: str
    input: str
    _floor: Floor = attrs.field(factory=Floor)

    async def claim(self, limit: int) -> Batch:
        """Begin a transaction, delete up to so many rows and return them as events.

        Nothing is gone before `commit`; whatever ends the session brings the rows back.
        """
        return await self.session.call(partial(self._claim, limit=limit), "claiming outbox rows")

    async def commit(self, *, asleep: bool | None = None) -> None:
        """Commit what was claimed; say whether writers shall ring from now on, if that changes."""
        await self.session.call(partial(self._commit, asleep=asleep), "committing the hand-over")

    async def backlog(self) -> tuple[int, float]:
        """Return how many rows wait, and for how many seconds the oldest has."""
        statement = load("handover", self.schema)["backlog"]
        rows = await self.session.execute(statement, {"input": self.input}, what="measuring the outbox")
        return rows[0][0], rows[0][1]

    def _claim(self, connection: Connection, limit: int) -> Batch:
        floor = self._floor.choose(time.monotonic())
        cursor = connection.execute(self._claiming(floor, limit))
        while cursor.nextset():
            pass  # the claim is the last of the message's statements
        rows = cursor.fetchall()
        if not rows:
            connection.execute("ROLLBACK")
            return Batch(held=True)
        asleep, oldest, own, server, first, taken = rows[0][:6]
        self._floor.found(None if taken is None else first, oldest, own, server)
        if taken is None:
            return Batch(asleep=asleep, whole=floor == 0)
        return Batch([_event(*row[5:]) for row in rows], asleep=asleep, whole=floor == 0)

    def _claiming(self, floor: int, limit: int) -> bytes:
        """Return the message that begins a transaction and claims."""
        statements = load("handover", self.schema)
        literals = {
            "floor": str(floor),
            "server": quote_literal(self._floor.server),
            "limit": str(limit),
            "input": quote_literal(self.input),
        }
        # In one pass, so that nothing is looked for in what was put in.
        claim = _LITERAL.sub(lambda found: literals[found[1]], statements["claim"])
        return f"{statements['begin']};\n{claim}".encode()

    def _commit(self, connection: Connection, *, asleep: bool | None) -> None:
        if asleep is not None:
            fetch(connection, load("handover", self.schema)["set_asleep"], {"input": self.input, "asleep": asleep})
        connection.execute("COMMIT")


def _event(  # noqa: PLR0917 (a row, column by column)
    seq: int,
    uid: str,
    op: str,
    location: str,
    id: str,  # noqa: A002
    key: str | None,
    payload: str | None,
    at: Any,  # noqa: ANN401
) -> Event:
    images = _images(payload)
    return Event(
        location=location,
        operation=_OPERATIONS[op],
        id=id,
        uid=f"{seq:012x}-{uid}",  # neighbours in the outbox are neighbours in the journal's index
        data=images.get("data"),
        before=images.get("before"),
        key=key,
        time=at,
    )


def _images(payload: str | None) -> dict[str, JSON]:
    try:
        images: dict[str, JSON] = load_json(payload or "{}")
    except EventError:
        # A json column takes what no event can hold, such as a number out of every range.
        return {"data": {"truncated": True}}
    return images


def reduce(event: Event) -> Event:
    """Return an event that can be accepted in place of one that can't: with its identity, without its rows."""
    before: JSON = {"truncated": True} if event.before is not None else None
    data: JSON = {"truncated": True} if event.data is not None else None
    return attrs.evolve(event, data=data, before=before)
