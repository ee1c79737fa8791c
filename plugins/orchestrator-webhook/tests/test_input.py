"""The input `webhook`: what it takes for an event, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest
from sending import SECRET, Sender, free_port, receiving, signed

from orchestrator_core import JournalUnavailableError, Operation
from orchestrator_core.testing import FakeInputContext, InputContract
from orchestrator_webhook import AsyncioOnlyError, WebhookInput

pytestmark = pytest.mark.anyio


class TestContract(InputContract):
    """It is an input like any other."""

    @pytest.fixture
    def component(self) -> WebhookInput:
        """An input that takes anything from this machine."""
        return WebhookInput(path="/hook", auth="none", bind=f"127.0.0.1:{free_port()}")

    @pytest.fixture
    def happen(self, component: WebhookInput) -> Callable[[], Awaitable[None]]:
        """Post something."""
        assert component.bind is not None
        sender = Sender(int(component.bind.rpartition(":")[2]))

        async def post() -> None:
            await sender.post({"n": 1})

        return post


async def test_202_with_the_uid() -> None:
    """The answer names the event as the journal knows it."""
    async with receiving() as (sender, context):
        reply = await sender.post({"n": 1})
    assert (202, {"uid": context.events[0].uid}) == (reply.status, reply.json)


async def test_202_only_after_the_commit() -> None:
    """B9: the ancestor answered first, so that a crash lost what the sender took for delivered."""
    context = FakeInputContext("hooks")
    context.hold()
    answered = False
    async with receiving(context) as (sender, _), anyio.create_task_group() as tasks:

        async def post() -> None:
            nonlocal answered
            await sender.post({"n": 1})
            answered = True

        tasks.start_soon(post)
        await sender.waiting(1)
        before = answered
        context.release()
    assert (False, True) == (before, answered)


async def test_an_event_comes_through_as_it_is() -> None:
    """B27: the ancestor's own event without an operation was refused by its own input."""
    body = {"location": "public.orders", "operation": "unknown", "id": "7", "trigger": "shop"}
    async with receiving(format="event") as (sender, context):
        assert 202 == (await sender.post(body)).status
    (event,) = context.events
    assert ("public.orders", Operation.UNKNOWN, "7", "hooks") == (
        event.location,
        event.operation,
        event.id,
        event.trigger,
    )


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b"7", b'""', b'{"location":"x"}'])
async def test_what_is_no_event_is_refused(body: bytes) -> None:
    """B28: the ancestor took an empty object for an event."""
    async with receiving(format="event") as (sender, context):
        assert 400 == (await sender.post(body)).status
    assert [] == context.events


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_other_methods_are_refused(method: str) -> None:
    """B28: the ancestor took any. The answer says which are taken."""
    async with receiving() as (sender, context):
        reply = await sender.post({}, method=method)
    assert (405, "POST", []) == (reply.status, reply.headers["allow"], context.events)


async def test_an_unsigned_request_is_refused() -> None:
    """B28: the ancestor asked nobody who he was. The sender is not told what was wrong."""
    async with receiving(auth="standard", secret=SECRET) as (sender, context):
        reply = await sender.post({"n": 1})
    assert (401, {"error": "unauthorized"}, []) == (reply.status, reply.json, context.events)


async def test_a_signed_request_is_taken() -> None:
    """Signed by the library of Standard Webhooks."""
    async with receiving(auth="standard", secret=SECRET) as (sender, context):
        assert 202 == (await sender.post(b'{"n":1}', signed(b'{"n":1}'))).status
    assert [("msg_1", {"n": 1})] == [(event.uid, event.data) for event in context.events]


async def test_a_body_over_the_limit_is_refused() -> None:
    """B28: the ancestor read whatever came."""
    async with receiving(max_body=10) as (sender, context):
        statuses = [(await sender.post(b'"' + b"x" * size + b'"')).status for size in (8, 9)]
    assert [202, 413] == statuses
    assert 1 == len(context.events)


async def test_the_journal_away_is_503() -> None:
    """Never 2xx; the sender is told to come again, and the input is unhealthy until it works again."""
    context = FakeInputContext("hooks")
    context.fail(JournalUnavailableError("the disk is full"))
    async with receiving(context) as (sender, _):
        reply = await sender.post({})
        assert (503, "1", []) == (reply.status, reply.headers["retry-after"], context.events)
        assert "the journal takes no events: the disk is full" == context.problem
        assert 202 == (await sender.post({})).status
        assert context.problem is None


async def test_two_inputs_share_a_port() -> None:
    """Each has a path of its own, and the port goes with the last of them."""
    first, second = FakeInputContext("first"), FakeInputContext("second")
    async with receiving(first, path="/first") as (sender, _):
        async with receiving(second, path="/second", bind=f"127.0.0.1:{sender.port}"):
            assert 202 == (await sender.post({}, path="/second")).status
            assert 202 == (await sender.post({}, path="/first")).status
        assert 503 == (await sender.post({}, path="/second")).status  # it may come back
        assert 404 == (await sender.post({}, path="/third")).status
        assert 202 == (await sender.post({}, path="/first")).status
    assert (2, 1) == (len(first.events), len(second.events))
    with pytest.raises(ConnectionRefusedError):
        await sender.connect()


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_trio_is_told_that_it_does_not_work() -> None:
    """In words, before anything listens."""
    with pytest.raises(AsyncioOnlyError, match="asyncio only"):
        await WebhookInput(path="/hook", auth="none").run(FakeInputContext())
