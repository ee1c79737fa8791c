"""Leases: one row for each worker, and what runs without one comes back."""

from __future__ import annotations

from functools import partial

import anyio.to_thread

from orchestrator_core._contracts import Journal
from orchestrator_core._delivery import DeliveryState
from orchestrator_core.testing._journal._fixtures import JournalFixtures
from orchestrator_core.testing._scenario import (
    LEASE,
    NOW,
    RIVAL,
    WORKER,
    done,
    event,
    ids,
    read,
    states,
    take,
    to,
)

_AFTER = NOW + LEASE + 1


async def _renew(journal: Journal, worker: str, *, now: float) -> bool:
    """Renew from a thread of its own, as the engine does."""
    return await anyio.to_thread.run_sync(partial(journal.renew, worker, now=now, lease=LEASE))


class LeasingContract(JournalFixtures):
    """What a lease protects, and what its loss sets free."""

    async def test_nothing_to_reap(self, journal: Journal) -> None:
        """While the leases last, what runs keeps running. Catches: reaping by age."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        await take(journal, "a")
        assert (0, [("1", "a", "running")]) == (await journal.reap(now=NOW + LEASE - 1), await states(journal))

    async def test_lost_lease_frees_what_ran(self, journal: Journal) -> None:
        """A dead worker's deliveries are ready again, as interrupted. Catches: counted as failures, or not at all."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        claim = await take(journal, "a")
        assert 1 == await journal.reap(now=_AFTER)
        delivery = await read(journal, claim.delivery.id)
        found = (delivery.state, delivery.attempt, delivery.failures, delivery.interruptions, delivery.interrupted)
        assert (DeliveryState.READY, 1, 0, 1, True) == found

    async def test_interruptions_add_up(self, journal: Journal) -> None:
        """Each loss counts, and the attempt number grows. Catches: a count that is set instead of raised."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        for number in range(3):
            worker, now = f"short-lived-{number}", NOW + number * 2 * LEASE
            await journal.register(worker, now=now, lease=LEASE)
            delivery = (await take(journal, "a", worker=worker, now=now)).delivery
            assert (number + 1, number) == (delivery.attempt, delivery.interruptions)
            await journal.reap(now=now + LEASE + 1)

    async def test_renewed_lease_holds(self, journal: Journal) -> None:
        """Renewing, from another thread, keeps what runs.

        Catches: an expiry that is fixed when the worker registers.
        """
        await journal.append([(event("1"), to("a"))], now=NOW)
        await take(journal, "a")
        assert await _renew(journal, WORKER, now=NOW + LEASE - 1) is True
        assert (0, [("1", "a", "running")]) == (await journal.reap(now=_AFTER), await states(journal))

    async def test_only_the_dead_workers_deliveries(self, journal: Journal) -> None:
        """Those of living workers are not touched. Catches: everything that runs reaped."""
        await journal.append([(event("1"), to("a")), (event("2"), to("b"))], now=NOW)
        await take(journal, "a")
        await take(journal, "b", worker=RIVAL)
        await _renew(journal, WORKER, now=NOW + LEASE - 1)
        assert 1 == await journal.reap(now=_AFTER)
        assert [("1", "a", "running"), ("2", "b", "ready")] == await states(journal)

    async def test_settled_ones_are_not_reaped(self, journal: Journal) -> None:
        """What the worker settled before it died stays so. Catches: reaping by owner without state."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        await journal.settle(WORKER, [done(await take(journal, "a"))], now=NOW)
        assert (0, [("1", "a", "done")]) == (await journal.reap(now=_AFTER), await states(journal))

    async def test_reaped_once(self, journal: Journal) -> None:
        """A second reap finds nothing. Catches: an interruption counted twice."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        await take(journal, "a")
        assert [1, 0] == [await journal.reap(now=_AFTER), await journal.reap(now=_AFTER)]

    async def test_lost_lease_is_not_renewed(self, journal: Journal) -> None:
        """Who was taken for dead is told so. Catches: a renewal that brings a lease back after others took its work."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        await take(journal, "a")
        await journal.reap(now=_AFTER)
        assert await _renew(journal, WORKER, now=_AFTER) is False

    async def test_a_lease_that_ran_out_goes_on(self, journal: Journal) -> None:
        """Until somebody reaps it, nothing is lost. Catches: a suspended machine that is told it was taken for dead."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        claim = await take(journal, "a")
        assert await _renew(journal, WORKER, now=_AFTER) is True
        settled = await journal.settle(WORKER, [done(claim)], now=_AFTER)
        assert (0, []) == (await journal.reap(now=_AFTER), list(settled.late))

    async def test_unknown_worker_has_no_lease(self, journal: Journal) -> None:
        """Only a registered worker can renew. Catches: a renewal that inserts."""
        assert await _renew(journal, "nobody", now=NOW) is False

    async def test_reaped_is_claimed_by_another(self, journal: Journal) -> None:
        """Recovery is the ordinary claim. Catches: a delivery that stays with its dead owner."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        lost = await take(journal, "a")
        await journal.reap(now=_AFTER)
        await journal.register("worker-3", now=_AFTER, lease=LEASE)
        claim = await take(journal, "a", worker="worker-3", now=_AFTER)
        found = (claim.delivery.id, claim.delivery.attempt, claim.delivery.interrupted)
        assert (lost.delivery.id, 2, True) == found
        assert [] == list((await journal.settle("worker-3", [done(claim)], now=_AFTER)).late)

    async def test_worker_without_a_lease_gets_nothing(self, journal: Journal) -> None:
        """Neither a stranger nor who was taken for dead is handed anything.

        Catches: deliveries that run for a worker whom no reap will ever look at.
        """
        await journal.append([(event("1"), to("a"))], now=NOW)
        claim = await take(journal, "a", worker=RIVAL)
        await _renew(journal, WORKER, now=NOW + LEASE - 1)
        await journal.reap(now=_AFTER)
        slots = {"a": 9}
        for worker in ("nobody", RIVAL):
            appended = await journal.append([(event(worker), to("a"))], now=_AFTER, worker=worker, slots=slots)
            claimed = await journal.claim(worker, slots, now=_AFTER)
            settled = await journal.settle(worker, [done(claim)], now=_AFTER, slots=slots)
            assert [[], [], []] == [list(each.claims) for each in (appended, claimed, settled)]
        assert ["1", "nobody", RIVAL] == sorted(ids((await journal.claim(WORKER, slots, now=_AFTER)).claims))

    async def test_handed_over_deliveries_come_back_too(self, journal: Journal) -> None:
        """What an append handed over is the worker's like any. Catches: a hand-over that bypasses the lease."""
        await journal.append([(event("1"), to("a"))], now=NOW, worker=RIVAL, slots={"a": 1})
        assert (1, [("1", "a", "ready")]) == (await journal.reap(now=_AFTER), await states(journal))
