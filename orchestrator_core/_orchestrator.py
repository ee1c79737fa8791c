"""`Orchestrator`: the parts wired together."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import compress
from pathlib import Path
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Any, Literal, Self

import anyio
import attrs

from orchestrator_core._announcer import Announcer, Observer
from orchestrator_core._clock import Clock, SystemClock
from orchestrator_core._contracts import Appended, Input, Journal, Process, lacks_run
from orchestrator_core._errors import (
    ConfigurationError,
    DuplicateNameError,
    EventTooLargeError,
    HopLimitError,
    JournalBrokenError,
    PipelineError,
    ProcessInterfaceConversionError,
    UnknownInputError,
)
from orchestrator_core._event import HOP_LIMIT, Event, Operation
from orchestrator_core._gathering import Gathering
from orchestrator_core._journal import MemoryJournal
from orchestrator_core._json import JSON
from orchestrator_core._pipeline import Link, Pipeline, ProcessOptions
from orchestrator_core._plan import Join, On, OnDead, Plan
from orchestrator_core._reload import Difference, difference
from orchestrator_core._retry import RetryPolicy
from orchestrator_core._run import Run
from orchestrator_core._summary import Summary, Tally

if TYPE_CHECKING:
    from orchestrator_core._config import Configuration
    from orchestrator_core._filters import Where

MAX_EVENT_BYTES = 1024 * 1024


class Orchestrator:
    """Runs a pipeline: brings the events of its inputs to its processes and keeps the ledger of it.

    It sets up no logging, handles no signals, keeps nothing global and writes no file but the journal it is given.
    Works on asyncio and on trio.

    >>> import anyio
    >>> from orchestrator_core import Event, Orchestrator
    >>> class Greet:
    ...     async def run(self, event, context):
    ...         print("hello", event.id)
    >>> class Once:
    ...     async def run(self, context):
    ...         await context.emit(Event(location="door", operation="create", id="Ada"))
    >>> async def main():
    ...     async with Orchestrator() as orchestrator:
    ...         orchestrator.add_input("door", Once())
    ...         orchestrator.add_process("greet", Greet())
    ...         orchestrator.add_link("door", "greet")
    ...         summary = await orchestrator.run(until_idle=True)
    ...         print(summary.done, "done")
    >>> anyio.run(main)
    hello Ada
    1 done

    Args:
        journal: the ledger; opened and closed with the orchestrator. A `MemoryJournal` if not given.
        concurrency: how many attempts may run at once, over all processes.
        clock: the time.
        rng: source of the retry jitter and of worker ids.
        observers: called with each notice, on the event loop's thread.
        grace: how long running attempts may go on after `stop`.
        keep_done: how long finished events stay in the journal; dead letters stay for ever.
        max_event_bytes: the largest event that is accepted, in bytes of JSON.
    """

    def __init__(
        self,
        *,
        journal: Journal | None = None,
        concurrency: int = 8,
        clock: Clock | None = None,
        rng: Random | None = None,
        observers: Sequence[Observer] = (),
        grace: timedelta = timedelta(seconds=30),
        keep_done: timedelta = timedelta(days=7),
        max_event_bytes: int = MAX_EVENT_BYTES,
    ) -> None:
        if concurrency < 1:
            raise ConfigurationError(f"concurrency must be 1 or more, found {concurrency}")
        self._journal: Journal = MemoryJournal() if journal is None else journal
        self._concurrency = concurrency
        self._clock: Clock = SystemClock() if clock is None else clock
        self._rng = SystemRandom() if rng is None else rng
        self._own_observers = tuple(observers)
        self._announcer = Announcer(observers)
        self._grace = grace
        self._own_grace: timedelta | None = grace
        self._keep_done = keep_done
        self._max_event_bytes = max_event_bytes
        self._inputs: dict[str, tuple[Input, frozenset[Operation] | None]] = {}
        self._processes: dict[str, tuple[Process, ProcessOptions]] = {}
        self._pipeline = Pipeline()
        self._tally = Tally()
        self._run: Run | None = None
        self._configuration: Configuration | None = None
        self._changing = anyio.Lock()
        self._gathering = Gathering(self._append, self._spawn)

    @classmethod
    def from_toml(
        cls,
        path: str | Path,
        *,
        overrides: Sequence[str] = (),
        observers: Sequence[Observer] = (),
        grace: timedelta | None = None,
    ) -> Self:
        """Build a pipeline from its file.

        Args:
            path: the TOML file.
            overrides: ``path=value`` pairs that win over the file, such as ``pipeline.concurrency=2``.
            observers: as in the constructor; the plugins' observers come after them.
            grace: as in the constructor; what the file says if not given.

        Raises:
            ConfigurationError: with every problem that was found.
            PluginError: a plugin that the file names is missing or broken.
        """
        from orchestrator_core._config import load  # noqa: PLC0415 (brings libraries that code need not have)

        return cls.from_configuration(load(path, overrides=overrides), observers=observers, grace=grace)

    @classmethod
    def from_configuration(
        cls,
        configuration: Configuration,
        *,
        observers: Sequence[Observer] = (),
        grace: timedelta | None = None,
    ) -> Self:
        """Build a pipeline from a configuration that was loaded and checked already."""
        orchestrator = cls(journal=configuration.open_journal(), observers=observers)
        orchestrator._own_grace = grace
        orchestrator._configure(configuration)
        for name, config in configuration.inputs.items():
            orchestrator.add_input(name, config.build(configuration.plugins), operations=config.operations)
        for name, process in configuration.processes.items():
            orchestrator._add_process(name, process.build(configuration.plugins), process.options)
        orchestrator._set_links(configuration.links)
        return orchestrator

    async def __aenter__(self) -> Self:
        await self._journal.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> bool | None:
        return await self._journal.__aexit__(*exc_info)

    @property
    def journal(self) -> Journal:
        """The ledger, for reading what became of events."""
        return self._journal

    @property
    def pipeline(self) -> Pipeline:
        """The graph as it is now."""
        return self._pipeline

    @property
    def inputs(self) -> Mapping[str, Input]:
        """The sources of events as they are now, by name: for plugins that are more than what the engine calls."""
        return {name: component for name, (component, _) in self._inputs.items()}

    # Building

    def add_input(self, name: str, component: Input, *, operations: Iterable[Operation | str] | None = None) -> None:
        """Add a source of events; while the pipeline runs, it starts at once.

        Raises:
            DuplicateNameError: an input or a process has that name; it stays as it is.
            PipelineError: the name is not a name, or the component is no input.
        """
        if lacks_run(component):
            kind = type(component).__name__
            raise PipelineError([f'input "{name}" is a {kind}, which has no "async def run(context)"'])
        self._refuse_duplicate(name)
        wanted = None if operations is None else frozenset(Operation(each) for each in operations)
        self._pipeline = attrs.evolve(self._pipeline, inputs=self._pipeline.inputs | {name})
        self._inputs[name] = component, wanted
        if self._run is not None and self._run.is_started:
            self._run.supervisor.add(name, component, wanted)

    def add_process(
        self,
        name: str,
        component: Process,
        *,
        timeout: timedelta = timedelta(hours=1),
        retry: RetryPolicy | None = None,
        concurrency: int | None = None,
        rate: float | None = None,
        ordered_by: Literal["key"] | None = None,
        on_dead: OnDead = "skip",
        join: Join = "all",
    ) -> None:
        """Add a job; see `ProcessOptions` for how it can be treated.

        Raises:
            DuplicateNameError: an input or a process has that name; it stays as it is.
            ProcessInterfaceConversionError: the component has no ``run``.
            PipelineError: the name is not a name, or an option is out of range.
        """
        options = ProcessOptions(
            timeout=timeout,
            retry=RetryPolicy() if retry is None else retry,
            concurrency=concurrency,
            rate=rate,
            ordered_by=ordered_by,
            on_dead=on_dead,
            join=join,
        )
        self._add_process(name, component, options)

    def _add_process(self, name: str, component: Process, options: ProcessOptions) -> None:
        if lacks_run(component):
            raise ProcessInterfaceConversionError("", name, type(component).__name__)
        self._refuse_duplicate(name)
        self._pipeline = attrs.evolve(self._pipeline, processes={**self._pipeline.processes, name: options})
        self._processes[name] = component, options
        if self._run is not None and self._run.is_started:
            self._run.add_process(name, component, options)

    def add_link(
        self,
        source: str,
        target: str,
        *,
        on: On = "success",
        operations: Iterable[Operation | str] | None = None,
        locations: Iterable[str] | None = None,
        where: Where | Mapping[str, Any] | Sequence[Any] | None = None,
    ) -> None:
        """Add an edge from an input or a process to a process; see `Link`.

        Raises:
            PipelineError: an end is unknown, or the edge closes a cycle; the pipeline stays as it is.
            FilterError: the filter is malformed.
        """
        link = Link(source, target, on=on, operations=operations, locations=locations, where=where)
        self._set_links((*self._pipeline.links, link))

    def _set_links(self, links: Iterable[Link]) -> None:
        self._pipeline = attrs.evolve(self._pipeline, links=tuple(links))

    def remove_link(self, source: str, target: str) -> None:
        """Remove the edges between two nodes; events accepted so far keep their plan."""
        self._set_links(link for link in self._pipeline.links if (link.source, link.target) != (source, target))

    def remove_process(self, name: str) -> None:
        """Remove a job and its edges: what has started finishes, and its other deliveries are parked."""
        processes = {each: options for each, options in self._pipeline.processes.items() if each != name}
        links = tuple(link for link in self._pipeline.links if name not in {link.source, link.target})
        self._pipeline = attrs.evolve(self._pipeline, processes=processes, links=links)
        del self._processes[name]
        if self._run is not None and self._run.is_started:
            self._run.remove_process(name)

    async def remove_input(self, name: str) -> None:
        """Remove a source and its edges, and wait until it has let go."""
        links = tuple(link for link in self._pipeline.links if link.source != name)
        self._pipeline = attrs.evolve(self._pipeline, inputs=self._pipeline.inputs - {name}, links=links)
        del self._inputs[name]
        if self._run is not None and self._run.is_started:
            await self._run.supervisor.remove(name)

    def _refuse_duplicate(self, name: str) -> None:
        if name in self._inputs or name in self._processes:
            raise DuplicateNameError(name)

    # Accepting

    async def emit(self, event: Event) -> Event:
        """Accept an event as if the input that it names as its trigger had emitted it; return it as accepted.

        Raises:
            UnknownInputError: its trigger is not an input of the pipeline.
            EventError: it can't be accepted as it is.
            JournalError: the journal did not commit it.
        """
        if event.trigger not in self._pipeline.inputs:
            raise UnknownInputError(event.trigger)
        return (await self.accept(event.trigger, [event], None))[0]

    async def accept(self, trigger: str, events: Sequence[Event], checkpoint: JSON) -> Sequence[Event]:
        """Accept the events of an input, and its checkpoint, in one step; see `InputContext.emit_many`."""
        entries = [self.route(trigger, event) for event in events]
        return await self._gathering.append(entries, None if checkpoint is None else (trigger, checkpoint))

    def _spawn(self, call: Callable[[Any], Coroutine[Any, Any, None]], value: Any) -> bool:  # noqa: ANN401 (the call's own)
        return self._run is not None and self._run.spawn(call, value)

    async def _append(self, entries: Sequence[tuple[Event, Plan]], checkpoint: tuple[str, JSON] | None) -> Appended:
        now = self._clock.time()
        if (run := self._run) is None:
            appended = await self._journal.append(entries, now=now, checkpoint=checkpoint)
        else:
            with run.dispatcher.reserve(plan for _, plan in entries) as reservation:
                try:
                    appended = await self._journal.append(
                        entries, now=now, checkpoint=checkpoint, worker=run.worker, slots=reservation.slots
                    )
                except JournalBrokenError as error:
                    run.break_off(error)
                    raise
                reservation.appended = appended
        fresh = entries if all(appended.fresh) else list(compress(entries, appended.fresh))
        self._tally.accept(fresh)
        self._announcer.accepted(fresh)
        return appended

    def route(self, trigger: str, event: Event) -> tuple[Event, Plan]:
        """Stamp an event as accepted from that trigger, and plan where it goes.

        Raises:
            EventError: it can't be accepted as it is.
        """
        if event.hops > HOP_LIMIT:
            raise HopLimitError(event.hops, HOP_LIMIT)
        event = event.accepted_as(trigger)
        text = event.to_json()
        if len(text) * 4 > self._max_event_bytes and (size := len(text.encode())) > self._max_event_bytes:
            raise EventTooLargeError(size, self._max_event_bytes)
        return event, self._pipeline.plan(event)

    async def load_checkpoint(self, name: str) -> JSON:
        """Return the newest checkpoint of an input."""
        return await self._journal.load_checkpoint(name)

    @property
    def version(self) -> int:
        """A number that grows whenever events were accepted or deliveries settled."""
        return self._tally.accepted + (self._run.dispatcher.version if self._run is not None else 0)

    # Running

    async def run(self, *, until_idle: bool = False) -> Summary:
        """Run the pipeline until it is stopped or cancelled, and return what it has done.

        Args:
            until_idle: end by itself when no delivery is unfinished and every input has ended, or has caught up since
                the last delivery was settled.

        Raises:
            PipelineError: a process has no link that leads to it.
            JournalError: the journal can't be used any more; nothing accepted is lost.
        """
        if orphans := [name for name in self._pipeline.orphans() if name in self._processes]:
            raise PipelineError([f'no link leads to the process "{name}": add one, or remove it' for name in orphans])
        if self._run is not None:
            raise ConfigurationError("this orchestrator is running already")
        self._tally = Tally()
        self._run = Run(
            self,
            self._journal,
            concurrency=self._concurrency,
            clock=self._clock,
            rng=self._rng,
            announcer=self._announcer,
            tally=self._tally,
            grace=self._grace.total_seconds(),
            keep_done=self._keep_done.total_seconds(),
            until_idle=until_idle,
        )
        try:
            await self._run.go(self._inputs, self._processes)
            return self._tally.summary(self._run.parked)
        except ExceptionGroup as group:
            raise _single(group) from group
        finally:
            self._run = None

    def stop(self) -> None:
        """Stop: take no more events, let running attempts finish for the grace, then return from `run`.

        Called once more, it cuts off what runs; those attempts count as interrupted and are run again next time.
        """
        if self._run is not None:
            self._run.stop()

    async def apply(self, configuration: Configuration) -> None:
        """Change to another configuration while running: what is in flight finishes under the plan it has.

        What is new is opened before anything is given up, a changed component beside the one that it replaces.

        Raises:
            ConfigurationError: it needs another journal, which takes a restart, or a component can't be opened; nothing
                was changed.
        """
        async with self._changing:
            change = difference(self._configuration, configuration, self._pipeline)
            run = self._run
            if run is None or not run.is_started:
                self._change(change, configuration)
                return
            async with run.opened(change.inputs, change.processes) as opened:
                with anyio.CancelScope(shield=True):  # once one has stopped there is no way back
                    for name in change.old_inputs:
                        await run.supervisor.remove(name)
                run.refuse_at_the_end()
                # From here on without an await, so that no event finds half of it.
                self._change(change, configuration)
                run.take_over(opened, change.old_processes)
                run.adjust(
                    concurrency=self._concurrency,
                    grace=self._grace.total_seconds(),
                    keep_done=self._keep_done.total_seconds(),
                )

    def _change(self, change: Difference, configuration: Configuration) -> None:
        for name in change.old_inputs:
            del self._inputs[name]
        for name in change.old_processes:
            del self._processes[name]
        self._inputs.update(change.inputs)
        self._processes.update(change.processes)
        self._pipeline = change.pipeline
        self._configure(configuration)

    def _configure(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._concurrency = configuration.pipeline.concurrency
        self._keep_done = configuration.journal.keep_done
        self._max_event_bytes = configuration.pipeline.max_event_bytes
        self._grace = configuration.pipeline.grace if self._own_grace is None else self._own_grace
        self._announcer.listen((*self._own_observers, *configuration.plugins.observers))


def _single(group: ExceptionGroup[Exception]) -> Exception:
    """Return the one exception in nested groups, or the group if there are several. A broken journal explains all."""
    found = list(_leaves(group))
    broken = next((error for error in found if isinstance(error, JournalBrokenError)), None)
    return broken or (found[0] if len(found) == 1 else group)


def _leaves(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
