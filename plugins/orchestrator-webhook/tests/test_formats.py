"""What becomes of a body: the formats, and where an event's fields come from."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from receiving import EVENT
from sending import receiving

from orchestrator_core import Event, Operation
from orchestrator_core.testing import FakeAttemptContext
from orchestrator_webhook import WebhookConfigurationError, WebhookInput, WebhookProcess

pytestmark = pytest.mark.anyio

ISSUE = {"action": "opened", "issue": {"number": 7}, "repository": {"full_name": "acme/shop"}}


async def event_of(body: Any, headers: dict[str, str] | None = None, **options: Any) -> Event:
    """Post a body and return the event it becomes."""
    async with receiving(**options) as (sender, context):
        reply = await sender.post(body, headers)
        assert 202 == reply.status, reply.body
    (event,) = context.events
    assert isinstance(event, Event)
    return event


async def test_json_says_nothing_about_itself() -> None:
    """The location is the path, the id the request's own, the operation create."""
    event = await event_of({"n": 1}, {"webhook-id": "msg_1"})
    assert ("/hook", "msg_1", "msg_1", Operation.CREATE, {"n": 1}) == (
        event.location,
        event.id,
        event.uid,
        event.operation,
        event.data,
    )


async def test_json_without_an_identity_has_a_random_one() -> None:
    """The id is the uid, then."""
    event = await event_of({"n": 1})
    assert event.uid == event.id


async def test_fields_are_taken_by_their_paths() -> None:
    """From body and headers, as a GitHub webhook has them."""
    event = await event_of(
        ISSUE,
        {"x-github-event": "issues"},
        location="github.{header.x-github-event}",
        id="{body.issue.number}",
        key="{body.repository.full_name}",
        operation="{body.action}",
        operation_names={"opened": "create", "closed": "update"},
    )
    assert ("github.issues", "7", "acme/shop", Operation.CREATE) == (
        event.location,
        event.id,
        event.key,
        event.operation,
    )


@pytest.mark.parametrize(
    ("action", "operation"),
    [("insert", "create"), ("DELETE", "delete"), ("labeled", "unknown"), (7, "unknown"), (None, "unknown")],
)
async def test_operations_in_a_senders_words(action: object, operation: str) -> None:
    """What is no operation is an unknown one, not a refused request."""
    event = await event_of({"action": action}, operation="{body.action}")
    assert Operation(operation) == event.operation


async def test_a_missing_field_is_refused() -> None:
    """The sender is told which; one that may be missing falls back."""
    async with receiving(id="{body.number}") as (sender, context):
        reply = await sender.post({"n": 1})
        assert 400 == reply.status
        assert "there is no {body.number}" in reply.json["error"]
    assert [] == context.events
    event = await event_of({"n": 1}, id="{body.number?}", location="{body.kind?}")
    assert (event.uid, "/hook") == (event.id, event.location)


@pytest.mark.parametrize(
    "options",
    [
        {"location": "{data.x}"},
        {"id": "{attribute.x}"},
        {"id": "{body.x", "format": "json"},
        {"id": "{body.x}", "format": "raw"},
        {"location": "x", "format": "event"},
        {"operation_names": {"opened": "made"}},
    ],
    ids=str,
)
def test_templates_that_can_not_be_are_refused(options: dict[str, Any]) -> None:
    """When the pipeline is checked."""
    with pytest.raises((WebhookConfigurationError, ValueError)):
        WebhookInput(path="/hook", auth="none", **options)


async def test_raw_bytes_are_kept_as_they_are() -> None:
    """As base64, whatever they are."""
    content = bytes(range(256))
    event = await event_of(content, {"content-type": "image/x-odd; q=1"}, format="raw")
    assert {"content_type": "image/x-odd", "base64": base64.b64encode(content).decode()} == event.data


async def test_an_event_keeps_all_it_has() -> None:
    """But its trigger, which is this input, and its hops, which grow when it comes from another pipeline."""
    sent = Event(
        location="public.orders",
        operation="update",
        id="7",
        trigger="shop",
        uid="u-1",
        data={"total": 12.5},
        before={"total": 11},
        key="customer-3",
        time=datetime(2026, 5, 4, 12, 30, tzinfo=UTC),
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        hops=2,
    )
    event = await event_of(sent.to_json().encode(), format="event")
    assert {**sent.to_dict(), "trigger": "hooks", "hops": 3} == event.to_dict()


async def test_a_pipeline_that_feeds_itself_comes_to_an_end() -> None:
    """Two pipelines that send each other their events count the hops over HTTP too."""
    body = b'{"location":"l","operation":"create","id":"1","trigger":"t","hops":%d}'
    async with receiving(format="event") as (sender, context):
        assert 202 == (await sender.post(body % 15)).status
    assert [16] == [event.hops for event in context.events]


async def test_trace_context_comes_in_a_header() -> None:
    """If it is one."""
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert traceparent == (await event_of({}, {"traceparent": traceparent})).traceparent
    assert None is (await event_of({}, {"traceparent": "nonsense"})).traceparent


def _cloud_event(**attributes: Any) -> CloudEvent:
    given = {"id": "a-1", "source": "/shop", "type": "com.example.order.create", **attributes}
    return CloudEvent(attributes={"datacontenttype": "application/json", **given}, data={"n": 1})


@pytest.mark.parametrize("write", [to_structured_event, to_binary_event], ids=["structured", "binary"])
async def test_cloudevents_are_written_by_their_sdk(write: Any) -> None:
    """Its identity is that of its source; its type may end in an operation."""
    moment = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)
    message = write(_cloud_event(subject='7 "é" %', time=moment))
    event = await event_of(message.body, message.headers, format="cloudevents")
    assert ("/shop", '7 "é" %', "/shop#a-1", Operation.CREATE, moment, {"n": 1}) == (
        event.location,
        event.id,
        event.uid,
        event.operation,
        event.time,
        event.data,
    )


async def test_cloudevents_have_attributes() -> None:
    """Which templates may name."""
    message = to_binary_event(_cloud_event(tenant="acme"))
    options = {"location": "{attribute.tenant}", "id": "{body.n}", "operation": "{attribute.type}"}
    event = await event_of(message.body, message.headers, format="cloudevents", **options)
    assert ("acme", "1", Operation.UNKNOWN) == (event.location, event.id, event.operation)


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"specversion": "1.0", "id": "1", "source": "/", "type": ""},
        {"specversion": "1.0", "id": 1, "source": "/", "type": "t"},
        {"specversion": "0.3", "id": "1", "source": "/", "type": "t"},
        {"specversion": "1.0", "id": "1", "source": "/", "type": "t", "Bad_Name": "x"},
        {"specversion": "1.0", "id": "1", "source": "/", "type": "t", "x": {}},
        {"specversion": "1.0", "id": "1", "source": "/", "type": "t", "x": None},
        {"specversion": "1.0", "id": "1", "source": "/", "type": "t", "time": "today"},
        {"specversion": "1.0", "id": "1", "source": "/", "type": "t", "time": "2026-05-04T12:30:00"},
        {"specversion": "1.0", "id": "1", "source": "/", "type": "t", "data": 1, "data_base64": "AA=="},
    ],
    ids=str,
)
async def test_what_is_no_cloudevent_is_refused(body: object) -> None:
    """With the reason."""
    async with receiving(format="cloudevents") as (sender, context):
        reply = await sender.post(body, {"content-type": "application/cloudevents+json"})
        assert (400, True) == (reply.status, bool(reply.json["error"]))
        assert 400 == (await sender.post({"n": 1}, {"ce-id": "1", "ce-source": "/", "ce-type": "%ff"})).status
    assert [] == context.events


@pytest.mark.parametrize("body", ["event", "cloudevents", "cloudevents_binary"])
async def test_what_the_process_sends_the_input_takes(body: Any) -> None:
    """A pipeline may feed another (B27), whatever the format between them; signed on the way."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    options: dict[str, Any] = {
        "format": "event" if body == "event" else "cloudevents",
        "auth": "standard",
        "secret": secret,
    }
    async with receiving(**options) as (sender, context):
        url = f"http://127.0.0.1:{sender.port}/hook"
        process = WebhookProcess(url=url, body=body, secret=secret, allow_networks=["127.0.0.0/8"])
        async with process:
            for attempt in (1, 2):
                await process.run(EVENT, FakeAttemptContext(delivery_id="k3f09a1c-1042.1", attempt=attempt))
    (event,) = context.events
    assert ("k3f09a1c-1042_1", EVENT.location, EVENT.operation, EVENT.id, EVENT.data, EVENT.time) == (
        event.uid,
        event.location,
        event.operation,
        event.id,
        event.data,
        EVENT.time if body == "event" else event.time,
    )
