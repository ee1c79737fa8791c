"""What one attempt may come to, and what is kept of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from orchestrator_core import (
    AttemptContext,
    DeliveryQuery,
    DeliverySettled,
    DeliveryState,
    Event,
    MemoryJournal,
    ProcessExitStatus,
    ProcessStatus,
    Reject,
    RetryLater,
    RetryPolicy,
    SqliteJournal,
)
from orchestrator_core._attempt import LINE_LIMIT, LOG_LIMIT
from orchestrator_core.testing import Play, RecordingProcess, ScriptedProcess, SimulatedClock
from tests.unit.engine.journals import Hold, meddled
from tests.unit.engine.pipelines import (
    Notices,
    at_work,
    deliveries,
    event,
    events,
    finish,
    history,
    only,
    single,
    states,
    until_run,
)

pytestmark = pytest.mark.anyio

ONCE = {"retry": RetryPolicy(attempts=1)}
TWICE = {"retry": RetryPolicy(attempts=2, initial=timedelta(milliseconds=1))}


async def _settled(*script: Play, options: dict[str, Any] = ONCE) -> MemoryJournal:
    """Run one event through a scripted process and return the ledger."""
    journal = MemoryJournal()
    await finish(single(ScriptedProcess(script), journal=journal, options=options))
    return journal


SUCCESSES = [
    pytest.param(None, None, id="None"),
    pytest.param(ProcessStatus(), None, id="status"),
    pytest.param(ProcessStatus(output={"rows": [1, 2]}), {"rows": [1, 2]}, id="output"),
]


@pytest.mark.parametrize(("status", "output"), SUCCESSES)
async def test_success(status: ProcessStatus | None, output: object) -> None:
    """None and the status SUCCESS are done, with the output kept. Catches: a status that is not unwrapped."""
    delivery = await only(await _settled(status))
    assert (DeliveryState.DONE, output, None) == (delivery.state, delivery.output, delivery.reason)


async def _raise_system_exit(event: Event, context: AttemptContext) -> None:
    raise SystemExit("bye")


async def _return_text(event: Event, context: AttemptContext) -> str:
    return "fine"


class MuteError(Exception):
    """An exception whose message can't be had."""

    def __str__(self) -> str:
        raise LookupError


FAILURES = [
    pytest.param(OSError("no route"), "OSError: no route", id="exception"),
    pytest.param(ValueError(), "ValueError", id="exception-without-text"),
    pytest.param(MuteError(), "MuteError: (its message raised LookupError)", id="exception-whose-text-raises"),
    pytest.param(ExceptionGroup("two", [OSError("a")]), "ExceptionGroup: two (1 sub-exception)", id="group"),
    pytest.param(_raise_system_exit, "SystemExit: bye", id="sys.exit"),
    pytest.param(ProcessStatus(status=ProcessExitStatus.FAIL), "returned the status fail", id="FAIL"),
    pytest.param(ProcessStatus(status=ProcessExitStatus.UNKNOWN), "returned the status unknown", id="UNKNOWN"),
    pytest.param(ProcessStatus(status=ProcessExitStatus.UNSTARTED), "returned the status unstarted", id="UNSTARTED"),
    pytest.param(ProcessStatus(logs=["a", "b"], status=ProcessExitStatus.FAIL), "b", id="last-line-of-its-logs"),
    pytest.param(ProcessStatus(logs=[b"b"], status=ProcessExitStatus.FAIL), "b'b'", id="logs-of-bytes"),  # type: ignore[list-item]
    pytest.param(ValueError("name \udcff"), "ValueError: name ?", id="half-a-surrogate-pair"),
    pytest.param(
        RetryLater(5),  # type: ignore[arg-type]
        "AttributeError: 'int' object has no attribute 'total_seconds'",
        id="RetryLater-with-a-number",
    ),
    pytest.param(_return_text, "returned str 'fine': a process returns None or a ProcessStatus", id="wrong-type"),
    pytest.param(
        ProcessStatus(output="\ud800"),
        "its output is not JSON: half of a surrogate pair, which UTF-8 can't hold",
        id="output-not-JSON",
    ),
]


@pytest.mark.parametrize(("line", "reason"), FAILURES)
async def test_failure(line: Play, reason: str) -> None:
    """Whatever else a process returns or raises is a failure with a reason, and ends nothing but its attempt.

    Catches: an exit status that nobody reads; an exception that escapes into the engine.
    """
    delivery = await only(await _settled(line))
    assert (DeliveryState.DEAD, 1, reason) == (delivery.state, delivery.failures, delivery.reason)


@pytest.mark.parametrize(
    "line",
    [
        ValueError("\udcff"),
        Reject("\udcff"),
        Reject(object()),  # type: ignore[arg-type]
        RetryLater(timedelta(), "\udcff"),
        ProcessStatus(logs=["\udcff"], status=ProcessExitStatus.FAIL),
        ProcessStatus(logs=[b"b"], status=ProcessExitStatus.FAIL),  # type: ignore[list-item]
    ],
    ids=["exception", "Reject", "no-text", "RetryLater", "status", "bytes"],
)
async def test_any_reason_can_be_stored(line: Play, tmp_path: Path) -> None:
    """What a process says goes into the journal as text that it can hold. Catches: a reason that ends the run."""
    journal = SqliteJournal(tmp_path / "journal.db")
    summary = await finish(single(ScriptedProcess([line, Reject("no")]), journal=journal, options=TWICE))
    assert 1 == summary.dead


async def test_the_next_event_is_not_harmed() -> None:
    """A failure is its delivery's own. Catches: a worker that dies with its attempt."""
    journal = MemoryJournal()
    process = ScriptedProcess([OSError("no route")])
    summary = await finish(single(process, events(20), journal=journal, concurrency=2, options=ONCE))
    assert (20, 20) == (len(process.runs), summary.dead)


async def test_rejected_is_dead_at_once() -> None:
    """`Reject` makes a dead letter however many attempts are left. Catches: Reject taken for a failure."""
    journal = await _settled(Reject("negative rain"), options={"retry": RetryPolicy(attempts=9)})
    delivery = await only(journal)
    assert (DeliveryState.DEAD, 1, "negative rain") == (delivery.state, delivery.attempt, delivery.reason)


async def test_logs_of_a_failure_are_kept() -> None:
    """What was logged before a failure is in the history, its traceback too. Catches: logs written on success only."""

    async def play(event: Event, context: AttemptContext) -> None:
        context.log("opening the valve")
        raise OSError("stuck")

    (attempt,) = await history(await _settled(play))
    assert "opening the valve" == attempt.logs[0]
    assert "OSError: stuck" == attempt.logs[-1]


async def test_logs_of_a_status_are_kept() -> None:
    """Lines returned with a failed status follow those that were logged. Catches: `ProcessStatus.logs` dropped."""

    async def play(event: Event, context: AttemptContext) -> ProcessStatus:
        context.log("first")
        return ProcessStatus(logs=["second"], status=ProcessExitStatus.FAIL)

    assert [("first", "second")] == [attempt.logs for attempt in await history(await _settled(play))]


async def test_each_attempt_has_its_own_logs() -> None:
    """Catches: one log for the delivery."""

    async def play(event: Event, context: AttemptContext) -> None:
        context.log(f"attempt {context.attempt}")
        raise Reject("no") if context.attempt == 2 else ConnectionError

    attempts = await history(await _settled(play, options=TWICE))
    assert ["attempt 1", "attempt 2"] == [attempt.logs[0] for attempt in attempts]


async def test_logs_are_there_while_the_attempt_runs() -> None:
    """A line is in the journal before the attempt ends, so a crash does not take it. Catches: kept at the end only."""
    journal, clock = MemoryJournal(), SimulatedClock()

    async def play(event: Event, context: AttemptContext) -> None:
        context.log("halfway")
        await anyio.sleep_forever()

    async with at_work(ScriptedProcess([play]), journal=journal, clock=clock):
        await clock.advance(1.0)
        assert [("halfway",)] == [attempt.logs for attempt in await history(journal)]


async def test_a_flood_of_lines_keeps_its_beginning_and_its_end() -> None:
    """Logs are capped, and say how much is missing. Catches: memory that grows with what a process prints."""

    async def play(event: Event, context: AttemptContext) -> None:
        for number in range(100_000):
            context.log(f"line {number}")

    (attempt,) = await history(await _settled(play))
    kept = sum(len(line) + 1 for line in attempt.logs)
    assert ("line 0", "line 99999") == (attempt.logs[0], attempt.logs[-1])
    assert kept <= LOG_LIMIT + 100
    assert [line for line in attempt.logs if "lines left out" in line]


async def test_a_line_without_end_is_cut() -> None:
    """Catches: one line of a gigabyte kept as it is."""

    async def play(event: Event, context: AttemptContext) -> None:
        context.log("x" * (LINE_LIMIT + 5))

    (attempt,) = await history(await _settled(play))
    assert (f"{'x' * LINE_LIMIT}… (5 more characters)",) == attempt.logs


async def test_what_a_process_is_handed() -> None:
    """The id stays and the number grows over attempts. Catches: an idempotency key made for each attempt."""
    process = ScriptedProcess([OSError("no route"), None])
    journal = MemoryJournal()
    await finish(single(process, [event("7", data={"rain": 3})], journal=journal, options=TWICE))
    delivery = await only(journal)
    assert [(delivery.id, 1), (delivery.id, 2)] == [(run.delivery_id, run.attempt) for run in process.runs]
    assert [("7", {"rain": 3}, "in")] * 2 == [(run.event.id, run.event.data, run.event.trigger) for run in process.runs]


async def test_deadline() -> None:
    """A process is told when it will be cut off. Catches: a deadline counted from the claim or in another clock."""
    clock = SimulatedClock(start=1_000)
    seen: list[float] = []

    async def play(event: Event, context: AttemptContext) -> None:
        seen.append(context.deadline)

    options = {"timeout": timedelta(seconds=90)}
    async with single(ScriptedProcess([play]), clock=clock, options=options) as orchestrator:
        await orchestrator.run(until_idle=True)
    assert [1_090.0] == seen


async def test_outputs_go_downstream() -> None:
    """A process sees what those before it returned, by name. Catches: only the nearest, or none after a retry."""
    first, second = RecordingProcess({"rows": 1}), ScriptedProcess([OSError("x"), ProcessStatus(output=[2])])
    last = RecordingProcess()
    orchestrator = single(first)
    orchestrator.add_process("second", second, **TWICE)  # type: ignore[arg-type]
    orchestrator.add_process("last", last)
    for source, target in (("work", "second"), ("second", "last"), ("work", "last")):
        orchestrator.add_link(source, target)
    await finish(orchestrator)
    assert [{"work": {"rows": 1}}] * 2 == [run.outputs for run in second.runs]
    assert [{"work": {"rows": 1}, "second": [2]}] == [run.outputs for run in last.runs]


async def test_an_output_is_kept_as_it_was_returned(tmp_path: Path) -> None:
    """A process may go on with the object that it returned. Catches: a run that ends as that is no JSON any more."""
    hold, total = Hold("settle"), {"rain": 1}
    hold.engage()
    journal = SqliteJournal(tmp_path / "journal.db")
    process = ScriptedProcess([ProcessStatus(output=total)])  # type: ignore[arg-type]
    async with single(process, journal=meddled(journal, before=hold)) as orchestrator, anyio.create_task_group() as run:
        run.start_soon(lambda: orchestrator.run(until_idle=True))
        await until_run(process, 1)
        await wait_all_tasks_blocked()
        total["rain"] = object()  # type: ignore[assignment]
        hold.release()
    async with SqliteJournal.reader(tmp_path / "journal.db") as reader:
        (delivery,) = await reader.deliveries(DeliveryQuery())
    assert (DeliveryState.DONE, {"rain": 1}) == (delivery.state, delivery.output)


async def test_a_cancellation_of_its_own_is_a_failure(anyio_backend: str) -> None:
    """A process that cancels itself fails like any other; the engine goes on.

    On asyncio anybody can raise CancelledError. Catches: one that escapes and stops the dispatcher in silence.
    """
    if anyio_backend == "trio":
        pytest.skip("trio lets nobody make a Cancelled")

    async def play(event: Event, context: AttemptContext) -> None:
        raise anyio.get_cancelled_exc_class()

    process = ScriptedProcess([play])
    journal = MemoryJournal()
    await finish(single(process, events(3), journal=journal, options=ONCE))
    assert [DeliveryState.DEAD] * 3 == (await states(journal))["work"]


async def test_the_observers_are_told_what_failed() -> None:
    """A settled notice says what the ledger says. Catches: notices made before the commit."""
    notices, journal = Notices(), MemoryJournal()
    process = ScriptedProcess([OSError("no route")])
    await finish(single(process, journal=journal, observers=[notices], options=ONCE))
    (delivery,) = await deliveries(journal)
    (told,) = notices.of(DeliverySettled)
    found = (told.delivery_id, told.attempt, told.state, told.reason, told.retry_in)
    assert (delivery.id, 1, DeliveryState.DEAD, "OSError: no route", None) == found
