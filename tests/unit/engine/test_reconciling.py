"""After an interruption: the process is asked what became of its attempt before it runs again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from orchestrator_core import (
    AttemptContext,
    DeliveryState,
    Event,
    MemoryJournal,
    ProcessExitStatus,
    ProcessStatus,
    Reconciliation,
    Reject,
    RetryLater,
    RetryPolicy,
)
from orchestrator_core.testing import Gate, RecordingProcess, ScriptedInput, ScriptedProcess, SimulatedClock
from tests.unit.engine.pipelines import (
    at_work,
    event,
    events,
    finish_simulated,
    history,
    only,
    single,
    until_run,
)

pytestmark = pytest.mark.anyio

ONCE: dict[str, Any] = {"retry": RetryPolicy(attempts=1)}


class Asked(RecordingProcess):
    """Answers, attempt by attempt, what became of the one before; the last answer repeats."""

    def __init__(self, *answers: object) -> None:
        super().__init__()
        self.asked: list[tuple[str, int]] = []
        self._answers = answers

    async def reconcile(self, event: Event, context: AttemptContext) -> Any:
        self.asked.append((event.id, context.attempt))
        context.log("asked")
        answer = self._answers[min(len(self.asked), len(self._answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def _interrupted(times: int = 1, source: Sequence[Event] = ()) -> MemoryJournal:
    """Make a ledger in which deliveries were cut off so many times."""
    journal = MemoryJournal()
    for number in range(times):
        process = ScriptedProcess([Gate()])
        inputs = ScriptedInput([] if number else [list(source or [event()])])
        clock = SimulatedClock(start=1_700_000_000.0 + 10_000 * number)
        async with at_work(process, inputs, journal=journal, clock=clock):
            await clock.advance(20)
            await until_run(process, len(source) or 1)
    return journal


async def _next_run(process: RecordingProcess, journal: MemoryJournal, **options: Any) -> SimulatedClock:
    """Run what there is until it is idle."""
    clock = SimulatedClock(start=1_800_000_000.0)
    async with single(process, ScriptedInput([]), journal=journal, clock=clock, options=options) as orchestrator:
        await finish_simulated(orchestrator, clock)
    return clock


ANSWERS = [
    pytest.param(Reconciliation.SUCCEEDED, DeliveryState.DONE, None, id="succeeded"),
    pytest.param(Reconciliation.FAILED, DeliveryState.DEAD, "the interrupted attempt has failed", id="failed"),
    pytest.param(ProcessStatus(output=[1]), DeliveryState.DONE, None, id="status-success"),
    pytest.param(
        ProcessStatus(logs=["exit 3"], status=ProcessExitStatus.FAIL), DeliveryState.DEAD, "exit 3", id="status-fail"
    ),
    pytest.param(Reject("gone for good"), DeliveryState.DEAD, "gone for good", id="Reject"),
    pytest.param(OSError("no answer"), DeliveryState.DEAD, "OSError: no answer", id="exception"),
    pytest.param(
        "fine", DeliveryState.DEAD, "returned str 'fine': a process returns None or a ProcessStatus", id="wrong-type"
    ),
    pytest.param(
        ProcessStatus(logs=None),  # type: ignore[arg-type]
        DeliveryState.DEAD,
        "TypeError: 'NoneType' object is not iterable",
        id="status-without-lines",
    ),
]


@pytest.mark.parametrize(("answer", "state", "reason"), ANSWERS)
async def test_an_answer_decides(answer: object, state: DeliveryState, reason: str | None) -> None:
    """What `reconcile` says is the outcome, and nothing runs a second time. Catches: running all the same."""
    journal, process = await _interrupted(), Asked(answer)
    await _next_run(process, journal, **ONCE)
    delivery = await only(journal)
    assert ((state, reason), []) == ((delivery.state, delivery.reason), process.runs)


async def test_the_output_of_the_interrupted_attempt_is_kept() -> None:
    """A status that `reconcile` returns brings its output. Catches: adopted work whose result is lost."""
    journal = await _interrupted()
    await _next_run(Asked(ProcessStatus(output={"rows": 3})), journal)
    assert {"rows": 3} == (await only(journal)).output


async def test_unknown_runs_again() -> None:
    """Who can't tell is run again. Catches: unknown taken for failed."""
    journal, process = await _interrupted(), Asked(Reconciliation.UNKNOWN)
    await _next_run(process, journal)
    assert (["1"], DeliveryState.DONE) == ([run.event.id for run in process.runs], (await only(journal)).state)


async def test_a_process_that_can_not_be_asked_runs_again() -> None:
    """`reconcile` is optional. Catches: an attribute that is taken for granted."""
    journal, process = await _interrupted(), RecordingProcess()
    await _next_run(process, journal)
    assert [2] == [run.attempt for run in process.runs]


async def test_it_is_asked_about_the_attempt_that_was_cut_off() -> None:
    """Attempt 1 was cut off, so attempt 2 asks about 1. Catches: the number of the new attempt handed over."""
    journal, process = await _interrupted(), Asked(Reconciliation.SUCCEEDED)
    await _next_run(process, journal)
    assert [("1", 1)] == process.asked


async def test_running_is_waited_for() -> None:
    """While the old attempt runs nothing is started; it is asked about again, always by its own number.

    Catches: a second run beside the first; asking about the attempts that only asked.
    """
    running = Reconciliation.RUNNING
    journal, process = await _interrupted(), Asked(running, running, running, Reconciliation.SUCCEEDED)
    await _next_run(process, journal)
    assert ([("1", 1)] * 4, []) == (process.asked, process.runs)
    assert DeliveryState.DONE == (await only(journal)).state


async def test_running_takes_up_its_slot() -> None:
    """An attempt that is still under way outside counts for the limit. Catches: more at once than is allowed."""
    journal = await _interrupted(source=events(1))
    clock = SimulatedClock(start=1_800_000_000.0)
    process = Asked(Reconciliation.RUNNING)
    source = ScriptedInput([event("other")])
    async with at_work(process, source, journal=journal, clock=clock, options={"concurrency": 1}):
        await clock.advance(30)
        assert ([], True) == (process.runs, len(process.asked) > 5)


async def test_running_leaves_no_trail_of_attempts() -> None:
    """Asking for an hour is one attempt. Catches: a history that grows with each question."""
    journal = await _interrupted()
    await _next_run(Asked(*[Reconciliation.RUNNING] * 20, Reconciliation.SUCCEEDED), journal)
    assert [1, 2] == [attempt.number for attempt in await history(journal)]


async def test_what_reconcile_logs_is_kept() -> None:
    """Catches: a context whose log nobody reads."""
    journal = await _interrupted()
    await _next_run(Asked(Reconciliation.SUCCEEDED), journal)
    assert ("asked",) == (await history(journal))[-1].logs


async def test_an_attempt_that_was_not_cut_off_is_not_asked_about() -> None:
    """A failure is known; only what was interrupted is asked about. Catches: asking at every retry."""

    class Fails(Asked):
        async def play(self, event: Event, context: AttemptContext) -> None:
            if context.attempt == 1:
                raise OSError("no route")

    process, clock = Fails(Reconciliation.SUCCEEDED), SimulatedClock()
    async with single(process, clock=clock) as orchestrator:
        await finish_simulated(orchestrator, clock)
    assert ([], 2) == (process.asked, len(process.runs))


async def test_later_in_reconcile_asks_again() -> None:
    """`RetryLater(interrupted=True)` from `reconcile` leaves the question open. Catches: run without having asked."""
    journal = await _interrupted()
    process = Asked(RetryLater(timedelta(seconds=3), "daemon away", interrupted=True), Reconciliation.SUCCEEDED)
    await _next_run(process, journal)
    assert (2, []) == (len(process.asked), process.runs)


async def test_repeated_interruptions_back_off() -> None:
    """From the second interruption on, the next run waits. Catches: a crash loop at full speed."""
    journal, process = await _interrupted(times=4), RecordingProcess()
    clock = await _next_run(process, journal)
    assert (1, DeliveryState.DONE) == (len(process.runs), (await only(journal)).state)
    assert clock.monotonic() >= 4
