"""What is to become of a container of ours, judged by what the journal says of its delivery. Pure."""

from __future__ import annotations

import enum

from orchestrator_core import FINISHED, Delivery, DeliveryState
from orchestrator_docker._naming import Owner

OVERDUE_SECONDS = 300.0
"""How long after its deadline a running container is nobody's: whoever waits for one ends it at its deadline."""


class Fate(enum.Enum):
    """What to do with a container."""

    KEEP = "keep"
    SUSPECT = "suspect"
    REMOVE = "remove"


def fate_of(owner: Owner, delivery: Delivery | None, *, is_running: bool, is_ours: bool, now: float) -> Fate:
    """Decide about a container that no attempt of this program waits for.

    Args:
        owner: whose it is.
        delivery: what the journal says of it; ``None`` if it does not know it.
        is_running: whether the container runs.
        is_ours: whether its delivery was this journal's, so that one unknown to it is known to be gone.
        now: seconds since 1970 UTC.
    """
    if is_running and now > owner.deadline + OVERDUE_SECONDS:
        return Fate.REMOVE
    if delivery is None:
        return Fate.REMOVE if is_ours else Fate.KEEP
    if delivery.attempt < owner.attempt:
        return Fate.KEEP
    if delivery.state is DeliveryState.RUNNING:
        # An attempt that is about to begin adopts it or makes way for itself; if none does, it runs on another machine.
        return Fate.SUSPECT if delivery.attempt > owner.attempt else Fate.KEEP
    is_needed = is_to_be_adopted(delivery) or (is_kept(owner, delivery) and not is_running)
    return Fate.KEEP if is_needed else Fate.REMOVE


def is_to_be_adopted(delivery: Delivery) -> bool:
    """Tell whether the next attempt will ask for the container of the one that was cut off."""
    return delivery.interrupted and delivery.state not in FINISHED


def is_recorded(attempt: int, delivery: Delivery | None) -> bool:
    """Tell whether the journal has committed the outcome of an attempt, so that its container may go."""
    if delivery is None or delivery.attempt > attempt:
        return True
    return delivery.state is not DeliveryState.RUNNING and not is_to_be_adopted(delivery)


def is_kept(owner: Owner, delivery: Delivery | None) -> bool:
    """Tell whether an ended container is kept for a look into it, until the journal forgets the delivery."""
    if delivery is None or owner.keep == "never":
        return False
    return owner.keep == "always" or delivery.state is not DeliveryState.DONE
