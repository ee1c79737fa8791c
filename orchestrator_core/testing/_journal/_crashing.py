"""What a kill -9 leaves: everything that was committed, and nothing else."""

from __future__ import annotations

from orchestrator_core._contracts import DeliveryQuery, Journal
from orchestrator_core._delivery import DeliveryState
from orchestrator_core.testing._journal._fixtures import JournalFixtures, MakeJournal, Reopen
from orchestrator_core.testing._scenario import (
    LEASE,
    NOW,
    NOWHERE,
    WORKER,
    bury,
    dead,
    diamond,
    done,
    event,
    failed,
    finish,
    ids,
    in_order,
    read,
    states,
    take,
    to,
)

_AFTER = NOW + LEASE + 1
_HEIR = "worker-3"


class CrashContract(JournalFixtures):
    """A journal that outlives its process."""

    async def test_accepted_survives(self, journal: Journal, crash: Reopen) -> None:
        """What an append has returned is there afterwards. Catches: an answer before the commit."""
        await journal.append(
            [(event("1", data={"rows": 3}), diamond()), (event("2"), NOWHERE)], now=NOW, checkpoint=("in", 7)
        )
        expected = (await states(journal), list(await journal.events()), 7)
        async with crash(journal) as after:
            assert expected == (await states(after), list(await after.events()), await after.load_checkpoint("in"))

    async def test_settled_survives(self, journal: Journal, crash: Reopen) -> None:
        """Outcomes, what they woke and what they derived are there. Catches: done-marks written behind."""
        await journal.append([(event("1"), diamond())], now=NOW)
        follow_up = (event("2", trigger="a"), to("z"))
        await journal.settle(WORKER, [done(await take(journal, "a"), 42, events=[follow_up])], now=NOW)
        expected = await states(journal)
        async with crash(journal) as after:
            await after.register(_HEIR, now=NOW, lease=LEASE)
            claim = await take(after, "b", worker=_HEIR)
            assert (42, ["2"]) == (claim.outputs.get("a"), [each.event.id for each in await after.derived("in:1")])
        assert [("1", "a", "done"), ("1", "b", "ready")] == expected[:2]

    async def test_running_comes_back(self, journal: Journal, crash: Reopen) -> None:
        """What ran at the crash is reaped, then runs as the next attempt. Catches: running for ever."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        lost = await take(journal, "a")
        async with crash(journal) as after:
            await after.register(_HEIR, now=_AFTER, lease=LEASE)
            await after.reap(now=_AFTER)
            delivery = (await take(after, "a", worker=_HEIR, now=_AFTER)).delivery
            found = (delivery.id, delivery.attempt, delivery.interruptions, delivery.interrupted)
            assert (lost.delivery.id, 2, 1, True) == found

    async def test_handed_over_comes_back(self, journal: Journal, crash: Reopen) -> None:
        """What an append handed over ran as well. Catches: a hand-over that only memory knows."""
        await journal.append([(event("1"), to("a"))], now=NOW, worker=WORKER, slots={"a": 1})
        async with crash(journal) as after:
            await after.register(_HEIR, now=_AFTER, lease=LEASE)
            await after.reap(now=_AFTER)
            assert [2] == [(await take(after, "a", worker=_HEIR, now=_AFTER)).delivery.attempt]

    async def test_late_outcome_after_a_crash(self, journal: Journal, crash: Reopen) -> None:
        """A claim from before the crash settles nothing after it. Catches: owners numbered from the start again."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        lost = await take(journal, "a")
        async with crash(journal) as after:
            await after.register(_HEIR, now=_AFTER, lease=LEASE)
            await after.reap(now=_AFTER)
            await take(after, "a", worker=_HEIR, now=_AFTER)
            settled = await after.settle(WORKER, [done(lost)], now=_AFTER)
            assert ([lost.delivery.id], [("1", "a", "running")]) == (list(settled.late), await states(after))

    async def test_logs_survive(self, journal: Journal, crash: Reopen) -> None:
        """Lines kept while it ran are there after the crash. Catches: a log that only the settle writes."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        claim = await take(journal, "a")
        await journal.log(WORKER, [(claim, ["so far"])])
        async with crash(journal) as after:
            await after.reap(now=_AFTER)
            (attempt,) = await after.attempts(claim.delivery.id)
            assert ("ready", ["so far"]) == (attempt.state, list(attempt.logs))

    async def test_identities_survive(self, journal: Journal, crash: Reopen) -> None:
        """Committed, but the reply was lost in the crash: the same append again is absorbed.

        Catches: identities kept in memory.
        """
        entries = [(event("1", data="first"), to("a")), (event("2"), to("a"))]
        await journal.append(entries, now=NOW)
        async with crash(journal) as after:
            again = await after.append(entries, now=_AFTER)
            assert ([False, False], "first") == (list(again.fresh), again.events[0].data)
            assert [("1", "a", "ready"), ("2", "a", "ready")] == await states(after)

    async def test_lanes_survive(self, journal: Journal, crash: Reopen) -> None:
        """The head of a key is its head afterwards too. Catches: lanes kept in memory."""
        for number in ("1", "2", "3"):
            await journal.append([(event(number, key="k"), in_order())], now=NOW)
        await take(journal, "a")
        async with crash(journal) as after:
            await after.register(_HEIR, now=_AFTER, lease=LEASE)
            await after.append([(event("4", key="k"), in_order())], now=_AFTER)
            await after.reap(now=_AFTER)
            started = []
            for _ in range(4):
                claim = await take(after, "a", worker=_HEIR, now=_AFTER)
                started.append(claim.event.id)
                await after.settle(_HEIR, [done(claim)], now=_AFTER)
            assert ["1", "2", "3", "4"] == started

    async def test_retry_survives(self, journal: Journal, crash: Reopen) -> None:
        """A retry keeps its moment and its counts. Catches: everything due after a restart."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        await journal.settle(WORKER, [failed(await take(journal, "a"), due_at=_AFTER + 60)], now=NOW)
        async with crash(journal) as after:
            await after.register(_HEIR, now=_AFTER, lease=LEASE)
            early = await after.claim(_HEIR, {"a": 1}, now=_AFTER)
            assert ([], _AFTER + 60) == (ids(early.claims), early.next_due)
            assert [1] == [(await take(after, "a", worker=_HEIR, now=_AFTER + 60)).delivery.failures]

    async def test_dead_letters_survive(self, journal: Journal, crash: Reopen) -> None:
        """Reason and history of a dead letter are there, and it can be redriven. Catches: reasons kept in memory."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        claim = await take(journal, "a")
        await journal.settle(WORKER, [dead(claim, reason="negative rain", logs=["row 7"])], now=NOW)
        async with crash(journal) as after:
            delivery = await read(after, claim.delivery.id)
            (attempt,) = await after.attempts(claim.delivery.id)
            assert ("negative rain", ["row 7"]) == (delivery.reason, list(attempt.logs))
            assert 1 == await after.redrive(DeliveryQuery(), now=_AFTER)

    async def test_clean_close_loses_nothing(self, make_journal: MakeJournal, crash: Reopen) -> None:
        """Closing and opening again is no different. Catches: a close that throws away what it should flush."""
        async with make_journal() as journal:
            await journal.register(WORKER, now=NOW, lease=LEASE)
            await journal.append([(event("1"), to("a", "b")), (event("2"), to("a"))], now=NOW)
            await finish(journal, "a")
            await bury(journal, "b")
            expected = await states(journal)
        async with crash(journal) as after:
            assert expected == await states(after)

    async def test_clean_close_frees_what_ran(self, make_journal: MakeJournal, crash: Reopen) -> None:
        """What nobody settled before the close is reaped afterwards.

        Catches: leases deleted with the worker, so that no reap ever looks at what it ran.
        """
        async with make_journal() as journal:
            await journal.register(WORKER, now=NOW, lease=LEASE)
            await journal.append([(event("1"), to("a"))], now=NOW)
            await take(journal, "a")
        async with crash(journal) as after:
            await after.reap(now=_AFTER)
            assert [("1", "a", "ready")] == await states(after)

    async def test_crash_after_crash(self, journal: Journal, crash: Reopen) -> None:
        """Attempt numbers grow over any number of crashes. Catches: a number kept with the worker."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        await take(journal, "a")
        async with crash(journal) as second:
            await second.register(_HEIR, now=_AFTER, lease=LEASE)
            await second.reap(now=_AFTER)
            await take(second, "a", worker=_HEIR, now=_AFTER)
            async with crash(second) as third:
                later = _AFTER + LEASE + 1
                await third.register("worker-4", now=later, lease=LEASE)
                await third.reap(now=later)
                delivery = (await take(third, "a", worker="worker-4", now=later)).delivery
                assert (3, 2, DeliveryState.RUNNING) == (delivery.attempt, delivery.interruptions, delivery.state)
