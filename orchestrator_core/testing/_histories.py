"""What the random histories of `JournalMachine` are made of."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeAlias

from hypothesis import strategies as st

from orchestrator_core._contracts import Claim, Settlement
from orchestrator_core._delivery import DeliveryState, Transition
from orchestrator_core._event import Event
from orchestrator_core._filters import Where
from orchestrator_core._json import JSON
from orchestrator_core._plan import Edge, Plan, Step
from orchestrator_core.testing._scenario import NOWHERE, chain, diamond, event, in_order, to

Drawn: TypeAlias = tuple[int, str, str]
Identity: TypeAlias = tuple[str, str]

PROCESSES = ("a", "b", "c", "d")
_IF_OK = Edge(0, "success", Where.parse({"field": "output.ok", "exact": True}))
_PLANS = {
    "nowhere": NOWHERE,
    "one": to("a"),
    "fan-out": to("a", "b", "c"),
    "chain": chain("a", "b", "c"),
    "on dead": chain("a", "b", on="dead"),
    "on settled": chain("a", "b", on="settled"),
    "all": diamond(),
    "any": diamond("any"),
    "where": Plan((Step("a"), Step("b", (_IF_OK,)), Step("c", (Edge(1),)))),
    "ordered": in_order("a"),
    "ordered, holding": in_order("a", on_dead="hold"),
    "ordered behind": Plan((Step("b"), Step("a", (Edge(0),), ordered=True))),
}
ENTRIES = st.tuples(st.integers(0, 60), st.sampled_from("kl"), st.sampled_from(sorted(_PLANS)))
SLOTS = st.dictionaries(st.sampled_from(PROCESSES), st.integers(0, 3))
OUTCOMES = st.sampled_from(["done", "ok", "failed", "later", "dead", "cut off"])
LINES = st.lists(st.sampled_from(["", "line", "☃"]), max_size=2)


def entries(drawn: Collection[Drawn], gone: Collection[Identity], trigger: str = "in") -> list[tuple[Event, Plan]]:
    """Make events with plans of what was drawn, without those that retention has deleted already."""
    made = [(event(str(number), trigger=trigger, key=key), _PLANS[plan]) for number, key, plan in drawn]
    return [(fact, plan) for fact, plan in made if (fact.trigger, fact.uid) not in gone]


def settlement(data: st.DataObject, claim: Claim, now: float, gone: Collection[Identity]) -> Settlement:
    """Draw an outcome of an attempt."""
    kind = data.draw(OUTCOMES)
    failures, interruptions = claim.delivery.failures, claim.delivery.interruptions
    later = now + data.draw(st.sampled_from([0.0, 5.0, 30.0]))
    derived = data.draw(st.lists(ENTRIES, max_size=1)) if kind in {"done", "ok"} else []
    output: JSON = {"ok": data.draw(st.booleans())} if kind == "ok" else None
    change = {
        "done": Transition(DeliveryState.DONE, now, failures, interruptions),
        "ok": Transition(DeliveryState.DONE, now, failures, interruptions, output=output),
        "failed": Transition(DeliveryState.READY, later, failures + 1, interruptions, reason="failed"),
        "later": Transition(DeliveryState.READY, later, failures, interruptions, reason="not now"),
        "dead": Transition(DeliveryState.DEAD, now, failures + 1, interruptions, reason="hopeless"),
        "cut off": Transition(DeliveryState.READY, later, failures, interruptions + 1, interrupted=True, reason="cut"),
    }[kind]
    return Settlement(claim, change, now, data.draw(LINES), entries(derived, gone, claim.delivery.process))
