"""`Endpoint`: one input's end of HTTP. What it answers is decided here, 2xx only after the journal has committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import anyio
import attrs

from orchestrator_core import (
    Clock,
    Event,
    EventError,
    EventTooLargeError,
    InputContext,
    JournalError,
    dump_json,
)
from orchestrator_webhook._auth import Verifier, identity
from orchestrator_webhook._formats import Body, Reader
from orchestrator_webhook._gathering import Gathering
from orchestrator_webhook._http import Answer, Head, Refusal

Receive: TypeAlias = Callable[[], Any]
Scope: TypeAlias = Any

_RETRY_AFTER = "1"


class SenderGoneError(Exception):
    """The sender has closed the connection before its request was complete: there is nobody to answer."""


@attrs.frozen(kw_only=True)
class Limits:
    """What one request may cost.

    Attributes:
        body: the most bytes of a body.
        body_seconds: how long a body may take to come in.
        queue: the most requests that wait for the journal.
        answer_seconds: how long a request may wait for the journal.
    """

    body: int = 1024 * 1024
    body_seconds: float = 30.0
    queue: int = 256
    answer_seconds: float = 10.0


@attrs.define(eq=False, kw_only=True)
class Endpoint:
    """Answers the requests to one input.

    Attributes:
        path: its path.
        methods: the methods that it takes.
        verifier: tells who a request comes from.
        reader: makes an event of it.
        limits: what it may cost.
        clock: the time.
        challenges: whether to answer Slack's question whether somebody is there.
        waiting: how many requests wait for the journal.
    """

    path: str
    methods: Sequence[str]
    verifier: Verifier
    reader: Reader
    limits: Limits
    clock: Clock
    challenges: bool = False
    waiting: int = attrs.field(init=False, default=0)
    _context: InputContext | None = None
    _gathering: Gathering = attrs.field(init=False)
    _done: anyio.Event = attrs.field(factory=anyio.Event)
    _refused: int = 0
    _is_healthy: bool = True

    @asynccontextmanager
    async def open(self, context: InputContext) -> AsyncIterator[None]:
        """Accept requests while the block runs; on leaving it, wait for those that the journal is about to commit."""
        self._gathering = gathering = Gathering(context, self.limits.answer_seconds)
        self._context = context
        until_answered = anyio.CancelScope(shield=True)

        async def gather() -> None:
            with until_answered:
                await gathering.run()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gather)
            try:
                yield
            finally:
                self._context = None
                with anyio.move_on_after(self.limits.answer_seconds, shield=True):
                    while self.waiting:
                        self._done = anyio.Event()
                        await self._done.wait()
                until_answered.cancel()

    async def answer(self, scope: Scope, receive: Receive) -> Answer:
        """Answer one request.

        Raises:
            SenderGoneError: there is nobody to answer.
        """
        context = self._context
        if context is None:
            return _absent().answer
        try:
            return await self._accept(context, scope, receive)
        except Refusal as refusal:
            self._note(context, scope, refusal)
            return refusal.answer

    async def _accept(self, context: InputContext, scope: Scope, receive: Receive) -> Answer:
        if scope["method"] not in self.methods:
            raise Refusal(405, "method not allowed", f"method {scope['method']:.20}", allow=", ".join(self.methods))
        head = Head.of(scope["method"], scope["headers"])
        uid = identity(self.verifier, head)
        self.verifier.precheck(head)
        self._check_size(head)
        content = await self._content(receive)
        self.verifier.verify(head, content, self.clock.time())
        try:
            body = self.reader.read(head, content)
            if self.challenges and (challenge := _challenge(body)) is not None:
                return challenge
            uid = uid or self.reader.identity(body)
            event = self.reader.event(head, body, uid)
        except EventError as error:
            raise Refusal(400, str(error)) from error
        accepted = await self._emit(context, event)
        if uid is not None and not _is_same(event, accepted):
            raise Refusal(422, "there was another message with this id", f"id {uid!r:.80} with another body")
        return Answer(202, b'{"uid":%s}' % dump_json(accepted.uid).encode())

    def _check_size(self, head: Head) -> None:
        encoding = head.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"", "identity"}:
            raise Refusal(415, "content-encoding must be identity", accept_encoding="identity", connection="close")
        length = head.headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal()) or int(length) > self.limits.body:
            raise self._too_large()

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the body is over {self.limits.body:,} bytes", connection="close")

    async def _content(self, receive: Receive) -> bytes:
        chunks: list[bytes] = []
        size = 0
        try:
            # asyncio's own, since anyio's scopes take a fifth of the time that a request takes here.
            async with asyncio.timeout(self.limits.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise SenderGoneError
                    chunk = message.get("body", b"")
                    size += len(chunk)
                    if size > self.limits.body:
                        raise self._too_large()
                    chunks.append(chunk)
                    if not message.get("more_body", False):
                        return b"".join(chunks)
        except TimeoutError:
            raise Refusal(408, "the body took too long", connection="close") from None

    async def _emit(self, context: InputContext, event: Event) -> Event:
        if self._context is not context:
            raise _absent()
        if self.waiting >= self.limits.queue:
            raise Refusal(429, "too many requests at a time", retry_after=_RETRY_AFTER)
        self.waiting += 1
        try:
            accepted = await self._gathering.emit(event)
        except TimeoutError:
            self._report(context, f"the journal has not answered within {self.limits.answer_seconds:g} s")
            raise Refusal(503, "can't be stored just now", "the journal is slow", retry_after=_RETRY_AFTER) from None
        except EventTooLargeError as error:
            raise Refusal(413, str(error)) from error
        except EventError as error:
            raise Refusal(400, str(error)) from error
        except JournalError as error:
            self._report(context, f"the journal takes no events: {error}")
            raise Refusal(503, "can't be stored just now", str(error), retry_after=_RETRY_AFTER) from error
        finally:
            self.waiting -= 1
            if self._context is not context:
                self._done.set()
        self._report(context, None)
        return accepted

    def _report(self, context: InputContext, problem: str | None) -> None:
        if problem is not None or not self._is_healthy:
            self._is_healthy = problem is None
            context.healthy(problem)

    def _note(self, context: InputContext, scope: Scope, refusal: Refusal) -> None:
        """Tell the operator what a sender is not told. What the sender wrote is shown escaped."""
        self._refused += 1
        sender = (scope.get("client") or ["?"])[0]
        context.log.info("%s refused for %s: %s", refusal.answer.status, sender, refusal.reason)
        context.measure("refused", self._refused, status=str(refusal.answer.status))


def _absent() -> Refusal:
    return Refusal(503, "not listening just now", retry_after=_RETRY_AFTER)


def _is_same(event: Event, accepted: Event) -> bool:
    """Tell whether an accepted event has the content of this one, or is another that came with the same identity."""
    if accepted.time is event.time:
        return True  # it is this one, accepted just now
    mine, theirs = event.to_dict(), accepted.to_dict()
    for ignored in ("trigger", "traceparent", *(() if "time" in mine else ("time",))):
        mine.pop(ignored, None)
        theirs.pop(ignored, None)
    if "time" in mine:
        mine["time"] = event.accepted_as("").to_dict()["time"]
    return dump_json(mine) == dump_json(theirs)


def _challenge(body: Body) -> Answer | None:
    match body.data:
        case {"type": "url_verification", "challenge": str(challenge)}:
            return Answer(200, challenge.encode("utf-8", "replace"), type="text/plain; charset=utf-8")
    return None
