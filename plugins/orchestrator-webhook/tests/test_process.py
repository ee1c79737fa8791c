"""The process `webhook`: what it sends, and what it makes of the answers."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
import standardwebhooks
import svix
from receiving import EVENT, OK, Receiver, answer

from orchestrator_core import Event, Orchestrator, ProcessStatus, Reject, RetryLater, SqliteJournal, load_json
from orchestrator_core.testing import FakeAttemptContext, ProcessContract, ScriptedInput
from orchestrator_webhook import AsyncioOnlyError, BadStatusError, UnansweredError, WebhookProcess

pytestmark = pytest.mark.anyio

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


async def send(
    process: WebhookProcess, event: Event = EVENT, context: FakeAttemptContext | None = None
) -> ProcessStatus | None:
    """Run a process once, for 30 s at most."""
    with anyio.fail_after(30):
        async with process:
            return await process.run(event, context or FakeAttemptContext(delivery_id="k3f09a1c-1042.1"))


class TestContract(ProcessContract):
    """It is a process like any other."""

    @pytest.fixture
    def component(self, receiver: Receiver) -> WebhookProcess:
        """A process with a receiver."""
        return receiver.process(secret=SECRET)

    @pytest.fixture
    def event(self) -> Event:
        """Any event."""
        return EVENT


async def test_the_body_is_the_event_as_json(receiver: Receiver) -> None:
    """By default, as in the ancestor, and posted."""
    await send(receiver.process())
    (request,) = receiver.requests
    assert ("POST", "/hook", "application/json") == (request.method, request.path, request.headers["content-type"])
    assert EVENT.to_json().encode() == request.body


@pytest.mark.parametrize("library", [standardwebhooks.Webhook, svix.Webhook], ids=["standardwebhooks", "svix"])
@pytest.mark.parametrize("secret", [SECRET, OTHER_SECRET], ids=["new", "old"])
async def test_other_libraries_verify_the_signature(receiver: Receiver, library: type, secret: str) -> None:
    """While a secret is changed, the receiver may know either."""
    await send(receiver.process(secret=[SECRET, OTHER_SECRET]))
    (request,) = receiver.requests
    library(secret).verify(request.body, dict(request.headers))
    with pytest.raises(Exception, match="No matching signature"):
        library(secret).verify(request.body + b" ", dict(request.headers))


async def test_the_delivery_id_is_the_idempotency_key(receiver: Receiver) -> None:
    """The same in every attempt; Standard Webhooks wants no full stop in it."""
    for attempt in (1, 2):
        await send(receiver.process(), context=FakeAttemptContext(delivery_id="k3f09a1c-1042.1", attempt=attempt))
    keys = {(request.headers["webhook-id"], request.headers["idempotency-key"]) for request in receiver.requests}
    assert {("k3f09a1c-1042_1", "k3f09a1c-1042_1")} == keys


async def test_the_body_is_the_same_in_every_attempt(receiver: Receiver) -> None:
    """A receiver that remembers ids may compare bodies. Catches: the attempt, or the time of sending, in the body."""
    body = {"order": "{id}", "outputs": "{outputs}", "when": "{time}"}
    for attempt in (1, 2):
        context = FakeAttemptContext(attempt=attempt, outputs={"price": {"total": 3}})
        await send(receiver.process(body=body), context=context)
    first, second = receiver.requests
    assert first.body == second.body


@pytest.mark.parametrize(
    "body", ["event", "cloudevents", "cloudevents_binary", {"all": "{data}", "at": "{time}"}], ids=str
)
async def test_the_body_is_the_same_after_a_restart(receiver: Receiver, tmp_path: Path, body: Any) -> None:
    """The first attempt has the event from its input, the second from the journal: not a byte differs.

    Catches: a number, a moment or an order of keys that the journal writes otherwise than the event had it.
    """
    data: Any = load_json('{"z":-0.0,"a":1e999,"real":12345678901234567890.123456789,"e":"\\u00e9\\u0000","whole":1.0}')
    event = Event(location="l", operation="update", id="7", uid="u-1", data=data, before=[0.1, None])
    asked = anyio.Event()

    async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()

    receiver.script = [say_nothing, OK]

    async def run(events: list[Event], *, until_idle: bool) -> None:
        async with Orchestrator(journal=SqliteJournal(tmp_path / "journal.db")) as orchestrator:
            orchestrator.add_input("shop", ScriptedInput([events] if events else []))
            orchestrator.add_process("tell", receiver.process(body=body, secret=SECRET))
            orchestrator.add_link("shop", "tell")
            await orchestrator.run(until_idle=until_idle)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(run, [event], until_idle=False))
            await asked.wait()
            tasks.cancel_scope.cancel()
        await run([], until_idle=True)
    first, second = receiver.requests
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
    assert {name: value for name, value in first.headers.items() if name.startswith("ce-")} == {
        name: value for name, value in second.headers.items() if name.startswith("ce-")
    }


async def test_connections_are_used_again(receiver: Receiver) -> None:
    """B29: the ancestor never closed an answer, so that each request took a connection of its own for good."""
    process = receiver.process()
    async with process:
        for _ in range(20):
            await process.run(EVENT, FakeAttemptContext())
    assert (20, 1) == (len(receiver.requests), receiver.connections)


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "202 Accepted", "204 No Content", "299 Odd"])
async def test_2xx_is_success(receiver: Receiver, status: str) -> None:
    """Whatever else it says."""
    receiver.script = [answer(status)]
    assert None is await send(receiver.process())


@pytest.mark.parametrize("status", ["408 Request Timeout", "500 Internal Server Error", "503 Service Unavailable"])
async def test_a_temporary_status_is_a_failure(receiver: Receiver, status: str) -> None:
    """The process's retry policy says when it is tried again; the text is the ancestor's."""
    receiver.script = [answer(status)]
    with pytest.raises(BadStatusError) as caught:
        await send(receiver.process())
    assert f'error calling webhook: {receiver.url} returned "{status}"' == str(caught.value)


def test_temporary_statuses_are_those_of_the_protocol() -> None:
    """Unless others are chosen."""
    judge = WebhookProcess(url="https://hooks.example/")._judge
    assert {408, 425, 429, *range(500, 600)} == judge.retry_on


def test_the_times_are_those_of_the_protocol() -> None:
    """Unless others are chosen."""
    process = WebhookProcess(url="https://hooks.example/")
    assert (timedelta(seconds=5), timedelta(seconds=30)) == (process.connect_timeout, process.timeout)


async def test_connections_have_a_limit(receiver: Receiver) -> None:
    """However many deliveries run at a time. Catches: a pool for each request."""
    asked, go_on = anyio.Semaphore(0), anyio.Event()

    async def wait(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.release()
        await go_on.wait()
        writer.write(answer("200 OK", connection="close"))

    receiver.script = [wait]
    with anyio.fail_after(30):
        async with receiver.process(connections=3) as process, anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(process.run, EVENT, FakeAttemptContext())
            for _ in range(3):
                await asked.acquire()
            await anyio.wait_all_tasks_blocked()
            assert 3 == receiver.connections
            go_on.set()
    assert 10 == len(receiver.requests)


async def test_410_is_dead_at_once(receiver: Receiver) -> None:
    """The receiver wants no more."""
    receiver.script = [answer("410 Gone")]
    with pytest.raises(Reject, match='returned "410 Gone"'):
        await send(receiver.process())


@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found", "422 Unprocessable", "302 Found"])
async def test_another_refusal_is_dead_after_three_tries(receiver: Receiver, status: str) -> None:
    """A receiver may be under deployment, but not for ever."""
    receiver.script = [answer(status, location="http://127.0.0.1:1/")]
    process = receiver.process()
    expected: list[type[Exception]] = [BadStatusError, BadStatusError, Reject]
    async with process:
        for attempt, kind in enumerate(expected, 1):
            with pytest.raises(kind):
                await process.run(EVENT, FakeAttemptContext(attempt=attempt))
    assert 3 == len(receiver.requests)


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_retry_after_is_kept_to(receiver: Receiver, status: str) -> None:
    """Without counting as a failure."""
    receiver.script = [answer(status, retry_after="17")]
    with pytest.raises(RetryLater) as caught:
        await send(receiver.process())
    assert timedelta(seconds=17) == caught.value.after


async def test_no_receiver_is_a_failure(receiver: Receiver) -> None:
    """The message names the URL without its query, which may hold a token."""
    async with Receiver() as gone:
        url = gone.url
    with pytest.raises(UnansweredError) as caught:
        await send(receiver.process(url=f"{url}?token=hunter2"))
    assert str(caught.value).startswith(f"error calling webhook: {url}: ")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_trio_is_told_that_it_does_not_work() -> None:
    """In words, before anything is sent."""
    with pytest.raises(AsyncioOnlyError, match="asyncio only"):
        await WebhookProcess(url="https://hooks.example/").__aenter__()
