"""``orchestrator webhook``: try a secret by hand."""

from __future__ import annotations

import base64
import secrets as chance
import time
from typing import TYPE_CHECKING, Any, BinaryIO

import anyio
import click

from orchestrator_core import Secret, new_uid
from orchestrator_webhook._auth import verifier
from orchestrator_webhook._credentials import header_name, header_value
from orchestrator_webhook._errors import EgressRefusedError, WebhookConfigurationError
from orchestrator_webhook._http import Head, Refusal
from orchestrator_webhook._networks import Guard, networks
from orchestrator_webhook._secrets import standard_key
from orchestrator_webhook._signing import github_signature, slack_signature, standard_headers, stripe_signature
from orchestrator_webhook._target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_KINDS = ("standard", "github", "stripe", "slack")
_KEY_BYTES = 32
_SECONDS = 30.0


def _secret_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--secret",
        envvar="WEBHOOK_SECRET",
        show_envvar=True,
        required=True,
        metavar="TEXT",
        help="The secret. Others on this machine can read a command line, so prefer the variable.",
    )(command)


_kind = click.option(
    "--auth",
    "kind",
    type=click.Choice(_KINDS),
    default="standard",
    show_default=True,
    help="What kind of sender.",
)
_moment = click.IntRange(0, 253_402_300_799)  # the last second that a datetime knows
_body = click.argument("body", type=click.File("rb"), default="-")


@click.group("webhook")
def webhook() -> None:
    """Try the secret of a webhook by hand."""


@webhook.command()
def secret() -> None:
    """Print a new secret for Standard Webhooks."""
    click.echo(f"whsec_{base64.b64encode(chance.token_bytes(_KEY_BYTES)).decode()}")


@webhook.command()
@_secret_option
@_kind
@click.option("--id", "id_", metavar="TEXT", help="The message's id; random if not given.")
@click.option(
    "--at", type=_moment, metavar="SECONDS", help="When it is signed, in seconds since 1970; now if not given."
)
@_body
def sign(*, secret: str, kind: str, id_: str | None, at: int | None, body: BinaryIO) -> None:
    """Print the headers that sign BODY.

    BODY is a file, or - for the standard input. With `curl`, `-H @FILE` sends what was printed into a file.
    """
    for name, value in _headers(kind, secret, id_ or new_uid(), _now(at), body.read()).items():
        click.echo(f"{name}: {value}")


@webhook.command()
@_secret_option
@_kind
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header of the request.")
@click.option("--at", type=_moment, metavar="SECONDS", help="When it came in, in seconds since 1970; now if not given.")
@_body
def verify(*, secret: str, kind: Any, headers: Sequence[str], at: int | None, body: BinaryIO) -> None:  # noqa: ANN401
    """Tell whether a request is genuine.

    The request is that of the headers and BODY, a file or - for the standard input. If it is not, the reason is told.
    """
    pairs = [
        (name.strip().lower().encode(), value.strip().encode())
        for name, _, value in (each.partition(":") for each in headers)
    ]
    head = Head.of("POST", pairs)
    check = verifier(kind, [Secret(secret)], None)
    try:
        check.precheck(head)
        check.verify(head, body.read(), _now(at))
    except Refusal as refusal:
        click.echo(f"refused: {refusal.reason}", err=True)
        raise click.exceptions.Exit(1) from None
    click.echo("genuine")


@webhook.command()
@_secret_option
@_kind
@click.option("--id", "id_", metavar="TEXT", help="The message's id; random if not given.")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="Another header to send.")
@click.option(
    "--allow-network", "opened", multiple=True, metavar="CIDR", help="A network that is not public, but meant."
)
@click.argument("url")
@_body
def send(
    *,
    secret: str,
    kind: str,
    id_: str | None,
    headers: Sequence[str],
    opened: Sequence[str],
    url: str,
    body: BinaryIO,
) -> None:
    """Send BODY to URL, signed, and print the answer."""
    content = body.read()
    own = {
        header_name("--header", name.strip()): header_value("--header", value.strip())
        for name, _, value in (each.partition(":") for each in headers)
    }
    signed = _headers(kind, secret, id_ or new_uid(), _now(None), content)
    try:
        anyio.run(_send, url, content, {"content-type": "application/json", **own, **signed}, opened)
    except (WebhookConfigurationError, EgressRefusedError) as error:
        refused = error if isinstance(error, EgressRefusedError) else error.__cause__
        if not isinstance(refused, EgressRefusedError):
            raise
        remedy = f"if that is meant, add --allow-network {refused.network}"
        raise click.UsageError(f"{refused.refusal}: {remedy}") from error


async def _send(url: str, content: bytes, headers: dict[str, str], opened: Sequence[str]) -> None:
    from orchestrator_webhook._client import Client  # noqa: PLC0415 (brings aiohttp)

    guard = Guard(networks(opened))
    target = Target.parse(url, guard)
    client = Client(target, guard, connections=1, connect_timeout=_SECONDS, timeout=_SECONDS, tls=None)
    async with client:
        answer = await client.send("POST", content, headers)
    click.echo(f"{answer.status} {answer.reason}")
    if answer.content:
        click.echo(answer.content.decode("utf-8", "backslashreplace"))
    if not answer.is_success:
        raise click.exceptions.Exit(1)


def _headers(kind: str, secret: str, id_: str, now: int, content: bytes) -> dict[str, str]:
    key = secret.encode()
    if kind == "github":
        return {"x-hub-signature-256": github_signature(key, content), "x-github-delivery": id_}
    if kind == "stripe":
        return {"stripe-signature": f"t={now},v1={stripe_signature(key, str(now), content)}"}
    if kind == "slack":
        return {
            "x-slack-request-timestamp": str(now),
            "x-slack-signature": slack_signature(key, str(now), content),
        }
    standard_key(Secret(secret))  # says what is wrong with it; the library would not
    try:
        return standard_headers([Secret(secret)], id_, now, content)
    except UnicodeDecodeError as error:
        raise WebhookConfigurationError(f"body: Standard Webhooks sign UTF-8: {error}") from error


def _now(at: int | None) -> int:
    return int(time.time()) if at is None else at
