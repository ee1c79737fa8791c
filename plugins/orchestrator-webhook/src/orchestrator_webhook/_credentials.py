"""How a webhook process proves who it is, beside a signature: a token, a password, a header, a certificate."""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Mapping
from pathlib import Path

import attrs

from orchestrator_core import Secret
from orchestrator_webhook._errors import WebhookConfigurationError
from orchestrator_webhook._secrets import no_passphrase

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")

# What the plugin or the protocol sets.
_TAKEN = frozenset(
    (
        *("host", "content-length", "transfer-encoding", "connection", "expect", "upgrade", "te", "trailer"),
        *("webhook-id", "webhook-timestamp", "webhook-signature", "idempotency-key", "traceparent"),
    )
)


def secret(value: Secret | str) -> Secret:
    """Make text a `Secret`."""
    return value if isinstance(value, Secret) else Secret(value)


def header_name(option: str, name: str) -> str:
    """Return a header's name in lower case.

    Raises:
        WebhookConfigurationError: it is no name, or one that the plugin sets.
    """
    if not _NAME.fullmatch(name):
        raise WebhookConfigurationError(f"{option}: {name!r:.80} is no name of a header")
    if name.lower() in _TAKEN:
        raise WebhookConfigurationError(f"{option}: the header {name} is set by the process itself")
    return name.lower()


def header_value(option: str, value: str) -> str:
    """Return a header's value.

    Raises:
        WebhookConfigurationError: it holds what a header can't; the message does not show it.
    """
    if not _VALUE.fullmatch(value):
        raise WebhookConfigurationError(f"{option}: the value of a header is printable ASCII on one line")
    return value


@attrs.frozen(kw_only=True)
class Basic:
    """HTTP's own passwords (RFC 7617).

    Attributes:
        user: the user; without a colon.
        password: the password.
    """

    user: str = attrs.field()
    password: Secret = attrs.field(converter=secret)

    @user.validator
    def _check_user(self, _attribute: object, user: str) -> None:
        if ":" in user:
            raise WebhookConfigurationError("user can't have a colon in it")


@attrs.frozen(kw_only=True)
class HeaderSecret:
    """A header of any name with a secret in it.

    Attributes:
        name: the header, such as ``x-api-key``.
        value: its value.
    """

    name: str = attrs.field()
    value: Secret = attrs.field(converter=secret)

    @name.validator
    def _check_name(self, _attribute: object, name: str) -> None:
        header_name("name", name)


@attrs.frozen(kw_only=True)
class Credentials:
    """One of the ways to log in at a receiver.

    Attributes:
        bearer: a token for the header ``Authorization``.
        basic: user and password.
        header: a header of the receiver's own.
    """

    bearer: Secret | None = attrs.field(default=None, converter=attrs.converters.optional(secret))
    basic: Basic | None = None
    header: HeaderSecret | None = None

    def __attrs_post_init__(self) -> None:
        if sum(each is not None for each in (self.bearer, self.basic, self.header)) != 1:
            raise WebhookConfigurationError("give one of bearer, basic and header")
        for value in self.headers().values():
            header_value("auth", value)

    def headers(self) -> Mapping[str, str]:
        """Return the header that it is."""
        if self.bearer is not None:
            return {"authorization": f"Bearer {self.bearer.reveal()}"}
        if self.header is not None:
            return {self.header.name.lower(): self.header.value.reveal()}
        assert self.basic is not None
        pair = f"{self.basic.user}:{self.basic.password.reveal()}"
        return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


@attrs.frozen(kw_only=True)
class ClientTls:
    """TLS as the receiver wants it.

    Attributes:
        ca: a file with the certificates of the authorities to trust, instead of the system's.
        certificate: a file with a certificate of one's own, to show to a receiver that asks for it (mTLS).
        key: a file with that certificate's key, if it is not in the same file.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def context(self, directory: Path) -> ssl.SSLContext:
        """Return what OpenSSL needs.

        Raises:
            WebhookConfigurationError: a file is missing, or not what it should be.
        """
        try:
            context = ssl.create_default_context(cafile=None if self.ca is None else directory / self.ca)
            if self.certificate is not None:
                key = None if self.key is None else directory / self.key
                context.load_cert_chain(directory / self.certificate, key, no_passphrase)
        except (OSError, ssl.SSLError) as error:
            raise WebhookConfigurationError(f"tls: {error}") from error
        return context
