"""`WebhookInput`: requests that come in, as events."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import attrs

from orchestrator_core import Clock, Operation, Secret, SystemClock
from orchestrator_webhook._asyncio import require_asyncio
from orchestrator_webhook._auth import AuthName, HmacSignature, verifier
from orchestrator_webhook._bind import Bind, ListenerOptions, ServerTls
from orchestrator_webhook._endpoint import Endpoint, Limits
from orchestrator_webhook._errors import WebhookConfigurationError
from orchestrator_webhook._formats import FormatName, Reader
from orchestrator_webhook._networks import networks
from orchestrator_webhook._secrets import secrets

if TYPE_CHECKING:
    from orchestrator_core import InputContext

_PORT = 8080
_LOOK_SECONDS = 1.0
_SEGMENT = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+"
_PATH = re.compile(rf"/|(?:/{_SEGMENT})+/?")


def _methods(value: Iterable[str]) -> tuple[str, ...]:
    return tuple(value)


def _names(value: Mapping[str, str | Operation]) -> dict[str, Operation]:
    return {name: Operation(each) for name, each in value.items()}


def _proxies(value: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(str, networks(value)))


@attrs.define(kw_only=True)
class WebhookInput:
    """Receives requests and emits an event for each; 202 means that the event is stored.

    Several inputs may share one port, each with a path of its own. A request with the identity of an earlier one
    (``webhook-id``, ``Idempotency-Key`` or the sender's own) and the same content gets the same answer and makes no
    second event; with another content it gets 422.

    >>> WebhookInput(path="/github", auth="github", secret="It's a Secret to Everybody").path
    '/github'

    Attributes:
        path: the path, such as ``/github``.
        auth: how to tell that a request is genuine: ``standard`` (Standard Webhooks), ``github``, ``stripe``,
            ``slack``, ``hmac`` (see there), ``bearer`` or ``none``.
        secret: what the sender signs with, or its token; several while one takes the place of another.
        hmac: where the signature is and how it is made, with ``auth = "hmac"``.
        format: what a body is: ``event`` (an event's JSON), ``json`` (any), ``cloudevents`` or ``raw`` (any bytes).
        location: the events' location, a text that may name fields such as ``{body.kind}`` or ``{header.x-event}``;
            the path if not given.
        id: their id, likewise; the request's identity if not given.
        operation: their operation, likewise; ``create`` if not given.
        key: their ordering key, likewise.
        operation_names: the sender's words for operations, such as ``{ opened = "create" }``.
        methods: the methods that are taken.
        bind: where to listen, such as ``127.0.0.1:8080``; if not given, port 8080 of every address, and with
            ``auth = "none"`` of the loopback.
        serve: whether to listen at all; false where a program mounts ``orchestrator_webhook.asgi(…)`` in a server of
            its own.
        tls: a certificate, where no proxy in front does that.
        trust_forwarded: the networks of proxies whose word about the sender's address is taken.
        max_body: the most bytes of a body.
        max_head: the most bytes of a request's head.
        max_connections: the most connections at a time.
        queue: the most requests that wait to be stored; more get 429.
        body_timeout: how long a body may take to come in.
        head_timeout: how long a head may take, and a TLS handshake.
        idle_timeout: how long a connection may stay open between two requests.
        answer_timeout: how long a request may wait to be stored, before it gets 503.
        directory: the folder that files are relative to.
    """

    path: str = attrs.field()
    auth: AuthName = attrs.field()
    secret: Secret | tuple[Secret, ...] | None = attrs.field(default=None, converter=secrets)
    hmac: HmacSignature | None = None
    format: FormatName = "json"
    location: str | None = None
    id: str | None = None
    operation: str | None = None
    key: str | None = None
    operation_names: Mapping[str, Operation] = attrs.field(factory=dict, converter=_names)
    methods: tuple[Literal["POST", "PUT", "PATCH"], ...] = attrs.field(default=("POST",), converter=_methods)
    bind: str | None = attrs.field(default=None)
    serve: bool = True
    tls: ServerTls | None = None
    trust_forwarded: tuple[str, ...] = attrs.field(default=(), converter=_proxies)
    max_body: int = attrs.field(default=1024 * 1024, validator=attrs.validators.ge(1))
    max_head: int = attrs.field(default=16 * 1024, validator=attrs.validators.ge(256))
    max_connections: int = attrs.field(default=512, validator=attrs.validators.ge(1))
    queue: int = attrs.field(default=256, validator=attrs.validators.ge(1))
    body_timeout: timedelta = timedelta(seconds=30)
    head_timeout: timedelta = timedelta(seconds=10)
    idle_timeout: timedelta = timedelta(seconds=30)
    answer_timeout: timedelta = timedelta(seconds=10)
    directory: Path = Path()
    _clock: Clock = attrs.field(factory=SystemClock, repr=False, eq=False)
    endpoint: Endpoint = attrs.field(init=False, repr=False, eq=False)

    @path.validator
    def _check_path(self, _attribute: object, path: str) -> None:
        if not _PATH.fullmatch(path):
            raise WebhookConfigurationError(
                f'path must be like "/hooks/github": letters, digits and ._~- between slashes, found {path!r:.80}'
            )

    @bind.validator
    def _check_bind(self, _attribute: object, bind: str | None) -> None:
        if bind is not None:
            Bind.parse(bind)

    def __attrs_post_init__(self) -> None:
        check = verifier(self.auth, secrets(self.secret), self.hmac)
        texts = {"location": self.location, "id": self.id, "operation": self.operation, "key": self.key}
        self.endpoint = Endpoint(
            path=self.path,
            methods=self.methods,
            verifier=check,
            reader=Reader.of(self.format, self.path, texts, self.operation_names, check.id_field),
            limits=Limits(
                body=self.max_body,
                body_seconds=self.body_timeout.total_seconds(),
                queue=self.queue,
                answer_seconds=self.answer_timeout.total_seconds(),
            ),
            clock=self._clock,
            challenges=self.auth == "slack",
        )

    async def run(self, context: InputContext) -> None:
        """Receive requests until cancelled.

        Raises:
            AsyncioOnlyError: the program runs on another event loop.
            ListenError: the port or the path is taken.
        """
        require_asyncio()
        async with self._listening(context.name), self.endpoint.open(context):
            context.ready()
            if self.serve:
                scheme = "http" if self.tls is None else "https"
                context.log.info("listening on %s://%s%s", scheme, self._listener_options().bind, self.path)
            while True:
                if self.endpoint.waiting == 0:
                    context.caught_up()
                await context.sleep(_LOOK_SECONDS)

    async def check(self) -> None:
        """Raise if the certificate can't be read."""
        require_asyncio()
        if self.tls is not None:
            self.tls.context(self.directory)

    def _listening(self, name: str) -> AbstractAsyncContextManager[None]:
        if not self.serve:
            return nullcontext()
        from orchestrator_webhook._listener import listening  # noqa: PLC0415 (brings uvicorn)

        return listening(self._listener_options(), self.endpoint, name)

    def _listener_options(self) -> ListenerOptions:
        host = "127.0.0.1" if self.auth == "none" else "0.0.0.0"  # noqa: S104 (a signed input is there for others)
        return ListenerOptions(
            bind=Bind(host, _PORT) if self.bind is None else Bind.parse(self.bind),
            tls=self.tls,
            directory=self.directory,
            trust_forwarded=self.trust_forwarded,
            connections=self.max_connections,
            head_bytes=self.max_head,
            head_seconds=self.head_timeout.total_seconds(),
            idle_seconds=self.idle_timeout.total_seconds(),
        )
