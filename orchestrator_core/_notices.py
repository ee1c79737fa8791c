"""What the engine tells its observers: one frozen record for each kind of thing that happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import attrs

from orchestrator_core._delivery import DeliveryState
from orchestrator_core._event import Event


@attrs.frozen
class EventsAccepted:
    """The journal has committed these events.

    Attributes:
        trigger: the input, or the process that derived them.
        events: the events, in accept order, without those that were accepted before.
        unrouted: how many of them match no process.
    """

    trigger: str
    events: Sequence[Event]
    unrouted: int


@attrs.frozen
class AttemptStarted:
    """An attempt begins.

    Attributes:
        delivery_id: the delivery.
        process: its process.
        event: its event.
        attempt: the attempt's number.
    """

    delivery_id: str
    process: str
    event: Event
    attempt: int


@attrs.frozen
class AttemptLogged:
    """A process has written a line to its log."""

    delivery_id: str
    process: str
    line: str


@attrs.frozen
class DeliverySettled:
    """The journal has committed the outcome of an attempt.

    Attributes:
        delivery_id: the delivery.
        process: its process.
        event: its event.
        attempt: the attempt's number.
        state: ``done``, ``dead``, or ``ready`` if it will be tried again.
        reason: why, unless it succeeded.
        retry_in: seconds until it is tried again; ``None`` if it will not be.
        seconds: how long the attempt took.
    """

    delivery_id: str
    process: str
    event: Event
    attempt: int
    state: DeliveryState
    reason: str | None
    retry_in: float | None
    seconds: float


@attrs.frozen
class InputChanged:
    """An input has changed its state.

    Attributes:
        name: the input.
        state: ``starting``; ``ready`` (it listens); ``failed`` (it will be started again); ``ended``; ``unhealthy``.
        reason: why it failed or is unhealthy.
        restart_in: seconds until it is started again.
    """

    name: str
    state: Literal["starting", "ready", "failed", "ended", "unhealthy"]
    reason: str | None = None
    restart_in: float | None = None


@attrs.frozen
class Measured:
    """A component has measured something.

    Attributes:
        node: the input or process.
        name: the metric's name, for example ``outbox_rows``.
        value: the figure.
        labels: what it is about.
    """

    node: str
    name: str
    value: float
    labels: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class LoopBlocked:
    """Something kept the event loop from running; leases are renewed all the same.

    Attributes:
        seconds: for how long so far.
        where: the source line that holds it, as ``file:line in function``.
        process: the process whose attempt started last, if there is one.
    """

    seconds: float
    where: str
    process: str | None


Notice: TypeAlias = (
    EventsAccepted | AttemptStarted | AttemptLogged | DeliverySettled | InputChanged | Measured | LoopBlocked
)
