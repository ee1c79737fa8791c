"""The immutable graph of inputs, processes and links: its validation, and `Pipeline.plan`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from graphlib import CycleError, TopologicalSorter
from typing import Any, Literal

import attrs

from orchestrator_core._errors import DuplicateNameError, FilterError, PipelineCycleError, PipelineError
from orchestrator_core._event import Event, Operation
from orchestrator_core._filters import Where, matches_location
from orchestrator_core._plan import Edge, Join, On, OnDead, Plan, Step
from orchestrator_core._retry import RetryPolicy

NAME = re.compile(r"[a-z0-9_-]{1,63}")
NODE_LIMIT = 1_000
"""The most inputs and processes of one pipeline, and so the most deliveries of one event."""
_ON = ("success", "dead", "settled", "event")


@attrs.frozen(kw_only=True)
class ProcessOptions:
    """How the engine treats one process; the same keys as in a ``[processes.NAME]`` table.

    Attributes:
        timeout: the longest that one attempt may take.
        retry: when a failure is tried again.
        concurrency: how many attempts may run at once; ``None`` for no limit but the pipeline's.
        rate: how many attempts may start per second; ``None`` for no limit.
        ordered_by: ``"key"`` makes deliveries of one key start in accept order and never overlap.
        on_dead: with ``ordered_by``, whether a dead letter holds back its key (``"hold"``) or not (``"skip"``).
        join: with several upstream processes, whether to wait for all of them or for the first.
    """

    timeout: timedelta = timedelta(hours=1)
    retry: RetryPolicy = attrs.field(factory=RetryPolicy)
    concurrency: int | None = None
    rate: float | None = None
    ordered_by: Literal["key"] | None = None
    on_dead: OnDead = "skip"
    join: Join = "all"

    def __attrs_post_init__(self) -> None:
        if self.timeout <= timedelta():
            raise PipelineError([f"timeout must be more than zero, found {self.timeout}"])
        if self.concurrency is not None and self.concurrency < 1:
            raise PipelineError([f"concurrency must be 1 or more, found {self.concurrency}"])
        if self.rate is not None and not 0 < self.rate < float("inf"):
            raise PipelineError([f"rate must be more than zero, found {self.rate}"])
        for name, allowed in (("ordered_by", (None, "key")), ("on_dead", ("skip", "hold")), ("join", ("all", "any"))):
            if (value := getattr(self, name)) not in allowed:
                raise PipelineError([f"{name} must be one of {allowed}, found {value!r}"])


def _operations(value: Iterable[Operation | str] | None) -> frozenset[Operation] | None:
    return None if value is None else frozenset(Operation(each) for each in value)


def _globs(value: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)


def _where(value: Where | Mapping[str, Any] | Sequence[Any] | None) -> Where | None:
    return value if value is None or isinstance(value, Where) else Where.parse(value)


@attrs.frozen
class Link:
    """An edge from an input or a process to a process, with an optional filter.

    Attributes:
        source: the input or process it starts at.
        target: the process it leads to.
        on: behind a process, what lets the event through: its ``"success"``, its death (``"dead"``), either
            (``"settled"``), or ``"event"``: each event that the process itself emits.
        operations: only events with one of these operations; ``None`` for all.
        locations: only events whose location matches one of these globs; ``None`` for all.
        where: only events for which this condition holds; see `orchestrator_core._filters`.
        is_open: whether every event passes, as far as the event alone decides it.
    """

    source: str
    target: str
    on: On = attrs.field(default="success", kw_only=True)
    operations: frozenset[Operation] | None = attrs.field(default=None, kw_only=True, converter=_operations)
    locations: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=_globs)
    where: Where | None = attrs.field(default=None, kw_only=True, converter=_where)
    is_open: bool = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        passes_where = self.where is None or self.where.reads_output
        object.__setattr__(self, "is_open", self.operations is None and self.locations is None and passes_where)
        if self.on not in _ON:
            raise FilterError("on", f"expected one of {', '.join(_ON)}, found {self.on!r}")

    def lets_through(self, event: Event) -> bool:
        """Tell whether the event passes, as far as the event alone decides it."""
        if self.operations is not None and event.operation not in self.operations:
            return False
        if self.locations is not None and not matches_location(event.location, self.locations):
            return False
        if self.where is None or self.where.reads_output:
            return True
        return self.where.matches({"data": event.data, "before": event.before, "output": None})


def _names(value: Iterable[str]) -> frozenset[str]:
    return frozenset(value)


def _edges(value: Iterable[Link]) -> tuple[Link, ...]:
    return tuple(value)


@attrs.frozen
class Pipeline:
    """The validated DAG.

    >>> pipeline = Pipeline(inputs=["raw"], processes={"clean": ProcessOptions()}, links=[Link("raw", "clean")])
    >>> event = Event(location="t", operation="create", id="1", trigger="raw")
    >>> [step.process for step in pipeline.plan(event).steps]
    ['clean']

    Attributes:
        inputs: the names of the inputs.
        processes: the processes and how they are treated, by name.
        links: the edges.

    Raises:
        PipelineError: with every problem found.
    """

    inputs: frozenset[str] = attrs.field(default=(), converter=_names)
    processes: Mapping[str, ProcessOptions] = attrs.field(factory=dict)
    links: tuple[Link, ...] = attrs.field(default=(), converter=_edges)
    _order: tuple[str, ...] = attrs.field(init=False, repr=False, eq=False)
    _plans: dict[tuple[str, tuple[bool, ...]], Plan] = attrs.field(init=False, factory=dict, repr=False, eq=False)
    _paths: dict[str, tuple[Link, ...]] = attrs.field(init=False, factory=dict, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if both := sorted(self.inputs & self.processes.keys()):
            raise DuplicateNameError(both[0])
        if problems := [*_bad_names((*self.inputs, *self.processes)), *self._bad_links()]:
            raise PipelineError(problems)
        object.__setattr__(self, "_order", self._sort())

    def plan(self, event: Event) -> Plan:
        """Tell which processes the event goes to and what each waits for. Pure.

        An event whose trigger is a process is one that this process derived: it follows the links with
        ``on = "event"``. A trigger that is not in the pipeline leads nowhere.
        """
        links = self._paths.get(event.trigger)
        if links is None:
            links = self._paths[event.trigger] = self._reachable(event.trigger)
        passes = tuple([link.is_open or link.lets_through(event) for link in links])
        plan = self._plans.get((event.trigger, passes))
        if plan is None:
            chosen = [link for link, passed in zip(links, passes, strict=True) if passed]
            plan = self._plans[event.trigger, passes] = self._build(event.trigger, chosen)
        return plan

    def orphans(self) -> tuple[str, ...]:
        """Return the nodes that no link touches: processes that never run, inputs whose events go nowhere."""
        fed = {link.target for link in self.links}
        heard = {link.source for link in self.links}
        return (*sorted(self.inputs - heard), *(name for name in self.processes if name not in fed))

    def _bad_links(self) -> Iterable[str]:
        for link in self.links:
            if link.source not in self.inputs and link.source not in self.processes:
                yield f'the link "{link.source}" → "{link.target}" starts at a node that is not in the pipeline'
            if link.target not in self.processes:
                kind = "is an input" if link.target in self.inputs else "is not in the pipeline"
                yield f'the link "{link.source}" → "{link.target}" leads to a node that {kind}; it must be a process'
            if link.source in self.inputs and link.on != "success":
                yield f'the link "{link.source}" → "{link.target}" has on = "{link.on}", which only a process can have'
            if link.source in self.inputs and link.where is not None and link.where.reads_output:
                yield f'the link "{link.source}" → "{link.target}" reads output, which an input does not have'

    def _sort(self) -> tuple[str, ...]:
        """Order the processes topologically; links of derived events count too, so a loop is found before it runs."""
        graph: dict[str, set[str]] = {name: set() for name in self.processes}
        for link in self.links:
            if link.source in graph:
                graph[link.target].add(link.source)
        try:
            return tuple(TopologicalSorter(graph).static_order())
        except CycleError as error:
            raise PipelineCycleError(error.args[1]) from None

    def _reachable(self, source: str) -> tuple[Link, ...]:
        """Return the links that an event from this source may take, in topological order of their targets."""
        first = "event" if source in self.processes else "success"
        into: dict[str, list[Link]] = {name: [] for name in self._order}
        for link in self.links:
            into[link.target].append(link)
        reached: set[str] = set()
        taken: list[Link] = []
        for name in self._order:
            links = [
                link
                for link in into[name]
                if (link.source == source and link.on == first) or (link.source in reached and link.on != "event")
            ]
            if links:
                reached.add(name)
                taken.extend(links)
        return tuple(taken)

    def _build(self, source: str, links: Sequence[Link]) -> Plan:
        index: dict[str, int] = {}
        steps: list[Step] = []
        for name in dict.fromkeys(link.target for link in links):
            incoming = [link for link in links if link.target == name]
            direct = any(link.source == source for link in incoming)
            edges = tuple(_edge(link, index) for link in incoming if link.source in index)
            if not direct and not edges:
                continue
            options = self.processes[name]
            if direct and options.join == "any":
                edges = ()
            index[name] = len(steps)
            steps.append(Step(name, edges, options.join, options.ordered_by is not None, options.on_dead))
        return Plan(tuple(steps))


def _edge(link: Link, index: Mapping[str, int]) -> Edge:
    where = link.where if link.where is not None and link.where.reads_output else None
    return Edge(index[link.source], link.on, where)


def _bad_names(names: Sequence[str]) -> Iterable[str]:
    if len(names) > NODE_LIMIT:
        yield f"the pipeline has {len(names):,} nodes, over the limit of {NODE_LIMIT:,}"
    for name in names:
        if problem := name_problem(name):
            yield problem


def name_problem(name: object) -> str | None:
    """Say what is wrong with a node's name, or return ``None``."""
    if isinstance(name, str) and NAME.fullmatch(name) and not name.startswith("-"):
        return None
    return f"the name {name!r:.80} is not 1 to 63 of a-z, 0-9, _ and -, without a - in front"
