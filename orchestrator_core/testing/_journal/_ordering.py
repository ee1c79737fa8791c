"""Ordered lanes: the deliveries of one key start in accept order and never overlap."""

from __future__ import annotations

import pytest

from orchestrator_core._contracts import DeliveryQuery, Journal
from orchestrator_core._delivery import DeliveryState
from orchestrator_core._event import Event
from orchestrator_core._plan import Edge, OnDead, Plan, Step
from orchestrator_core.testing._journal._fixtures import JournalFixtures
from orchestrator_core.testing._scenario import (
    LEASE,
    NOW,
    RIVAL,
    WORKER,
    bury,
    dead,
    done,
    event,
    failed,
    finish,
    ids,
    in_order,
    one_each,
    take,
    to,
)

_BEHIND = Plan((Step("first"), Step("a", (Edge(0),), ordered=True)))


async def _append(journal: Journal, *events: Event, on_dead: OnDead = "skip") -> None:
    for each in events:
        await journal.append([(each, in_order(on_dead=on_dead))], now=NOW)


async def _claimable(journal: Journal, *, now: float = NOW) -> list[str]:
    return ids((await journal.claim(WORKER, {"a": 10}, now=now)).claims)


class OrderingContract(JournalFixtures):
    """What ``ordered`` steps promise."""

    async def test_only_the_head_of_a_key(self, journal: Journal) -> None:
        """Of one key only the oldest may start. Catches: an order that does not exclude overlap."""
        await _append(journal, event("1", key="k"), event("2", key="k"), event("3", key="k"))
        assert ["1"] == await _claimable(journal)

    async def test_only_the_head_within_one_append(self, journal: Journal) -> None:
        """Events of one batch keep their order too. Catches: heads looked up only in the store."""
        await journal.append([(event(str(number), key="k"), in_order()) for number in (1, 2)], now=NOW)
        assert ["1"] == await _claimable(journal)

    async def test_other_keys_are_free(self, journal: Journal) -> None:
        """A key holds back nobody else. Catches: one lane for the process."""
        await _append(journal, event("1", key="k"), event("2", key="l"), event("3", key="k"), event("4", key="l"))
        assert ["1", "2"] == sorted(await _claimable(journal))

    async def test_other_processes_are_free(self, journal: Journal) -> None:
        """The same key in another process is another lane. Catches: lanes by key alone."""
        await _append(journal, event("1", key="k"))
        await journal.append([(event("2", key="k"), in_order("b"))], now=NOW)
        claimed = await journal.claim(WORKER, one_each("a", "b"), now=NOW)
        assert ["1", "2"] == sorted(ids(claimed.claims))

    async def test_unordered_steps_are_free(self, journal: Journal) -> None:
        """Without ``ordered`` a key means nothing. Catches: lanes made for every step."""
        await journal.append([(event(str(number), key="k"), to("a")) for number in (1, 2)], now=NOW)
        assert ["1", "2"] == sorted(await _claimable(journal))

    async def test_key_defaults_to_the_record(self, journal: Journal) -> None:
        """Without a key, events of one record share a lane. Catches: a missing key taken for no order."""
        await _append(journal, event("1", uid="first"), event("1", uid="second"), event("2", uid="third"))
        assert ["1", "2"] == sorted(await _claimable(journal))

    async def test_next_starts_when_the_head_is_done(self, journal: Journal) -> None:
        """One after the other, in accept order. Catches: a lane that is never released."""
        await _append(journal, event("1", key="k"), event("2", key="k"), event("3", key="k"))
        started = []
        for _ in range(3):
            claim = await take(journal, "a")
            started.append(claim.event.id)
            await journal.settle(WORKER, [done(claim)], now=NOW)
        assert ["1", "2", "3"] == started

    async def test_settle_hands_over_the_next(self, journal: Journal) -> None:
        """The next of the key comes back with the settle that released it. Catches: a claim made before the release."""
        await _append(journal, event("1", key="k"), event("2", key="k"))
        settled = await journal.settle(WORKER, [done(await take(journal, "a"))], now=NOW, slots={"a": 5})
        assert ["2"] == ids(settled.claims)

    async def test_failing_head_holds_its_key(self, journal: Journal) -> None:
        """Until a retry is due, its key waits. Catches: heads looked for only among what is due."""
        await _append(journal, event("1", key="k"), event("2", key="k"), event("3", key="l"))
        claims = (await journal.claim(WORKER, {"a": 5}, now=NOW)).claims
        head = next(claim for claim in claims if claim.event.id == "1")
        await journal.settle(WORKER, [failed(head, due_at=NOW + 60)], now=NOW)
        assert ([], ["1"]) == (await _claimable(journal), await _claimable(journal, now=NOW + 60))

    async def test_dead_head_is_skipped(self, journal: Journal) -> None:
        """With ``on_dead = "skip"`` the next goes on. Catches: every dead letter holding its key."""
        await _append(journal, event("1", key="k"), event("2", key="k"))
        await bury(journal, "a")
        assert ["2"] == await _claimable(journal)

    async def test_dead_head_holds(self, journal: Journal) -> None:
        """With ``on_dead = "hold"`` the key waits for the dead letter, others do not. Catches: hold ignored."""
        await _append(journal, event("1", key="k"), event("2", key="k"), on_dead="hold")
        await bury(journal, "a")
        await _append(journal, event("3", key="k"), event("4", key="l"), on_dead="hold")
        assert ["4"] == await _claimable(journal)

    async def test_discarded_head_lets_go(self, journal: Journal) -> None:
        """A dead letter that is discarded holds nothing any more. Catches: a hold that only a redrive ends."""
        await _append(journal, event("1", key="k"), event("2", key="k"), on_dead="hold")
        letter = await bury(journal, "a")
        await journal.cancel(DeliveryQuery(ids=[letter.id]), reason="discarded", now=NOW)
        assert ["2"] == await _claimable(journal)

    async def test_redriven_head_goes_first(self, journal: Journal) -> None:
        """A redriven dead letter takes its old place. Catches: a redrive that queues behind."""
        await _append(journal, event("1", key="k"), event("2", key="k"), on_dead="hold")
        await bury(journal, "a")
        await journal.redrive(DeliveryQuery(), now=NOW)
        assert ["1"] == await _claimable(journal)

    @pytest.mark.parametrize("on_dead", ["skip", "hold"])
    async def test_redriven_letter_goes_before_those_that_wait(self, journal: Journal, on_dead: OnDead) -> None:
        """What is accepted before goes before, redriven or not. Catches: heads that a redrive does not send back."""
        await _append(journal, event("1", key="k"), event("2", key="k"), event("3", key="k"), on_dead=on_dead)
        await bury(journal, "a")
        await journal.redrive(DeliveryQuery(), now=NOW)
        await finish(journal, "a")
        found = await journal.deliveries(DeliveryQuery(states=frozenset({DeliveryState.DONE})))
        assert ["in:1"] == [each.event_uid for each in found]

    async def test_redriven_letter_never_overlaps(self, journal: Journal) -> None:
        """While a later one of the key runs, the redriven one waits.

        Catches: a redrive that looks only at what is older.
        """
        await _append(journal, event("1", key="k"), event("2", key="k"))
        await bury(journal, "a")
        running = await take(journal, "a")
        await journal.redrive(DeliveryQuery(), now=NOW)
        before = await _claimable(journal)
        await journal.settle(WORKER, [done(running)], now=NOW)
        assert ([], ["1"]) == (before, await _claimable(journal))

    async def test_waiting_head_holds(self, journal: Journal) -> None:
        """A delivery that waits for its upstream holds back its key. Catches: order by readiness."""
        await journal.append([(event("1", key="k"), _BEHIND)], now=NOW)
        await _append(journal, event("2", key="k"))
        before = await _claimable(journal)
        await finish(journal, "first")
        assert ([], ["1"]) == (before, await _claimable(journal))

    async def test_skipped_head_lets_go(self, journal: Journal) -> None:
        """A head whose upstream died is skipped and holds nothing. Catches: a lane released only by outcomes."""
        await journal.append([(event("1", key="k"), _BEHIND)], now=NOW)
        await _append(journal, event("2", key="k"))
        await bury(journal, "first")
        assert ["2"] == await _claimable(journal)

    async def test_skipped_head_wakes_its_key(self, journal: Journal) -> None:
        """Whoever settles is told to look for the next of the key.

        Catches: a skip that lets it go on with nobody to claim it, at a depth where it is no direct dependent.
        """
        steps = (Step("first"), Step("second", (Edge(0),)), Step("a", (Edge(1),), ordered=True))
        await journal.append([(event("1", key="k"), Plan(steps))], now=NOW)
        await _append(journal, event("2", key="k"))
        settled = await journal.settle(WORKER, [dead(await take(journal, "first"))], now=NOW)
        assert "a" in settled.woken

    async def test_cancelled_head_lets_go(self, journal: Journal) -> None:
        """A head that is cancelled holds nothing. Catches: a cancel that does not release the lane."""
        await _append(journal, event("1", key="k"), event("2", key="k"))
        await journal.cancel(DeliveryQuery(event_uid="in:1"), reason="not wanted", now=NOW)
        assert ["2"] == await _claimable(journal)

    async def test_interrupted_head_holds(self, journal: Journal) -> None:
        """A head that a crash cut off goes first again. Catches: a reap that sends it to the end of its lane."""
        await _append(journal, event("1", key="k"))
        await take(journal, "a", worker=RIVAL)
        await _append(journal, event("2", key="k"))
        journal.renew(WORKER, now=NOW + LEASE - 1, lease=LEASE)
        await journal.reap(now=NOW + LEASE + 1)
        assert ["1"] == await _claimable(journal, now=NOW + LEASE + 1)

    async def test_parked_head_holds(self, journal: Journal) -> None:
        """Parking and unparking keeps the order. Catches: a lane that forgets what is parked."""
        await _append(journal, event("1", key="k"))
        await journal.park(frozenset())
        await _append(journal, event("2", key="k"))
        parked = await _claimable(journal)
        await journal.park(frozenset({"a"}))
        assert ([], ["1"]) == (parked, await _claimable(journal))

    async def test_parked_next_goes_on(self, journal: Journal) -> None:
        """What was parked while its head ran starts after both are over.

        Catches: a turn that comes while nobody is there.
        """
        await _append(journal, event("1", key="k"), event("2", key="k"))
        head = await take(journal, "a")
        await journal.park(frozenset())
        await journal.settle(WORKER, [done(head)], now=NOW)
        await journal.park(frozenset({"a"}))
        assert ["2"] == await _claimable(journal)

    async def test_hand_over_respects_the_lane(self, journal: Journal) -> None:
        """An append hands over the head of a key only. Catches: a hand-over that knows no lanes."""
        slots = {"a": 5}
        entries = [(event(number, key=key), in_order()) for number, key in (("1", "k"), ("2", "k"), ("3", "l"))]
        first = await journal.append(entries, now=NOW, worker=WORKER, slots=slots)
        second = await journal.append([(event("4", key="k"), in_order())], now=NOW, worker=WORKER, slots=slots)
        assert ["1", "3"] == sorted([*ids(first.claims), *ids(second.claims), *await _claimable(journal)])

    async def test_hand_over_does_not_overtake_a_dead_head_that_holds(self, journal: Journal) -> None:
        """With ``on_dead = "hold"`` a new event of the key is not handed over.

        Catches: only unfinished heads looked at.
        """
        await _append(journal, event("1", key="k"), on_dead="hold")
        claim = await take(journal, "a")
        await journal.settle(WORKER, [dead(claim)], now=NOW)
        entry = (event("2", key="k"), in_order(on_dead="hold"))
        appended = await journal.append([entry], now=NOW, worker=WORKER, slots={"a": 1})
        assert ([], []) == (ids(appended.claims), await _claimable(journal))
