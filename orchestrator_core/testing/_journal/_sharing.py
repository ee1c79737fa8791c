"""Many callers at a time: what they share is the store, never each other's trouble."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from orchestrator_core._contracts import Claim, DeliveryQuery, Journal
from orchestrator_core._delivery import DeliveryState
from orchestrator_core._errors import EventError
from orchestrator_core.testing._journal._fixtures import JournalFixtures
from orchestrator_core.testing._scenario import (
    LEASE,
    NOW,
    WORKER,
    done,
    event,
    one_each,
    states,
    take,
    to,
)

_CALLERS = 40


class SharingContract(JournalFixtures):
    """Calls under way at the same time, some of them cancelled or refused."""

    async def test_many_appends_at_a_time(self, journal: Journal) -> None:
        """Each gets its own answer. Catches: replies of one shared transaction handed out in another order."""
        answers: dict[str, list[str]] = {}

        async def append(name: str) -> None:
            appended = await journal.append([(event(f"{name}-{part}"), to("a")) for part in "xy"], now=NOW)
            answers[name] = [each.id for each in appended.events]

        async with anyio.create_task_group() as tasks:
            for number in range(_CALLERS):
                tasks.start_soon(append, str(number))
        assert {str(number): [f"{number}-x", f"{number}-y"] for number in range(_CALLERS)} == answers
        assert 2 * _CALLERS == (await journal.counts()).events

    async def test_same_event_from_many_callers(self, journal: Journal) -> None:
        """One of them is first, all get that one. Catches: a look-up before the transaction."""
        fresh: list[bool] = []
        contents = set()

        async def append(number: int) -> None:
            appended = await journal.append([(event("1", data=number), to("a"))], now=NOW)
            fresh.extend(appended.fresh)
            contents.add(appended.events[0].data)

        async with anyio.create_task_group() as tasks:
            for number in range(_CALLERS):
                tasks.start_soon(append, number)
        assert (1, 1, [("1", "a", "ready")]) == (sum(fresh), len(contents), await states(journal))

    async def test_appends_and_settles_at_a_time(self, journal: Journal) -> None:
        """Work goes on while it comes in. Catches: a claim that belongs to no attempt after a shared transaction."""
        late: list[str] = []

        async def work(number: int) -> None:
            await journal.append([(event(str(number)), to("a"))], now=NOW)
            claims = (await journal.claim(WORKER, {"a": 2}, now=NOW)).claims
            while claims:
                settled = await journal.settle(WORKER, [done(claim) for claim in claims], now=NOW, slots={"a": 2})
                late.extend(settled.late)
                claims = settled.claims

        async with anyio.create_task_group() as tasks:
            for number in range(_CALLERS):
                tasks.start_soon(work, number)
        deliveries = await journal.deliveries(DeliveryQuery())
        assert ([], _CALLERS) == (late, len(deliveries))
        assert {(DeliveryState.DONE, 1)} == {(each.state, each.attempt) for each in deliveries}

    async def test_refused_append_disturbs_nobody(self, journal: Journal) -> None:
        """An event that can't be stored fails its own caller. Catches: one bad caller failing a shared transaction."""
        refused: list[int] = []

        async def append(number: int) -> None:
            data = {"not JSON": object()} if number % 4 == 0 else None
            try:
                await journal.append([(event(str(number), data=data), to("a"))], now=NOW)  # type: ignore[arg-type]
            except EventError:
                refused.append(number)

        async with anyio.create_task_group() as tasks:
            for number in range(_CALLERS):
                tasks.start_soon(append, number)
        assert list(range(0, _CALLERS, 4)) == sorted(refused)
        expected = sorted(str(number) for number in range(_CALLERS) if number % 4)
        assert expected == sorted(record.event.id for record in await journal.events())

    @pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 8])
    async def test_cancelled_append_is_whole_or_not_there(self, journal: Journal, steps: int) -> None:
        """Cancelling some callers leaves no half, and the others untouched.

        Catches: a cancel that rolls back, or stops, the transaction that others share; a caller that does a step for
        others and is cancelled while it waits for its turn.
        """
        scopes: list[anyio.CancelScope] = []
        accepted: list[int] = []

        async def append(number: int) -> None:
            with anyio.CancelScope() as scope:
                if number % 2:
                    scopes.append(scope)
                for _ in range(number % 4):
                    await anyio.lowlevel.checkpoint()
                entries = [(event(f"{number}-{part}"), to("a", "b")) for part in "xy"]
                await journal.append(entries, now=NOW, checkpoint=(str(number), number))
                accepted.append(number)

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                for number in range(_CALLERS):
                    tasks.start_soon(append, number)
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                for scope in scopes:
                    scope.cancel()
        assert set(range(0, _CALLERS, 2)) <= set(accepted)
        found = [(each.event_uid.split("-")[0], each.process) for each in await journal.deliveries(DeliveryQuery())]
        for number in range(_CALLERS):
            parts = sorted(process for uid, process in found if uid == f"in:{number}")
            assert parts in ([["a", "a", "b", "b"]] if number in accepted else [[], ["a", "a", "b", "b"]])
            assert (number if parts else None) == await journal.load_checkpoint(str(number))

    async def test_cancelled_append_can_be_repeated(self, journal: Journal) -> None:
        """Whether it was accepted or not, repeating it makes it exactly one.

        Catches: an identity kept for an event that was rolled back.
        """
        for steps in range(4):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_append_one, journal, str(steps))
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            await _append_one(journal, str(steps))
        assert [(str(steps), "a", "ready") for steps in range(4)] == await states(journal)

    @pytest.mark.parametrize("steps", [0, 1, 3])
    async def test_cancelled_claim_loses_nothing(self, journal: Journal, steps: int) -> None:
        """What a cancelled claim took comes back with the lease. Catches: deliveries handed to nobody for ever."""
        await journal.append([(event(str(number)), to("a")) for number in range(4)], now=NOW)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_claim_all, journal)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        await journal.reap(now=NOW + LEASE + 1)
        await journal.register("worker-3", now=NOW + LEASE + 1, lease=LEASE)
        claims = (await journal.claim("worker-3", {"a": 9}, now=NOW + LEASE + 1)).claims
        assert ["0", "1", "2", "3"] == sorted(claim.event.id for claim in claims)

    @pytest.mark.parametrize("steps", [0, 1, 3])
    async def test_cancelled_settle_can_be_repeated(self, journal: Journal, steps: int) -> None:
        """The outcome is written once, with its derived event. Catches: half an outcome."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        claim = await take(journal, "a")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_settle_one, journal, claim)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        await _settle_one(journal, claim)
        assert [("1", "a", "done"), ("2", "b", "ready")] == await states(journal)

    async def test_lost_reply(self, journal: Journal) -> None:
        """Committed, but nobody heard: the same append again is absorbed, and the deliveries exist once.

        Catches: the repetition accepted as news, or answered as if nothing were there.
        """
        entries = [(event("1", data="first"), to("a", "b")), (event("2"), to("a"))]
        await journal.append(entries, now=NOW, checkpoint=("in", "here"))
        again = await journal.append(
            entries, now=NOW + 5, checkpoint=("in", "here"), worker=WORKER, slots=one_each("a", "b")
        )
        assert ([each for each, _ in entries], [False, False]) == (list(again.events), list(again.fresh))
        assert [("1", "a"), ("1", "b"), ("2", "a")] == [each[:2] for each in await states(journal)]


async def _append_one(journal: Journal, name: str) -> None:
    await journal.append([(event(name), to("a"))], now=NOW)


async def _claim_all(journal: Journal) -> None:
    await journal.claim(WORKER, {"a": 9}, now=NOW)


async def _settle_one(journal: Journal, claim: Claim) -> None:
    await journal.settle(WORKER, [done(claim, events=[(event("2", trigger="a"), to("b"))])], now=NOW)
