"""`FakeInputContext` and `FakeAttemptContext` behave as the engine's own."""

from __future__ import annotations

import anyio
import pytest

from orchestrator_core import (
    AttemptContext,
    Event,
    EventError,
    FanOutLimitError,
    HopLimitError,
    InputContext,
    JournalUnavailableError,
)
from orchestrator_core.testing import FakeAttemptContext, FakeInputContext, SimulatedClock

pytestmark = pytest.mark.anyio


def event(id: str = "1", **fields: object) -> Event:  # noqa: A002
    """Make an event with its id as its uid."""
    return Event(**{"location": "t", "operation": "create", "id": id, "uid": id, **fields})  # type: ignore[arg-type]


async def test_emit_returns_the_event_as_accepted() -> None:
    """It has the input's name as its trigger."""
    context = FakeInputContext("spool")
    accepted = await context.emit(event())
    assert ("spool", [accepted]) == (accepted.trigger, context.events)


async def test_a_known_uid_is_accepted_once() -> None:
    """The first event stands in its place, so that the caller sees what is different."""
    context = FakeInputContext()
    await context.emit(event(data="first"))
    again = await context.emit_many([event(data="second"), event("2")])
    assert (["first", None], ["1", "2"]) == ([each.data for each in again], [each.id for each in context.events])


async def test_a_scripted_failure_accepts_nothing() -> None:
    """Neither the events nor the checkpoint; the next call succeeds."""
    context = FakeInputContext()
    context.fail(JournalUnavailableError("full"))
    with pytest.raises(JournalUnavailableError, match="full"):
        await context.emit_many([event()], checkpoint=7)
    assert ([], []) == (context.events, context.checkpoints)
    await context.emit_many([event()], checkpoint=7)
    assert (["1"], [7]) == ([each.id for each in context.events], context.checkpoints)


async def test_a_lost_reply_accepts_all_the_same() -> None:
    """The caller sees an error, the journal has the event, and repeating it changes nothing."""
    context = FakeInputContext()
    context.fail(JournalUnavailableError("the reply was lost"), committed=True)
    with pytest.raises(JournalUnavailableError):
        await context.emit(event())
    await context.emit(event())
    assert ["1"] == [each.id for each in context.events]


async def test_what_is_not_json_is_refused_with_all_the_rest() -> None:
    """One bad event, and none is accepted."""
    context = FakeInputContext()
    with pytest.raises(EventError, match="not JSON"):
        await context.emit_many([event(), event("2", data=object())])
    assert [] == context.events


async def test_accepted_is_a_stream() -> None:
    """It can be waited at before anything was emitted, and brings the events in order."""
    context = FakeInputContext()
    seen: list[str] = []

    async def watch() -> None:
        async for each in context.accepted:
            seen.append(each.id)
            if each.id == "3":
                return

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await anyio.wait_all_tasks_blocked()
            await context.emit(event("1"))
            await context.emit_many([event("2"), event("3")])
    assert ["1", "2", "3"] == seen


async def test_hold_makes_emits_wait() -> None:
    """This is the back-pressure: nothing is accepted before the release."""
    context = FakeInputContext()
    context.hold()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(context.emit, event())
            await anyio.wait_all_tasks_blocked()
            assert [] == context.events
            context.release()
    assert 1 == len(context.events)


async def test_checkpoints() -> None:
    """The newest one is loaded; a test puts one in to start from it."""
    context = FakeInputContext()
    found = [await context.load_checkpoint()]
    context.checkpoints.append({"offset": 3})
    found.append(await context.load_checkpoint())
    await context.emit_many([], checkpoint=0)
    assert [None, {"offset": 3}, 0] == [*found, await context.load_checkpoint()]


async def test_a_sleep_ends_when_the_engine_asks_for_a_look() -> None:
    """Without a clock nothing else ends it."""
    context = FakeInputContext()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(context.sleep, 3600)
            await anyio.wait_all_tasks_blocked()
            context.ask_for_a_look()


async def test_a_look_that_was_asked_for_is_not_forgotten() -> None:
    """Asked while the input does not sleep, its next sleep ends at once; the one after that does not."""
    context = FakeInputContext()
    context.ask_for_a_look()
    with anyio.fail_after(5):
        await context.sleep(3600)
    woken: list[bool] = []

    async def sleep() -> None:
        await context.sleep(3600)
        woken.append(True)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleep)
        await anyio.wait_all_tasks_blocked()
        assert [] == woken
        tasks.cancel_scope.cancel()


async def test_a_sleep_ends_with_its_clock() -> None:
    """With a clock it ends when its time has come."""
    clock = SimulatedClock()
    context = FakeInputContext(clock=clock)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(context.sleep, 60)
            await clock.advance(59)
            assert 1 == clock.sleepers
            await clock.advance(1)
    assert 0 == clock.sleepers


async def test_what_an_input_says_is_noted() -> None:
    """Ready, caught up, health and figures can be looked at and waited for."""
    context = FakeInputContext("spool")
    context.healthy("no such folder")
    problem = context.problem
    context.ready()
    context.caught_up()
    context.caught_up()
    context.healthy()
    context.measure("files", 3, folder="in")
    with anyio.fail_after(5):
        await context.until(lambda: context.is_ready and context.looks == 2)
    assert ("no such folder", None) == (problem, context.problem)
    assert [("spool", "files", 3, {"folder": "in"})] == [
        (each.node, each.name, each.value, each.labels) for each in context.measured
    ]


def test_they_are_what_components_are_handed() -> None:
    """The type checker sees that each fake has all that its contract has."""
    handed: tuple[InputContext, AttemptContext] = (FakeInputContext(), FakeAttemptContext())
    assert ("input", "process") == (handed[0].name, handed[1].process)


def test_an_attempts_lines_are_kept() -> None:
    """Text with line breaks is several lines, as in the engine."""
    context = FakeAttemptContext()
    context.log("one")
    context.log("two\nthree")
    context.log("")
    assert ["one", "two", "three", ""] == context.lines


def test_an_attempts_events_are_kept() -> None:
    """In the order in which they were emitted."""
    context = FakeAttemptContext()
    for number in ("1", "2"):
        context.emit(event(number))
    assert ["1", "2"] == [each.id for each in context.emitted]


def test_the_engines_limits_hold() -> None:
    """Too many hops and too many events are refused as in the engine."""
    context = FakeAttemptContext(fan_out_limit=1)
    with pytest.raises(HopLimitError):
        context.emit(event(hops=17))
    context.emit(event(hops=16))
    with pytest.raises(FanOutLimitError):
        context.emit(event())
