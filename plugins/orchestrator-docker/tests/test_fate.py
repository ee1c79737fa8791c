"""Which containers the sweeper removes, and which it must not touch."""

from __future__ import annotations

import attrs
import pytest

from orchestrator_core import Delivery, DeliveryState
from orchestrator_docker._fate import OVERDUE_SECONDS, Fate, fate_of, is_kept, is_recorded
from orchestrator_docker._naming import Owner, install_of, name_of

OWNER = Owner(delivery_id="k1-7.0", attempt=2, process="job", deadline=1_000.0)


def delivery(state: DeliveryState, *, attempt: int = 2, interrupted: bool = False) -> Delivery:
    """Return what a journal says of the owner's delivery."""
    return Delivery(
        id="k1-7.0",
        event_uid="u",
        trigger="t",
        process="job",
        state=state,
        attempt=attempt,
        interrupted=interrupted,
    )


FATES = [
    pytest.param(delivery(DeliveryState.DONE), True, Fate.REMOVE, id="done, running"),
    pytest.param(delivery(DeliveryState.DONE), False, Fate.REMOVE, id="done, ended"),
    pytest.param(delivery(DeliveryState.DEAD), False, Fate.REMOVE, id="dead"),
    pytest.param(delivery(DeliveryState.CANCELLED), True, Fate.REMOVE, id="cancelled"),
    pytest.param(delivery(DeliveryState.READY), False, Fate.REMOVE, id="failed, to be retried"),
    pytest.param(delivery(DeliveryState.READY, interrupted=True), True, Fate.KEEP, id="to be adopted"),
    pytest.param(delivery(DeliveryState.READY, interrupted=True), False, Fate.KEEP, id="to be harvested"),
    pytest.param(delivery(DeliveryState.PARKED, interrupted=True), True, Fate.KEEP, id="parked, to be adopted"),
    pytest.param(delivery(DeliveryState.RUNNING), True, Fate.KEEP, id="its own attempt runs"),
    pytest.param(delivery(DeliveryState.RUNNING, attempt=3), True, Fate.SUSPECT, id="a later attempt runs"),
    pytest.param(delivery(DeliveryState.DONE, attempt=1), True, Fate.KEEP, id="newer than the journal"),
    pytest.param(None, True, Fate.REMOVE, id="unknown"),
]


@pytest.mark.parametrize(("known", "is_running", "fate"), FATES)
def test_fate(known: Delivery | None, is_running: bool, fate: Fate) -> None:
    """What the journal says decides. Catches: a container removed that is still to be adopted."""
    assert fate is fate_of(OWNER, known, is_running=is_running, is_ours=True, now=500.0)


def test_strangers_are_left_alone() -> None:
    """A delivery unknown to this journal may be another's. Catches: two pipelines on a host killing each other's."""
    assert Fate.KEEP is fate_of(OWNER, None, is_running=True, is_ours=False, now=500.0)


@pytest.mark.parametrize(("is_running", "fate"), [(True, Fate.REMOVE), (False, Fate.KEEP)], ids=["running", "ended"])
def test_long_overdue(is_running: bool, fate: Fate) -> None:
    """Whoever waits for a container ends it at its deadline, so one that runs long after it is nobody's."""
    now = OWNER.deadline + OVERDUE_SECONDS + 1.0
    assert fate is fate_of(OWNER, None, is_running=is_running, is_ours=False, now=now)


@pytest.mark.parametrize(
    ("keep", "state", "kept"),
    [
        ("never", DeliveryState.DEAD, False),
        ("failed", DeliveryState.DEAD, True),
        ("failed", DeliveryState.READY, True),
        ("failed", DeliveryState.DONE, False),
        ("always", DeliveryState.DONE, True),
    ],
)
def test_kept(keep: str, state: DeliveryState, kept: bool) -> None:
    """`keep` decides by how the delivery went."""
    assert kept is is_kept(attrs.evolve(OWNER, keep=keep), delivery(state))


RECORDED = [
    pytest.param(delivery(DeliveryState.RUNNING), False, id="not committed yet"),
    pytest.param(delivery(DeliveryState.DONE), True, id="done"),
    pytest.param(delivery(DeliveryState.READY), True, id="failed"),
    pytest.param(delivery(DeliveryState.READY, interrupted=True), False, id="cut off"),
    pytest.param(delivery(DeliveryState.RUNNING, attempt=3), True, id="the next one runs"),
    pytest.param(None, True, id="pruned"),
]


@pytest.mark.parametrize(("known", "recorded"), RECORDED)
def test_recorded(known: Delivery | None, recorded: bool) -> None:
    """A container stays until the outcome of its attempt is committed. Catches: evidence removed too early."""
    assert recorded is is_recorded(2, known)


@pytest.mark.parametrize("delivery_id", ["k1-7.0", "ä/ö", "x" * 300, "-", "a b"])
def test_b33_any_delivery_has_a_name_docker_takes(delivery_id: str) -> None:
    """B33: any id gives one name, the same each time, that Docker accepts, and no other id's."""
    name = name_of(delivery_id)
    assert name == name_of(delivery_id)
    assert name != name_of(f"{delivery_id}.")
    assert len(name) < 250
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


def test_labels_are_read_back() -> None:
    """What a container says of its owner is what was written."""
    assert OWNER == Owner.read(OWNER.labels())


@pytest.mark.parametrize("labels", [{}, {"a": "b"}, {**OWNER.labels(), "orchestrator-engine.attempt": "x"}])
def test_d88_strange_labels_are_nobodys(labels: dict[str, str]) -> None:
    """D88: labels that are not ours, or were garbled, name no owner."""
    assert Owner.read(labels) is None


def test_install_is_the_journal() -> None:
    """The deliveries of one journal have one install id."""
    assert "k1" == install_of("k1-7.0") == install_of("k1-8.1")
