"""`Journal.prune`: what retention deletes, and what it never does."""

from __future__ import annotations

import pytest

from orchestrator_core._contracts import DeliveryQuery, Journal
from orchestrator_core._errors import NotFoundError
from orchestrator_core.testing._journal._fixtures import JournalFixtures
from orchestrator_core.testing._scenario import (
    LEASE,
    NOW,
    NOWHERE,
    RIVAL,
    WORKER,
    bury,
    chain,
    dead,
    diamond,
    done,
    event,
    finish,
    take,
    to,
)

_EVERYTHING = DeliveryQuery()


class PruningContract(JournalFixtures):
    """What retention deletes, and what it never does."""

    async def test_settled_before(self, journal: Journal) -> None:
        """An event goes when all its deliveries were settled before the moment. Catches: pruning by acceptance."""
        await journal.append([(event("1"), to("a")), (event("2"), to("a"))], now=NOW)
        await finish(journal, "a", now=NOW + 10)
        await finish(journal, "a", now=NOW + 30)
        assert (1, ["2"]) == (await journal.prune(before=NOW + 20), await _left(journal))

    async def test_nothing_of_it_is_left(self, journal: Journal) -> None:
        """Event, deliveries and history are gone together. Catches: rows that outlive their event."""
        await journal.append([(event("1"), chain("a", "b"))], now=NOW)
        claim = await take(journal, "a")
        await journal.settle(WORKER, [dead(claim, logs=["row 7"])], now=NOW)
        await journal.cancel(_EVERYTHING, reason="discarded", now=NOW)
        assert 1 == await journal.prune(before=NOW + 1)
        assert (0, []) == ((await journal.counts()).events, list(await journal.deliveries(_EVERYTHING)))
        with pytest.raises(NotFoundError):
            await journal.attempts(claim.delivery.id)

    async def test_the_last_outcome_counts(self, journal: Journal) -> None:
        """One delivery settled later keeps the event. Catches: the first outcome taken for the last."""
        await journal.append([(event("1"), to("a", "b"))], now=NOW)
        await finish(journal, "a", now=NOW + 10)
        await finish(journal, "b", now=NOW + 30)
        assert (0, ["1"]) == (await journal.prune(before=NOW + 20), await _left(journal))

    async def test_dead_letters_are_kept(self, journal: Journal) -> None:
        """A dead letter keeps its event whatever its age. Catches: dead taken for done."""
        await journal.append([(event("1"), to("a", "b"))], now=NOW)
        await finish(journal, "a")
        await bury(journal, "b")
        assert (0, ["1"]) == (await journal.prune(before=NOW + 9_999_999), await _left(journal))

    async def test_unfinished_ones_are_kept(self, journal: Journal) -> None:
        """Ready, running, waiting and parked deliveries keep their events. Catches: an old backlog deleted."""
        await journal.append([(event("1"), diamond()), (event("2"), to("gone")), (event("3"), to("z"))], now=NOW)
        await journal.park(frozenset({"a", "b", "c", "d", "z"}))
        await finish(journal, "a", "b")
        await take(journal, "z")
        assert (0, ["1", "2", "3"]) == (await journal.prune(before=NOW + 9_999_999), await _left(journal))

    async def test_unrouted_events_go_by_age(self, journal: Journal) -> None:
        """An event that matched nothing is kept as long as any other. Catches: kept for ever, or not at all."""
        await journal.append([(event("1"), NOWHERE)], now=NOW)
        await journal.append([(event("2"), NOWHERE)], now=NOW + 30)
        assert (1, ["2"]) == (await journal.prune(before=NOW + 20), await _left(journal))
        assert 1 == (await journal.counts()).unrouted

    async def test_prune_limit(self, journal: Journal) -> None:
        """No more than asked for in one step, and the rest at the next. Catches: one endless transaction."""
        await journal.append([(event(str(number)), to("a")) for number in range(5)], now=NOW)
        await finish(journal, *["a"] * 5)
        pruned = [await journal.prune(before=NOW + 1, limit=2) for _ in range(4)]
        assert [2, 2, 1, 0] == pruned

    async def test_identity_lasts_as_long_as_the_event(self, journal: Journal) -> None:
        """Within the retention a second append is the first one.

        Catches: identities forgotten when an event is done.
        """
        await journal.append([(event("1"), to("a"))], now=NOW)
        await finish(journal, "a", now=NOW + 30)
        await journal.prune(before=NOW + 20)
        assert [False] == list((await journal.append([(event("1"), to("a"))], now=NOW + 40)).fresh)

    async def test_checkpoints_are_kept(self, journal: Journal) -> None:
        """Retention is for events. Catches: a source that starts from the beginning after a quiet week."""
        await journal.append([(event("1"), NOWHERE)], now=NOW, checkpoint=("in", 7))
        await journal.prune(before=NOW + LEASE)
        assert [7] == [await journal.load_checkpoint("in")]

    async def test_parent_and_child_go_alone(self, journal: Journal) -> None:
        """A derived event is kept by its own deliveries. Catches: children deleted with their parents."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        follow_up = (event("2", trigger="a"), to("b"))
        await journal.settle(WORKER, [done(await take(journal, "a"), events=[follow_up])], now=NOW)
        assert (1, ["2"]) == (await journal.prune(before=NOW + 1), await _left(journal))

    async def test_late_outcome_of_what_is_gone(self, journal: Journal) -> None:
        """Who comes back after its delivery was done by another and deleted is late.

        Catches: a missing row taken for an error, or for a new one.
        """
        await journal.append([(event("1"), to("a"))], now=NOW)
        lost = await take(journal, "a", worker=RIVAL)
        journal.renew(WORKER, now=NOW + LEASE - 1, lease=LEASE)
        await journal.reap(now=NOW + LEASE + 1)
        await finish(journal, "a", now=NOW + LEASE + 1)
        await journal.prune(before=NOW + LEASE + 2)
        await journal.log(RIVAL, [(lost, ["from the other side"])])
        settled = await journal.settle(RIVAL, [done(lost)], now=NOW + LEASE + 3)
        assert ([lost.delivery.id], []) == (list(settled.late), await _left(journal))

    async def test_delivery_ids_are_not_used_again(self, journal: Journal) -> None:
        """After a prune new deliveries have new ids. Catches: row numbers that start again from the highest left."""
        found = []
        for number in range(3):
            await journal.append([(event(str(number)), to("a"))], now=NOW)
            claim = await take(journal, "a")
            found.append(claim.delivery.id)
            await journal.settle(WORKER, [done(claim)], now=NOW)
            await journal.prune(before=NOW + 1)
        assert sorted(set(found)) == sorted(found)


async def _left(journal: Journal) -> list[str]:
    return [record.event.id for record in await journal.events()]
