"""A configuration that takes the place of another while the pipeline runs: all of it, or nothing with a reason."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import anyio
import attrs
import pytest
from anyio import wait_all_tasks_blocked
from anyio.abc import TaskGroup

from orchestrator_core import (
    AttemptContext,
    ConfigurationError,
    DeliverySettled,
    DeliveryState,
    Event,
    EventTooLargeError,
    InputContext,
    InputType,
    Orchestrator,
    ProcessType,
)
from orchestrator_core._config import Configuration
from orchestrator_core._config.components import InputConfig, ProcessConfig
from orchestrator_core._config.tables import JournalConfig, PipelineConfig
from orchestrator_core._pipeline import Link
from orchestrator_core._plugins import Plugins
from orchestrator_core.testing import Gate, SimulatedClock
from tests.unit.engine.pipelines import PATIENCE, Notices, event, running, states

pytestmark = pytest.mark.anyio


class Diary:
    """What the components of a test have done, and who of them can't be opened, or takes time to open or to let go."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.broken: set[str] = set()
        self.slow: dict[str, Gate] = {}
        self.clinging: dict[str, Gate] = {}
        self.gate = Gate()
        self.running = 0

    def plugins(self, observers: Sequence[Any] = ()) -> Plugins:
        """Return an input and a process that write into the diary."""
        return Plugins(
            inputs={"listen": InputType("listen", _component(Listen, self))},
            processes={"work": ProcessType("work", _component(Work, self))},
            observers=observers,
        )

    async def enter(self, label: str) -> None:
        """Open a component."""
        if label in self.slow:
            await self.slow[label]()
        if label in self.broken:
            raise OSError("no route to host")
        self.lines.append(f"{label} opens")


def _component(kind: type[Any], diary: Diary) -> Any:
    return type(kind.__name__, (kind,), {"diary": diary})


@attrs.frozen
class Labelled:
    """A component that is entered and left."""

    diary = Diary()
    label: str

    async def __aenter__(self) -> Self:
        await self.diary.enter(self.label)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.diary.lines.append(f"{self.label} closes")


@attrs.frozen
class Listen(Labelled):
    """An input that listens until it is stopped."""

    async def run(self, context: InputContext) -> None:
        context.ready()
        self.diary.lines.append(f"{self.label} listens")
        try:
            await anyio.sleep_forever()
        finally:
            if self.label in self.diary.clinging:
                with anyio.CancelScope(shield=True):
                    await self.diary.clinging[self.label]()


@attrs.frozen
class Work(Labelled):
    """A process that waits for the diary's gate."""

    async def run(self, event: Event, context: AttemptContext) -> None:
        self.diary.lines.append(f"{self.label} runs {event.id}")
        self.diary.running += 1
        await self.diary.gate()
        self.diary.running -= 1


def configuration(
    diary: Diary,
    inputs: Mapping[str, str],
    processes: Mapping[str, str],
    *,
    observers: Sequence[Any] = (),
    url: str = "memory:",
    keep_done: timedelta = timedelta(days=7),
    **pipeline: Any,
) -> Configuration:
    """Make a configuration of inputs and processes, each by name and label; every input leads to every process."""
    return Configuration(
        path=Path("pipeline.toml"),
        pipeline=PipelineConfig(**pipeline),
        journal=JournalConfig(url=url, keep_done=keep_done),
        inputs={name: InputConfig(name, "listen", options={"label": label}) for name, label in inputs.items()},
        processes={name: ProcessConfig(name, "work", {"label": label}) for name, label in processes.items()},
        links=tuple(Link(source, target) for source in inputs for target in processes),
        plugins=diary.plugins(observers),
    )


@asynccontextmanager
async def at_work(configuration: Configuration, **settings: Any) -> AsyncIterator[Orchestrator]:
    """Run a configuration while the block runs."""
    async with Orchestrator.from_configuration(configuration, **settings) as orchestrator, running(orchestrator):
        yield orchestrator


async def _emit(orchestrator: Orchestrator, ids: Iterable[str]) -> None:
    for each in ids:
        await orchestrator.emit(event(each, trigger="in"))
    await wait_all_tasks_blocked()


async def test_what_is_new_is_opened_before_the_old_is_left() -> None:
    """Also a component that takes the place of another. Catches: a gap in which nobody listens or works."""
    diary = Diary()
    async with at_work(configuration(diary, {"in": "a"}, {"work": "p"})) as orchestrator:
        diary.lines.clear()
        await orchestrator.apply(configuration(diary, {"in": "b"}, {"work": "q"}))
        await wait_all_tasks_blocked()
        assert {"b opens", "q opens"} == set(diary.lines[:2])
        assert {"a closes", "p closes", "b listens"} == set(diary.lines[2:])
        diary.gate.open()
        await _emit(orchestrator, "1")
    assert "q runs 1" in diary.lines


@pytest.mark.parametrize("broken", ["b", "q"], ids=["input", "process"])
async def test_what_can_not_be_opened_leaves_the_old_pipeline(broken: str) -> None:
    """Its error names it, what was opened beside it is left again, and the old pipeline works on.

    Catches: a reload that takes the old component away for one that can't be opened.
    """
    diary, notices = Diary(), Notices()
    async with at_work(configuration(diary, {"in": "a"}, {"work": "p"}), observers=[notices]) as orchestrator:
        before, told = orchestrator.pipeline, len(notices.told)
        diary.broken.add(broken)
        with pytest.raises(ConfigurationError, match=r'"(in|work)" can\'t be opened: OSError: no route to host'):
            await orchestrator.apply(configuration(diary, {"in": "b", "more": "c"}, {"work": "q"}, concurrency=2))
        await wait_all_tasks_blocked()
        assert (before, told) == (orchestrator.pipeline, len(notices.told))
        assert not {"a closes", "p closes", "b listens", "c listens"} & set(diary.lines)
        opened = {line[0] for line in diary.lines if line.endswith("opens")}
        assert opened - {"a", "p"} == {line[0] for line in diary.lines if line.endswith("closes")}
        diary.gate.open()
        await _emit(orchestrator, "1")
        assert "p runs 1" in diary.lines
        diary.broken.clear()
        await orchestrator.apply(configuration(diary, {"in": "b"}, {"work": "q"}))
        await _emit(orchestrator, "2")
        assert "q runs 2" in diary.lines


async def test_another_journal_is_refused_by_its_key() -> None:
    """Catches: a refusal that does not say which key."""
    diary = Diary()
    async with at_work(configuration(diary, {"in": "a"}, {"work": "p"})) as orchestrator:
        with pytest.raises(ConfigurationError, match=r"journal\.url can't be changed"):
            await orchestrator.apply(configuration(diary, {"in": "b"}, {"work": "p"}, url="sqlite:other.db"))
        assert ["a listens", "a opens", "p opens"] == sorted(diary.lines)


@pytest.mark.parametrize(("before", "after"), [(2, 5), (5, 2)], ids=["more", "fewer"])
async def test_the_concurrency_changes(before: int, after: int) -> None:
    """So many attempts run at once then. Catches: a key that a reload leaves out in silence."""
    diary = Diary()
    async with at_work(configuration(diary, {"in": "a"}, {"work": "p"}, concurrency=before)) as orchestrator:
        await _emit(orchestrator, map(str, range(20)))
        assert before == diary.running
        await orchestrator.apply(configuration(diary, {"in": "a"}, {"work": "p"}, concurrency=after))
        await wait_all_tasks_blocked()
        assert max(before, after) == diary.running  # what runs already is not cut off
        diary.gate.open()
        await wait_all_tasks_blocked()
        diary.gate = Gate()
        await _emit(orchestrator, map(str, range(20, 40)))
        assert after == diary.running
        diary.gate.open()
        await wait_all_tasks_blocked()
        assert {"work": [DeliveryState.DONE] * 40} == await states(orchestrator.journal)


async def test_the_size_limit_changes() -> None:
    """Catches: a key that a reload leaves out in silence."""
    diary = Diary()
    async with at_work(configuration(diary, {"in": "a"}, {"work": "p"})) as orchestrator:
        await orchestrator.apply(configuration(diary, {"in": "a"}, {"work": "p"}, max_event_bytes=300))
        with pytest.raises(EventTooLargeError):
            await orchestrator.emit(event("x" * 300, trigger="in"))


async def test_the_retention_changes() -> None:
    """Catches: a key that a reload leaves out in silence."""
    diary, clock = Diary(), SimulatedClock()
    diary.gate.open()
    orchestrator = Orchestrator.from_configuration(configuration(diary, {"in": "a"}, {"work": "p"}))
    orchestrator._clock = clock  # from_configuration takes the system's
    async with orchestrator, running(orchestrator):
        await _emit(orchestrator, "1")
        keep = timedelta(minutes=2)
        await orchestrator.apply(configuration(diary, {"in": "a"}, {"work": "p"}, keep_done=keep))
        await clock.advance(90)
        kept = (await orchestrator.journal.counts()).events
        await clock.advance(120)
        assert (1, 0) == (kept, (await orchestrator.journal.counts()).events)


@pytest.mark.parametrize("own", [None, timedelta(hours=1)], ids=["file", "given"])
async def test_the_grace_changes_unless_it_was_given(own: timedelta | None) -> None:
    """The file's grace counts at the start and after a reload; one given in code wins. Catches: one that is ignored."""
    diary, clock = Diary(), SimulatedClock()
    old = configuration(diary, {"in": "a"}, {"work": "p"}, grace=timedelta(hours=1))
    orchestrator = Orchestrator.from_configuration(old, grace=own)
    orchestrator._clock = clock
    async with orchestrator, running(orchestrator):
        await _emit(orchestrator, "1")
        await orchestrator.apply(configuration(diary, {"in": "a"}, {"work": "p"}, grace=timedelta(seconds=5)))
        orchestrator.stop()
        await clock.advance(10)
        state = (await states(orchestrator.journal))["work"]
        assert [DeliveryState.READY if own is None else DeliveryState.RUNNING] == state


async def test_the_observers_of_the_plugins_change() -> None:
    """Those of a plugin that is new are told, too, and the caller's own still are. Catches: a deaf new plugin."""
    diary, own, new = Diary(), Notices(), Notices()
    diary.gate.open()
    async with at_work(configuration(diary, {"in": "a"}, {"work": "p"}), observers=[own]) as orchestrator:
        await orchestrator.apply(configuration(diary, {"in": "a"}, {"work": "p"}, observers=[new]))
        await _emit(orchestrator, "1")
    assert 1 == len(own.of(DeliverySettled)) == len(new.of(DeliverySettled))


async def test_a_stop_does_not_wait_for_what_is_being_opened() -> None:
    """A component that takes for ever to open holds up no end; the reload says so. Catches: a stop that hangs."""
    diary = Diary()
    diary.slow["q"] = diary.slow["b"] = Gate()
    refused: list[str] = []

    async def reload() -> None:
        try:
            await orchestrator.apply(configuration(diary, {"in": "a"}, {"work": "q"}))
        except ConfigurationError as error:
            refused.append(str(error))

    with anyio.fail_after(PATIENCE):
        orchestrator = Orchestrator.from_configuration(configuration(diary, {"in": "a"}, {"work": "p"}))
        async with orchestrator, anyio.create_task_group() as tasks:
            tasks.start_soon(orchestrator.run)
            await wait_all_tasks_blocked()
            tasks.start_soon(reload)
            await wait_all_tasks_blocked()
            orchestrator.stop()
    assert ["the pipeline is stopping: it takes no other configuration any more"] == refused
    assert "p closes" == diary.lines[-1]


async def test_a_reload_that_is_cancelled_leaves_what_it_had_opened() -> None:
    """The old pipeline works on. Catches: components that stay open with nobody to use them."""
    diary = Diary()
    diary.slow["q"] = Gate()
    async with at_work(configuration(diary, {"in": "a"}, {"work": "p"})) as orchestrator:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(orchestrator.apply, configuration(diary, {"in": "b"}, {"work": "q"}))
            await wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        diary.slow["q"].open()
        await wait_all_tasks_blocked()
        assert {"b opens", "b closes", "q opens", "q closes"} == {line for line in diary.lines if line[0] in "bq"}
        await _emit(orchestrator, "1")
    assert "p runs 1" in diary.lines


async def test_a_reload_before_the_run_counts() -> None:
    """Catches: a configuration that is applied to a run only."""
    diary = Diary()
    diary.gate.open()
    old = configuration(diary, {"in": "a"}, {"work": "p"})
    async with Orchestrator.from_configuration(old) as orchestrator:
        await orchestrator.apply(configuration(diary, {"in": "b"}, {"other": "q"}))
        async with running(orchestrator):
            await _emit(orchestrator, "1")
    assert {"b listens", "q runs 1"} <= set(diary.lines)
    assert not [line for line in diary.lines if line[0] in "ap"]


async def _reload_while_a_clings(tasks: TaskGroup, diary: Diary, orchestrator: Orchestrator) -> list[str]:
    """Begin a reload that waits for its old input to let go; return where its refusal will stand."""
    diary.clinging["a"] = Gate()
    refused: list[str] = []

    async def reload() -> None:
        try:
            await orchestrator.apply(configuration(diary, {"in": "b"}, {"work": "q"}))
        except ConfigurationError as error:
            refused.append(str(error))

    await wait_all_tasks_blocked()
    tasks.start_soon(reload)
    for _ in range(3):
        await wait_all_tasks_blocked()
    return refused


@pytest.mark.parametrize("end", ["stop", "cancel"])
async def test_a_run_that_ends_in_a_reload_refuses_it(end: str) -> None:
    """The old input lets go only when the run is over already. Catches: a reload that trips over what is gone."""
    diary, scope = Diary(), anyio.CancelScope()

    async def run() -> None:
        with scope:
            await orchestrator.run()

    with anyio.fail_after(PATIENCE):
        orchestrator = Orchestrator.from_configuration(configuration(diary, {"in": "a"}, {"work": "p"}))
        async with orchestrator, anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            refused = await _reload_while_a_clings(tasks, diary, orchestrator)
            (orchestrator.stop if end == "stop" else scope.cancel)()
            for _ in range(3):
                await wait_all_tasks_blocked()
            diary.clinging["a"].open()
    assert ["the pipeline is stopping: it takes no other configuration any more"] == refused


async def test_a_run_until_idle_waits_for_a_reload() -> None:
    """What has been opened is yet to be heard. Catches: a run that is idle since its old inputs are gone."""
    diary = Diary()
    with anyio.fail_after(PATIENCE):
        orchestrator = Orchestrator.from_configuration(configuration(diary, {"in": "a"}, {"work": "p"}))
        clock = orchestrator._clock = SimulatedClock()
        async with orchestrator, anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: orchestrator.run(until_idle=True))
            refused = await _reload_while_a_clings(tasks, diary, orchestrator)
            await clock.advance(2)
            diary.clinging["a"].open()
            await clock.advance(2)
            tasks.cancel_scope.cancel()
    assert ([], True) == (refused, "b listens" in diary.lines)


async def test_a_reload_that_is_cancelled_too_late_is_made() -> None:
    """Once an old input has been stopped the new one comes. Catches: a pipeline without either, and no other reload."""
    diary = Diary()
    async with at_work(configuration(diary, {"in": "a"}, {"work": "p"})) as orchestrator:
        async with anyio.create_task_group() as tasks:
            await _reload_while_a_clings(tasks, diary, orchestrator)
            tasks.cancel_scope.cancel()
            diary.clinging["a"].open()
        await orchestrator.apply(configuration(diary, {"in": "c"}, {"work": "q"}))
        await wait_all_tasks_blocked()
    assert ["b listens", "c listens"] == [line for line in diary.lines if line in {"b listens", "c listens"}]
