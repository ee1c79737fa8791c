"""`Target`: the URL of a webhook process, checked once."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, Self

import attrs

from orchestrator_webhook._errors import EgressRefusedError, MissingWebhookURLError, WebhookConfigurationError
from orchestrator_webhook._networks import Guard

if TYPE_CHECKING:
    from yarl import URL

_LONGEST = 8 * 1024
_DEFAULT_PORTS = {"http": 80, "https": 443}

# The "bad ports" of the fetch standard, and those of databases: no webhook is received there, but a request may be
# taken for a command.
_BAD_PORTS = frozenset(
    [
        *(1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104),
        *(109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515),
        *(526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049),
        *(3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080),
        *(1433, 1521, 2375, 2379, 3306, 5432, 6379, 6380, 11211, 27017),
    ]
)


@attrs.frozen
class Target:
    """Where a webhook process sends its requests. No event can change scheme, host or port.

    Attributes:
        url: the URL.
        shown: the URL for messages, without its query, which may hold a token.
        host: its host, in ASCII.
    """

    url: URL
    shown: str
    host: str

    @classmethod
    def parse(cls, text: str, guard: Guard) -> Self:
        """Read a URL.

        Raises:
            MissingWebhookURLError: it is empty.
            WebhookConfigurationError: it can't be called, or must not be.
        """
        from yarl import URL  # noqa: PLC0415 (on first use)

        if not text:
            raise MissingWebhookURLError
        # What is refused is not repeated: it may hold a password.
        if len(text) > _LONGEST:
            raise WebhookConfigurationError(f"url is {len(text):,} characters long, the limit is {_LONGEST:,}")
        if re.search(r"[\x00-\x20\x7f\\]", text):
            raise WebhookConfigurationError("url has a space, a control character or a backslash in it: escape it")
        try:
            url = URL(text)
            port = url.port
        except ValueError as error:
            raise WebhookConfigurationError(f"url can't be read: {error}") from None
        if url.scheme not in _DEFAULT_PORTS or not url.raw_host:
            raise WebhookConfigurationError('url must begin with "https://" or "http://" and a host')
        if "@" in url.raw_authority:
            raise WebhookConfigurationError("url has a user or password in it: use auth = { basic = { … } }")
        if port is None or port == 0 or port in _BAD_PORTS:
            raise WebhookConfigurationError(f"url has the port {port}, on which no webhook is received")
        _check_literal(url.raw_host, guard)
        return cls(url, str(url.with_query(None).with_fragment(None)), url.raw_host)


def _check_literal(host: str, guard: Guard) -> None:
    try:
        ip_address(host)
    except ValueError:
        # What ends in a number is an address to the system, however it is spelt: 0x7f.1 is 127.0.0.1.
        if re.fullmatch(r"0x[0-9a-f]*|[0-9]+", host.rstrip(".").rpartition(".")[2]):
            raise WebhookConfigurationError(f"url: write the address {host} in its usual form") from None
        if not re.fullmatch(r"[A-Za-z0-9._-]+", host):
            raise WebhookConfigurationError(f"url: {host!r:.80} is no name of a host, and no template either") from None
        return  # a name, which is looked at when it is resolved
    try:
        guard.check(host, host)
    except EgressRefusedError as error:
        raise WebhookConfigurationError(f"url: {error}") from error
