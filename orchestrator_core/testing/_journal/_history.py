"""The history of a delivery: its attempts, their reasons and their logs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator_core._contracts import Attempt, DeliveryQuery, Journal, Settlement
from orchestrator_core._errors import NotFoundError
from orchestrator_core.testing._journal._fixtures import JournalFixtures
from orchestrator_core.testing._scenario import (
    LEASE,
    NOW,
    RIVAL,
    WORKER,
    dead,
    done,
    event,
    failed,
    take,
    to,
)


class HistoryContract(JournalFixtures):
    """What is kept of each attempt."""

    async def test_attempts_in_order(self, journal: Journal) -> None:
        """Each attempt has its outcome, reason and moments. Catches: only the last one kept."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        await journal.settle(WORKER, [failed(await take(journal, "a"), reason="first")], now=NOW + 1)
        await journal.settle(WORKER, [failed(await take(journal, "a"), reason="second")], now=NOW + 2)
        claim = await take(journal, "a")
        await journal.settle(WORKER, [done(claim)], now=NOW + 3)
        expected = [
            Attempt(1, "ready", "first", NOW, NOW + 1),
            Attempt(2, "ready", "second", NOW, NOW + 2),
            Attempt(3, "done", None, NOW, NOW + 3),
        ]
        assert expected == [_plain(each) for each in await journal.attempts(claim.delivery.id)]

    async def test_dead_letter_keeps_its_reason(self, journal: Journal) -> None:
        """The last attempt of a dead letter says why. Catches: a reason kept only on the delivery."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        claim = await take(journal, "a")
        await journal.settle(WORKER, [dead(claim, reason="negative rain", logs=["row 7"])], now=NOW)
        (attempt,) = await journal.attempts(claim.delivery.id)
        assert ("dead", "negative rain", ["row 7"]) == (attempt.state, attempt.reason, list(attempt.logs))

    async def test_running_attempt_is_shown(self, journal: Journal) -> None:
        """What is not settled yet stands in the history. Catches: a history made only of outcomes."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        claim = await take(journal, "a")
        (attempt,) = await journal.attempts(claim.delivery.id)
        assert (1, "running", None) == (attempt.number, attempt.state, attempt.settled_at)

    async def test_no_attempt_yet(self, journal: Journal) -> None:
        """A delivery that was never claimed has no history. Catches: attempt 0 listed."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        (delivery,) = await journal.deliveries(DeliveryQuery())
        assert [] == list(await journal.attempts(delivery.id))

    async def test_unknown_delivery(self, journal: Journal) -> None:
        """A history of nothing is an error that names it. Catches: an empty list for a typing mistake."""
        with pytest.raises(NotFoundError, match="no-such-delivery"):
            await journal.attempts("no-such-delivery")

    @pytest.mark.parametrize("settle", [done, failed, dead], ids=["done", "failed", "dead"])
    async def test_logs_are_kept(self, journal: Journal, settle: Callable[..., Settlement]) -> None:
        """Whatever the outcome, the log stays. Catches: logs kept only on success, or stripped."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        claim = await take(journal, "a")
        lines = ["", " first", "", "☃", ""]
        await journal.settle(WORKER, [settle(claim, logs=lines)], now=NOW)
        (attempt,) = await journal.attempts(claim.delivery.id)
        assert lines == list(attempt.logs)

    async def test_one_empty_line_is_a_line(self, journal: Journal) -> None:
        """An empty line is not no line. Catches: lines joined by a separator, then taken for nothing."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        claim = await take(journal, "a")
        await journal.settle(WORKER, [done(claim, logs=[""])], now=NOW)
        (attempt,) = await journal.attempts(claim.delivery.id)
        assert [""] == list(attempt.logs)

    async def test_logs_of_a_running_attempt(self, journal: Journal) -> None:
        """Lines can be read while it runs. Catches: lines held back until the outcome."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        claim = await take(journal, "a")
        await journal.log(WORKER, [(claim, ["one"])])
        await journal.log(WORKER, [(claim, ["two", "three"])])
        (attempt,) = await journal.attempts(claim.delivery.id)
        assert ["one", "two", "three"] == list(attempt.logs)

    async def test_settle_adds_to_the_log(self, journal: Journal) -> None:
        """The settle's lines follow those kept before. Catches: a settle that replaces them."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        claim = await take(journal, "a")
        await journal.log(WORKER, [(claim, ["before"])])
        await journal.settle(WORKER, [done(claim, logs=["after"])], now=NOW)
        (attempt,) = await journal.attempts(claim.delivery.id)
        assert ["before", "after"] == list(attempt.logs)

    async def test_each_attempt_has_its_own_log(self, journal: Journal) -> None:
        """A retry starts a new log. Catches: logs kept by delivery."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        for line in ("first", "second"):
            claim = await take(journal, "a")
            await journal.log(WORKER, [(claim, [line])])
            await journal.settle(WORKER, [failed(claim)], now=NOW)
        (delivery,) = await journal.deliveries(DeliveryQuery())
        history = await journal.attempts(delivery.id)
        assert [["first"], ["second"]] == [list(each.logs) for each in history]

    async def test_logs_of_several_attempts_in_one_call(self, journal: Journal) -> None:
        """Lines of many attempts go into one step. Catches: only the first pair kept."""
        await journal.append([(event(str(number)), to("a")) for number in range(3)], now=NOW)
        claims = (await journal.claim(WORKER, {"a": 3}, now=NOW)).claims
        await journal.log(WORKER, [(claim, [f"of {claim.event.id}"]) for claim in claims])
        found = [list((await journal.attempts(claim.delivery.id))[0].logs) for claim in claims]
        assert [["of 0"], ["of 1"], ["of 2"]] == found

    async def test_late_log_does_not_reach_the_next_attempt(self, journal: Journal) -> None:
        """Lines of a lost attempt are not shown as those of its successor.

        Catches: lines filed under the newest attempt.
        """
        await journal.append([(event("1"), to("a"))], now=NOW)
        lost = await take(journal, "a", worker=RIVAL)
        journal.renew(WORKER, now=NOW + LEASE - 1, lease=LEASE)
        await journal.reap(now=NOW + LEASE + 1)
        await take(journal, "a", now=NOW + LEASE + 1)
        await journal.log(RIVAL, [(lost, ["from the other side"])])
        history = await journal.attempts(lost.delivery.id)
        assert [[]] == [list(each.logs) for each in history if each.number == lost.delivery.attempt + 1]

    async def test_interrupted_attempt_keeps_its_log(self, journal: Journal) -> None:
        """What a lost worker has logged stays, with a reason. Catches: logs that only a settle makes permanent."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        claim = await take(journal, "a", worker=RIVAL)
        await journal.log(RIVAL, [(claim, ["so far"])])
        journal.renew(WORKER, now=NOW + LEASE - 1, lease=LEASE)
        await journal.reap(now=NOW + LEASE + 1)
        (attempt,) = await journal.attempts(claim.delivery.id)
        assert (1, "ready", ["so far"]) == (attempt.number, attempt.state, list(attempt.logs))
        assert attempt.reason


def _plain(attempt: Attempt) -> Attempt:
    return Attempt(
        attempt.number, attempt.state, attempt.reason, attempt.started_at, attempt.settled_at, tuple(attempt.logs)
    )
