"""`Journal.claim`: what is due, once, to one worker, within its slots."""

from __future__ import annotations

import anyio

from orchestrator_core._contracts import DeliveryQuery, Journal
from orchestrator_core._delivery import DeliveryState
from orchestrator_core.testing._journal._fixtures import JournalFixtures
from orchestrator_core.testing._scenario import (
    NOW,
    RIVAL,
    WORKER,
    event,
    failed,
    ids,
    one_each,
    postponed,
    read,
    take,
    to,
)


class ClaimingContract(JournalFixtures):
    """What a claim takes."""

    async def test_claim_makes_it_run(self, journal: Journal) -> None:
        """The delivery runs its first attempt. Catches: a claim that is counted only when it is settled."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        claim = await take(journal, "a")
        stored = await read(journal, claim.delivery.id)
        for delivery in (claim.delivery, stored):
            assert (DeliveryState.RUNNING, 1, "a", NOW) == (
                delivery.state,
                delivery.attempt,
                delivery.process,
                delivery.accepted_at,
            )

    async def test_claimed_once(self, journal: Journal) -> None:
        """What runs is not claimed, by nobody. Catches: a claim that selects without updating."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        await take(journal, "a")
        for worker in (WORKER, RIVAL):
            assert [] == list((await journal.claim(worker, one_each("a"), now=NOW)).claims)

    async def test_oldest_due_first(self, journal: Journal) -> None:
        """What has been due longest goes first. Catches: an order by age, or by row number."""
        await journal.append([(event("retried"), to("a"))], now=NOW)
        await journal.settle(WORKER, [failed(await take(journal, "a"), due_at=NOW + 20)], now=NOW)
        await journal.append([(event("later"), to("a"))], now=NOW + 10)
        await journal.append([(event("latest"), to("a"))], now=NOW + 30)
        claimed = await journal.claim(WORKER, {"a": 2}, now=NOW + 40)
        assert ["later", "retried"] == ids(claimed.claims)

    async def test_not_before_it_is_due(self, journal: Journal) -> None:
        """A retry waits for its moment, and starts at it. Catches: due_at ignored, or compared with ``<``."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        await journal.settle(WORKER, [postponed(await take(journal, "a"), due_at=NOW + 5)], now=NOW)
        taken = [ids((await journal.claim(WORKER, one_each("a"), now=NOW + wait)).claims) for wait in (4.5, 5)]
        assert [[], ["1"]] == taken

    async def test_next_due(self, journal: Journal) -> None:
        """A claim that leaves nothing due says when it is worth coming back. Catches: a retry seen only by polling."""
        await journal.append([(event("1"), to("a")), (event("2"), to("a"))], now=NOW)
        for wait in (7, 5):
            await journal.settle(WORKER, [failed(await take(journal, "a"), due_at=NOW + wait)], now=NOW)
        assert NOW + 5 == (await journal.claim(WORKER, one_each("a"), now=NOW)).next_due

    async def test_next_due_is_of_the_processes_asked_for(self, journal: Journal) -> None:
        """Another process's retry is not ours to wait for. Catches: the minimum over the whole ledger."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        await journal.settle(WORKER, [failed(await take(journal, "a"), due_at=NOW + 5)], now=NOW)
        assert (await journal.claim(WORKER, one_each("b"), now=NOW)).next_due is None

    async def test_next_due_forgets_what_is_over(self, journal: Journal) -> None:
        """A retry that was cancelled or parked is nothing to come back for. Catches: moments kept beside the rows."""
        await journal.append([(event(str(number)), to("a")) for number in range(3)], now=NOW)
        for wait in (5, 6, 7):
            await journal.settle(WORKER, [failed(await take(journal, "a"), due_at=NOW + wait)], now=NOW)
        await journal.cancel(DeliveryQuery(event_uid="in:0"), reason="not wanted", now=NOW)
        found = [(await journal.claim(WORKER, one_each("a"), now=NOW)).next_due]
        await journal.park(frozenset())
        assert [NOW + 6, None] == [*found, (await journal.claim(WORKER, one_each("a"), now=NOW)).next_due]

    async def test_nothing_at_all(self, journal: Journal) -> None:
        """An empty journal has nothing to claim and nothing coming. Catches: a due moment invented from no rows."""
        claimed = await journal.claim(WORKER, one_each("a"), now=NOW)
        assert ([], None) == (list(claimed.claims), claimed.next_due)

    async def test_only_the_processes_asked_for(self, journal: Journal) -> None:
        """A process without slots, or with none, gets nothing. Catches: a claim over all processes."""
        await journal.append([(event("1"), to("a", "b", "c"))], now=NOW)
        claimed = await journal.claim(WORKER, {"a": 0, "b": 1}, now=NOW)
        assert ["b"] == [claim.delivery.process for claim in claimed.claims]

    async def test_no_more_than_the_slots(self, journal: Journal) -> None:
        """Each process gets up to its slots. Catches: a LIMIT over all of them together."""
        await journal.append([(event(str(number)), to("a", "b")) for number in range(5)], now=NOW)
        claimed = await journal.claim(WORKER, {"a": 3, "b": 2}, now=NOW)
        assert ["a", "a", "a", "b", "b"] == sorted(claim.delivery.process for claim in claimed.claims)

    async def test_attempt_number_grows(self, journal: Journal) -> None:
        """Each claim counts one up and carries the counts so far. Catches: a number reset by a retry."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        found = []
        for _ in range(3):
            claim = await take(journal, "a")
            found.append((claim.delivery.attempt, claim.delivery.failures))
            await journal.settle(WORKER, [failed(claim)], now=NOW)
        assert [(1, 0), (2, 1), (3, 2)] == found

    async def test_delivery_id_is_stable(self, journal: Journal) -> None:
        """Every attempt has the same delivery id. Catches: a row for each attempt."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        first = await take(journal, "a")
        await journal.settle(WORKER, [failed(first)], now=NOW)
        assert first.delivery.id == (await take(journal, "a", worker=RIVAL)).delivery.id

    async def test_claim_is_a_snapshot(self, journal: Journal) -> None:
        """What was handed out does not change afterwards. Catches: the ledger's own objects given away."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        first = await take(journal, "a")
        await journal.settle(WORKER, [failed(first)], now=NOW)
        await take(journal, "a")
        assert (1, 0, DeliveryState.RUNNING) == (first.delivery.attempt, first.delivery.failures, first.delivery.state)

    async def test_workers_never_share(self, journal: Journal) -> None:
        """Claims at the same time divide the deliveries. Catches: read, then write."""
        await journal.append([(event(str(number)), to("a")) for number in range(40)], now=NOW)
        taken: list[str] = []

        async def claim(worker: str) -> None:
            for _ in range(5):
                taken.extend(ids((await journal.claim(worker, {"a": 4}, now=NOW)).claims))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(claim, WORKER)
            tasks.start_soon(claim, RIVAL)
        assert sorted(str(number) for number in range(40)) == sorted(taken)
        running = await journal.deliveries(DeliveryQuery(states=frozenset({DeliveryState.RUNNING})))
        assert {1} == {delivery.attempt for delivery in running}
