"""What a journal holds as tables and as pages about one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator_core._delivery import DeliveryState
from orchestrator_core._json import dump_json
from orchestrator_core.cli.render.figures import count, duration, moment
from orchestrator_core.cli.render.style import STATE_STYLES, one_line
from orchestrator_core.cli.render.table import Cell, Column, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchestrator_core._contracts import Attempt, Counts, EventRecord
    from orchestrator_core._delivery import Delivery
    from orchestrator_core.cli.render.style import Look

_EVENTS = (
    Column("ACCEPTED"),
    Column("UID"),
    Column("TRIGGER", gives=True),
    Column("OPERATION"),
    Column("RECORD", gives=True),
    Column("GOES TO", gives=True),
)
_DELIVERIES = (
    Column("ID"),
    Column("STATE"),
    Column("PROCESS", gives=True),
    Column("TRIES", right=True),
    Column("ACCEPTED"),
    Column("REASON", wraps=True),
)
_DEAD_LETTERS = (Column("ID"), Column("PROCESS", gives=True), Column("ACCEPTED"), Column("REASON", wraps=True))


def events_table(records: Iterable[EventRecord], look: Look) -> list[str]:
    """Return accepted events, one a line."""
    return table(_EVENTS, [_event_row(record) for record in records], look)


def _event_row(record: EventRecord) -> list[Cell]:
    event = record.event
    goes_to = ", ".join(step.process for step in record.plan.steps)
    return [
        moment(record.accepted_at),
        event.uid,
        event.trigger,
        str(event.operation),
        f"{event.location}/{event.id}",
        goes_to or ("unrouted", "yellow"),
    ]


def deliveries_table(deliveries: Iterable[Delivery], look: Look) -> list[str]:
    """Return deliveries, one a line."""
    return table(_DELIVERIES, [_delivery_row(delivery) for delivery in deliveries], look)


def dead_letters_table(deliveries: Iterable[Delivery], look: Look) -> list[str]:
    """Return dead letters: which, whose, since when, and above all why."""
    rows = [
        (delivery.id, delivery.process, moment(delivery.accepted_at), (delivery.reason or "", "red"))
        for delivery in deliveries
    ]
    return table(_DEAD_LETTERS, rows, look)


def _delivery_row(delivery: Delivery) -> list[Cell]:
    return [
        delivery.id,
        state_cell(delivery.state),
        delivery.process,
        str(delivery.attempt),
        moment(delivery.accepted_at),
        delivery.reason or "",
    ]


def state_cell(state: DeliveryState) -> Cell:
    """Return a state in its colour."""
    return state.value, STATE_STYLES[state]


_SHOWN_STATES = (
    DeliveryState.WAITING,
    DeliveryState.READY,
    DeliveryState.RUNNING,
    DeliveryState.DONE,
    DeliveryState.DEAD,
    DeliveryState.SKIPPED,
)
_RARE_STATES = (DeliveryState.PARKED, DeliveryState.CANCELLED)


def counts_table(counts: Counts, processes: Iterable[str], look: Look) -> list[str]:
    """Return how many deliveries each process has in each state; states that hardly occur only if they do."""
    states = [
        *_SHOWN_STATES,
        *(state for state in _RARE_STATES if any(each.get(state) for each in counts.deliveries.values())),
    ]
    names = dict.fromkeys([*processes, *sorted(counts.deliveries)])
    columns = [Column("PROCESS"), *(Column(state.value.upper(), right=True) for state in states)]
    rows = [_counts_row(name, counts.deliveries.get(name, {}), states) for name in names]
    return table(columns, rows, look)


def _counts_row(name: str, numbers: Mapping[DeliveryState, int], states: Sequence[DeliveryState]) -> list[Cell]:
    cells: list[Cell] = [name]
    for state in states:
        number = numbers.get(state, 0)
        cells.append((f"{number:,}", STATE_STYLES[state] if number else "dim"))
    return cells


def fields(pairs: Iterable[tuple[str, str]], look: Look) -> list[str]:
    """Return names and values, one a line; what is empty is left out."""
    shown = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    return [f"{look.paint(name.ljust(width), 'dim')}  {one_line(value)}" for name, value in shown]


def event_page(record: EventRecord, look: Look) -> list[str]:
    """Return one event with all it carries."""
    event = record.event
    pairs = [
        ("uid", event.uid),
        ("trigger", event.trigger),
        ("operation", str(event.operation)),
        ("location", event.location),
        ("id", event.id),
        ("key", event.key or ""),
        ("time", event.time.isoformat()),
        ("accepted", moment(record.accepted_at)),
        ("hops", str(event.hops or "")),
        ("traceparent", event.traceparent or ""),
        ("goes to", ", ".join(step.process for step in record.plan.steps) or "nowhere: no link lets it through"),
        ("data", "" if event.data is None else dump_json(event.data)),
        ("before", "" if event.before is None else dump_json(event.before)),
    ]
    return fields(pairs, look)


def delivery_page(delivery: Delivery, attempts: Sequence[Attempt], look: Look) -> list[str]:
    """Return one delivery with its history and logs."""
    state = look.paint(delivery.state.value, STATE_STYLES[delivery.state])
    pairs = [
        ("process", delivery.process),
        ("event", f"{delivery.event_uid} from {delivery.trigger}"),
        ("accepted", moment(delivery.accepted_at)),
        ("due", due(delivery)),
        ("settled", moment(delivery.settled_at)),
        ("failures", str(delivery.failures or "")),
        ("interruptions", str(delivery.interruptions or "")),
        ("reason", delivery.reason or ""),
        ("output", "" if delivery.output is None else dump_json(delivery.output)),
    ]
    lines = [f"{look.paint(one_line(delivery.id), 'bold')}  {state}", *fields(pairs, look)]
    for attempt in attempts:
        lines += ["", *_attempt_lines(attempt, look)]
    return lines


def _attempt_lines(attempt: Attempt, look: Look) -> Iterator[str]:
    yield attempt_line(attempt, look)
    for line in attempt.logs:
        yield f"  {look.paint('│', 'dim')} {one_line(line)}"


_ATTEMPT_STYLES = {"done": "green", "dead": "red", "ready": "yellow", "running": "cyan", "late": "magenta"}


def attempt_line(attempt: Attempt, look: Look) -> str:
    """Return what one attempt came to, in a line."""
    word = {"ready": "again", "dead": "failed"}.get(attempt.state, attempt.state)
    took = ""
    if attempt.started_at and attempt.settled_at:
        took = duration(max(0.0, attempt.settled_at - attempt.started_at))
    parts = [
        f"attempt {attempt.number}",
        look.paint(word, _ATTEMPT_STYLES.get(attempt.state, "")),
        moment(attempt.started_at),
        took,
        one_line(attempt.reason or ""),
    ]
    return "  ".join(part for part in parts if part)


def due(delivery: Delivery) -> str:
    """Return when a delivery that is ready will be run."""
    if delivery.state is not DeliveryState.READY:
        return ""
    return moment(delivery.due_at) or "when the delivery of its key before it has settled"


def tries(delivery: Delivery) -> str:
    """Return how often a delivery was tried, if that says something."""
    return count(delivery.attempt, "attempt") if delivery.attempt > 1 or delivery.failures else ""
