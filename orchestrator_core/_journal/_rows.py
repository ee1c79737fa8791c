"""How a SQLite journal writes states and ids, and reads its rows back as the engine's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator_core._contracts import Claim
from orchestrator_core._delivery import Delivery, DeliveryState
from orchestrator_core._event import Event
from orchestrator_core._json import load_json
from orchestrator_core._plan import Plan

STEPS_PER_EVENT = 1_024
"""The deliveries of event ``seq`` have the row ids from ``seq * STEPS_PER_EVENT`` on, in the order of its plan."""

_DIGITS = 15  # what SQLite's 64 bits hold, with the step behind it

HELD = 1e18
"""The due moment of a ready delivery that another one of its key holds back: never, until it is released."""

_ORDER = (
    DeliveryState.WAITING,
    DeliveryState.READY,
    DeliveryState.RUNNING,
    DeliveryState.DONE,
    DeliveryState.DEAD,
    DeliveryState.SKIPPED,
    DeliveryState.CANCELLED,
    DeliveryState.PARKED,
)
CODE: Mapping[DeliveryState, int] = {state: code for code, state in enumerate(_ORDER)}
STATE: Sequence[DeliveryState] = _ORDER

WAITING, READY, RUNNING, DONE, DEAD, SKIPPED, CANCELLED, PARKED = range(8)


class Names:
    """Delivery ids as text: unique over journals, and short enough to type.

    ``k3f09a1c-1042.1`` is step 1 of event 1042 in the journal whose random name is ``k3f09a1c``.
    """

    def __init__(self, journal: str) -> None:
        self._prefix = f"{journal}-"

    def text(self, row: int) -> str:
        """Return the id of a delivery's row."""
        return f"{self._prefix}{row >> 10}.{row & 1023}"

    def row(self, text: str) -> int:
        """Return the row of a delivery's id, -1 if it can't be one of this journal."""
        seq, dot, step = text.removeprefix(self._prefix).partition(".")
        if not (dot and seq.isdecimal() and step.isdecimal()):
            return -1
        if len(seq) > _DIGITS or len(step) > _DIGITS or int(step) >= STEPS_PER_EVENT:
            return -1
        return int(seq) << 10 | int(step)


def claim_of(names: Names, fields: Sequence[Any], plan: Plan) -> Claim:
    """Make a claim of one entry of the statement ``load_claims``."""
    row, process, attempt, failures, interruptions, interrupted, due_at, reason, accepted_at, _, body = fields
    event = Event.from_json(body)
    return Claim(
        Delivery(
            id=names.text(row),
            event_uid=event.uid,
            trigger=event.trigger,
            process=process,
            state=DeliveryState.RUNNING,
            attempt=attempt,
            failures=failures,
            interruptions=interruptions,
            interrupted=bool(interrupted),
            accepted_at=accepted_at,
            due_at=due_at,
            reason=reason,
        ),
        event,
        plan,
        row % STEPS_PER_EVENT,
        row,
    )


def delivery_of(names: Names, fields: Sequence[Any]) -> Delivery:
    """Make a delivery of one row of the statement ``deliveries``."""
    (row, process, state, attempt, failures, interruptions, interrupted, due_at, settled_at, reason, output) = fields[
        :11
    ]
    accepted_at, uid, trigger = fields[11:]
    return Delivery(
        id=names.text(row),
        event_uid=uid,
        trigger=trigger,
        process=process,
        state=STATE[state],
        attempt=attempt,
        failures=failures,
        interruptions=interruptions,
        interrupted=bool(interrupted),
        accepted_at=accepted_at,
        due_at=accepted_at if due_at == HELD else due_at,
        settled_at=settled_at,
        reason=reason,
        output=None if output is None else load_json(output),
    )
