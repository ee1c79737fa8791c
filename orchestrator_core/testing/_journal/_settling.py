"""`Journal.settle`: outcomes are written by the attempt that is running, and by no other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator_core._contracts import Claim, Journal, Settlement
from orchestrator_core._delivery import DeliveryState, Transition
from orchestrator_core._json import JSON
from orchestrator_core.testing._journal._fixtures import JournalFixtures
from orchestrator_core.testing._scenario import (
    LEASE,
    NOW,
    RIVAL,
    WORKER,
    chain,
    dead,
    done,
    event,
    failed,
    finish,
    ids,
    postponed,
    read,
    states,
    take,
    to,
)


class SettlingContract(JournalFixtures):
    """What a settle writes."""

    @pytest.mark.parametrize("output", [None, 0, "", {"rows": 3, "exact": 2**70}], ids=repr)
    async def test_done(self, journal: Journal, output: JSON) -> None:
        """Success keeps its output and its moment. Catches: a falsy output lost."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        claim = await take(journal, "a")
        await journal.settle(WORKER, [done(claim, output)], now=NOW + 3)
        delivery = await read(journal, claim.delivery.id)
        found = (delivery.state, delivery.output, delivery.settled_at, delivery.reason)
        assert (DeliveryState.DONE, output, NOW + 3, None) == found

    async def test_retry(self, journal: Journal) -> None:
        """A failure counts, keeps its reason and is due later. Catches: a retry that is due at once."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        claim = await take(journal, "a")
        await journal.settle(WORKER, [failed(claim, due_at=NOW + 60, reason="no route")], now=NOW)
        delivery = await read(journal, claim.delivery.id)
        expected = (DeliveryState.READY, 1, 1, NOW + 60, None, "no route")
        found = (
            delivery.state,
            delivery.attempt,
            delivery.failures,
            delivery.due_at,
            delivery.settled_at,
            delivery.reason,
        )
        assert expected == found

    async def test_interruption(self, journal: Journal) -> None:
        """An interruption is counted and marked, so that the next claim asks first. Catches: the mark dropped."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        claim = await take(journal, "a")
        cut_off = Transition(DeliveryState.READY, NOW, 0, 1, interrupted=True, reason="stopped")
        await journal.settle(WORKER, [Settlement(claim, cut_off)], now=NOW)
        again = (await take(journal, "a")).delivery
        assert (2, 0, 1, True) == (again.attempt, again.failures, again.interruptions, again.interrupted)

    async def test_interruption_mark_ends(self, journal: Journal) -> None:
        """A later outcome that is known clears the mark. Catches: a mark that is only ever set."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        await journal.settle(WORKER, [postponed(await take(journal, "a"), due_at=NOW, interrupted=True)], now=NOW)
        await journal.settle(WORKER, [failed(await take(journal, "a"))], now=NOW)
        assert (await take(journal, "a")).delivery.interrupted is False

    async def test_dead(self, journal: Journal) -> None:
        """A dead letter keeps its reason and is not claimed. Catches: dead letters dropped."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        claim = await take(journal, "a")
        await journal.settle(WORKER, [dead(claim, reason="negative rain")], now=NOW + 3)
        delivery = await read(journal, claim.delivery.id)
        found = (delivery.state, delivery.failures, delivery.reason, delivery.settled_at)
        assert (DeliveryState.DEAD, 1, "negative rain", NOW + 3) == found
        assert [] == list((await journal.claim(WORKER, {"a": 1}, now=NOW + 9_999)).claims)

    async def test_success_after_failure_has_no_reason(self, journal: Journal) -> None:
        """What succeeded at last is not blamed for what failed. Catches: a reason that is only ever set."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        await journal.settle(WORKER, [failed(await take(journal, "a"))], now=NOW)
        claim = await take(journal, "a")
        await journal.settle(WORKER, [done(claim)], now=NOW)
        delivery = await read(journal, claim.delivery.id)
        assert (DeliveryState.DONE, 1, None) == (delivery.state, delivery.failures, delivery.reason)

    async def test_settle_of_nothing(self, journal: Journal) -> None:
        """No outcomes settle nothing. Catches: an UPDATE built from an empty list."""
        settled = await journal.settle(WORKER, [], now=NOW)
        assert ([], frozenset(), []) == (list(settled.late), settled.woken, list(settled.claims))

    async def test_settle_claims_next(self, journal: Journal) -> None:
        """With slots, the worker gets its next deliveries in the same step. Catches: slots ignored."""
        await journal.append([(event(str(number)), to("a")) for number in range(4)], now=NOW)
        settled = await journal.settle(WORKER, [done(await take(journal, "a"))], now=NOW, slots={"a": 2})
        assert ["1", "2"] == ids(settled.claims)
        expected = [("0", "a", "done"), ("1", "a", "running"), ("2", "a", "running"), ("3", "a", "ready")]
        assert expected == await states(journal)

    async def test_settle_claims_what_it_woke(self, journal: Journal) -> None:
        """The next step of a chain comes back with the outcome that woke it. Catches: a claim before the waking."""
        await journal.append([(event("1"), chain("a", "b"))], now=NOW)
        claim = await take(journal, "a")
        settled = await journal.settle(WORKER, [done(claim, {"rows": 3})], now=NOW, slots={"b": 1})
        assert [("b", {"rows": 3})] == [(each.delivery.process, each.outputs.get("a")) for each in settled.claims]

    async def test_large_settle(self, journal: Journal) -> None:
        """Thousands of outcomes go into one step. Catches: one bound parameter for each value."""
        await journal.append([(event(str(number)), to("a")) for number in range(4_000)], now=NOW)
        claims = (await journal.claim(WORKER, {"a": 4_000}, now=NOW)).claims
        settled = await journal.settle(WORKER, [done(claim) for claim in claims], now=NOW)
        assert ([], {"a": {DeliveryState.DONE: 4_000}}) == (list(settled.late), await _in_use(journal))


def _done_with_output(claim: Claim) -> Settlement:
    return done(claim, {"rows": 3})


_EVERY_OUTCOME = pytest.mark.parametrize("settle", [done, _done_with_output, failed, dead])
"""Journals like to write the common success apart from the rest."""


class LateContract(JournalFixtures):
    """What becomes of an outcome whose attempt is not the running one."""

    async def _lose(self, journal: Journal) -> Claim:
        """Let the rival claim, lose its lease, and leave the delivery ready again."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        claim = await take(journal, "a", worker=RIVAL)
        journal.renew(WORKER, now=NOW + LEASE - 1, lease=LEASE)
        await journal.reap(now=NOW + LEASE + 1)
        return claim

    @_EVERY_OUTCOME
    async def test_outcome_after_the_lease(self, journal: Journal, settle: Callable[[Claim], Settlement]) -> None:
        """A worker that was taken for dead comes too late; nothing changes. Catches: a guard that reads no state."""
        claim = await self._lose(journal)
        settled = await journal.settle(RIVAL, [settle(claim)], now=NOW + LEASE + 2)
        assert ([claim.delivery.id], [("1", "a", "ready")]) == (list(settled.late), await states(journal))

    async def test_outcome_while_another_runs(self, journal: Journal) -> None:
        """The new attempt is not touched by the old one. Catches: a guard by delivery alone."""
        claim = await self._lose(journal)
        current = await take(journal, "a", now=NOW + LEASE + 1)
        settled = await journal.settle(RIVAL, [dead(claim)], now=NOW + LEASE + 2)
        assert ([claim.delivery.id], [("1", "a", "running")]) == (list(settled.late), await states(journal))
        assert [] == list((await journal.settle(WORKER, [done(current)], now=NOW + LEASE + 3)).late)

    @_EVERY_OUTCOME
    async def test_earlier_attempt_of_the_same_worker(
        self, journal: Journal, settle: Callable[[Claim], Settlement]
    ) -> None:
        """A worker's own earlier attempt is late as well. Catches: a guard by owner without attempt."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        first = await take(journal, "a")
        await journal.settle(WORKER, [failed(first)], now=NOW)
        second = await take(journal, "a")
        settled = await journal.settle(WORKER, [settle(first)], now=NOW)
        assert ([first.delivery.id], [("1", "a", "running")]) == (list(settled.late), await states(journal))
        assert [] == list((await journal.settle(WORKER, [done(second)], now=NOW)).late)

    @_EVERY_OUTCOME
    async def test_outcome_of_another_owner(self, journal: Journal, settle: Callable[[Claim], Settlement]) -> None:
        """Only the worker that claimed may settle. Catches: a guard by attempt without owner."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        claim = await take(journal, "a")
        settled = await journal.settle(RIVAL, [settle(claim)], now=NOW)
        assert ([claim.delivery.id], [("1", "a", "running")]) == (list(settled.late), await states(journal))

    @_EVERY_OUTCOME
    async def test_settled_twice(self, journal: Journal, settle: Callable[[Claim], Settlement]) -> None:
        """After a lost reply the same settle finds itself done. Catches: an outcome written a second time."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        settlement = settle(await take(journal, "a"))
        late = [list((await journal.settle(WORKER, [settlement], now=NOW + wait)).late) for wait in (1, 2)]
        history = await journal.attempts(settlement.claim.delivery.id)
        written = [(each.number, each.settled_at) for each in history if each.state != "late"]
        assert ([[], [settlement.claim.delivery.id]], [(1, NOW + 1)]) == (late, written)

    async def test_settled_twice_in_one_moment(self, journal: Journal) -> None:
        """That no time has passed makes no difference. Catches: the first outcome recognised by its moment alone."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        settlement = done(await take(journal, "a"))
        late = [list((await journal.settle(WORKER, [settlement], now=NOW)).late) for _ in range(2)]
        assert [[], [settlement.claim.delivery.id]] == late

    async def test_one_late_outcome_spoils_nothing(self, journal: Journal) -> None:
        """The other outcomes of the same settle are written. Catches: a late one that fails its batch."""
        claim = await self._lose(journal)
        await journal.append([(event("2"), to("b"))], now=NOW)
        await journal.register("worker-3", now=NOW + LEASE, lease=LEASE)
        mine = await take(journal, "b", worker="worker-3", now=NOW + LEASE)
        settled = await journal.settle("worker-3", [done(claim), done(mine)], now=NOW + LEASE)
        assert ([claim.delivery.id], [("1", "a", "ready"), ("2", "b", "done")]) == (
            list(settled.late),
            await states(journal),
        )

    async def test_derived_events_of_a_late_outcome(self, journal: Journal) -> None:
        """They are dropped with the outcome. Catches: events accepted before the guard is asked."""
        claim = await self._lose(journal)
        follow_up = (event("2", trigger="a"), to("b"))
        await journal.settle(RIVAL, [done(claim, events=[follow_up])], now=NOW + LEASE + 2)
        assert (1, [("1", "a", "ready")]) == ((await journal.counts()).events, await states(journal))

    async def test_late_outcome_wakes_nobody(self, journal: Journal) -> None:
        """What waits for the delivery keeps waiting. Catches: dependents looked up before the guard is asked."""
        await journal.append([(event("1"), chain("a", "b"))], now=NOW)
        first = await take(journal, "a")
        await journal.settle(WORKER, [failed(first)], now=NOW)
        settled = await journal.settle(WORKER, [done(first)], now=NOW)
        assert (frozenset(), [("1", "a", "ready"), ("1", "b", "waiting")]) == (settled.woken, await states(journal))

    async def test_late_outcome_is_recorded(self, journal: Journal) -> None:
        """The history tells that somebody came too late, and with what. Catches: late outcomes dropped in silence."""
        claim = await self._lose(journal)
        await finish(journal, "a", now=NOW + LEASE + 1)
        await journal.settle(RIVAL, [dead(claim, reason="too late")], now=NOW + LEASE + 2)
        history = await journal.attempts(claim.delivery.id)
        assert [(1, "too late")] == [(each.number, each.reason) for each in history if each.state == "late"]
        assert (2, "done") in [(each.number, each.state) for each in history]


async def _in_use(journal: Journal) -> dict[str, dict[DeliveryState, int]]:
    """Return the counts without zeros, which a journal may state or leave out."""
    counts = (await journal.counts()).deliveries
    return {process: {state: count for state, count in by.items() if count} for process, by in counts.items()}
