"""What a settle sets going: the deliveries that waited for it, and the events that its attempt derived."""

from __future__ import annotations

import pytest

from orchestrator_core._contracts import DeliveryQuery, Journal
from orchestrator_core._delivery import DeliveryState
from orchestrator_core._filters import Where
from orchestrator_core._json import JSON
from orchestrator_core._plan import Edge, On, Plan, Step
from orchestrator_core.testing._journal._fixtures import JournalFixtures
from orchestrator_core.testing._scenario import (
    NOW,
    NOWHERE,
    WORKER,
    bury,
    chain,
    dead,
    diamond,
    done,
    event,
    failed,
    finish,
    ids,
    one_each,
    states,
    take,
    to,
)


def _if(condition: object) -> Plan:
    return Plan((Step("a"), Step("b", (Edge(0, "success", Where.parse(condition)),)), Step("c", (Edge(1),))))


async def _by_process(journal: Journal) -> dict[str, str]:
    return {process: state for _, process, state in await states(journal)}


class WakingContract(JournalFixtures):
    """What waits is decided in the same step as what it waited for."""

    async def test_chain_goes_on(self, journal: Journal) -> None:
        """Success wakes the next step, and only it. Catches: a depth of one."""
        await journal.append([(event("1"), chain("a", "b", "c"))], now=NOW)
        settled = await journal.settle(WORKER, [done(await take(journal, "a"))], now=NOW)
        assert (frozenset("b"), {"a": "done", "b": "ready", "c": "waiting"}) == (
            settled.woken,
            await _by_process(journal),
        )

    async def test_retry_wakes_nobody(self, journal: Journal) -> None:
        """A failure that is tried again decides nothing. Catches: any outcome taken for the last."""
        await journal.append([(event("1"), chain("a", "b", on="settled"))], now=NOW)
        await journal.settle(WORKER, [failed(await take(journal, "a"))], now=NOW)
        assert {"a": "ready", "b": "waiting"} == await _by_process(journal)

    async def test_all_waits_for_all(self, journal: Journal) -> None:
        """A diamond's end waits for both sides. Catches: the first side waking it."""
        await journal.append([(event("1"), diamond())], now=NOW)
        await finish(journal, "a", "b")
        before = (await _by_process(journal))["d"]
        await finish(journal, "c")
        assert ("waiting", "ready") == (before, (await _by_process(journal))["d"])

    async def test_any_waits_for_the_first(self, journal: Journal) -> None:
        """With ``join = "any"`` one side is enough, and it runs once. Catches: the second side waking it again."""
        await journal.append([(event("1"), diamond("any"))], now=NOW)
        await finish(journal, "a", "b", "d", "c")
        assert {"a": "done", "b": "done", "c": "done", "d": "done"} == await _by_process(journal)

    async def test_any_survives_a_dead_side(self, journal: Journal) -> None:
        """With ``join = "any"`` a dead side decides nothing while the other is open. Catches: skipped by the first."""
        await journal.append([(event("1"), diamond("any"))], now=NOW)
        await finish(journal, "a")
        await bury(journal, "b")
        before = (await _by_process(journal))["d"]
        await finish(journal, "c")
        assert ("waiting", "ready") == (before, (await _by_process(journal))["d"])

    async def test_both_sides_in_one_settle(self, journal: Journal) -> None:
        """Two upstream steps settled together wake the end once. Catches: each looking only at itself."""
        await journal.append([(event("1"), diamond())], now=NOW)
        await finish(journal, "a")
        sides = (await journal.claim(WORKER, one_each("b", "c"), now=NOW)).claims
        settled = await journal.settle(WORKER, [done(claim) for claim in sides], now=NOW, slots={"d": 5})
        assert ["1"] == ids(settled.claims)

    @pytest.mark.parametrize(
        ("on", "after_done", "after_dead"),
        [("success", "ready", "skipped"), ("dead", "skipped", "ready"), ("settled", "ready", "ready")],
    )
    async def test_on(self, journal: Journal, on: On, after_done: str, after_dead: str) -> None:
        """A link lets through what its ``on`` says. Catches: ``on`` not kept with the plan."""
        await journal.append([(event("1"), chain("a", "b", on=on)), (event("2"), chain("a", "b", on=on))], now=NOW)
        first, second = (await journal.claim(WORKER, {"a": 2}, now=NOW)).claims
        await journal.settle(WORKER, [done(first), dead(second)], now=NOW)
        assert [("1", "b", after_done), ("2", "b", after_dead)] == [
            each for each in await states(journal) if each[1] == "b"
        ]

    async def test_skips_cascade(self, journal: Journal) -> None:
        """What can no longer be reached is skipped all the way down. Catches: a skip one step deep."""
        await journal.append([(event("1"), chain("a", "b", "c", "d"))], now=NOW)
        await bury(journal, "a", now=NOW + 3)
        found = await journal.deliveries(DeliveryQuery(states=frozenset({DeliveryState.SKIPPED})))
        assert [("b", NOW + 3), ("c", NOW + 3), ("d", NOW + 3)] == [(each.process, each.settled_at) for each in found]

    async def test_dead_side_skips_all(self, journal: Journal) -> None:
        """With ``join = "all"`` one dead side skips the end at once. Catches: waiting for the other side first."""
        await journal.append([(event("1"), diamond())], now=NOW)
        await finish(journal, "a")
        await bury(journal, "b")
        assert {"a": "done", "b": "dead", "c": "ready", "d": "skipped"} == await _by_process(journal)

    @pytest.mark.parametrize(
        ("output", "expected"), [({"country": "NL"}, ["ready", "waiting"]), ({"country": "BE"}, ["skipped", "skipped"])]
    )
    async def test_where_reads_the_output(self, journal: Journal, output: JSON, expected: list[str]) -> None:
        """A condition over the output decides when it is known. Catches: a condition lost on the way to the store."""
        await journal.append([(event("1"), _if({"field": "output.country", "exact": "NL"}))], now=NOW)
        await journal.settle(WORKER, [done(await take(journal, "a"), output)], now=NOW)
        found = await _by_process(journal)
        assert expected == [found["b"], found["c"]]

    @pytest.mark.parametrize(("limit", "expected"), [(1, "ready"), (3, "skipped")])
    async def test_where_reads_the_event_too(self, journal: Journal, limit: int, expected: str) -> None:
        """The event's data stands beside the output. Catches: only the output handed to the condition."""
        condition = {"all": [{"field": "output", "exists": True}, {"field": "data.rows", "gt": limit}]}
        await journal.append([(event("1", data={"rows": 2}), _if(condition))], now=NOW)
        await finish(journal, "a")
        assert expected == (await _by_process(journal))["b"]

    async def test_outputs_go_downstream(self, journal: Journal) -> None:
        """A claim brings what its upstream processes returned, by name. Catches: only the last one kept."""
        await journal.append([(event("1"), diamond())], now=NOW)
        await finish(journal, "a")
        sides = (await journal.claim(WORKER, one_each("b", "c"), now=NOW)).claims
        await journal.settle(WORKER, [done(claim, {"from": claim.delivery.process}) for claim in sides], now=NOW)
        outputs = (await take(journal, "d")).outputs
        assert {"b": {"from": "b"}, "c": {"from": "c"}} == {name: outputs[name] for name in ("b", "c")}

    async def test_outputs_survive_a_retry(self, journal: Journal) -> None:
        """Each attempt gets them. Catches: outputs handed over only with the waking."""
        await journal.append([(event("1"), chain("a", "b"))], now=NOW)
        await journal.settle(WORKER, [done(await take(journal, "a"), 42)], now=NOW)
        await journal.settle(WORKER, [failed(await take(journal, "b"))], now=NOW)
        assert {"a": 42} == dict((await take(journal, "b")).outputs)

    async def test_root_has_no_outputs(self, journal: Journal) -> None:
        """Nothing stands upstream of an input. Catches: outputs of side steps mixed in."""
        await journal.append([(event("1"), to("a", "b"))], now=NOW)
        await journal.settle(WORKER, [done(await take(journal, "a"), 42)], now=NOW)
        assert {} == dict((await take(journal, "b")).outputs)

    async def test_events_do_not_mix(self, journal: Journal) -> None:
        """An outcome wakes the steps of its own event. Catches: dependents looked up by process name."""
        await journal.append([(event(str(number)), chain("a", "b")) for number in (1, 2)], now=NOW)
        await finish(journal, "a")
        assert [("1", "b", "ready"), ("2", "b", "waiting")] == [
            each for each in await states(journal) if each[1] == "b"
        ]


class DerivedContract(JournalFixtures):
    """What becomes of events that an attempt emitted."""

    async def test_accepted_with_the_outcome(self, journal: Journal) -> None:
        """A derived event is accepted under its process's name, in the same step. Catches: a second transaction."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        follow_up = (event("2", trigger="a", data={"rows": 3}), to("b"))
        settled = await journal.settle(WORKER, [done(await take(journal, "a"), events=[follow_up])], now=NOW + 3)
        record = await journal.event("a:2", trigger="a")
        assert (follow_up, NOW + 3) == ((record.event, record.plan), record.accepted_at)
        assert (frozenset("b"), [("1", "a", "done"), ("2", "b", "ready")]) == (settled.woken, await states(journal))

    async def test_handed_over_at_once(self, journal: Journal) -> None:
        """What it leads to can be claimed in the same step. Catches: a claim before the derived events."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        follow_up = (event("2", trigger="a"), to("b"))
        settled = await journal.settle(
            WORKER, [done(await take(journal, "a"), events=[follow_up])], now=NOW, slots={"b": 1}
        )
        assert ["2"] == ids(settled.claims)

    async def test_accepted_once(self, journal: Journal) -> None:
        """A uid that the process has used before is absorbed. Catches: derived events that skip the identity check."""
        await journal.append([(event("1"), to("a")), (event("2"), to("a"))], now=NOW)
        claims = (await journal.claim(WORKER, {"a": 2}, now=NOW)).claims
        follow_up = (event("3", trigger="a"), to("b"))
        await journal.settle(WORKER, [done(claim, events=[follow_up]) for claim in claims], now=NOW)
        assert [("1", "a", "done"), ("2", "a", "done"), ("3", "b", "ready")] == await states(journal)

    async def test_fresh_ones_are_told(self, journal: Journal) -> None:
        """The caller learns which events were accepted now. Catches: those known before told again."""
        await journal.append([(event("1"), to("a")), (event("2"), to("a"))], now=NOW)
        first, second = (await journal.claim(WORKER, {"a": 2}, now=NOW)).claims
        known, fresh = ((event(id_, trigger="a"), to("b")) for id_ in ("3", "4"))
        told = [(await journal.settle(WORKER, [done(first, events=[known])], now=NOW)).accepted]
        told.append((await journal.settle(WORKER, [done(second, events=[known, fresh])], now=NOW)).accepted)
        assert [[known], [fresh]] == [list(each) for each in told]

    async def test_unrouted_one_is_kept(self, journal: Journal) -> None:
        """A derived event that matches nothing is accepted and counted. Catches: only routed ones stored."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        follow_up = (event("2", trigger="a"), NOWHERE)
        await journal.settle(WORKER, [done(await take(journal, "a"), events=[follow_up])], now=NOW)
        counts = await journal.counts()
        assert (2, 1) == (counts.events, counts.unrouted)

    async def test_derived_names_the_children(self, journal: Journal) -> None:
        """An event leads to what its deliveries emitted. Catches: a parent found by process name alone."""
        await journal.append([(event(str(number)), to("a")) for number in (1, 2)], now=NOW)
        claims = (await journal.claim(WORKER, {"a": 2}, now=NOW)).claims
        for claim, child in zip(claims, ("3", "4"), strict=True):
            await journal.settle(WORKER, [done(claim, events=[(event(child, trigger="a"), NOWHERE)])], now=NOW)
        found = [[record.event.id for record in await journal.derived(uid)] for uid in ("in:1", "in:2", "a:3")]
        assert [["3"], ["4"], []] == found
