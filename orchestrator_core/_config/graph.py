"""What is wrong with the links of a pipeline, each with where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs

from orchestrator_core._config.problems import Finding, Keys, did_you_mean, quote
from orchestrator_core._errors import PipelineCycleError
from orchestrator_core._pipeline import NODE_LIMIT, Link, Pipeline, ProcessOptions, name_problem

_CYCLES = 20


@attrs.frozen
class PlacedLink:
    """A link and where it stands.

    Attributes:
        link: the link.
        keys: its entry in ``after``.
    """

    link: Link
    keys: Keys


def name_findings(inputs: Sequence[str], processes: Sequence[str]) -> Iterator[Finding]:
    """Say which names are none, and which are taken twice."""
    for section, names in (("inputs", inputs), ("processes", processes)):
        for name in names:
            if problem := name_problem(name):
                yield Finding((section, name), problem, _tidied(name), at_key=True)
    for name in processes:
        if name in inputs:
            message = f"the name {quote(name)} is taken already by an input"
            yield Finding(("processes", name), message, "give each input and process its own", at_key=True)


def too_many(inputs: Sequence[str], processes: Sequence[str]) -> Finding | None:
    """Say whether the pipeline is too large to look at in detail."""
    if (count := len(inputs) + len(processes)) <= NODE_LIMIT:
        return None
    keys = ("processes",) if processes else ("inputs",)
    message = f"the pipeline has {count:,} nodes, over the limit of {NODE_LIMIT:,}"
    return Finding(keys, message, "run several pipelines", at_key=True)


def link_findings(
    inputs: Sequence[str], processes: Sequence[str], links: Sequence[PlacedLink], *, complete: bool
) -> Iterator[Finding]:
    """Say what is wrong with the links.

    Args:
        inputs: the names of the inputs.
        processes: the names of the processes.
        links: the links that could be read.
        complete: whether these are all: if some could not be read, nobody can tell which nodes are orphans.
    """
    good: list[PlacedLink] = []
    for each in links:
        findings = list(_bad_link(each, inputs, processes))
        yield from findings
        if not findings and each.link.target not in inputs:
            good.append(each)
    usable = [name for name in inputs if name_problem(name) is None]
    treated = {name: ProcessOptions() for name in processes if name_problem(name) is None and name not in inputs}
    good = [each for each in good if each.link.target in treated and each.link.source in {*usable, *treated}]
    pipeline, cycles = _acyclic(usable, treated, good)
    for path, closing in cycles:
        message = f"the links form a cycle: {' → '.join(path)}"
        yield Finding(closing.keys, message, "take out one of them")
    if pipeline is not None and complete and len(good) == len(links):
        on_cycles = {name for path, _ in cycles for name in path}
        yield from (_orphan(name, inputs) for name in pipeline.orphans() if name not in on_cycles)


def _bad_link(each: PlacedLink, inputs: Sequence[str], processes: Sequence[str]) -> Iterator[Finding]:
    link, keys = each.link, each.keys
    if link.source == link.target:
        yield Finding((*keys, "node"), f"{quote(link.target)} follows itself", "name another node")
    elif link.source not in inputs and link.source not in processes:
        message = f"there is no input or process {quote(link.source)}"
        yield Finding((*keys, "node"), message, did_you_mean(link.source, [*inputs, *processes]))
    elif link.source in inputs and link.on != "success":
        message = f'{quote(link.source)} is an input, and on = "{link.on}" is for what follows a process'
        yield Finding((*keys, "on"), message, "leave on out")
    elif link.source in inputs and link.where is not None and link.where.reads_output:
        message = f"{quote(link.source)} is an input, which has no output"
        yield Finding((*keys, "where"), message, "test a field of data or before")


def _acyclic(
    inputs: Sequence[str], processes: Mapping[str, ProcessOptions], links: Sequence[PlacedLink]
) -> tuple[Pipeline | None, Sequence[tuple[tuple[str, ...], PlacedLink]]]:
    """Build the pipeline without a link of each cycle, so that the next one shows; ``None`` if there are too many."""
    cycles: list[tuple[tuple[str, ...], PlacedLink]] = []
    while len(cycles) < _CYCLES:
        try:
            return Pipeline(inputs, processes, [each.link for each in links]), cycles
        except PipelineCycleError as error:
            closing = next(each for each in links if (each.link.source, each.link.target) == error.path[-2:])
            cycles.append((error.path, closing))
            links = [each for each in links if each is not closing]
    return None, cycles


def _orphan(name: str, inputs: Sequence[str]) -> Finding:
    if name in inputs:
        message = f"nothing follows the input {quote(name)}: its events would go nowhere"
        return Finding(("inputs", name), message, "name it in the after of a process", at_key=True)
    message = f"the process {quote(name)} follows nothing: it would never run"
    return Finding(("processes", name, "after"), message, "name an input or process in its after", at_key=True)


def _tidied(name: str) -> str:
    tidy = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in name.lower())[:63].strip("-_")
    return f'such as "{tidy}"' if tidy else ""
