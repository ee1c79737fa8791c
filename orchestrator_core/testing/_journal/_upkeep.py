"""What operators and the engine do to deliveries that do not run: park, redrive and cancel."""

from __future__ import annotations

from orchestrator_core._contracts import DeliveryQuery, Journal
from orchestrator_core._delivery import DeliveryState
from orchestrator_core._errors import UnknownProcessError
from orchestrator_core.testing._journal._fixtures import JournalFixtures
from orchestrator_core.testing._scenario import (
    NOW,
    WORKER,
    bury,
    chain,
    dead,
    done,
    event,
    failed,
    finish,
    states,
    take,
    to,
)

_EVERYTHING = DeliveryQuery()


class ParkingContract(JournalFixtures):
    """What happens to deliveries whose process is not in the pipeline."""

    async def test_park(self, journal: Journal) -> None:
        """Ready deliveries of other processes are parked, and say why. Catches: parked without a reason."""
        await journal.append([(event("1"), to("a", "gone"))], now=NOW)
        assert 1 == await journal.park(frozenset({"a"}))
        assert [("1", "a", "ready"), ("1", "gone", "parked")] == await states(journal)
        (parked,) = await journal.deliveries(DeliveryQuery(process="gone"))
        assert str(UnknownProcessError("in", "gone")) == parked.reason

    async def test_parked_is_not_claimed(self, journal: Journal) -> None:
        """A parked delivery runs nowhere. Catches: a state that the claim does not look at."""
        await journal.append([(event("1"), to("gone"))], now=NOW)
        await journal.park(frozenset())
        claimed = await journal.claim(WORKER, {"gone": 1}, now=NOW)
        assert ([], None) == (list(claimed.claims), claimed.next_due)

    async def test_unpark(self, journal: Journal) -> None:
        """When the process is back, its deliveries go on. Catches: parked for ever."""
        await journal.append([(event("1"), to("gone"))], now=NOW)
        await journal.park(frozenset())
        assert 0 == await journal.park(frozenset({"gone"}))
        assert None is (await take(journal, "gone")).delivery.reason

    async def test_park_counts_all_that_are_parked(self, journal: Journal) -> None:
        """The number is of all parked deliveries, not only the new ones. Catches: a row count of the last UPDATE."""
        counts = []
        for number in range(3):
            await journal.append([(event(str(number)), to("gone"))], now=NOW)
            counts.append(await journal.park(frozenset({"a"})))
        assert [1, 2, 3] == counts

    async def test_park_leaves_the_rest(self, journal: Journal) -> None:
        """Only ready deliveries are parked. Catches: parking by process alone."""
        await journal.append([(event("1"), chain("a", "b"))], now=NOW)
        await journal.append([(event("2"), to("c"))], now=NOW)
        await finish(journal, "c")
        await take(journal, "a")
        assert 0 == await journal.park(frozenset())
        assert [("1", "a", "running"), ("1", "b", "waiting"), ("2", "c", "done")] == await states(journal)

    async def test_parked_retry_keeps_its_moment(self, journal: Journal) -> None:
        """Parking does not shorten a delay. Catches: an unpark that makes everything due."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        await journal.settle(WORKER, [failed(await take(journal, "a"), due_at=NOW + 60)], now=NOW)
        await journal.park(frozenset())
        await journal.park(frozenset({"a"}))
        claimed = await journal.claim(WORKER, {"a": 1}, now=NOW)
        assert ([], NOW + 60) == (list(claimed.claims), claimed.next_due)


class RedrivingContract(JournalFixtures):
    """What a redrive does to dead letters."""

    async def test_redrive(self, journal: Journal) -> None:
        """A dead letter is ready again with fresh counts.

        Catches: counts kept, so that the first failure kills again.
        """
        await journal.append([(event("1"), to("a"))], now=NOW)
        await journal.settle(WORKER, [failed(await take(journal, "a"))], now=NOW)
        await bury(journal, "a")
        assert 1 == await journal.redrive(_EVERYTHING, now=NOW + 5)
        delivery = (await take(journal, "a", now=NOW + 5)).delivery
        found = (delivery.failures, delivery.interruptions, delivery.interrupted, delivery.settled_at)
        assert (0, 0, False, None) == found

    async def test_attempt_number_keeps_growing(self, journal: Journal) -> None:
        """No attempt number is used twice. Catches: a redrive that starts at 1."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        letter = await bury(journal, "a")
        await journal.redrive(_EVERYTHING, now=NOW)
        claim = await take(journal, "a")
        assert (letter.id, letter.attempt + 1) == (claim.delivery.id, claim.delivery.attempt)

    async def test_history_is_kept(self, journal: Journal) -> None:
        """What went wrong before stays readable. Catches: a redrive that deletes attempts."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        letter = await bury(journal, "a")
        await journal.redrive(_EVERYTHING, now=NOW)
        await finish(journal, "a")
        found = [(each.number, each.state) for each in await journal.attempts(letter.id)]
        assert [(1, "dead"), (2, "done")] == found

    async def test_only_dead_letters(self, journal: Journal) -> None:
        """Whatever is not dead stays as it is. Catches: a redrive of everything that the query matches."""
        await journal.append([(event("1"), chain("a", "b")), (event("2"), to("c"))], now=NOW)
        await finish(journal, "a")
        before = await states(journal)
        assert (0, before) == (await journal.redrive(_EVERYTHING, now=NOW), await states(journal))

    async def test_redrive_only_what_is_asked_for(self, journal: Journal) -> None:
        """The query narrows. Catches: a query that is not looked at."""
        await journal.append([(event("1"), to("a", "b")), (event("2"), to("a", "b"))], now=NOW)
        for process in ("a", "b"):
            for claim in (await journal.claim(WORKER, {process: 2}, now=NOW)).claims:
                await journal.settle(WORKER, [dead(claim)], now=NOW)
        assert 1 == await journal.redrive(DeliveryQuery(process="b", event_uid="in:2"), now=NOW)
        ready = [each for each in await states(journal) if each[2] == "ready"]
        assert [("2", "b", "ready")] == ready

    async def test_redrive_limit(self, journal: Journal) -> None:
        """No more than asked for, the oldest first. Catches: a limit that is ignored."""
        await journal.append([(event(str(number)), to("a")) for number in range(3)], now=NOW)
        for _ in range(3):
            await bury(journal, "a")
        assert 2 == await journal.redrive(DeliveryQuery(limit=2), now=NOW)
        assert ["ready", "ready", "dead"] == [state for _, _, state in await states(journal)]

    async def test_skipped_dependents_wait_again(self, journal: Journal) -> None:
        """What the death had skipped waits for the new outcome. Catches: a chain that stays cut."""
        await journal.append([(event("1"), chain("a", "b", "c"))], now=NOW)
        await bury(journal, "a")
        await journal.redrive(_EVERYTHING, now=NOW)
        waiting = await states(journal)
        await finish(journal, "a", "b", "c")
        assert [("1", "a", "ready"), ("1", "b", "waiting"), ("1", "c", "waiting")] == waiting
        assert {"done"} == {state for _, _, state in await states(journal)}

    async def test_skipped_dependent_is_unsettled(self, journal: Journal) -> None:
        """A dependent that waits again has no end and no reason any more. Catches: an event pruned under its feet."""
        await journal.append([(event("1"), chain("a", "b"))], now=NOW)
        await bury(journal, "a")
        await journal.redrive(_EVERYTHING, now=NOW)
        (waiting,) = await journal.deliveries(DeliveryQuery(process="b"))
        assert (None, None) == (waiting.settled_at, waiting.reason)

    async def test_done_dependents_stay_done(self, journal: Journal) -> None:
        """What the death had set going is not run again. Catches: every dependent reset."""
        await journal.append([(event("1"), chain("a", "b", on="dead"))], now=NOW)
        await bury(journal, "a")
        await finish(journal, "b")
        await journal.redrive(_EVERYTHING, now=NOW)
        await finish(journal, "a")
        assert [("1", "a", "done"), ("1", "b", "done")] == await states(journal)


class CancellingContract(JournalFixtures):
    """What a cancel ends."""

    async def test_cancel(self, journal: Journal) -> None:
        """A delivery that has not started ends with the reason given. Catches: a reason that is dropped."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        assert 1 == await journal.cancel(_EVERYTHING, reason="wrong day", now=NOW + 5)
        (delivery,) = await journal.deliveries(_EVERYTHING)
        found = (delivery.state, delivery.reason, delivery.settled_at)
        assert (DeliveryState.CANCELLED, "wrong day", NOW + 5) == found

    async def test_cancelled_is_not_claimed(self, journal: Journal) -> None:
        """Nobody runs it. Catches: a cancel that marks without ending."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        await journal.cancel(_EVERYTHING, reason="wrong day", now=NOW)
        assert [] == list((await journal.claim(WORKER, {"a": 1}, now=NOW)).claims)

    async def test_discard(self, journal: Journal) -> None:
        """A dead letter can be cancelled, and is then no dead letter. Catches: dead taken for finished."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        await bury(journal, "a")
        assert (1, [("1", "a", "cancelled")]) == (
            await journal.cancel(_EVERYTHING, reason="discarded", now=NOW),
            await states(journal),
        )

    async def test_what_runs_or_is_finished_stays(self, journal: Journal) -> None:
        """Running, done and skipped deliveries are not cancelled. Catches: a cancel of everything that matches."""
        await journal.append([(event("1"), to("a", "b")), (event("2"), chain("c", "d", on="dead"))], now=NOW)
        await finish(journal, "b", "c")
        running = await take(journal, "a")
        assert 0 == await journal.cancel(_EVERYTHING, reason="all", now=NOW)
        assert [] == list((await journal.settle(WORKER, [done(running)], now=NOW)).late)

    async def test_parked_and_waiting_are_cancelled(self, journal: Journal) -> None:
        """Whatever has not started can be cancelled. Catches: a cancel of ready deliveries only."""
        await journal.append([(event("1"), chain("a", "b")), (event("2"), to("gone"))], now=NOW)
        await journal.park(frozenset({"a", "b"}))
        assert 3 == await journal.cancel(_EVERYTHING, reason="all", now=NOW)
        assert {"cancelled"} == {state for _, _, state in await states(journal)}

    async def test_dependents_are_decided(self, journal: Journal) -> None:
        """What waited for it is skipped, or goes on if it takes any end. Catches: dependents that wait for ever."""
        await journal.append([(event("1"), chain("a", "b", "c")), (event("2"), chain("a", "b", on="settled"))], now=NOW)
        await journal.cancel(DeliveryQuery(process="a"), reason="wrong day", now=NOW)
        expected = ["cancelled", "skipped", "skipped", "cancelled", "ready"]
        assert expected == [state for _, _, state in await states(journal)]

    async def test_cancelled_is_not_redriven(self, journal: Journal) -> None:
        """A discard is final. Catches: a redrive of whatever did not succeed."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        await bury(journal, "a")
        await journal.cancel(_EVERYTHING, reason="discarded", now=NOW)
        assert 0 == await journal.redrive(_EVERYTHING, now=NOW)

    async def test_cancel_only_what_is_asked_for(self, journal: Journal) -> None:
        """The query narrows. Catches: a query that is not looked at."""
        await journal.append([(event(str(number)), to("a", "b")) for number in (1, 2)], now=NOW)
        await journal.cancel(DeliveryQuery(process="a", event_uid="in:2"), reason="wrong day", now=NOW)
        assert ["ready", "ready", "cancelled", "ready"] == [state for _, _, state in await states(journal)]
