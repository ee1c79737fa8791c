"""Webhooks for the orchestrator: requests that come in as events, and requests that go out for events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator_core import InputType, ProcessType, hookimpl
from orchestrator_webhook._app import asgi
from orchestrator_webhook._auth import HmacSignature
from orchestrator_webhook._bind import ServerTls
from orchestrator_webhook._credentials import Basic, ClientTls, Credentials, HeaderSecret
from orchestrator_webhook._errors import (
    AsyncioOnlyError,
    BadStatusError,
    EgressRefusedError,
    ListenError,
    MissingWebhookURLError,
    UnansweredError,
    WebhookConfigurationError,
    WebhookError,
)
from orchestrator_webhook._input import WebhookInput
from orchestrator_webhook._process import WebhookProcess

if TYPE_CHECKING:
    import click

__all__ = [
    "AsyncioOnlyError",
    "BadStatusError",
    "Basic",
    "ClientTls",
    "Credentials",
    "EgressRefusedError",
    "HeaderSecret",
    "HmacSignature",
    "ListenError",
    "MissingWebhookURLError",
    "ServerTls",
    "UnansweredError",
    "WebhookConfigurationError",
    "WebhookError",
    "WebhookInput",
    "WebhookProcess",
    "asgi",
]


@hookimpl
def orchestrator_register_inputs() -> list[InputType]:
    """Return the input ``webhook``. What a sender does not send again after a refusal, nobody can replay."""
    return [
        InputType("webhook", WebhookInput, summary="HTTP requests, answered when they are stored", durable_ack=True)
    ]


@hookimpl
def orchestrator_register_processes() -> list[ProcessType]:
    """Return the process ``webhook``."""
    return [ProcessType("webhook", WebhookProcess, summary="an HTTP request for each event, signed")]


@hookimpl
def orchestrator_register_commands() -> list[click.Command]:
    """Return ``orchestrator webhook``."""
    from orchestrator_webhook._commands import webhook  # noqa: PLC0415 (on first use)

    return [webhook]
