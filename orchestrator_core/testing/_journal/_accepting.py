"""`Journal.append`: all or nothing, once for each identity, and straight to the worker that asked."""

from __future__ import annotations

from decimal import Decimal

import pytest

from orchestrator_core._contracts import DeliveryQuery, Journal
from orchestrator_core._delivery import DeliveryState
from orchestrator_core._errors import EventError
from orchestrator_core._event import Event
from orchestrator_core._json import JSON
from orchestrator_core.testing._journal._fixtures import JournalFixtures, MakeJournal
from orchestrator_core.testing._scenario import (
    NOW,
    NOWHERE,
    RIVAL,
    WORKER,
    chain,
    diamond,
    done,
    event,
    failed,
    ids,
    one_each,
    read,
    states,
    take,
    to,
)

_RICH = Event(
    location='public."Odd, ; drop table"',
    operation="update",
    id="9007199254740993",
    uid="uid with 'quotes' and ☃",
    data={
        "exact": Decimal("0.1000000000000000055511151231257827"),
        "nul": "\u0000",
        "list": [1, None, True, "\U0001f600"],
    },
    before={"big": 2**70},
    key="line\nbreak",
    traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    hops=3,
).accepted_as("in")


class AcceptingContract(JournalFixtures):
    """What `append` accepts."""

    async def test_append_answers_in_order(self, journal: Journal) -> None:
        """The events come back in the order given, all of them fresh. Catches: an answer built from a set."""
        events = [event(str(number)) for number in (3, 1, 2)]
        appended = await journal.append([(each, to("a")) for each in events], now=NOW)
        assert (events, [True, True, True], []) == (list(appended.events), list(appended.fresh), list(appended.claims))

    async def test_append_of_nothing(self, journal: Journal) -> None:
        """No entries are accepted as no events. Catches: an INSERT built from an empty list."""
        appended = await journal.append([], now=NOW)
        assert ([], []) == (list(appended.events), list(appended.fresh))

    async def test_event_is_kept_as_it_was(self, journal: Journal) -> None:
        """Every field reads back exactly. Catches: a column left out, or a number that went through a float."""
        await journal.append([(_RICH, to("a"))], now=NOW)
        assert _RICH == (await journal.event(_RICH.uid)).event

    async def test_claimed_event_is_as_it_was(self, journal: Journal) -> None:
        """A claim brings the event exactly. Catches: a second, poorer way of reading events."""
        await journal.append([(_RICH, to("a"))], now=NOW)
        assert _RICH == (await take(journal, "a")).event

    async def test_record_keeps_plan_and_moment(self, journal: Journal) -> None:
        """The plan and the moment of acceptance read back. Catches: plans shared between events of one batch."""
        entries = [(event("1"), diamond("any")), (event("2"), chain("a", "b", on="settled")), (event("3"), NOWHERE)]
        await journal.append(entries, now=NOW + 0.25)
        records = [await journal.event(each.uid) for each, _ in entries]
        assert [(plan, NOW + 0.25) for _, plan in entries] == [(each.plan, each.accepted_at) for each in records]

    async def test_every_step_is_a_delivery(self, journal: Journal) -> None:
        """Steps that wait for nothing are ready, the others wait. Catches: deliveries made only for the roots."""
        await journal.append([(event("1"), diamond())], now=NOW)
        expected = [("1", "a", "ready"), ("1", "b", "waiting"), ("1", "c", "waiting"), ("1", "d", "waiting")]
        assert expected == await states(journal)

    async def test_new_delivery(self, journal: Journal) -> None:
        """A new delivery names its event and has no attempt yet. Catches: an attempt number that starts at 1."""
        await journal.append([(event("1"), to("a"))], now=NOW)
        (delivery,) = await journal.deliveries(DeliveryQuery())
        found = (delivery.event_uid, delivery.trigger, delivery.process, delivery.attempt, delivery.accepted_at)
        assert ("in:1", "in", "a", 0, NOW) == found

    async def test_unrouted_event_is_kept(self, journal: Journal) -> None:
        """An event without a plan is accepted, kept and counted. Catches: acceptance that hangs on deliveries."""
        await journal.append([(event("1"), NOWHERE)], now=NOW)
        counts = await journal.counts()
        assert (1, 1, event("1")) == (counts.events, counts.unrouted, (await journal.event("in:1")).event)

    async def test_second_append_is_the_first(self, journal: Journal) -> None:
        """A known (trigger, uid) answers with the first event and adds nothing. Catches: INSERT OR REPLACE."""
        await journal.append([(event("1", data="first"), to("a"))], now=NOW)
        again = await journal.append([(event("1", data="second"), to("a", "b")), (event("2"), to("a"))], now=NOW)
        assert ([False, True], "first") == (list(again.fresh), again.events[0].data)
        assert [("1", "a", "ready"), ("2", "a", "ready")] == await states(journal)

    async def test_duplicate_within_one_append(self, journal: Journal) -> None:
        """Of one (trigger, uid) in a batch the first counts. Catches: duplicates looked up only in the store."""
        entries = [(event("1", data="first"), to("a")), (event("2"), to("a")), (event("1", data="second"), to("a"))]
        appended = await journal.append(entries, now=NOW)
        assert [True, True, False] == list(appended.fresh)
        assert ["first", None, "first"] == [each.data for each in appended.events]
        assert [("1", "a", "ready"), ("2", "a", "ready")] == await states(journal)

    async def test_identity_includes_the_trigger(self, journal: Journal) -> None:
        """The same uid under another trigger is another event. Catches: uniqueness of the uid alone."""
        entries = [(event("1", trigger=trigger, uid="same"), to("a")) for trigger in ("in", "other")]
        assert [True, True] == list((await journal.append(entries, now=NOW)).fresh)

    async def test_unstorable_event_refuses_the_whole_append(self, journal: Journal) -> None:
        """With one event that is not JSON nothing is accepted. Catches: a transaction for each event."""
        bad = event("2", data={"not JSON": object()})  # type: ignore[dict-item]
        with pytest.raises(EventError):
            await journal.append([(event("1"), to("a")), (bad, to("a"))], now=NOW, checkpoint=("in", 7))
        assert (0, [], None) == (
            (await journal.counts()).events,
            await states(journal),
            await journal.load_checkpoint("in"),
        )

    async def test_append_after_a_refused_one(self, journal: Journal) -> None:
        """A refused append leaves the journal usable. Catches: a transaction left open, or ids remembered too early."""
        bad = event("2", data={"not JSON": object()})  # type: ignore[dict-item]
        plan = chain("a", "b")
        with pytest.raises(EventError):
            await journal.append([(event("1"), plan), (bad, plan)], now=NOW)
        await journal.append([(event("1"), plan)], now=NOW)
        assert [("1", "a", "ready"), ("1", "b", "waiting")] == await states(journal)

    async def test_large_append(self, journal: Journal) -> None:
        """Thousands of events with many deliveries go into one step. Catches: one bound parameter for each value."""
        appended = await journal.append([(event(str(number)), to("a", "b", "c")) for number in range(4_000)], now=NOW)
        counts = await journal.counts()
        assert (4_000, 4_000) == (sum(appended.fresh), counts.deliveries["c"][DeliveryState.READY])

    async def test_delivery_ids_are_unique(self, journal: Journal, make_journal: MakeJournal) -> None:
        """No two deliveries share an id, not even in two journals. Catches: row numbers used as ids."""
        found: list[str] = []
        async with make_journal() as other:
            for each in (journal, other):
                await each.append([(event("1"), to("a", "b")), (event("2"), to("a"))], now=NOW)
                found.extend(delivery.id for delivery in await each.deliveries(DeliveryQuery()))
        assert len(found) == len(set(found))


class CheckpointContract(JournalFixtures):
    """What `append` does with checkpoints."""

    async def test_no_checkpoint_at_first(self, journal: Journal) -> None:
        """An input that never stored one has none. Catches: an error instead of an answer."""
        assert await journal.load_checkpoint("in") is None

    @pytest.mark.parametrize("value", [0, "", {"lsn": "0/16B3748", "exact": 2**70}, [1, None]], ids=repr)
    async def test_checkpoint_is_stored_with_the_events(self, journal: Journal, value: JSON) -> None:
        """Any JSON value reads back. Catches: a falsy checkpoint taken for none."""
        await journal.append([(event("1"), to("a"))], now=NOW, checkpoint=("in", value))
        assert value == await journal.load_checkpoint("in")

    async def test_checkpoint_alone(self, journal: Journal) -> None:
        """Without events the checkpoint is stored. Catches: an early return for an empty batch."""
        await journal.append([], now=NOW, checkpoint=("in", "end"))
        assert await journal.load_checkpoint("in") == "end"

    async def test_checkpoint_with_duplicates_only(self, journal: Journal) -> None:
        """Events that were known already move the checkpoint on. Catches: an early return when nothing is fresh."""
        for position in ("first", "second"):
            await journal.append([(event("1"), to("a"))], now=NOW, checkpoint=("in", position))
        assert await journal.load_checkpoint("in") == "second"

    async def test_append_without_checkpoint_keeps_it(self, journal: Journal) -> None:
        """Events without a checkpoint leave the last one. Catches: ``None`` stored as a value."""
        await journal.append([], now=NOW, checkpoint=("in", "here"))
        await journal.append([(event("1"), to("a"))], now=NOW)
        assert await journal.load_checkpoint("in") == "here"

    async def test_each_input_has_its_own_checkpoint(self, journal: Journal) -> None:
        """Checkpoints go by input. Catches: one checkpoint for the journal."""
        for name in ("in", "other"):
            await journal.append([], now=NOW, checkpoint=(name, name.upper()))
        assert ["IN", "OTHER"] == [await journal.load_checkpoint(name) for name in ("in", "other")]


class HandOverContract(JournalFixtures):
    """What `append` hands straight to the worker that asks."""

    async def test_append_hands_over(self, journal: Journal) -> None:
        """Ready deliveries of the processes asked for are claimed in the same step.

        Catches: waiting steps handed over.
        """
        appended = await journal.append(
            [(event("1"), chain("a", "b"))], now=NOW, worker=WORKER, slots=one_each("a", "b")
        )
        (claim,) = appended.claims
        found = (claim.event, claim.delivery.process, claim.delivery.state, claim.delivery.attempt)
        assert (event("1"), "a", DeliveryState.RUNNING, 1) == found
        assert [("1", "a", "running"), ("1", "b", "waiting")] == await states(journal)

    async def test_handed_over_delivery_is_the_ledgers(self, journal: Journal) -> None:
        """What is handed over reads back under its id. Catches: an id invented for the hand-over."""
        appended = await journal.append([(event("1"), to("a"))], now=NOW, worker=WORKER, slots=one_each("a"))
        delivery = await read(journal, appended.claims[0].delivery.id)
        assert ("in:1", DeliveryState.RUNNING, 1) == (delivery.event_uid, delivery.state, delivery.attempt)

    async def test_hand_over_never_exceeds_the_slots(self, journal: Journal) -> None:
        """No process gets more than its slots; the rest stays ready. Catches: one count for all processes."""
        entries = [(event(str(number)), to("a", "b")) for number in range(5)]
        appended = await journal.append(entries, now=NOW, worker=WORKER, slots={"a": 2, "b": 1})
        assert ["a", "a", "b"] == sorted(claim.delivery.process for claim in appended.claims)
        ready = await journal.deliveries(DeliveryQuery(states=frozenset({DeliveryState.READY})))
        assert ["a"] * 3 + ["b"] * 4 == sorted(each.process for each in ready)

    async def test_hand_over_only_of_what_was_asked(self, journal: Journal) -> None:
        """Processes without slots get nothing. Catches: a missing slot taken for no limit."""
        appended = await journal.append([(event("1"), to("a", "b"))], now=NOW, worker=WORKER, slots={"b": 1, "a": 0})
        assert ["b"] == [claim.delivery.process for claim in appended.claims]

    async def test_handed_over_is_not_claimed_again(self, journal: Journal) -> None:
        """A delivery that was handed over is nobody else's. Catches: a hand-over that is not written down."""
        await journal.append([(event("1"), to("a"))], now=NOW, worker=WORKER, slots=one_each("a"))
        assert [] == list((await journal.claim(RIVAL, one_each("a"), now=NOW)).claims)

    async def test_handed_over_is_settled_like_any(self, journal: Journal) -> None:
        """Its outcome is written. Catches: a hand-over without owner."""
        appended = await journal.append([(event("1"), to("a"))], now=NOW, worker=WORKER, slots=one_each("a"))
        settled = await journal.settle(WORKER, [done(appended.claims[0])], now=NOW)
        assert ([], [("1", "a", "done")]) == (list(settled.late), await states(journal))

    async def test_duplicate_is_not_handed_over_again(self, journal: Journal) -> None:
        """A second append of an event that runs already hands nothing over. Catches: claims made of the entries."""
        for expected in ([event("1").id], []):
            appended = await journal.append([(event("1"), to("a"))], now=NOW, worker=WORKER, slots=one_each("a"))
            assert expected == ids(appended.claims)

    async def test_backlog_goes_first(self, journal: Journal) -> None:
        """What was ready and due before is handed over before what is new. Catches: news that overtakes a backlog."""
        await journal.append([(event("old"), to("a")), (event("older"), to("a"))], now=NOW)
        await journal.settle(WORKER, [failed(await take(journal, "a"), due_at=NOW + 5)], now=NOW)
        handed = []
        for number, slots in (("1", 1), ("2", 9)):
            entries = [(event(number), to("a"))]
            appended = await journal.append(entries, now=NOW + 9, worker=WORKER, slots={"a": slots})
            handed.append(ids(appended.claims))
        assert [["older"], ["old", "1", "2"]] == handed

    async def test_left_tells_what_was_not_handed_over(self, journal: Journal) -> None:
        """Who has more ready deliveries than slots, or none, is worth a claim. Catches: work that nobody is told of."""
        entries = [(event("1"), to("a", "b", "c")), (event("2"), chain("a", "d"))]
        appended = await journal.append(entries, now=NOW, worker=WORKER, slots={"a": 1, "b": 2})
        assert {"a", "c"} == set(appended.left)

    async def test_backlog_that_is_left_is_told_too(self, journal: Journal) -> None:
        """Deliveries from before count as well. Catches: only the new ones looked at."""
        await journal.append([(event(str(number)), to("a")) for number in range(3)], now=NOW)
        appended = await journal.append([], now=NOW, worker=WORKER, slots={"a": 1})
        assert (["0"], {"a"}) == (ids(appended.claims), set(appended.left))

    async def test_without_a_worker_nothing_is_handed_over(self, journal: Journal) -> None:
        """An append that asks for nothing gets nothing. Catches: deliveries claimed for nobody."""
        appended = await journal.append([(event("1"), to("a"))], now=NOW)
        assert ([], [("1", "a", "ready")]) == (list(appended.claims), await states(journal))
