"""Signatures: how each kind of sender makes one, over the very bytes of the body."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime

from orchestrator_core import Secret


def standard_headers(secrets: Sequence[Secret], id: str, now: int, content: bytes) -> dict[str, str]:  # noqa: A002
    """Return the headers of Standard Webhooks, with one signature for each secret, and without a secret none.

    Args:
        secrets: the keys; the newest first.
        id: the message's id.
        now: seconds since 1970 UTC.
        content: the body, which is UTF-8.
    """
    from standardwebhooks import Webhook  # noqa: PLC0415 (on first use)

    moment, text = datetime.fromtimestamp(now, UTC), content.decode()
    signatures = [Webhook(secret.reveal()).sign(id, moment, text) for secret in secrets]
    headers = {"webhook-id": id, "webhook-timestamp": str(now)}
    return {**headers, "webhook-signature": " ".join(signatures)} if signatures else headers


def standard_signature(key: bytes, id: str, timestamp: str, content: bytes) -> str:  # noqa: A002
    """Return the signature of Standard Webhooks, for a body of any bytes: the library's takes text only."""
    mac = hmac.digest(key, b"%s.%s.%s" % (id.encode(), timestamp.encode(), content), "sha256")
    return base64.b64encode(mac).decode()


def github_signature(key: bytes, content: bytes) -> str:
    """Return the value of ``X-Hub-Signature-256``."""
    return "sha256=" + hmac.digest(key, content, "sha256").hex()


def stripe_signature(key: bytes, timestamp: str, content: bytes) -> str:
    """Return the ``v1`` of ``Stripe-Signature``."""
    return hmac.digest(key, b"%s.%s" % (timestamp.encode(), content), "sha256").hex()


def slack_signature(key: bytes, timestamp: str, content: bytes) -> str:
    """Return the value of ``X-Slack-Signature``."""
    return "v0=" + hmac.digest(key, b"v0:%s:%s" % (timestamp.encode(), content), "sha256").hex()
