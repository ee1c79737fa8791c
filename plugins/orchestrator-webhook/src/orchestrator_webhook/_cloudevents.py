"""CloudEvents 1.0 over HTTP: an event as one, structured or binary, and what a request with one says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from orchestrator_core import JSON, Event, EventError

STRUCTURED = "application/cloudevents+json"
_REQUIRED = ("id", "source", "specversion", "type")
_NAME = re.compile(r"[a-z0-9]{1,64}")
_PREFIX = "ce-"
# What a header's value must escape: section 3.1.3.2 of the HTTP binding.
_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


def attributes_of(event: Event, type: str, source: str) -> dict[str, str]:  # noqa: A002 (the attribute's name)
    """Return an event's context attributes: those of the specification, and our own as extensions.

    Args:
        event: the event.
        type: the attribute ``type``.
        source: the attribute ``source``, a URI reference.
    """
    attributes = {
        "specversion": "1.0",
        "id": event.uid,
        "source": source,
        "type": type,
        "subject": event.id,
        "time": event.time.isoformat().replace("+00:00", "Z"),
        "operation": str(event.operation),
        "location": event.location,
    }
    if event.data is not None:
        attributes["datacontenttype"] = "application/json"
    if event.key is not None:
        attributes["partitionkey"] = event.key
    if event.traceparent is not None:
        attributes["traceparent"] = event.traceparent
    # Attributes must not be empty; the id of an event may be.
    return {name: value for name, value in attributes.items() if value}


def source_of(event: Event) -> str:
    """Return a URI reference for where an event comes from: its input and its location."""
    return f"/{quote(event.trigger, safe='')}/{quote(event.location, safe='')}"


def structured(attributes: Mapping[str, str], data: JSON) -> dict[str, JSON]:
    """Return the JSON of the structured mode."""
    return {**attributes, **({} if data is None else {"data": data})}


def binary(attributes: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of the binary mode."""
    return {
        "content-type" if name == "datacontenttype" else f"{_PREFIX}{name}": quote(value, safe=_PLAIN)
        for name, value in attributes.items()
    }


def from_structured(body: Any) -> tuple[dict[str, Any], JSON]:  # noqa: ANN401 (JSON of any shape)
    """Return attributes and data of the structured mode.

    Raises:
        EventError: it is no CloudEvent.
    """
    if not isinstance(body, dict):
        raise EventError("a CloudEvent is a JSON object")
    attributes = {name: value for name, value in body.items() if name not in {"data", "data_base64"}}
    _check(attributes)
    if "data" in body and "data_base64" in body:
        raise EventError("a CloudEvent has either data or data_base64")
    return attributes, {"base64": body["data_base64"]} if "data_base64" in body else body.get("data")


def from_binary(headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the attributes of the binary mode.

    Raises:
        EventError: it is no CloudEvent.
    """
    attributes = {
        name.removeprefix(_PREFIX): _unescape(value) for name, value in headers.items() if name.startswith(_PREFIX)
    }
    _check(attributes)
    return attributes


def _unescape(value: str) -> str:
    text = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise EventError("an attribute is not UTF-8") from error


def _check(attributes: Mapping[str, Any]) -> None:
    for name in _REQUIRED:
        if not isinstance(attributes.get(name), str) or not attributes[name]:
            raise EventError(f"a CloudEvent needs {', '.join(_REQUIRED)}, each a text; {name} is none")
    if attributes["specversion"] != "1.0":
        raise EventError(f"CloudEvents {attributes['specversion']:.20} is not supported, only 1.0")
    for name, value in attributes.items():
        if not _NAME.fullmatch(name):
            raise EventError(f"{name!r:.80} is no name of an attribute: lower-case letters and digits")
        if not isinstance(value, str | int | bool):
            raise EventError(f"the attribute {name} is a {type(value).__name__}: it may be text, a number or a boolean")
