"""`Outbox`: the hand-over of one input's rows, in one short transaction each time."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import attrs

from orchestrator_core import JSON, Event, EventError, Operation, load_json
from orchestrator_postgres._floor import Floor
from orchestrator_postgres._session import Session, read_text
from orchestrator_postgres._statements import load, quote_literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg.pq.abc import PGresult

_OPERATIONS = {operation.value.encode(): operation for operation in Operation}
_LITERAL = re.compile(r"\{(floor|server|limit|input|asleep)\}")
_HEAD = 5
"""So many columns of what `claim` returns say something of the look, the same in each row."""
_COLUMNS = range(_HEAD, _HEAD + 8)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
        floor = self._floor.choose(time.monotonic())
        result = await self.session.ask(self._claiming(floor, limit), "claiming outbox rows")
        if not result.ntuples:
            await self.session.ask("ROLLBACK", "leaving the outbox to another orchestrator")
            return Batch(held=True)
        asleep, oldest, own, server, first, taken = (result.get_value(0, column) for column in range(_HEAD + 1))
        lowest = None if taken is None or first is None else int(first)
        self._floor.found(lowest, int(oldest or 0), int(own or 0), read_text(server or b""))
        events = [] if taken is None else [_event(result, row) for row in range(result.ntuples)]
        return Batch(events, asleep=asleep == b"t", whole=floor == 0)

    async def commit(self, *, asleep: bool | None = None) -> None:
        """Commit what was claimed; say whether writers shall ring from now on, if that changes."""
        message = "COMMIT"
        if asleep is not None:
            literals = {"input": quote_literal(self.input), "asleep": str(asleep).lower()}
            message = f"{_fill(load('handover', self.schema)['set_asleep'], literals)}; {message}"
        await self.session.ask(message, "committing the hand-over")

    async def backlog(self) -> tuple[int, float]:
        """Return how many rows wait, and for how many seconds the oldest has."""
        statement = load("handover", self.schema)["backlog"]
        rows = await self.session.execute(statement, {"input": self.input}, what="measuring the outbox")
        return rows[0][0], rows[0][1]

    def _claiming(self, floor: int, limit: int) -> str:
        """Return the message that begins a transaction and claims."""
        statements = load("handover", self.schema)
        literals = {
            "floor": str(floor),
            "server": quote_literal(self._floor.server),
            "limit": str(limit),
            "input": quote_literal(self.input),
        }
        return f"{statements['begin']};\n{_fill(statements['claim'], literals)}"


def _fill(statement: str, literals: Mapping[str, str]) -> str:
    """Put literals into a statement, in one pass: so nothing is looked for in what was put in."""
    return _LITERAL.sub(lambda found: literals[found[1]], statement)


def _event(result: PGresult, row: int) -> Event:
    """Make an event of a row, whose columns are the server's text."""
    *never_null, key, payload = (result.get_value(row, column) for column in _COLUMNS)
    seq, uid, op, location, id_, at = (value or b"" for value in never_null)
    images = _images(payload)
    return Event(
        location=read_text(location),
        operation=_OPERATIONS[op],
        id=read_text(id_),
        uid=f"{int(seq):012x}-{uid.decode()}",  # neighbours in the outbox are neighbours in the journal's index
        data=images.get("data"),
        before=images.get("before"),
        key=None if key is None else read_text(key),
        time=_EPOCH + timedelta(microseconds=int(at)),
    )


def _images(payload: bytes | None) -> dict[str, JSON]:
    try:
        images: dict[str, JSON] = load_json("{}" if payload is None else read_text(payload))
    except EventError:
        # A json column takes what no event can hold, such as a number out of every range.
        return {"data": {"truncated": True}}
    return images


def reduce(event: Event) -> Event:
    """Return an event that can be accepted in place of one that can't: with its identity, without its rows."""
    before: JSON = {"truncated": True} if event.before is not None else None
    data: JSON = {"truncated": True} if event.data is not None else None
    return attrs.evolve(event, data=data, before=before)
