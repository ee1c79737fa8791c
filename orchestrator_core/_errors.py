"""Every exception of the engine, in one tree.

::

    OrchestratorError
    ├── ConfigurationError                 the file or the calls that built the pipeline are wrong
    │   ├── PipelineError                  the graph: cycles, unknown and orphan nodes
    │   │   ├── DuplicateNameError
    │   │   └── PipelineCycleError
    │   ├── FilterError                    a link's `where`, `operations` or `locations`
    │   └── ProcessInterfaceConversionError
    ├── PluginError                        a plugin is missing, broken, clashing or too new
    │   └── PluginErrors                   several are
    ├── EventError                         an event that can't be accepted as it is
    │   ├── EventTooLargeError
    │   ├── HopLimitError
    │   └── FanOutLimitError
    ├── UnknownInputError
    ├── UnknownProcessError                a delivery's process is not in the pipeline
    ├── JournalError
    │   ├── JournalUnavailableError        busy, full, away: the same call may succeed later
    │   ├── JournalLockedError             another process runs on this journal
    │   ├── JournalBrokenError             the store failed in a way that only a restart mends
    │   └── NotFoundError                  no such event or delivery
    ├── Reject                             raised by a process: dead letter now
    └── RetryLater                         raised by a process: not now, and not a failure
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta


class OrchestratorError(Exception):
    """The root of every exception this package raises on purpose."""


class ConfigurationError(OrchestratorError):
    """The pipeline can't be built from what was given."""


class PipelineError(ConfigurationError):
    """The graph of inputs, processes and links is not a valid pipeline.

    Attributes:
        problems: every problem found, one sentence each.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class DuplicateNameError(PipelineError):
    """Two nodes of one pipeline share a name; inputs and processes have one name space.

    Attributes:
        name: the name that was taken already; the first holder keeps it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__([f'the name "{name}" is taken already: give each input and process its own'])


class PipelineCycleError(PipelineError):
    """The links of a pipeline lead back to where they came from.

    Attributes:
        path: the processes on the cycle, in order; the first one is the last one too.
    """

    def __init__(self, path: Sequence[str]) -> None:
        self.path = tuple(path)
        super().__init__([f"the links form a cycle: {' → '.join(self.path)}"])


class FilterError(ConfigurationError):
    """A link's filter is malformed.

    Attributes:
        path: where inside the filter, for example ``where.any[1].gt``.
        expected: what would be right there.
    """

    def __init__(self, path: str, expected: str) -> None:
        self.path = path
        self.expected = expected
        super().__init__(f"{path}: {expected}")


class ProcessInterfaceConversionError(ConfigurationError):
    """What was added as a process is not one: it has no ``async run(event, context)``.

    Attributes:
        input: the upstream node, empty where the object is refused before it is linked.
        process: the name it was added under.
        found: the type of the object.
    """

    def __init__(self, input: str, process: str, found: str) -> None:  # noqa: A002 (the ancestor's field name)
        self.input = input
        self.process = process
        self.found = found
        fed = f' (fed by "{input}")' if input else ""
        super().__init__(
            f'process "{process}"{fed} is a {found}, which has no "async def run(event, context)": '
            "pass an object that has one"
        )


class PluginError(OrchestratorError):
    """A plugin is missing, broken, in conflict with another, or made for another engine.

    Attributes:
        plugin: the entry-point name.
        distribution: the distribution that provides it, empty if none does.
        version: that distribution's version, empty if unknown.
        cause: what is wrong.
        remedy: what the operator can do about it.
    """

    def __init__(self, plugin: str, cause: str, remedy: str, *, distribution: str = "", version: str = "") -> None:
        self.plugin = plugin
        self.distribution = distribution
        self.version = version
        self.cause = cause
        self.remedy = remedy
        origin = f" ({distribution} {version})".replace(" )", ")") if distribution else ""
        super().__init__(f'plugin "{plugin}"{origin}: {cause}; {remedy}')


class PluginErrors(PluginError):  # noqa: N818 (a plural of the name above)
    """Several plugins are missing, broken or in conflict.

    Attributes:
        errors: each of them; the attributes of `PluginError` are those of the first.
    """

    def __init__(self, errors: Sequence[PluginError]) -> None:
        first, *others = self.errors = tuple(errors)
        super().__init__(
            first.plugin, first.cause, first.remedy, distribution=first.distribution, version=first.version
        )
        self.args = ("\n".join(str(error) for error in (first, *others)),)


class EventError(OrchestratorError):
    """An event can't be accepted as it is; the message says which field and why."""


class EventTooLargeError(EventError):
    """An event's JSON is larger than the engine accepts.

    Attributes:
        size: its size in bytes of UTF-8.
        limit: the most that is accepted.
    """

    def __init__(self, size: int, limit: int) -> None:
        self.size = size
        self.limit = limit
        super().__init__(f"the event is {size:,} bytes of JSON, over the limit of {limit:,}: send a reference instead")


class HopLimitError(EventError):
    """An event was derived from an event too many times: the pipeline feeds itself.

    Attributes:
        hops: how often it would have been derived.
        limit: the most that is accepted.
    """

    def __init__(self, hops: int, limit: int) -> None:
        self.hops = hops
        self.limit = limit
        super().__init__(f"the event has been derived {hops} times, the limit is {limit}: the pipeline feeds itself")


class FanOutLimitError(EventError):
    """One attempt emitted more derived events than one transaction may carry.

    Attributes:
        count: how many it has tried to emit.
        limit: the most that is accepted.
    """

    def __init__(self, count: int, limit: int) -> None:
        self.count = count
        self.limit = limit
        super().__init__(f"one attempt emitted {count:,} events, over the limit of {limit:,}: emit them from an input")


class UnknownInputError(OrchestratorError):
    """An event names a trigger that is not an input of the pipeline.

    Attributes:
        input: the name that is not there.
    """

    def __init__(self, input: str) -> None:  # noqa: A002
        self.input = input
        super().__init__(f'the pipeline has no input "{input}": add it, or set the event\'s trigger to one that it has')


class UnknownProcessError(OrchestratorError):
    """A delivery's process is not in the pipeline; the delivery is parked until it is back.

    Attributes:
        input: the trigger of the event.
        process: the process that is not there.
    """

    def __init__(self, input: str, process: str) -> None:  # noqa: A002
        self.input = input
        self.process = process
        super().__init__(f'input "{input}" has a delivery for process "{process}", which is not in the pipeline')


class JournalError(OrchestratorError):
    """The journal could not do what was asked."""


class JournalUnavailableError(JournalError):
    """Busy, full or away: nothing was written, and the same call may succeed later."""


class JournalLockedError(JournalError):
    """Another process runs on this journal.

    Attributes:
        path: the journal.
        holder: what is known of the other one, for example ``process 4711``.
    """

    def __init__(self, path: str, holder: str) -> None:
        self.path = path
        self.holder = holder
        super().__init__(f"{path} is in use by {holder}: one journal has one runner at a time; stop that one first")


class JournalBrokenError(JournalError):
    """The store failed in a way that makes what it last confirmed uncertain: the run ends, the data stays."""


class NotFoundError(JournalError):
    """The journal has no such event or delivery.

    Attributes:
        what: ``event`` or ``delivery``.
        id: what was looked for.
    """

    def __init__(self, what: str, id: str) -> None:  # noqa: A002
        self.what = what
        self.id = id
        super().__init__(f'the journal has no {what} "{id}"')


class Reject(OrchestratorError):  # noqa: N818 (an instruction to the engine rather than an error)
    """Raised by a process: this event will never succeed, make it a dead letter now.

    Attributes:
        reason: kept with the dead letter.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class RetryLater(OrchestratorError):  # noqa: N818
    """Raised by a process: not now; try again, without counting this as a failure.

    Attributes:
        after: how long to wait at the least.
        reason: kept with the attempt.
        interrupted: something outside has cut the attempt off and its work may go on: ask `Process.reconcile` before
            the next one.
    """

    def __init__(self, after: timedelta, reason: str = "asked to be run later", *, interrupted: bool = False) -> None:
        self.after = after
        self.reason = reason
        self.interrupted = interrupted
        super().__init__(reason)


def message_of(error: BaseException) -> str:
    """Return an exception's message, also of a stranger's that fails even at saying what it is."""
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001 (whatever a stranger's __str__ raises)
        return f"(its message raised {type(broken).__name__})"
