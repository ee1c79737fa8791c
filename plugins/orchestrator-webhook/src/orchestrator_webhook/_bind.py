"""`Bind` and `ListenerOptions`: where a listener listens, and what it spends on its connections."""

from __future__ import annotations

import re
import ssl
from ipaddress import ip_address
from pathlib import Path
from typing import Self

import attrs

from orchestrator_webhook._errors import WebhookConfigurationError
from orchestrator_webhook._secrets import no_passphrase

_BIND = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:]*)):(?P<port>\d{1,6})", re.ASCII)
_HIGHEST_PORT = 65_535


@attrs.frozen
class Bind:
    """An address and a port.

    Attributes:
        host: the address, or a name for one.
        port: the port.
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read it.

        Raises:
            WebhookConfigurationError: it is neither ``host:port`` nor ``[address]:port``, or the port is out of range.
        """
        found = _BIND.fullmatch(text)
        if not found or not (host := found["v6"] or found["host"]):
            raise WebhookConfigurationError('bind must be like "127.0.0.1:8080", "0.0.0.0:8080" or "[::]:8080"')
        port = int(found["port"])
        if not 1 <= port <= _HIGHEST_PORT:
            raise WebhookConfigurationError(f"bind has the port {port}: it must be from 1 to {_HIGHEST_PORT}")
        return cls(host, port)

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine gets there."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@attrs.frozen(kw_only=True)
class ServerTls:
    """TLS of an input's own, where no proxy in front of it does that.

    Attributes:
        certificate: a file with the certificate, and those that lead to its authority.
        key: a file with its key, if it is not in the same file.
    """

    certificate: Path
    key: Path | None = None

    def context(self, directory: Path) -> ssl.SSLContext:
        """Return what OpenSSL needs.

        Raises:
            WebhookConfigurationError: a file is missing, or not what it should be.
        """
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.set_alpn_protocols(["http/1.1"])
        try:
            key = None if self.key is None else directory / self.key
            context.load_cert_chain(directory / self.certificate, key, no_passphrase)
        except (OSError, ssl.SSLError) as error:
            raise WebhookConfigurationError(f"tls: {error}") from error
        return context


@attrs.frozen(kw_only=True)
class ListenerOptions:
    """What the inputs of one listener have in common.

    Attributes:
        bind: where it listens.
        tls: its certificate; ``None`` for plain HTTP.
        directory: the folder that the certificate's files are relative to.
        trust_forwarded: the proxies whose word about the sender's address is taken.
        connections: the most connections at a time.
        head_bytes: the most bytes of a request's head.
        head_seconds: how long a request's head may take, and a TLS handshake.
        idle_seconds: how long a connection may stay open between two requests.
    """

    bind: Bind
    tls: ServerTls | None = None
    directory: Path = Path()
    trust_forwarded: tuple[str, ...] = ()
    connections: int = 512
    head_bytes: int = 16 * 1024
    head_seconds: float = 10.0
    idle_seconds: float = 30.0
