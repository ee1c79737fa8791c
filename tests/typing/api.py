"""The public API as a type checker sees it: checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Self, assert_type

import attrs

from orchestrator_core import (
    FINISHED,
    JSON,
    PLUGIN_API,
    Appended,
    Attempt,
    AttemptContext,
    Claim,
    Claimed,
    Clock,
    Counts,
    Delivery,
    DeliveryQuery,
    DeliverySettled,
    DeliveryState,
    Event,
    EventRecord,
    Input,
    InputContext,
    InputType,
    Journal,
    JournalType,
    Link,
    MemoryJournal,
    Notice,
    Operation,
    Orchestrator,
    Pipeline,
    Plan,
    Process,
    ProcessExitStatus,
    ProcessOptions,
    ProcessStatus,
    ProcessType,
    Reconciliation,
    Reject,
    RetryLater,
    RetryPolicy,
    Secret,
    Settled,
    SqliteJournal,
    Step,
    Summary,
    SystemClock,
    Upstream,
    Where,
    dump_json,
    hookimpl,
    load_json,
    new_uid,
    resolve,
)
from orchestrator_core.testing import (
    FakeAttemptContext,
    FakeInputContext,
    Gate,
    InputContract,
    JournalContract,
    JournalMachine,
    ProcessContract,
    RecordingProcess,
    Run,
    ScriptedInput,
    ScriptedProcess,
    SimulatedClock,
)

# A plugin's author


@attrs.frozen
class Echo:
    """The smallest process."""

    prefix: str = "saw"
    token: Secret | None = None

    async def run(self, event: Event, context: AttemptContext) -> None:
        context.log(f"{self.prefix} {event.location}")


@attrs.frozen
class Careful:
    """A process with all that a process may have."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None: ...

    async def check(self) -> None: ...

    async def run(self, event: Event, context: AttemptContext) -> ProcessStatus | None:
        assert_type(context.delivery_id, str)
        assert_type(context.attempt, int)
        assert_type(context.deadline, float)
        assert_type(context.process, str)
        assert_type(context.outputs, Mapping[str, JSON])
        context.emit(event.derive(location="clean", data={"rows": 3}))
        if event.operation is Operation.DELETE:
            raise Reject("nothing to do with deleted rows")
        if event.hops:
            raise RetryLater(timedelta(minutes=1))
        return ProcessStatus("careful", ["line"], ProcessExitStatus.SUCCESS, {"rows": 3})

    async def reconcile(self, event: Event, context: AttemptContext) -> Reconciliation | ProcessStatus:
        return Reconciliation.UNKNOWN if context.attempt else ProcessStatus()


@attrs.frozen
class Spool:
    """An input."""

    folder: Path

    async def run(self, context: InputContext) -> None:
        assert_type(context.name, str)
        assert_type(await context.load_checkpoint(), JSON)
        context.ready()
        event = Event(location="t", operation="create", id="1", data={"rain": 3})
        assert_type(await context.emit(event), Event)
        assert_type(await context.emit_many([event], checkpoint={"offset": 7}), Sequence[Event])
        context.caught_up()
        context.healthy("no such folder")
        context.healthy()
        context.measure("files", 3, folder="in")
        await context.sleep(1.5)


@hookimpl
def orchestrator_register_inputs() -> list[InputType]:
    return [InputType("spool", Spool, summary="Files", replayable=True, durable_ack=True, ordered=True, api=PLUGIN_API)]


@hookimpl
def orchestrator_register_processes() -> list[ProcessType]:
    return [ProcessType("echo", Echo, idempotent=True), ProcessType("careful", Careful, reconciles=True)]


@hookimpl
def orchestrator_register_journals() -> list[JournalType]:
    return [JournalType("memory", lambda url: MemoryJournal(), summary="Gone with its process")]


@hookimpl
def orchestrator_observe(notice: Notice) -> None:
    if isinstance(notice, DeliverySettled):
        assert_type(notice.state, DeliveryState)
        assert_type(notice.retry_in, float | None)


a_process: Process = Echo()
another_process: Process = Careful()
an_input: Input = Spool(Path("in"))
a_clock: Clock = SystemClock()
a_simulated_clock: Clock = SimulatedClock(start=0)
memory: Journal = MemoryJournal()
sqlite: Journal = SqliteJournal("state.db")


# An embedder


async def embed() -> None:
    async with Orchestrator(
        journal=SqliteJournal(Path("state.db")),
        concurrency=8,
        clock=SimulatedClock(),
        rng=Random(7),
        observers=[orchestrator_observe],
        grace=timedelta(seconds=30),
        keep_done=timedelta(days=7),
        max_event_bytes=1024,
    ) as orchestrator:
        assert_type(orchestrator, Orchestrator)
        orchestrator.add_input("spool", Spool(Path("in")), operations=["create", Operation.UPDATE])
        orchestrator.add_process(
            "echo",
            Echo(),
            timeout=timedelta(minutes=5),
            retry=RetryPolicy(attempts=3, max_age=timedelta(hours=1)),
            concurrency=2,
            rate=10.0,
            ordered_by="key",
            on_dead="hold",
            join="any",
        )
        orchestrator.add_link("spool", "echo")
        orchestrator.add_link(
            "spool", "echo", on="settled", operations={Operation.CREATE}, locations=["public.*"], where={"not": {}}
        )
        event = Event(location="t", operation=Operation.CREATE, id="1", trigger="spool", time=datetime.now(UTC))
        assert_type(await orchestrator.emit(event), Event)
        summary = await orchestrator.run(until_idle=True)
        assert_type(summary, Summary)
        assert_type((summary.accepted, summary.unrouted, summary.done, summary.dead), tuple[int, int, int, int])
        orchestrator.stop()
        orchestrator.remove_link("spool", "echo")
        orchestrator.remove_process("echo")
        await orchestrator.remove_input("spool")
    assert_type(Orchestrator.from_toml("pipeline.toml", overrides=["pipeline.concurrency=2"]), Orchestrator)


# Values


def values(event: Event, plan: Plan) -> None:
    assert_type(event.operation, Operation)
    assert_type(event.data, JSON)
    assert_type(event.key, str | None)
    assert_type(event.time, datetime)
    assert_type(event.accepted_as("spool"), Event)
    assert_type(event.to_json(), str)
    assert_type(event.to_dict(), dict[str, JSON])
    assert_type(Event.from_json(b"{}"), Event)
    assert_type(Event.from_dict({"location": "t"}), Event)
    assert_type(dump_json({"a": [1, None]}), str)
    load_json("{}")
    assert_type(new_uid(), str)
    assert_type(Operation("insert"), Operation)
    assert_type(Secret("hunter2").reveal(), str)
    assert_type(RetryPolicy().delay(1, age=2.0, rng=Random()), float | None)
    assert_type(Where.parse({"field": "data.x", "exact": 1}).matches({"data": None}), bool)
    pipeline = Pipeline(["in"], {"a": ProcessOptions(join="any")}, [Link("in", "a", operations=["create"])])
    assert_type(pipeline.plan(event), Plan)
    assert_type(plan.steps, tuple[Step, ...])
    assert_type(resolve(plan, [Upstream(DeliveryState.DONE)], lambda: event), dict[int, DeliveryState])
    assert_type(FINISHED, frozenset[DeliveryState])


# A journal's user


async def journal(store: Journal, events: Sequence[tuple[Event, Plan]]) -> None:
    await store.register("worker", now=0.0, lease=30.0)
    assert_type(store.renew("worker", now=0.0, lease=30.0), bool)
    assert_type(await store.append(events, now=0.0, checkpoint=("in", 7), worker="worker", slots={"a": 8}), Appended)
    claimed = await store.claim("worker", {"a": 8}, now=0.0)
    assert_type(claimed, Claimed)
    assert_type(claimed.claims, Sequence[Claim])
    assert_type(await store.settle("worker", [], now=0.0, slots={"a": 8}), Settled)
    assert_type(await store.reap(now=0.0), int)
    assert_type(await store.park(frozenset({"a"})), int)
    query = DeliveryQuery(states=frozenset({DeliveryState.DEAD}), process="a", limit=10, newest_first=True)
    assert_type(await store.redrive(query, now=0.0), int)
    assert_type(await store.cancel(query, reason="wrong day", now=0.0), int)
    assert_type(await store.prune(before=0.0), int)
    assert_type(await store.counts(), Counts)
    assert_type(await store.events(trigger="in", limit=10), Sequence[EventRecord])
    assert_type(await store.deliveries(query), Sequence[Delivery])
    assert_type(await store.attempts("delivery"), Sequence[Attempt])
    assert_type(await store.load_checkpoint("in"), JSON)


# A tester


class TestEcho(ProcessContract):
    """A process under its suite."""

    timeout = 5.0


class TestSpool(InputContract):
    """An input under its suite."""

    replayable = True


class TestJournal(JournalContract):
    """A journal under its suite."""


async def fakes() -> None:
    context: InputContext = (fake := FakeInputContext("spool", clock=SimulatedClock()))
    await ScriptedInput([Event(location="t", operation="create", id="1"), ValueError("lost")], endless=True).run(
        context
    )
    assert_type(await anext(fake.accepted), Event)
    assert_type(fake.events, list[Event])
    assert_type(fake.checkpoints, list[JSON])
    attempt: AttemptContext = FakeAttemptContext(attempt=2)
    gate = Gate()
    process = ScriptedProcess([gate, ProcessStatus(output=7), None, OSError("no route")])
    assert_type(await process.run(fake.events[0], attempt), ProcessStatus | None)
    assert_type(process.runs, list[Run])
    await process.until(lambda: process.running == 1)
    recording: Process = RecordingProcess({"rows": 3})
    await recording.run(fake.events[0], attempt)


def check() -> None:
    JournalMachine.check(MemoryJournal, backend="trio")


wait: Callable[[float], Awaitable[None]] = SimulatedClock().advance
