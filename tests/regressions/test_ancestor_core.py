"""Defects of the ancestor that the core decides, one test or more for each, named after its number.

Those of the Postgres, webhook and container plugins are tested with these plugins.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import anyio
import pytest

from orchestrator_core import (
    JSON,
    Appended,
    Attempt,
    AttemptContext,
    DeliveryQuery,
    DeliveryState,
    DuplicateNameError,
    Event,
    EventError,
    JournalUnavailableError,
    Link,
    MemoryJournal,
    Operation,
    Orchestrator,
    Pipeline,
    Plan,
    ProcessExitStatus,
    ProcessOptions,
    ProcessStatus,
    RetryPolicy,
    Slots,
    load_json,
)
from orchestrator_core.testing import Gate, RecordingProcess, ScriptedInput, ScriptedProcess, SimulatedClock

ONCE = RetryPolicy(attempts=1)
AT_ONCE = RetryPolicy(initial=timedelta(microseconds=1), max=timedelta(microseconds=1))


def event(number: int = 1, **fields: object) -> Event:
    """Make an event with its number as its identity."""
    given = {"location": "t", "operation": "create", "id": str(number), "uid": str(number), "trigger": "in"}
    return Event(**{**given, **fields})  # type: ignore[arg-type]


@pytest.fixture
async def orchestrator() -> AsyncIterator[Orchestrator]:
    """An orchestrator without inputs and processes."""
    async with Orchestrator(journal=MemoryJournal()) as orchestrator:
        yield orchestrator


async def run(orchestrator: Orchestrator) -> None:
    """Run until nothing is left to do."""
    with anyio.fail_after(60):
        await orchestrator.run(until_idle=True)


async def run_for_a_minute(orchestrator: Orchestrator, clock: SimulatedClock) -> None:
    """Run until nothing is left to do, while a minute passes on its clock."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, orchestrator)
        await clock.advance(60)


async def history(orchestrator: Orchestrator) -> list[Attempt]:
    """Return the attempts of the only delivery."""
    (delivery,) = await orchestrator.journal.deliveries(DeliveryQuery())
    return list(await orchestrator.journal.attempts(delivery.id))


@pytest.mark.anyio
@pytest.mark.parametrize("processes", [1, 2, 3])
async def test_b1_fan_out_neither_loses_nor_repeats(orchestrator: Orchestrator, processes: int) -> None:
    """Every process gets every event of a burst, once. Catches: a loop variable shared between tasks."""
    recorders = [RecordingProcess() for _ in range(processes)]
    orchestrator.add_input(
        "in", ScriptedInput([[event(number) for number in range(500)], *map(event, range(500, 550))])
    )
    for index, recorder in enumerate(recorders):
        orchestrator.add_process(f"p{index}", recorder)
        orchestrator.add_link("in", f"p{index}")
    await run(orchestrator)
    expected = sorted(str(number) for number in range(550))
    assert [expected] * processes == [sorted(each.event.id for each in recorder.runs) for recorder in recorders]


@pytest.mark.parametrize(
    "number",
    [
        "1000000",
        "12345678",
        "9007199254740993",
        "123456789012345678901234567890",
        "0.1",
        "-1",
        "12345678.901234567890123",
    ],
)
def test_b4_numbers_keep_their_digits(number: str) -> None:
    """An id that arrives as a JSON number can be taken over digit by digit. Catches: numbers read as floats."""
    row = load_json(f'{{"id":{number}}}')
    record = Event(location="t", operation="create", id=str(row["id"]), data=row)
    assert number == record.id
    assert f'"data":{{"id":{number}}}' in record.to_json()


def test_b4_an_id_is_text() -> None:
    """A number is refused as an id rather than turned into some text. Catches: `%v` of a float."""
    with pytest.raises(EventError, match=r"id must be text, found float 1000000\.0"):
        event(id=1e6)


@pytest.mark.anyio
async def test_b8_a_failing_input_does_not_end_the_program() -> None:
    """It is started again, and goes on where it was. Catches: an input's error that ends the run."""
    clock, process = SimulatedClock(), RecordingProcess()
    source = ScriptedInput([event(1), ConnectionError("the server closed the connection"), event(2)])
    async with Orchestrator(clock=clock) as orchestrator:
        orchestrator.add_input("in", source)
        orchestrator.add_process("work", process)
        orchestrator.add_link("in", "work")
        await run_for_a_minute(orchestrator, clock)
    assert (["1", "2"], 2) == ([each.event.id for each in process.runs], source.starts)


@pytest.mark.anyio
async def test_b8_an_input_may_end(orchestrator: Orchestrator) -> None:
    """A source that has an end ends; what it has emitted is done. Catches: a clean return taken for an error."""
    process = RecordingProcess()
    orchestrator.add_input("in", ScriptedInput([event()]))
    orchestrator.add_process("work", process)
    orchestrator.add_link("in", "work")
    await run(orchestrator)
    assert 1 == len(process.runs)


@pytest.mark.anyio
async def test_b9_accepted_means_kept(orchestrator: Orchestrator) -> None:
    """When `emit` returns, event and delivery are in the journal, before anything runs. Catches: a 202 first."""
    orchestrator.add_input("in", ScriptedInput([]))
    orchestrator.add_process("work", RecordingProcess())
    orchestrator.add_link("in", "work")
    await orchestrator.emit(event())
    (delivery,) = await orchestrator.journal.deliveries(DeliveryQuery())
    assert ("1", DeliveryState.READY) == (delivery.event_uid, delivery.state)


@pytest.mark.anyio
async def test_b10_nothing_flows_before_the_graph_is_complete(orchestrator: Orchestrator) -> None:
    """An input that is added starts with `run`, not at once. Catches: events between AddInput and AddLink."""
    source, process = ScriptedInput([event()]), RecordingProcess()
    orchestrator.add_input("in", source)
    await anyio.wait_all_tasks_blocked()
    assert 0 == source.starts
    orchestrator.add_process("work", process)
    orchestrator.add_link("in", "work")
    await run(orchestrator)
    assert 1 == len(process.runs)


@pytest.mark.anyio
async def test_b11_a_failure_keeps_its_log(orchestrator: Orchestrator) -> None:
    """What a process wrote before it failed is there. Catches: logs shown on success only."""

    async def fail(_: Event, context: AttemptContext) -> None:
        context.log("reading row 7")
        raise ValueError("negative rain")

    orchestrator.add_input("in", ScriptedInput([event()]))
    orchestrator.add_process("work", ScriptedProcess([fail]), retry=ONCE)
    orchestrator.add_link("in", "work")
    await run(orchestrator)
    (attempt,) = await history(orchestrator)
    assert ("dead", "ValueError: negative rain", "reading row 7") == (attempt.state, attempt.reason, attempt.logs[0])


@pytest.mark.anyio
@pytest.mark.parametrize("status", [ProcessExitStatus.FAIL, ProcessExitStatus.UNKNOWN, ProcessExitStatus.UNSTARTED])
async def test_b12_a_status_other_than_success_is_a_failure(
    orchestrator: Orchestrator, status: ProcessExitStatus
) -> None:
    """It is retried, and its logs are kept. Catches: a status that nobody reads."""
    process = ScriptedProcess([ProcessStatus(logs=["exit code 3"], status=status), None])
    orchestrator.add_input("in", ScriptedInput([event()]))
    orchestrator.add_process("work", process, retry=AT_ONCE)
    orchestrator.add_link("in", "work")
    await run(orchestrator)
    attempts = await history(orchestrator)
    assert [("ready", ["exit code 3"]), ("done", [])] == [(each.state, list(each.logs)) for each in attempts]


@pytest.mark.anyio
async def test_b18_a_run_can_be_cancelled(orchestrator: Orchestrator) -> None:
    """Inputs and attempts are cancelled with it. Catches: a context that nobody listens to."""
    process = ScriptedProcess([Gate()])
    orchestrator.add_input("in", ScriptedInput([event()], endless=True))
    orchestrator.add_process("work", process)
    orchestrator.add_link("in", "work")
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(orchestrator.run)
            await process.until(lambda: process.running == 1)
            tasks.cancel_scope.cancel()
    assert 0 == process.running


@pytest.mark.anyio
async def test_b18_an_attempt_has_a_time_out(orchestrator: Orchestrator) -> None:
    """A process that hangs is cut off and counted as failed. Catches: context.Background()."""
    orchestrator.add_input("in", ScriptedInput([event()]))
    orchestrator.add_process("work", ScriptedProcess([Gate()]), timeout=timedelta(milliseconds=10), retry=ONCE)
    orchestrator.add_link("in", "work")
    await run(orchestrator)
    (delivery,) = await orchestrator.journal.deliveries(DeliveryQuery())
    assert DeliveryState.DEAD is delivery.state


@pytest.mark.anyio
async def test_b20_an_inputs_operations_filter_its_events(orchestrator: Orchestrator) -> None:
    """Only the operations asked for become events. Catches: an option that is read by nothing."""
    process = RecordingProcess()
    events = [event(number, operation=operation) for number, operation in enumerate(Operation)]
    orchestrator.add_input("in", ScriptedInput([events]), operations=["insert", Operation.DELETE])
    orchestrator.add_process("work", process)
    orchestrator.add_link("in", "work")
    await run(orchestrator)
    assert ["create", "delete"] == sorted(str(each.event.operation) for each in process.runs)


def test_b20_a_links_operations_filter() -> None:
    """The same on a link."""
    pipeline = Pipeline(["in"], {"work": ProcessOptions()}, [Link("in", "work", operations=["create"])])
    planned = [operation for operation in Operation if pipeline.plan(event(operation=operation)).steps]
    assert [Operation.CREATE] == planned


def test_b21_names_that_look_alike_are_two() -> None:
    """`a-b` and `a_b` are two inputs, each under its own name. Catches: a name that is rewritten."""
    links = [Link("a-b", "x"), Link("a_b", "y")]
    pipeline = Pipeline(["a-b", "a_b"], {"x": ProcessOptions(), "y": ProcessOptions()}, links)
    plans = [pipeline.plan(event(trigger=trigger)) for trigger in ("a-b", "a_b")]
    assert [["x"], ["y"]] == [[step.process for step in plan.steps] for plan in plans]


@pytest.mark.anyio
async def test_b22_concurrency_has_a_limit() -> None:
    """No more attempts run at a time than allowed, however many events wait. Catches: a task for each event."""
    gate = Gate()
    process = ScriptedProcess([gate])
    async with Orchestrator(journal=MemoryJournal(), concurrency=3) as orchestrator:
        orchestrator.add_input("in", ScriptedInput([[event(number) for number in range(50)]]))
        orchestrator.add_process("work", process)
        orchestrator.add_link("in", "work")
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run, orchestrator)
                await process.until(lambda: process.running == 3)
                await anyio.wait_all_tasks_blocked()
                gate.open()
    assert (3, 50) == (process.most, len(process.runs))


@pytest.mark.anyio
async def test_b22_order_can_be_asked_for(orchestrator: Orchestrator) -> None:
    """With `ordered_by = "key"` one key's events run one after the other, in order. Catches: a race for the start."""
    process = RecordingProcess()
    orchestrator.add_input("in", ScriptedInput([[event(number, key="k") for number in range(50)]]))
    orchestrator.add_process("work", process, ordered_by="key")
    orchestrator.add_link("in", "work")
    await run(orchestrator)
    assert ([str(number) for number in range(50)], 1) == ([each.event.id for each in process.runs], process.most)


@pytest.mark.anyio
async def test_b23_errors_need_no_reader(orchestrator: Orchestrator) -> None:
    """A thousand failures that nobody listens for hold up nothing. Catches: an error channel without a buffer."""
    orchestrator.add_input("in", ScriptedInput([[event(number) for number in range(1_000)]]))
    orchestrator.add_process("work", ScriptedProcess([ValueError("no")]), retry=ONCE)
    orchestrator.add_link("in", "work")
    await run(orchestrator)
    assert {DeliveryState.DEAD: 1_000} == dict((await orchestrator.journal.counts()).deliveries["work"])


@pytest.mark.anyio
@pytest.mark.parametrize("error", [ValueError("bad"), MemoryError(), RecursionError(), AssertionError()], ids=repr)
async def test_b24_a_crash_in_a_process_is_its_own(orchestrator: Orchestrator, error: Exception) -> None:
    """It is one failed attempt, which is tried again, and others go on. Catches: a panic that ends the program."""
    crashing, other = ScriptedProcess([error, None]), RecordingProcess()
    orchestrator.add_input("in", ScriptedInput([event()]))
    orchestrator.add_process("crashing", crashing, retry=AT_ONCE)
    orchestrator.add_process("other", other)
    orchestrator.add_link("in", "crashing")
    orchestrator.add_link("in", "other")
    await run(orchestrator)
    assert ([1, 2], 1) == ([each.attempt for each in crashing.runs], len(other.runs))


@pytest.mark.anyio
async def test_b25_a_name_that_is_taken_stays_with_its_first_holder(orchestrator: Orchestrator) -> None:
    """A second component of that name is refused, and the first one runs. Catches: overwritten before refused."""
    first, second = RecordingProcess(), RecordingProcess()
    orchestrator.add_input("in", ScriptedInput([event()]))
    orchestrator.add_process("work", first)
    with pytest.raises(DuplicateNameError, match='the name "work" is taken already'):
        orchestrator.add_process("work", second)
    with pytest.raises(DuplicateNameError, match='the name "work" is taken already'):
        orchestrator.add_input("work", ScriptedInput([]))
    orchestrator.add_link("in", "work")
    await run(orchestrator)
    assert (1, 0) == (len(first.runs), len(second.runs))


def test_b25_inputs_and_processes_share_one_name_space() -> None:
    """One name is one node, and the error says so."""
    with pytest.raises(DuplicateNameError, match="give each input and process its own"):
        Pipeline(inputs=["work"], processes={"work": ProcessOptions()})


@pytest.mark.anyio
async def test_b26_a_chain_of_processes_runs_to_its_end(orchestrator: Orchestrator) -> None:
    """Process follows process, and each gets the output of the one before. Catches: a graph of depth one."""
    processes = {name: RecordingProcess(output=name.upper()) for name in "abcd"}
    orchestrator.add_input("in", ScriptedInput([event()]))
    for source, (name, process) in zip(["in", *processes], processes.items(), strict=False):
        orchestrator.add_process(name, process)
        orchestrator.add_link(source, name)
    await run(orchestrator)
    outputs = [dict(process.runs[0].outputs) for process in processes.values()]
    assert [{}, {"a": "A"}, {"b": "B"}, {"c": "C"}] == outputs


@pytest.mark.parametrize("operation", Operation, ids=str)
def test_b27_every_operation_round_trips(operation: Operation) -> None:
    """What one pipeline sends another can read, `unknown` included. Catches: a name that is written but not read."""
    sent = event(operation=operation)
    assert operation is Event.from_json(sent.to_json()).operation


def test_b27_an_event_without_a_known_operation_chains() -> None:
    """The four fields with `unknown` round-trip exactly."""
    text = '{"location":"t","operation":"unknown","id":"1","trigger":"in"}'
    assert text == Event.from_json(text).to_json()
    assert "unknown" == json.loads(text)["operation"]


class _FullOnce(MemoryJournal):
    """A journal whose disk is full at the first append."""

    failures = 1

    async def append(
        self,
        entries: Sequence[tuple[Event, Plan]],
        *,
        now: float,
        checkpoint: tuple[str, JSON] | None = None,
        worker: str | None = None,
        slots: Slots | None = None,
    ) -> Appended:
        if self.failures:
            self.failures -= 1
            raise JournalUnavailableError("the disk is full")
        return await super().append(entries, now=now, checkpoint=checkpoint, worker=worker, slots=slots)


@pytest.mark.anyio
async def test_b9_an_event_that_was_not_kept_comes_again() -> None:
    """What the journal did not take is not acknowledged. Catches: an input told nothing of a full disk."""
    clock, process, source = SimulatedClock(), RecordingProcess(), ScriptedInput([event()])
    async with Orchestrator(journal=_FullOnce(), clock=clock) as orchestrator:
        orchestrator.add_input("in", source)
        orchestrator.add_process("work", process)
        orchestrator.add_link("in", "work")
        await run_for_a_minute(orchestrator, clock)
    assert (2, 1) == (source.starts, len(process.runs))
