"""How an input tells who a request comes from: each kind of sender's signature, over the raw bytes of the body.

Every comparison of a secret takes the same time whatever is compared, and nothing tells a sender what was wrong.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

import attrs

from orchestrator_core import Secret
from orchestrator_webhook._credentials import header_name
from orchestrator_webhook._errors import WebhookConfigurationError
from orchestrator_webhook._http import Head, Refusal, unauthorized
from orchestrator_webhook._secrets import standard_key
from orchestrator_webhook._signing import github_signature, slack_signature, standard_signature, stripe_signature

AuthName: TypeAlias = Literal["standard", "github", "stripe", "slack", "hmac", "bearer", "none"]

TOLERANCE = 300
_MOST_SIGNATURES = 64
_ID_HEADERS = ("webhook-id", "idempotency-key")
_ID = re.compile(r"[\x21-\x2d\x2f-\x7e]{1,256}")  # printable ASCII without the full stop, which separates
_TIMESTAMP = re.compile(r"\d{1,12}", re.ASCII)


def _header(name: str) -> str:
    return header_name("header", name)


@attrs.frozen(kw_only=True)
class HmacSignature:
    """A signature of one's own kind: the HMAC of the body in a header.

    Attributes:
        header: the header.
        algorithm: the hash.
        encoding: how the signature is written.
        prefix: what stands before it, such as ``sha256=``.
    """

    header: str = attrs.field(default="x-signature", converter=_header)
    algorithm: Literal["sha256", "sha512", "sha1"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""

    def sign(self, key: bytes, content: bytes) -> str:
        """Return the header's value."""
        mac = hmac.digest(key, content, self.algorithm)
        return self.prefix + (mac.hex() if self.encoding == "hex" else base64.b64encode(mac).decode())


class Verifier(Protocol):
    """One way to tell who a request comes from."""

    @property
    def id_headers(self) -> Sequence[str]:
        """The headers that may hold the request's identity, the best first."""

    @property
    def id_field(self) -> str | None:
        """The field of the body that holds the request's identity, if no header does."""

    def precheck(self, head: Head) -> None:
        """Raise if the head alone shows that the request can't be genuine, so that its body need not be read.

        Raises:
            Refusal: it can't.
        """

    def verify(self, head: Head, content: bytes, now: float) -> None:
        """Raise unless the request is genuine.

        Raises:
            Refusal: it is not, or it is too old or too new.
        """


@attrs.frozen(kw_only=True)
class Signed:
    """A request signed by one of several keys.

    Attributes:
        keys: the keys.
        headers: the headers without which there is no signature.
        signatures: of the head, finds the signatures that were given.
        sign: of key, head and body, makes the right one.
        timestamp: of the head, finds when it was signed, as text; ``None`` if this kind of sender does not say.
        id_headers: see `Verifier`.
        id_field: see `Verifier`.
    """

    keys: Sequence[bytes]
    headers: Sequence[str]
    signatures: Callable[[Mapping[str, str]], Sequence[str]]
    sign: Callable[[bytes, Mapping[str, str], bytes], str]
    timestamp: Callable[[Mapping[str, str]], str] | None = None
    id_headers: Sequence[str] = _ID_HEADERS
    id_field: str | None = None

    def precheck(self, head: Head) -> None:
        """Refuse a request without a signature, or with one in two lines."""
        for name in self.headers:
            if not head.headers.get(name):
                raise unauthorized(f"no {name}")
            if name in head.repeated:
                raise unauthorized(f"{name} is there twice")

    def verify(self, head: Head, content: bytes, now: float) -> None:
        """Compare the signatures that were given with the right ones."""
        if self.timestamp is not None:
            _check_age(self.timestamp(head.headers), now)
        given = self.signatures(head.headers)
        if len(given) > _MOST_SIGNATURES:
            raise unauthorized(f"{len(given)} signatures, at most {_MOST_SIGNATURES} are looked at")
        for key in self.keys:
            right = self.sign(key, head.headers, content).encode()
            # Compared as text, so that no other spelling of the same bytes passes.
            if any(hmac.compare_digest(right, each.encode()) for each in given):
                return
        raise unauthorized("the signature is not right")


def _check_age(timestamp: str, now: float) -> None:
    if not _TIMESTAMP.fullmatch(timestamp):
        raise unauthorized(f"the timestamp {timestamp!r:.40} is no number of seconds")
    if abs(int(now) - int(timestamp)) > TOLERANCE:
        raise unauthorized(f"the timestamp {timestamp} is over {TOLERANCE} s away from now")


@attrs.frozen
class Bearer:
    """A token in the header ``Authorization``.

    Attributes:
        tokens: those that are accepted.
    """

    tokens: Sequence[bytes]
    id_headers: Sequence[str] = _ID_HEADERS
    id_field: str | None = None

    def precheck(self, head: Head) -> None:
        """Compare the token; the body proves nothing."""
        scheme, _, token = head.headers.get("authorization", "").partition(" ")
        right = [each for each in self.tokens if hmac.compare_digest(each, token.encode())]
        if not right or scheme.lower() != "bearer" or "authorization" in head.repeated:
            raise unauthorized("no right token", "Bearer")

    def verify(self, head: Head, content: bytes, now: float) -> None:
        """Ask nothing more."""


@attrs.frozen
class Anybody:
    """No proof at all."""

    id_headers: Sequence[str] = _ID_HEADERS
    id_field: str | None = None

    def precheck(self, head: Head) -> None:
        """Ask nothing."""

    def verify(self, head: Head, content: bytes, now: float) -> None:
        """Ask nothing."""


def verifier(auth: AuthName, secrets: Sequence[Secret], own: HmacSignature | None) -> Verifier:
    """Return the verifier that an input's options describe.

    Raises:
        WebhookConfigurationError: a secret is missing or too much, or is not what this kind of sender has.
    """
    if auth == "none":
        if secrets:
            raise WebhookConfigurationError(
                'secret is not used with auth = "none": leave it out, or choose another auth'
            )
        return Anybody()
    if not secrets:
        raise WebhookConfigurationError(f'secret is missing: auth = "{auth}" needs one')
    if (own is not None) != (auth == "hmac"):
        raise WebhookConfigurationError('hmac is for auth = "hmac", which needs it: the header of the signature')
    if auth == "standard":
        return _standard([standard_key(each) for each in secrets])
    keys = [each.reveal().encode() for each in secrets]
    if auth == "bearer":
        return Bearer(keys)
    if own is not None:
        return _own(keys, own)
    return {"github": _github, "stripe": _stripe, "slack": _slack}[auth](keys)


def _standard(keys: Sequence[bytes]) -> Verifier:
    return Signed(
        keys=keys,
        headers=("webhook-id", "webhook-timestamp", "webhook-signature"),
        signatures=lambda headers: headers["webhook-signature"].split(" "),
        sign=lambda key, headers, content: (
            "v1," + standard_signature(key, headers["webhook-id"], headers["webhook-timestamp"], content)
        ),
        timestamp=lambda headers: headers["webhook-timestamp"],
    )


def _github(keys: Sequence[bytes]) -> Verifier:
    return Signed(
        keys=keys,
        headers=("x-hub-signature-256",),
        signatures=lambda headers: [headers["x-hub-signature-256"]],
        sign=lambda key, _, content: github_signature(key, content),
        id_headers=("x-github-delivery", *_ID_HEADERS),
    )


def _stripe(keys: Sequence[bytes]) -> Verifier:
    def fields(headers: Mapping[str, str], name: str) -> list[str]:
        pairs = [each.partition("=") for each in headers["stripe-signature"].split(",")]
        return [value for key, _, value in pairs if key == name]

    return Signed(
        keys=keys,
        headers=("stripe-signature",),
        signatures=lambda headers: fields(headers, "v1"),
        sign=lambda key, headers, content: stripe_signature(key, fields(headers, "t")[0], content),
        timestamp=lambda headers: next(iter(fields(headers, "t")), ""),
        id_field="id",
    )


def _slack(keys: Sequence[bytes]) -> Verifier:
    return Signed(
        keys=keys,
        headers=("x-slack-signature", "x-slack-request-timestamp"),
        signatures=lambda headers: [headers["x-slack-signature"]],
        sign=lambda key, headers, content: slack_signature(key, headers["x-slack-request-timestamp"], content),
        timestamp=lambda headers: headers["x-slack-request-timestamp"],
        id_field="event_id",
    )


def _own(keys: Sequence[bytes], own: HmacSignature) -> Verifier:
    return Signed(
        keys=keys,
        headers=(own.header,),
        signatures=lambda headers: [headers[own.header]],
        sign=lambda key, _, content: own.sign(key, content),
    )


def identity(verifier: Verifier, head: Head) -> str | None:
    """Return the identity that the sender gave the request in a header.

    Raises:
        Refusal: it is not one that can be signed, stored and compared.
    """
    for name in verifier.id_headers:
        if name in head.headers:
            value = head.headers[name]
            # The draft of Idempotency-Key puts it in quotes, its users don't.
            if name == "idempotency-key" and len(value) > 1 and value[0] == value[-1] == '"':
                value = value[1:-1]
            if name in head.repeated or not _ID.fullmatch(value):
                raise Refusal(400, f"{name} must be 1 to 256 characters of printable ASCII, without a full stop")
            return value
    return None
