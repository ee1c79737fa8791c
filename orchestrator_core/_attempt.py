"""One attempt: what a process is handed, what it may come to, and what is asked after an interruption."""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

import anyio
import attrs

from orchestrator_core._announcer import Announcer
from orchestrator_core._clock import Clock
from orchestrator_core._contracts import Claim, Process, ProcessExitStatus, ProcessStatus, Reconciliation
from orchestrator_core._delivery import Failed, Outcome, Postponed, Rejected, Succeeded
from orchestrator_core._errors import (
    EventError,
    FanOutLimitError,
    HopLimitError,
    OrchestratorError,
    Reject,
    RetryLater,
    message_of,
)
from orchestrator_core._event import HOP_LIMIT, Event
from orchestrator_core._json import JSON, dump_json, load_json
from orchestrator_core._plan import Plan
from orchestrator_core._retry import RetryPolicy

LOG_LIMIT = 256 * 1024
LINE_LIMIT = 16 * 1024
DERIVED_LIMIT = 10_000
_ASK_AGAIN_AFTER = 1.0

_SUCCESS = Succeeded()
# Whose frames lead from here to a function that somebody else wrote; the process `python` is one that only calls on.
_ON_THE_WAY = ("orchestrator_core._attempt", "orchestrator_core.builtin.python", "anyio", "trio", "outcome")
_CANCELLED_ITSELF = Failed("it was cancelled, but not by the engine")


class AttemptLog:
    """The lines of one attempt: the first half of `LOG_LIMIT` and the last, with a mark where lines are missing."""

    def __init__(self) -> None:
        self._fresh: list[str] = []
        self._tail: deque[str] = deque()
        self._room = LOG_LIMIT // 2
        self._tail_size = 0
        self._missing = 0

    def write(self, text: str) -> Sequence[str]:
        """Add text, split into lines; return those lines as they are kept."""
        lines = [_storable(line) for line in text.splitlines() or [""]]
        for line in lines:
            size = len(line) + 1
            if self._room >= size:
                self._room -= size
                self._fresh.append(line)
                continue
            self._room = 0
            self._tail.append(line)
            self._tail_size += size
            while self._tail_size > LOG_LIMIT // 2:
                self._tail_size -= len(self._tail.popleft()) + 1
                self._missing += 1
        return lines

    def drain(self) -> list[str]:
        """Return the lines that can be kept already: those of the first half that were not drained before."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def finish(self) -> list[str]:
        """Return all that was not drained."""
        mark = [f"… {self._missing:,} lines left out …"] if self._missing else []
        return [*self.drain(), *mark, *self._tail]


def _storable(line: str) -> str:
    if len(line) > LINE_LIMIT:
        line = f"{line[:LINE_LIMIT]}… ({len(line) - LINE_LIMIT:,} more characters)"
    return _text(line)


@attrs.define(eq=False)
class Context:
    """The `AttemptContext` of one attempt."""

    claim: Claim
    attempt: int
    deadline: float
    route: Callable[[str, Event], tuple[Event, Plan]]
    announcer: Announcer
    written: AttemptLog | None = None
    derived: list[tuple[Event, Plan]] | None = None

    @property
    def delivery_id(self) -> str:
        return self.claim.delivery.id

    @property
    def process(self) -> str:
        return self.claim.delivery.process

    @property
    def outputs(self) -> Mapping[str, JSON]:
        return self.claim.outputs

    def log(self, line: str) -> None:
        for each in self.keep(str(line)):
            self.announcer.logged(self.claim, each)

    def keep(self, text: str) -> Sequence[str]:
        """Add to the attempt's log without telling the observers."""
        if self.written is None:
            self.written = AttemptLog()
        return self.written.write(text)

    def emit(self, event: Event) -> None:
        if event.hops <= self.claim.event.hops:
            event = attrs.evolve(event, hops=self.claim.event.hops + 1)
        if event.hops > HOP_LIMIT:
            raise HopLimitError(event.hops, HOP_LIMIT)
        if self.derived is None:
            self.derived = []
        if len(self.derived) >= DERIVED_LIMIT:
            raise FanOutLimitError(len(self.derived) + 1, DERIVED_LIMIT)
        self.derived.append(self.route(self.process, event))


async def attempt(process: Process, context: Context) -> Outcome:
    """Run a process once and say what it came to."""
    try:
        status = await process.run(_own_event(context.claim), context)
        if status is None:
            return _SUCCESS
        return _judge(status, context)
    # The border to foreign code: whatever a process raises is its outcome, and ends nothing but this attempt. A call of
    # sys.exit() in a process is meant for a script of its own.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        return _outcome_of(error, context)
    except anyio.get_cancelled_exc_class():
        if is_cut_off():
            raise
        return _CANCELLED_ITSELF


def _own_event(claim: Claim) -> Event:
    """Return what a process may change in place: a copy, where the event goes to others too, or a `where` reads it."""
    return claim.event if len(claim.plan.steps) == 1 else claim.event.copy()


def is_cut_off() -> bool:
    """Tell whether the engine has cancelled what runs here; on asyncio, anybody else can cancel it as well."""
    return anyio.current_effective_deadline() == -inf


async def recover(process: Process, context: Context, policy: RetryPolicy, clock: Clock) -> Outcome | None:
    """Decide about a delivery whose last attempt was cut off; ``None`` means to run it now.

    A process that can tell what became of that attempt is asked first.
    """
    reconcile = getattr(process, "reconcile", None)
    if reconcile is not None:
        outcome = await _reconcile(reconcile, context, clock)
        if outcome is not None:
            return outcome
    delivery = context.claim.delivery
    delay = policy.delay_after_interruption(delivery.interruptions)
    reason = delivery.reason or "interrupted"
    if delay is None:
        return Rejected(f"{reason}; that was the interruption number {delivery.interruptions}")
    return Postponed(delay, reason) if delay > 0 else None


async def _reconcile(reconcile: Callable[..., Any], context: Context, clock: Clock) -> Outcome | None:
    context.written = AttemptLog()
    asked = attrs.evolve(context, attempt=context.attempt - 1)
    try:
        # Within one attempt, since what runs outside takes up its slot, and nobody wants a history of questions.
        while (answer := await reconcile(_own_event(context.claim), asked)) is Reconciliation.RUNNING:
            await clock.sleep(_ASK_AGAIN_AFTER)
        context.derived = asked.derived
        match answer:
            case Reconciliation.SUCCEEDED:
                return _SUCCESS
            case Reconciliation.FAILED:
                return Failed("the interrupted attempt has failed")
            case Reconciliation.UNKNOWN:
                return None
        return _judge(answer, context)
    except (Exception, SystemExit) as error:  # noqa: BLE001 (the same border as in `attempt`)
        return _outcome_of(error, context)
    except anyio.get_cancelled_exc_class():
        if is_cut_off():
            raise
        return _CANCELLED_ITSELF


def _judge(status: object, context: Context) -> Outcome:
    if status is None:
        return _SUCCESS
    if not isinstance(status, ProcessStatus):
        return Failed(f"returned {type(status).__name__} {status!r:.80}: a process returns None or a ProcessStatus")
    for line in status.logs:
        context.log(line)
    if status.status is not ProcessExitStatus.SUCCESS:
        return Failed(_text(status.logs[-1]) if status.logs else f"returned the status {status.status.value}")
    if status.output is None:
        return _SUCCESS
    try:
        # A copy: the process may go on changing what it returned, while the journal writes it in a thread.
        return Succeeded(load_json(dump_json(status.output)))
    except EventError as error:
        return Failed(f"its output is {error}")


def _outcome_of(error: BaseException, context: Context) -> Outcome:
    try:
        match error:
            case Reject():
                return Rejected(_text(error.reason))
            case RetryLater():
                return Postponed(max(error.after.total_seconds(), 0.0), _text(error.reason), bool(error.interrupted))
            case HopLimitError() | FanOutLimitError():
                return Rejected(str(error))
    # The same border: what was raised holds what the process has put into it, such as a number for a timedelta.
    except Exception as wrong:  # noqa: BLE001
        error = wrong
    if not isinstance(error, OrchestratorError):  # those explain themselves
        context.keep(_traceback(error))
    text = _text(message_of(error))
    return Failed(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def _text(value: object) -> str:
    """Return what a process gave as a reason as text that every journal can store."""
    text = str(value)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _traceback(error: BaseException) -> str:
    """Return the traceback of an error from where the process's own code begins."""
    shown = error.__traceback__
    while shown is not None and _is_on_the_way(shown.tb_frame.f_globals.get("__name__", "")):
        shown = shown.tb_next
    own_part = traceback.TracebackException(type(error), error, shown or error.__traceback__, limit=-8)
    return "".join(own_part.format())


def _is_on_the_way(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in _ON_THE_WAY)
