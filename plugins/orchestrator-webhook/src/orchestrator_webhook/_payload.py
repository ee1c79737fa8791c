"""What a webhook process sends for an event: the bytes of the body, and the headers that belong to them.

The bytes are a function of the event and of what the processes upstream returned, both of which the journal keeps: so
every attempt of a delivery sends the very same body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import attrs

from orchestrator_core import AttemptContext, Event, dump_json
from orchestrator_webhook._cloudevents import STRUCTURED, attributes_of, binary, source_of, structured
from orchestrator_webhook._template import Fields, Template, Tree

BodyFormat: TypeAlias = Literal["event", "cloudevents", "cloudevents_binary"]

ROOTS = frozenset(
    ("location", "operation", "id", "trigger", "uid", "data", "before", "key", "time", "hops", "delivery_id", "outputs")
)


@attrs.frozen
class Payload:
    """A body, and its headers.

    Attributes:
        content: the bytes.
        headers: its type, and what else the body's format puts into headers.
    """

    content: bytes
    headers: Mapping[str, str] = attrs.field(factory=lambda: {"content-type": "application/json"})


Payloads: TypeAlias = Callable[[Event, AttemptContext], Payload]


def payloads(body: BodyFormat | Mapping[str, Any], type: str, source: str | None) -> Payloads:  # noqa: A002
    """Return the function that makes a request of an event.

    Args:
        body: the format, or a template.
        type: the ``type`` of CloudEvents, a template.
        source: the ``source`` of CloudEvents, a template; ``None`` for the event's input and location.

    Raises:
        WebhookConfigurationError: a template is malformed.
    """
    if not isinstance(body, str):
        tree = Tree.parse(body, ROOTS)
        return lambda event, context: Payload(dump_json(tree.value(fields_of(event, context))).encode())
    if body == "event":
        return lambda event, _: Payload(event.to_json().encode())
    types = Template.parse(type, ROOTS)
    sources = Template.parse(source, ROOTS) if source is not None else None

    def make(event: Event, context: AttemptContext) -> Payload:
        fields = fields_of(event, context)
        said = source_of(event) if sources is None else sources.text(fields)
        attributes = attributes_of(event, types.text(fields), said)
        if body == "cloudevents":
            return Payload(dump_json(structured(attributes, event.data)).encode(), {"content-type": STRUCTURED})
        content = b"" if event.data is None else dump_json(event.data).encode()
        return Payload(content, binary(attributes))

    return make


def fields_of(event: Event, context: AttemptContext) -> Fields:
    """Return what a template may name."""
    return {
        "location": event.location,
        "operation": str(event.operation),
        "id": event.id,
        "trigger": event.trigger,
        "uid": event.uid,
        "data": event.data,
        "before": event.before,
        "key": event.key,
        "time": event.time.isoformat(),
        "hops": event.hops,
        "delivery_id": context.delivery_id,
        "outputs": context.outputs,
    }
