"""Secrets as options: one, or several while one takes the place of another."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import NoReturn

from orchestrator_core import Secret
from orchestrator_webhook._errors import WebhookConfigurationError

_PREFIX = "whsec_"


def secrets(value: Secret | str | Iterable[Secret | str] | None) -> tuple[Secret, ...]:
    """Make a tuple of secrets of what an option says."""
    if value is None:
        return ()
    given = [value] if isinstance(value, Secret | str) else value
    found = tuple(each if isinstance(each, Secret) else Secret(each) for each in given)
    if not all(found):
        raise WebhookConfigurationError("secret is empty: leave it out, or set it")
    return found


def standard_key(secret: Secret) -> bytes:
    """Return the key that a secret of Standard Webhooks stands for.

    Raises:
        WebhookConfigurationError: it is not ``whsec_`` and base64; the message does not show it.
    """
    text = secret.reveal().removeprefix(_PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise WebhookConfigurationError(
            'secret must be "whsec_" and base64 after it: `orchestrator webhook secret` makes one'
        )
    return key


def no_passphrase() -> NoReturn:
    """Say that a key is encrypted; OpenSSL would ask the terminal for the passphrase, and the program would wait.

    Raises:
        WebhookConfigurationError: always.
    """
    raise WebhookConfigurationError("tls: the key has a passphrase: `openssl pkey` writes it without one")
