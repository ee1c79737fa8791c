"""What an input makes of a request's body: an event, by one of four formats."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

import attrs

from orchestrator_core import JSON, Event, EventError, Operation, new_uid
from orchestrator_webhook._cloudevents import STRUCTURED, from_binary, from_structured
from orchestrator_webhook._errors import WebhookConfigurationError
from orchestrator_webhook._http import Head
from orchestrator_webhook._strict_json import parse
from orchestrator_webhook._template import Fields, MissingFieldError, Template

FormatName: TypeAlias = Literal["event", "json", "cloudevents", "raw"]

_ROOTS: Mapping[str, frozenset[str]] = {
    "json": frozenset(("body", "header")),
    "cloudevents": frozenset(("body", "header", "attribute")),
    "raw": frozenset(("header",)),
}
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@attrs.define(eq=False)
class Body:
    """A request's body as its format has it.

    Attributes:
        data: what becomes the event's data.
        attributes: the context attributes of a CloudEvent.
    """

    data: JSON
    attributes: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Reader:
    """Makes an event of a request.

    Attributes:
        format: the body's format.
        path: the path of the input, which is the location of its events unless they have another.
        templates: how to fill ``location``, ``id``, ``operation`` and ``key``.
        operation_names: the sender's words for operations.
        id_field: the field of the body that holds the request's identity, if no header does.
    """

    format: FormatName
    path: str
    templates: Mapping[str, Template] = attrs.field(factory=dict)
    operation_names: Mapping[str, Operation] = attrs.field(factory=dict)
    id_field: str | None = None

    @classmethod
    def of(
        cls,
        format: FormatName,  # noqa: A002 (the option's name)
        path: str,
        texts: Mapping[str, str | None],
        operation_names: Mapping[str, Operation],
        id_field: str | None,
    ) -> Reader:
        """Make a reader of an input's options.

        Raises:
            WebhookConfigurationError: a template is malformed, or the format has no use for it.
        """
        given = {name: text for name, text in texts.items() if text is not None}
        if format == "event" and given:
            raise WebhookConfigurationError(f'{min(given)} is not used with format = "event": the body says it')
        templates = {name: Template.parse(text, _ROOTS[format]) for name, text in given.items()}
        return cls(format=format, path=path, templates=templates, operation_names=operation_names, id_field=id_field)

    def read(self, head: Head, content: bytes) -> Body:
        """Parse a request's body.

        Raises:
            EventError: it is not what the format wants.
        """
        kind = head.headers.get("content-type", "").partition(";")[0].strip().lower()
        if self.format == "raw":
            return Body({"content_type": kind, "base64": base64.b64encode(content).decode()})
        if self.format != "cloudevents":
            return Body(parse(content))
        if kind == STRUCTURED:
            attributes, data = from_structured(parse(content))
            return Body(data, attributes)
        attributes = from_binary(head.headers)
        if kind == "application/json" or kind.endswith("+json"):
            return Body(parse(content), attributes)
        return Body({"base64": base64.b64encode(content).decode()} if content else None, attributes)

    def identity(self, body: Body) -> str | None:
        """Return the identity that a sender gives its messages in the body."""
        if self.format == "cloudevents":
            # A CloudEvent's id is unique for its source.
            return f"{body.attributes['source']}#{body.attributes['id']}"
        found = body.data.get(self.id_field) if self.id_field and isinstance(body.data, dict) else None
        return found if isinstance(found, str) and found else None

    def event(self, head: Head, body: Body, uid: str | None) -> Event:
        """Make the event.

        Args:
            head: the request's head.
            body: its body.
            uid: its identity; ``None`` if it has none.

        Raises:
            EventError: it can't be one.
        """
        if self.format == "event":
            return _event(body.data, uid, head)
        uid = new_uid() if uid is None else uid
        fields = {"body": body.data, "header": head.headers, "attribute": body.attributes}
        try:
            return Event(
                location=self._text("location", fields) or _origin(body) or self.path,
                operation=self._operation(fields, body),
                id=self._text("id", fields) or str(body.attributes.get("subject") or uid),
                uid=uid,
                data=body.data,
                key=self._text("key", fields),
                time=_time(body.attributes),
                traceparent=_traceparent(head),
            )
        except MissingFieldError as error:
            raise EventError(str(error)) from error

    def _text(self, name: str, fields: Fields) -> str | None:
        template = self.templates.get(name)
        return None if template is None else template.text(fields)

    def _operation(self, fields: Fields, body: Body) -> Operation:
        text = self._text("operation", fields)
        if text is None and body.attributes:
            text = str(body.attributes.get("operation") or body.attributes["type"].rpartition(".")[2])
        if text is None:
            return Operation.CREATE
        if text in self.operation_names:
            return self.operation_names[text]
        try:
            return Operation(text)
        except ValueError:
            return Operation.UNKNOWN


def _origin(body: Body) -> str:
    # Our own CloudEvents say where the event comes from in an extension.
    return str(body.attributes.get("location") or body.attributes.get("source") or "")


def _event(fields: Any, uid: str | None, head: Head) -> Event:  # noqa: ANN401 (JSON of any shape)
    if not isinstance(fields, dict):
        raise EventError(f"an event is a JSON object, found {type(fields).__name__}")
    hops = fields.get("hops", 0)
    if fields.get("trigger") and type(hops) is int:
        # It was an event of some pipeline before it became a request: count that, or two of them could feed each other.
        fields = {**fields, "hops": hops + 1}
    if uid is not None:
        fields = {**fields, "uid": uid}
    if "traceparent" not in fields and (traceparent := _traceparent(head)) is not None:
        fields = {**fields, "traceparent": traceparent}
    return Event.from_dict(fields)


def _traceparent(head: Head) -> str | None:
    value = head.headers.get("traceparent", "")
    return value if _TRACEPARENT.fullmatch(value) else None


def _time(attributes: Mapping[str, Any]) -> datetime | None:
    if "time" not in attributes:
        return None
    try:
        moment = datetime.fromisoformat(attributes["time"])
    except (TypeError, ValueError):
        raise EventError(f"the attribute time is {attributes['time']!r:.80}, not one of RFC 3339") from None
    if moment.tzinfo is None:
        raise EventError("the attribute time has no zone")
    return moment
