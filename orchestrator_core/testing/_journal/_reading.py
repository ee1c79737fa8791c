"""What can be read of a journal, and in which order."""

from __future__ import annotations

import pytest

from orchestrator_core._contracts import DeliveryQuery, Journal
from orchestrator_core._delivery import DeliveryState
from orchestrator_core._errors import NotFoundError
from orchestrator_core.testing._journal._fixtures import JournalFixtures
from orchestrator_core.testing._scenario import (
    NOW,
    NOWHERE,
    WORKER,
    bury,
    chain,
    done,
    event,
    failed,
    finish,
    in_order,
    states,
    take,
    to,
)


class ReadingContract(JournalFixtures):
    """Counts, events and deliveries."""

    async def test_empty(self, journal: Journal) -> None:
        """An empty journal has nothing. Catches: sums that are null."""
        counts = await journal.counts()
        assert (0, 0) == (counts.events, counts.unrouted)
        assert ([], []) == (list(await journal.events()), list(await journal.deliveries(DeliveryQuery())))

    async def test_counts(self, journal: Journal) -> None:
        """Every delivery is counted once, by process and state. Catches: counters that drift from the rows."""
        await journal.append([(event(str(number)), chain("a", "b")) for number in range(4)], now=NOW)
        await journal.append([(event("lost"), NOWHERE)], now=NOW)
        await finish(journal, "a")
        await bury(journal, "a")
        await take(journal, "a")
        counts = await journal.counts()
        state = DeliveryState
        expected = {
            "a": {state.DONE: 1, state.DEAD: 1, state.RUNNING: 1, state.READY: 1},
            "b": {state.READY: 1, state.SKIPPED: 1, state.WAITING: 2},
        }
        found = {name: {each: count for each, count in by.items() if count} for name, by in counts.deliveries.items()}
        assert (5, 1, expected) == (counts.events, counts.unrouted, found)

    async def test_counts_after_a_prune(self, journal: Journal) -> None:
        """What is deleted is not counted. Catches: counters that only grow."""
        await journal.append([(event("1"), to("a")), (event("2"), to("a"))], now=NOW)
        await finish(journal, "a")
        await journal.prune(before=NOW + 1)
        counts = await journal.counts()
        found = {state: count for state, count in counts.deliveries["a"].items() if count}
        assert (1, {DeliveryState.READY: 1}) == (counts.events, found)

    async def test_events_in_accept_order(self, journal: Journal) -> None:
        """Oldest first, or newest first, within the limit. Catches: an order by uid; a limit before the order."""
        for number in ("3", "1", "2"):
            await journal.append([(event(number), to("a"))], now=NOW)
        for arguments, expected in (
            ({}, ["3", "1", "2"]),
            ({"limit": 2}, ["3", "1"]),
            ({"limit": 2, "newest_first": True}, ["2", "1"]),
        ):
            assert expected == [record.event.id for record in await journal.events(**arguments)]  # type: ignore[arg-type]

    async def test_events_of_one_trigger(self, journal: Journal) -> None:
        """Only those of the input asked for. Catches: a filter applied after the limit."""
        await journal.append([(event(str(number), trigger="other"), NOWHERE) for number in range(3)], now=NOW)
        await journal.append([(event("mine"), NOWHERE)], now=NOW)
        assert ["mine"] == [record.event.id for record in await journal.events(trigger="in", limit=1)]

    async def test_event_by_uid(self, journal: Journal) -> None:
        """The newest of several triggers, or the one asked for. Catches: whichever comes first."""
        for trigger in ("in", "other"):
            await journal.append([(event(trigger, trigger=trigger, uid="same"), NOWHERE)], now=NOW)
        found = [(await journal.event("same", trigger=trigger)).event.trigger for trigger in (None, "in", "other")]
        assert ["other", "in", "other"] == found

    @pytest.mark.parametrize("trigger", [None, "in"])
    async def test_unknown_event(self, journal: Journal, trigger: str | None) -> None:
        """An event that is not there is an error that names it. Catches: ``None`` returned."""
        with pytest.raises(NotFoundError, match="no-such-event"):
            await journal.event("no-such-event", trigger=trigger)

    async def test_deliveries_in_accept_order(self, journal: Journal) -> None:
        """By event, then by step; or the other way round. Catches: an order by state, process or due moment."""
        await journal.append([(event("2"), to("b", "a")), (event("1"), to("a"))], now=NOW)
        await journal.settle(WORKER, [failed(await take(journal, "b"), due_at=NOW + 9)], now=NOW)
        expected = [("in:2", "b"), ("in:2", "a"), ("in:1", "a")]
        for newest_first in (False, True):
            found = await journal.deliveries(DeliveryQuery(newest_first=newest_first))
            assert expected == [(each.event_uid, each.process) for each in found]
            expected.reverse()

    async def test_query_by_ids(self, journal: Journal) -> None:
        """Exactly these; unknown ones and none are no error. Catches: an empty list taken for no filter."""
        await journal.append([(event("1"), to("a", "b", "c"))], now=NOW)
        every = [each.id for each in await journal.deliveries(DeliveryQuery())]
        for asked, expected in (([every[2], every[0]], [every[0], every[2]]), (["unknown"], []), ([], [])):
            assert expected == [each.id for each in await journal.deliveries(DeliveryQuery(ids=asked))]

    async def test_query_by_state_process_and_event(self, journal: Journal) -> None:
        """Conditions are joined by and. Catches: the last one winning."""
        await journal.append([(event(str(number)), chain("a", "b")) for number in (1, 2)], now=NOW)
        await finish(journal, "a")
        ready = frozenset({DeliveryState.READY})
        for query, expected in (
            (DeliveryQuery(states=ready), [("in:1", "b"), ("in:2", "a")]),
            (
                DeliveryQuery(states=frozenset({DeliveryState.DONE, DeliveryState.WAITING})),
                [("in:1", "a"), ("in:2", "b")],
            ),
            (DeliveryQuery(states=frozenset()), []),
            (DeliveryQuery(process="a"), [("in:1", "a"), ("in:2", "a")]),
            (DeliveryQuery(event_uid="in:2"), [("in:2", "a"), ("in:2", "b")]),
            (DeliveryQuery(states=ready, process="b", event_uid="in:1"), [("in:1", "b")]),
            (DeliveryQuery(states=ready, process="b", event_uid="in:2"), []),
        ):
            found = await journal.deliveries(query)
            assert expected == [(each.event_uid, each.process) for each in found]

    async def test_query_limit(self, journal: Journal) -> None:
        """At most so many, from the end that was asked for. Catches: a limit before the order."""
        await journal.append([(event(str(number)), to("a")) for number in range(5)], now=NOW)
        for newest_first, expected in ((False, ["in:0", "in:1"]), (True, ["in:4", "in:3"])):
            found = await journal.deliveries(DeliveryQuery(limit=2, newest_first=newest_first))
            assert expected == [each.event_uid for each in found]

    async def test_reads_are_snapshots(self, journal: Journal) -> None:
        """What was read does not change afterwards. Catches: the ledger's own objects given away."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        (before,) = await journal.deliveries(DeliveryQuery())
        counts = await journal.counts()
        await finish(journal, "a")
        assert (DeliveryState.READY, 0, None) == (before.state, before.attempt, before.settled_at)
        assert 1 == counts.deliveries["a"][DeliveryState.READY]

    async def test_idle_while_nothing_is_to_come(self, journal: Journal) -> None:
        """Parked, running and finished deliveries are nothing to wait for. Catches: everything unfinished counted."""
        found = [await journal.is_idle()]
        await journal.append([(event("1"), to("a")), (event("2"), to("b")), (event("3"), to("gone"))], now=NOW)
        await journal.park(frozenset({"a", "b"}))
        await finish(journal, "a")
        await take(journal, "b")
        assert [True, True] == [*found, await journal.is_idle()]

    async def test_not_idle_while_something_is_to_come(self, journal: Journal) -> None:
        """Ready and delayed deliveries are still to come. Catches: only what is due counted."""
        await journal.append([(event("1"), chain("a", "b"))], now=NOW)
        found = [await journal.is_idle()]
        await journal.settle(WORKER, [failed(await take(journal, "a"), due_at=NOW + 9)], now=NOW)
        assert [False, False] == [*found, await journal.is_idle()]

    async def test_idle_behind_what_is_parked(self, journal: Journal) -> None:
        """What waits for a process that is not there does not count. Catches: every waiting delivery counted."""
        await journal.append([(event("1"), chain("gone", "b"))], now=NOW)
        await journal.park(frozenset({"b"}))
        assert await journal.is_idle()

    async def test_idle_behind_a_dead_letter_that_holds_its_key(self, journal: Journal) -> None:
        """Only a redrive sets such a key going, and then it counts again. Catches: every ready delivery counted."""
        plan = in_order(on_dead="hold")
        await journal.append([(event(str(number), key="k"), plan) for number in (1, 2)], now=NOW)
        await bury(journal, "a")
        found = [await journal.is_idle()]
        await journal.redrive(DeliveryQuery(), now=NOW)
        assert [True, False] == [*found, await journal.is_idle()]

    async def test_own_writes_are_no_news(self, journal: Journal) -> None:
        """`changed` is about others. Catches: an engine that wakes itself for ever."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        await journal.changed()
        await journal.settle(WORKER, [done(await take(journal, "a"))], now=NOW)
        assert (False, [("1", "a", "done")]) == (await journal.changed(), await states(journal))

    @pytest.mark.parametrize("call", ["redrive", "cancel"])
    async def test_redriven_here_is_news(self, journal: Journal, call: str) -> None:
        """Whoever redrives or discards through the runner's own journal is noticed, once.

        Catches: a dead letter that a program redrives beside its run, and nobody looks for.
        """
        await journal.append([(event("1"), to("a"))], now=NOW)
        await bury(journal, "a")
        await journal.changed()
        if call == "redrive":
            await journal.redrive(DeliveryQuery(), now=NOW)
        else:
            await journal.cancel(DeliveryQuery(), reason="not wanted", now=NOW)
        assert [True, False] == [await journal.changed(), await journal.changed()]
