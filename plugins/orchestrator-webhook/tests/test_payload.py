"""What is sent: templates, CloudEvents as their SDK reads them, and credentials."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from receiving import EVENT, Receiver, answer

from orchestrator_core import Event, Reject, Secret
from orchestrator_core.testing import FakeAttemptContext
from orchestrator_webhook import Basic, Credentials, HeaderSecret, WebhookConfigurationError, WebhookProcess
from orchestrator_webhook._template import MissingFieldError, Template, Tree

URL = "https://hooks.example/"
FULL = Event(
    location="public.Straße %",
    operation="update",
    id='7 "é"',
    trigger="shop",
    uid="u-1",
    data={"total": 12.5, "lines": [{"n": 1}, {"n": 2}], "none": None, "name": "Ada"},
    before={"total": 11},
    key="customer-3",
    time=datetime(2026, 5, 4, 12, 30, tzinfo=UTC),
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)


def filled(text: Any) -> Any:
    """Fill a template from the data of an event."""
    return Tree.parse(text, {"data", "id"}).value({"data": FULL.data, "id": FULL.id})


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("plain", "plain"),
        ("", ""),
        ("{id}", '7 "é"'),
        ("{data.total}", 12.5),
        ("{data.lines}", [{"n": 1}, {"n": 2}]),
        ("{data.lines.1.n}", 2),
        ("{data.none}", None),
        ("{data.missing?}", None),
        ("{data.lines.9?}", None),
        ("{data.name.first?}", None),
        ("hello {data.name}, {data.total} for {data.lines}", 'hello Ada, 12.5 for [{"n":1},{"n":2}]'),
        ("[{data.none}]", "[]"),
        ("{{data.name}} {data.name}", "{data.name} Ada"),
        (
            {"a": ["{data.name}", 1, True, None], "b": {"c": "{data.total}"}},
            {"a": ["Ada", 1, True, None], "b": {"c": 12.5}},
        ),
    ],
)
def test_templates_are_filled_in(template: object, expected: object) -> None:
    """A path alone keeps its type; among text it becomes text."""
    assert expected == filled(template)


@pytest.mark.parametrize(
    "template", ["{", "}", "{data.name", "a } b", "{}", "{other.name}", "{data..name}", "{data.}", "{.}", "{{data}"]
)
def test_templates_that_are_none_are_refused(template: str) -> None:
    """When the pipeline is checked."""
    with pytest.raises(WebhookConfigurationError):
        WebhookProcess(url=URL, body={"text": template})


@pytest.mark.parametrize("path", ["data.missing", "data.lines.9", "data.lines.-1", "data.name.0", "data.lines.n"])
def test_a_missing_field_is_no_value(path: str) -> None:
    """Nothing is sent in its place, unless it may be missing."""
    with pytest.raises(MissingFieldError, match=r"write \{.*\?\} if it may be missing"):
        filled(f"{{{path}}}")


@pytest.mark.parametrize("text", ["{0.__class__}", "{data.__class__}", "{data.name.__class__}", "%n", "${HOME}"])
def test_templates_execute_nothing(text: str) -> None:
    """They name fields of JSON, and nothing of Python's."""
    try:
        value = Template.parse(text, {"data"}).value({"data": FULL.data})
    except (WebhookConfigurationError, MissingFieldError):
        return
    assert text == value


@pytest.mark.anyio
async def test_a_template_is_the_body(receiver: Receiver) -> None:
    """With what upstream processes have returned."""
    body = {"text": "order {id}: {data.total}", "price": "{outputs.price.total}", "delivery": "{delivery_id}"}
    context = FakeAttemptContext(delivery_id="d-1", outputs={"price": {"total": 3}})
    async with receiver.process(body=body) as process:
        await process.run(EVENT, context)
    assert {"text": "order 7: 12.5", "price": 3, "delivery": "d-1"} == json.loads(receiver.requests[0].body)


@pytest.mark.anyio
async def test_an_event_without_the_field_is_a_dead_letter(receiver: Receiver) -> None:
    """It will not have it the next time either."""
    async with receiver.process(body={"x": "{data.missing}"}) as process:
        with pytest.raises(Reject, match=r"there is no \{data\.missing\}"):
            await process.run(EVENT, FakeAttemptContext())
    assert [] == receiver.requests


@pytest.mark.anyio
@pytest.mark.parametrize("body", ["cloudevents", "cloudevents_binary"])
@pytest.mark.parametrize("event", [FULL, EVENT, EVENT.derive(id="", uid="u-2")], ids=["full", "small", "bare"])
async def test_cloudevents_are_read_by_their_sdk(receiver: Receiver, body: str, event: Event) -> None:
    """Structured and binary, with every character that a header can't hold."""
    async with receiver.process(body=body) as process:
        await process.run(event, FakeAttemptContext())
    (request,) = receiver.requests
    found = from_http_event(HTTPMessage(dict(request.headers), request.body))
    attributes = found.get_attributes()
    assert (event.uid, f"orchestrator.{event.operation}", event.location, str(event.operation), event.time) == (
        attributes["id"],
        attributes["type"],
        attributes["location"],
        attributes["operation"],
        attributes["time"],
    )
    assert (event.id or None, event.key, event.traceparent) == (
        attributes.get("subject"),
        attributes.get("partitionkey"),
        attributes.get("traceparent"),
    )
    assert (event.data or None) == (found.get_data() or None)


@pytest.mark.anyio
async def test_cloudevents_have_the_type_and_source_one_wants(receiver: Receiver) -> None:
    """Each a template."""
    options = {"body": "cloudevents", "ce_type": "com.example.{operation}d", "ce_source": "/shops/{data.total}"}
    async with receiver.process(**options) as process:
        await process.run(EVENT, FakeAttemptContext())
    sent = json.loads(receiver.requests[0].body)
    assert ("com.example.created", "/shops/12.5") == (sent["type"], sent["source"])


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("auth", "header"),
    [
        (Credentials(bearer=Secret("t0ken")), ("authorization", "Bearer t0ken")),
        (Credentials(basic=Basic(user="ada", password=Secret("pä"))), ("authorization", "Basic YWRhOnDDpA==")),
        (Credentials(header=HeaderSecret(name="X-Api-Key", value=Secret("k3y"))), ("x-api-key", "k3y")),
    ],
    ids=["bearer", "basic", "header"],
)
async def test_credentials_are_headers(receiver: Receiver, auth: Credentials, header: tuple[str, str]) -> None:
    """As RFC 6750 and RFC 7617 have them, or the receiver's own."""
    async with receiver.process(auth=auth) as process:
        await process.run(EVENT, FakeAttemptContext())
    assert header[1] == receiver.requests[0].headers[header[0]]


def test_secrets_are_not_shown() -> None:
    """Neither in a repr nor in what is wrong with them."""
    auth = Credentials(basic=Basic(user="ada", password=Secret("hunter2")))
    process = WebhookProcess(url=URL, auth=auth, secret="whsec_aHVudGVyMg==", headers={"x-token": "hunter2"})
    assert "hunter2" not in repr(process)
    assert "aHVudGVyMg" not in repr(process)
    with pytest.raises(WebhookConfigurationError) as caught:
        WebhookProcess(url=URL, headers={"x-token": "hunter2\r\nx: y"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "headers",
    [{"": "x"}, {"a b": "x"}, {"a:": "x"}, {"x": "a\nb"}, {"x": "é"}, {"Host": "x"}, {"webhook-id": "x"}, {"TE": "x"}],
    ids=str,
)
def test_headers_that_are_none_are_refused(headers: dict[str, str]) -> None:
    """So are those that the process sets itself."""
    with pytest.raises(WebhookConfigurationError, match="headers: "):
        WebhookProcess(url=URL, headers=headers)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_not base64", "hünter2", "whsec_a"])
def test_a_secret_that_is_none_is_refused(secret: str) -> None:
    """The message says how to get one, and does not show it."""
    with pytest.raises(WebhookConfigurationError, match="orchestrator webhook secret") as caught:
        WebhookProcess(url=URL, secret=secret)
    assert secret == "whsec_" or secret not in str(caught.value)


@pytest.mark.anyio
async def test_trace_context_is_carried_along(receiver: Receiver) -> None:
    """If it is one; what is not goes into no header."""
    async with receiver.process() as process:
        await process.run(FULL, FakeAttemptContext())
        await process.run(Event(location="l", operation="read", id="1", traceparent="x\r\ny: z"), FakeAttemptContext())
    first, second = receiver.requests
    assert FULL.traceparent == first.headers["traceparent"]
    assert not {"traceparent", "y"} & second.headers.keys()


@pytest.mark.anyio
async def test_the_answer_may_be_the_output(receiver: Receiver) -> None:
    """For the processes downstream."""
    receiver.script = [answer("200 OK", b'{"price":12.50}')]
    async with receiver.process(output="json") as process:
        status = await process.run(EVENT, FakeAttemptContext())
    assert status is not None
    assert {"price": 12.5} == status.output
