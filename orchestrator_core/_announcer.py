"""Tells the observers what happens; none of them can fail a delivery."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import groupby

from orchestrator_core._contracts import Claim, Settlement
from orchestrator_core._delivery import DeliveryState
from orchestrator_core._event import Event
from orchestrator_core._notices import AttemptLogged, AttemptStarted, DeliverySettled, EventsAccepted, Notice
from orchestrator_core._plan import Plan

_LOG = logging.getLogger("orchestrator_core")

Observer = Callable[[Notice], None]


class Announcer:
    """Hands notices to observers. One that raises is named in the log once, and not called again.

    Args:
        observers: called on the event loop's thread, in this order.

    Attributes:
        has_listeners: whether it is worth making a notice.
    """

    def __init__(self, observers: Sequence[Observer]) -> None:
        self.listen(observers)

    def listen(self, observers: Sequence[Observer]) -> None:
        """Tell these observers from now on, and nobody else."""
        self._observers = list(observers)
        self.has_listeners = bool(self._observers)

    def tell(self, notice: Notice) -> None:
        """Hand a notice to every observer."""
        for observer in tuple(self._observers):
            try:
                observer(notice)
            # The border to foreign code: an observer's failure is its own.
            except Exception:  # noqa: BLE001
                self._observers.remove(observer)
                self.has_listeners = bool(self._observers)
                _LOG.exception("the observer %r failed and will not be called again", observer)

    def accepted(self, entries: Sequence[tuple[Event, Plan]]) -> None:
        """Tell that events are in the journal, given with their plans."""
        if self._observers and entries:
            for trigger, group in groupby(entries, lambda entry: entry[0].trigger):
                of_one = list(group)
                unrouted = sum(not plan.steps for _, plan in of_one)
                self.tell(EventsAccepted(trigger, [event for event, _ in of_one], unrouted))

    def started(self, claim: Claim) -> None:
        """Tell that an attempt begins."""
        if self._observers:
            delivery = claim.delivery
            self.tell(AttemptStarted(delivery.id, delivery.process, claim.event, delivery.attempt))

    def logged(self, claim: Claim, line: str) -> None:
        """Tell a line of an attempt's log."""
        if self._observers:
            self.tell(AttemptLogged(claim.delivery.id, claim.delivery.process, line))

    def settled(self, settlement: Settlement, seconds: float, now: float) -> None:
        """Tell that the outcome of an attempt is in the journal."""
        if self._observers:
            delivery, change = settlement.claim.delivery, settlement.transition
            retry_in = max(0.0, change.due_at - now) if change.state is DeliveryState.READY else None
            self.tell(
                DeliverySettled(
                    delivery.id,
                    delivery.process,
                    settlement.claim.event,
                    delivery.attempt,
                    change.state,
                    change.reason,
                    retry_in,
                    seconds,
                )
            )
