"""Components that want to be entered: once, before their first use, and left last, in peace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import anyio
import attrs
import pytest
from anyio import wait_all_tasks_blocked
from anyio.lowlevel import checkpoint

from orchestrator_core import (
    AttemptContext,
    Event,
    InputContext,
    JournalBrokenError,
)
from orchestrator_core.testing import ScriptedInput, SimulatedClock
from tests.unit.engine.journals import Hold, Outage, meddled
from tests.unit.engine.pipelines import PATIENCE, at_work, event, events, finish, single

pytestmark = pytest.mark.anyio


@attrs.define(eq=False)
class Careful:
    """A component of either kind that keeps a diary, and whose closing takes a moment."""

    name: str = "it"
    diary: list[str] = attrs.field(factory=list)
    source: Sequence[Event] | None = ()
    fails_to_open: bool = False

    async def __aenter__(self) -> Self:
        if self.fails_to_open:
            raise OSError(f"{self.name} can't be opened")
        self.diary.append(f"{self.name} opens")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.diary.append(f"{self.name} closes")
        await checkpoint()
        self.diary.append(f"{self.name} closed")


class CarefulProcess(Careful):
    """Writes its attempts into the diary."""

    async def run(self, event: Event, context: AttemptContext) -> None:
        self.diary.append(f"{self.name} runs")


class CarefulInput(Careful):
    """Writes its starts into the diary; without a source it listens until it is stopped."""

    async def run(self, context: InputContext) -> None:
        self.diary.append(f"{self.name} runs")
        context.ready()
        if self.source is None:
            await anyio.sleep_forever()
        await context.emit_many(self.source or events(2))


async def test_a_process_is_entered_once_and_left_last() -> None:
    """Catches: a component entered for each attempt, or left while an attempt runs."""
    process = CarefulProcess()
    await finish(single(process, events(2)))
    assert ["it opens", "it runs", "it runs", "it closes", "it closed"] == process.diary


async def test_an_input_is_entered_once_and_left_last() -> None:
    """Catches: an input left before its last event is accepted."""
    source = CarefulInput()
    await finish(single(CarefulProcess(), source))
    assert ["it opens", "it runs", "it closes", "it closed"] == source.diary


async def test_an_input_that_fails_stays_entered() -> None:
    """A restart calls `run` again and nothing else. Catches: entering at each start."""
    source = CarefulInput()
    failures = [OSError("reset"), OSError("reset")]

    class Failing(CarefulInput):
        async def run(self, context: InputContext) -> None:
            if failures:
                raise failures.pop()
            await super().run(context)

    source = Failing()
    clock = SimulatedClock()
    async with at_work(CarefulProcess(), source, clock=clock):
        await clock.advance(10)
    assert ["it opens", "it runs", "it closes", "it closed"] == source.diary


async def test_stop_leaves_components_in_peace() -> None:
    """A stopped run lets every component close its connections. Catches: closing under a cancellation."""
    process, source = CarefulProcess("process"), CarefulInput("input", source=None)
    orchestrator = single(process, source)
    with anyio.fail_after(PATIENCE):
        async with orchestrator, anyio.create_task_group() as tasks:
            tasks.start_soon(orchestrator.run)
            await wait_all_tasks_blocked()
            orchestrator.stop()
    assert ["process opens", "process closes", "process closed"] == process.diary
    assert ["input opens", "input runs", "input closes", "input closed"] == source.diary


async def test_cancellation_leaves_components_in_peace() -> None:
    """A run cancelled from outside does, too, for a limited time. Catches: sockets left open after Ctrl-C."""
    process, source = CarefulProcess("process"), CarefulInput("input", source=None)
    async with at_work(process, source):
        pass
    assert ["process opens", "process closes", "process closed"] == process.diary
    assert ["input opens", "input runs", "input closes", "input closed"] == source.diary


async def test_inputs_are_left_before_processes() -> None:
    """Events stop first, then the jobs. Catches: an input that emits into closed processes."""
    diary: list[str] = []
    await finish(single(CarefulProcess("process", diary), CarefulInput("input", diary)))
    assert diary.index("input closed") < diary.index("process closes")


async def test_a_process_that_can_not_be_entered_ends_the_run() -> None:
    """Its error is the run's and says whose it is, and those entered before it are left.

    Catches: a run without one of its processes.
    """
    good, bad = CarefulProcess("good"), CarefulProcess("bad", fails_to_open=True)
    orchestrator = single(good)
    orchestrator.add_process("bad", bad)
    orchestrator.add_link("in", "bad")
    with pytest.raises(OSError, match="bad can't be opened") as caught:
        await finish(orchestrator)
    assert ['process "bad" can\'t be opened'] == caught.value.__notes__
    assert ["good opens", "good closes", "good closed"] == good.diary


async def test_a_process_removed_while_idle_is_left() -> None:
    """Catches: a removed component that stays open until the end of the run."""
    process = CarefulProcess()
    async with at_work(process) as orchestrator:
        orchestrator.remove_process("work")
        await wait_all_tasks_blocked()
        assert "it closed" == process.diary[-1]


async def test_a_process_added_while_running_is_entered() -> None:
    """Catches: entering at the start of the run only."""
    process = CarefulProcess("late")
    async with at_work(CarefulProcess()) as orchestrator:
        orchestrator.add_process("late", process)
        orchestrator.add_link("in", "late")
        await wait_all_tasks_blocked()
        await orchestrator.emit(event("9", trigger="in"))
        await wait_all_tasks_blocked()
    assert ["late opens", "late runs", "late closes", "late closed"] == process.diary


async def test_a_process_added_while_running_that_can_not_be_entered(caplog: pytest.LogCaptureFixture) -> None:
    """It is tried again, and told, while the others work; then it gets what was accepted for it meanwhile.

    Catches: one wrong password of a process that is added, which ends the run of all.
    """
    late, clock = CarefulProcess("late", fails_to_open=True), SimulatedClock()
    async with at_work(CarefulProcess(), clock=clock) as orchestrator:
        orchestrator.add_process("late", late)
        orchestrator.add_link("in", "late")
        await orchestrator.emit(event("9", trigger="in"))
        await clock.advance(2)
        late.fails_to_open = False
        await clock.advance(2)
    assert ["late opens", "late runs", "late closes", "late closed"] == late.diary
    assert "process \"late\" can't be opened, trying again in 1 s: OSError: late can't be opened" in caplog.text


async def test_a_process_that_can_not_be_entered_holds_up_no_end() -> None:
    """Without deliveries for it a run until idle ends. Catches: an end that waits for a look that nobody takes."""

    async def add(context: InputContext) -> None:
        orchestrator.add_process("late", CarefulProcess(fails_to_open=True))
        orchestrator.add_link("in", "late")

    orchestrator = single(CarefulProcess(), ScriptedInput([event(), add]))
    assert 1 == (await finish(orchestrator)).done


async def test_a_process_removed_while_events_are_handed_over() -> None:
    """It is left once nothing is under way to it, and the run can end.

    Catches: a leaving process that nobody looks at any more, whose component holds up the end for ever.
    """
    hold = Hold("append")
    process = CarefulProcess()
    orchestrator = single(process, [event("1")], journal=meddled(before=hold))
    with anyio.fail_after(PATIENCE):
        async with orchestrator, anyio.create_task_group() as tasks:
            tasks.start_soon(orchestrator.run)
            await wait_all_tasks_blocked()
            hold.engage()
            tasks.start_soon(orchestrator.emit, event("2", trigger="in"))
            await wait_all_tasks_blocked()
            assert 1 == hold.waiting
            orchestrator.remove_process("work")
            hold.release()
            await wait_all_tasks_blocked()
            assert "it closed" == process.diary[-1]
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("call", ["settle", "append", "changed", "claim"])
async def test_a_broken_journal_ends_the_run_with_components_closed(call: str) -> None:
    """The run ends with the journal's error. Catches: a component that waits to be left for ever."""
    outage = Outage(frozenset({call, "settle"}), broken=True)
    process = CarefulProcess()

    async def break_down(context: InputContext) -> None:
        outage.is_on = True

    source = ScriptedInput([event("1"), break_down, [event("2")]], endless=True)
    with pytest.raises(JournalBrokenError):
        await finish(single(process, source, journal=meddled(before=outage)))
    assert "it closed" == process.diary[-1]


async def test_a_component_that_can_not_be_left_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """An input whose closing fails ends nothing else. Catches: a run that dies of its end."""

    class Bad(ScriptedInput):
        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, *exc_info: object) -> None:
            raise OSError("can't close")

    summary = await finish(single(CarefulProcess(), Bad([event()])))
    assert 1 == summary.done
    assert '"in" could not be closed' in caplog.text


class Grouped(Careful):
    """A component that holds a task group open, in which a task of its own writes into the diary when it is over."""

    async def __aenter__(self) -> Self:
        self.tasks = await anyio.create_task_group().__aenter__()
        self.tasks.start_soon(self._keep)
        return await super().__aenter__()

    async def __aexit__(self, *exc_info: object) -> None:
        try:
            await super().__aexit__(*exc_info)
        finally:
            self.tasks.cancel_scope.cancel()
            await self.tasks.__aexit__(*exc_info)  # type: ignore[arg-type]  # what it was handed

    async def _keep(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            self.diary.append(f"{self.name}'s task ends")


class GroupedInput(Grouped, CarefulInput):
    """An input of that kind."""


class GroupedProcess(Grouped, CarefulProcess):
    """A process of that kind."""


@pytest.mark.parametrize("ending", ["ends", "stops", "cancelled"])
async def test_components_may_hold_a_task_group_open(ending: str) -> None:
    """They are entered and left in one task, and their tasks run until then, however the run ends.

    Catches: an input entered inside a scope and left outside of it, which ends the run with a RuntimeError.
    """
    diary: list[str] = []
    source = GroupedInput("input", diary, source=() if ending == "ends" else None)
    orchestrator = single(GroupedProcess("process", diary), source)
    with anyio.fail_after(PATIENCE):
        async with orchestrator, anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: orchestrator.run(until_idle=ending == "ends"))
            await wait_all_tasks_blocked()
            if ending == "stops":
                orchestrator.stop()
            elif ending == "cancelled":
                tasks.cancel_scope.cancel()
    for name in ("input", "process"):
        about = [line for line in diary if line.startswith(name) and not line.endswith("runs")]
        assert [f"{name} opens", f"{name} closes", f"{name} closed", f"{name}'s task ends"] == about


async def test_an_input_with_a_task_group_that_fails_stays_entered() -> None:
    """It is started again inside the same group. Catches: a group that is left with the first failure."""
    failures = [OSError("reset"), OSError("reset")]

    class Failing(GroupedInput):
        async def run(self, context: InputContext) -> None:
            if failures:
                raise failures.pop()
            await super().run(context)

    source, clock = Failing(), SimulatedClock()
    async with at_work(CarefulProcess(), source, clock=clock):
        await clock.advance(10)
    assert ["it opens", "it runs", "it closes", "it closed", "it's task ends"] == source.diary


async def test_an_input_whose_own_task_fails_is_entered_again() -> None:
    """What ends the task group that an input holds open is its failure, and ends nothing else.

    Catches: a run that ends with it, and an input that runs on without its tasks.
    """
    failures = [OSError("reset")]

    class Failing(GroupedInput):
        async def _keep(self) -> None:
            if failures:
                raise failures.pop()
            await super()._keep()

    source, clock = Failing(source=None), SimulatedClock()
    async with at_work(CarefulProcess(), source, clock=clock):
        await clock.advance(10)
    assert ["it opens", "it runs"] * 2 == [line for line in source.diary if line.endswith(("opens", "runs"))]
    assert ["it closed", "it's task ends"] == source.diary[-2:]
