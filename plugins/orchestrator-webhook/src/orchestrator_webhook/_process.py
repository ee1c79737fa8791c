"""`WebhookProcess`: an HTTP request for each event."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Any, Literal, Self

import attrs

from orchestrator_core import (
    Clock,
    EventError,
    OrchestratorError,
    ProcessStatus,
    Reject,
    RetryLater,
    Secret,
    SystemClock,
    load_json,
)
from orchestrator_webhook._asyncio import require_asyncio
from orchestrator_webhook._breaker import Breaker
from orchestrator_webhook._credentials import ClientTls, Credentials, header_name, header_value
from orchestrator_webhook._errors import BadStatusError, UnansweredError, WebhookConfigurationError, WebhookError
from orchestrator_webhook._networks import Guard, Network, networks
from orchestrator_webhook._payload import BodyFormat, Payload, Payloads, payloads
from orchestrator_webhook._secrets import secrets, standard_key
from orchestrator_webhook._signing import standard_headers
from orchestrator_webhook._target import Target
from orchestrator_webhook._template import MissingFieldError
from orchestrator_webhook._verdict import TEMPORARY, Judge, statuses

if TYPE_CHECKING:
    from orchestrator_core import AttemptContext, Event
    from orchestrator_webhook._client import Answer, Client

_LOGGED = 2_000
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_FIXED = {"user-agent": "orchestrator-webhook", "accept": "*/*", "accept-encoding": "identity"}


def _headers(value: Mapping[str, str]) -> dict[str, str]:
    return {header_name("headers", name): header_value("headers", each) for name, each in value.items()}


def _opened(value: Iterable[str]) -> tuple[str, ...]:
    found: tuple[Network, ...] = networks(value)
    return tuple(map(str, found))


def _listed(value: Iterable[int | str]) -> tuple[int | str, ...]:
    return tuple(value)


@attrs.define(kw_only=True)
class WebhookProcess:
    """Sends an HTTP request for each event. An answer of 2xx is success.

    A request carries the delivery's id as ``webhook-id`` and ``Idempotency-Key``, the same in every attempt, and the
    very same body; with a secret it is signed as Standard Webhooks has it. Redirects are not followed. Connections go
    to public addresses only, unless others are opened.

    >>> WebhookProcess(url="https://hooks.example/orders").method
    'POST'

    Attributes:
        url: where to send the requests.
        method: the request's method.
        headers: headers of one's own.
        auth: how to log in at the receiver, beside a signature.
        body: what to send: ``event``, the event's JSON; ``cloudevents`` or ``cloudevents_binary``; or a table whose
            texts may name fields, such as ``{data.order.id}`` or ``{outputs.price.total}``.
        ce_type: the type of CloudEvents, a text that may name fields.
        ce_source: the source of CloudEvents, likewise; the event's input and location if not given.
        secret: what to sign with, ``whsec_…``; several while one takes the place of another, the newest first.
        timeout: how long a request may take in all.
        connect_timeout: how long a connection may take, with its TLS handshake.
        retry_on: which statuses to try again by the process's retry policy, each a status or a class such as ``5xx``.
        longest_wait: the longest that a receiver may ask to wait by ``Retry-After``.
        output: what goes to the processes downstream: ``none``, or the answer's ``json``.
        connections: the most connections at a time.
        breaker: after so many failures in a row, requests wait while one at a time tries.
        allow_networks: networks that are meant though they are not public, such as ``10.0.0.0/8``.
        tls: whom to trust, and which certificate to show.
        directory: the folder that files are relative to.
    """

    url: str = attrs.field(default="", repr=lambda url: repr(url.partition("?")[0]))
    method: Literal["POST", "PUT", "PATCH", "DELETE", "GET"] = attrs.field(
        default="POST", validator=attrs.validators.in_(("POST", "PUT", "PATCH", "DELETE", "GET"))
    )
    headers: Mapping[str, str] = attrs.field(factory=dict, converter=_headers, repr=False)
    auth: Credentials | None = None
    body: BodyFormat | Mapping[str, Any] = attrs.field(default="event")
    ce_type: str = attrs.field(default="orchestrator.{operation}")
    ce_source: str | None = None
    secret: Secret | tuple[Secret, ...] | None = attrs.field(default=None, converter=secrets)
    timeout: timedelta = timedelta(seconds=30)
    connect_timeout: timedelta = timedelta(seconds=5)
    retry_on: tuple[int | str, ...] = attrs.field(default=TEMPORARY, converter=_listed)
    longest_wait: timedelta = timedelta(hours=1)
    output: Literal["none", "json"] = attrs.field(default="none", validator=attrs.validators.in_(("none", "json")))
    connections: int = attrs.field(default=32, validator=attrs.validators.in_(range(1, 1_001)))
    breaker: int = attrs.field(default=10, validator=attrs.validators.in_(range(1, 1_001)))
    allow_networks: tuple[str, ...] = attrs.field(default=(), converter=_opened)
    tls: ClientTls | None = None
    directory: Path = Path()
    _clock: Clock = attrs.field(factory=SystemClock, repr=False, eq=False)
    _rng: Random = attrs.field(factory=SystemRandom, repr=False, eq=False)
    _target: Target = attrs.field(init=False, repr=False, eq=False)
    _keys: tuple[Secret, ...] = attrs.field(init=False, repr=False, eq=False)
    _payload: Payloads = attrs.field(init=False, repr=False, eq=False)
    _judge: Judge = attrs.field(init=False, repr=False, eq=False)
    _state: Breaker = attrs.field(init=False, repr=False, eq=False)
    _client: Client | None = attrs.field(init=False, default=None, repr=False, eq=False)

    @url.validator
    def _check_url(self, _attribute: object, url: str) -> None:
        Target.parse(url, self._guard)

    @body.validator
    def _check_body(self, _attribute: object, body: BodyFormat | Mapping[str, Any]) -> None:
        if isinstance(body, str) and body not in {"event", "cloudevents", "cloudevents_binary"}:
            raise WebhookConfigurationError('body must be "event", "cloudevents", "cloudevents_binary" or a table')
        payloads(body, self.ce_type, self.ce_source)

    @secret.validator
    def _check_secret(self, _attribute: object, secret: tuple[Secret, ...]) -> None:
        for each in secret:
            standard_key(each)

    @retry_on.validator
    def _check_retry_on(self, _attribute: object, retry_on: tuple[int | str, ...]) -> None:
        statuses(retry_on)

    def __attrs_post_init__(self) -> None:
        self._target = Target.parse(self.url, self._guard)
        self._keys = secrets(self.secret)
        self._payload = payloads(self.body, self.ce_type, self.ce_source)
        self._judge = Judge(statuses(self.retry_on), self.longest_wait.total_seconds())
        self._state = Breaker(self.breaker)

    @property
    def _guard(self) -> Guard:
        return Guard(networks(self.allow_networks))

    async def __aenter__(self) -> Self:
        require_asyncio()
        from orchestrator_webhook._client import Client  # noqa: PLC0415 (brings aiohttp)

        client = Client(
            self._target,
            self._guard,
            connections=self.connections,
            connect_timeout=self.connect_timeout.total_seconds(),
            timeout=self.timeout.total_seconds(),
            tls=self._tls(),
        )
        self._client = await client.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.__aexit__(*exc_info)

    def _tls(self) -> ssl.SSLContext | None:
        return None if self.tls is None else self.tls.context(self.directory)

    async def check(self) -> None:
        """Connect, with the TLS handshake, and send nothing.

        Raises:
            WebhookError: it can't be reached, or must not be.
        """
        await self._ready().connect()

    async def run(self, event: Event, context: AttemptContext) -> ProcessStatus | None:
        """Send the request.

        Raises:
            RetryLater: the receiver asks to wait, or is down and others are trying it.
            Reject: the receiver will never take it, or the body's template asks for what the event has not.
            WebhookError: it may succeed another time.
        """
        if (wait := self._state.wait(self._clock.monotonic())) > 0:
            # Spread, so that what waits does not come all at once.
            after = timedelta(seconds=wait * (1 + self._rng.random()))
            raise RetryLater(after, f"{self._target.shown} is down, or has asked to wait")
        try:
            payload = self._payload(event, context)
        except (MissingFieldError, EventError) as error:
            raise Reject(f"body: {error}") from error
        answer = await self._send(payload, event, context)
        if answer.is_success:
            return self._success(answer)
        if answer.content:
            context.log(answer.content[:_LOGGED].decode("utf-8", "replace"))
        refusal = BadStatusError(self._target.shown, f"{answer.status} {answer.reason}".strip())
        raise self._judge.sentence(answer, refusal, context.delivery_id, context.attempt, self._clock.time())

    async def _send(self, payload: Payload, event: Event, context: AttemptContext) -> Answer:
        try:
            answer = await self._ready().send(self.method, payload.content, self._all_headers(payload, event, context))
        except UnansweredError:
            self._state.failed(self._clock.monotonic())
            raise
        now = self._clock.monotonic()
        if not self._judge.is_temporary(answer):
            self._state.succeeded()
        elif (pause := self._judge.pause(answer, self._clock.time())) is not None:
            self._state.hold(now, pause)
        else:
            self._state.failed(now)
        return answer

    def _all_headers(self, payload: Payload, event: Event, context: AttemptContext) -> dict[str, str]:
        # A full stop separates what is signed, so Standard Webhooks has none in an id.
        id_ = context.delivery_id.replace(".", "_")
        headers = {**_FIXED, **payload.headers, **self.headers, "idempotency-key": id_}
        if self.auth is not None:
            headers |= self.auth.headers()
        if event.traceparent is not None and _TRACEPARENT.fullmatch(event.traceparent):
            headers["traceparent"] = event.traceparent
        return headers | standard_headers(self._keys, id_, int(self._clock.time()), payload.content)

    def _success(self, answer: Answer) -> ProcessStatus | None:
        if self.output == "none":
            return None
        if answer.cut_off is not None:
            raise WebhookError(f"the answer of {self._target.shown} is not complete: {answer.cut_off}")
        try:
            return ProcessStatus(output=load_json(answer.content) if answer.content else None)
        except EventError as error:
            raise WebhookError(f"the answer of {self._target.shown} is {error}") from error

    def _ready(self) -> Client:
        if self._client is None:
            raise OrchestratorError("enter the process before it runs: async with process")
        return self._client
