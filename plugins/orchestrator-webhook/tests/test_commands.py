"""``orchestrator webhook``: secrets by hand."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import click.testing
import pytest
import standardwebhooks
from receiving import Receiver, answer

from orchestrator_webhook._commands import webhook

pytestmark = pytest.mark.anyio

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = '{"test": 2432232314}'


def command(*arguments: str, body: str = BODY, secret: str = SECRET) -> click.testing.Result:
    """Run a command with a body on its standard input."""
    return click.testing.CliRunner().invoke(webhook, arguments, input=body, env={"WEBHOOK_SECRET": secret})


def headers_of(result: click.testing.Result) -> dict[str, str]:
    """Return the headers that a command has printed."""
    assert 0 == result.exit_code, result.output
    return dict(line.split(": ", 1) for line in result.stdout.splitlines())


def test_a_new_secret_is_one() -> None:
    """Each a different one, that the library takes."""
    first, second = (command("secret").stdout.strip() for _ in range(2))
    assert first != second
    standardwebhooks.Webhook(first)


def test_what_is_signed_is_verified_by_the_library() -> None:
    """Just now, with the id one gave it."""
    headers = headers_of(command("sign", "--id", "msg_1"))
    assert "msg_1" == headers["webhook-id"]
    standardwebhooks.Webhook(SECRET).verify(BODY, headers)


@pytest.mark.parametrize("kind", ["standard", "github", "stripe", "slack"])
def test_what_is_signed_is_genuine(kind: str) -> None:
    """For every kind of sender; with another body it is not, and it is said why."""
    headers = headers_of(command("sign", "--auth", kind, "--at", "1800000000"))
    given = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    right = command("verify", "--auth", kind, "--at", "1800000100", *given)
    wrong = command("verify", "--auth", kind, "--at", "1800000100", *given, body=BODY + " ")
    assert (0, "genuine\n") == (right.exit_code, right.stdout)
    assert (1, "refused: the signature is not right\n") == (wrong.exit_code, wrong.stderr)


def test_an_old_signature_is_refused_with_its_age() -> None:
    """The secret may still be right."""
    headers = headers_of(command("sign", "--at", "1800000000"))
    given = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    result = command("verify", "--at", "1800000301", *given)
    assert (1, "refused: the timestamp 1800000000 is over 300 s away from now\n") == (result.exit_code, result.stderr)


@pytest.mark.parametrize("at", ["9" * 24, "-1"], ids=["beyond all dates", "before 1970"])
@pytest.mark.parametrize("name", ["sign", "verify"])
def test_a_moment_that_is_none_is_wrong_usage(name: str, at: str) -> None:
    """It is named, with what may stand there."""
    result = command(name, "--at", at)
    assert 2 == result.exit_code
    assert "Invalid value for '--at'" in result.stderr


async def sent(*arguments: str) -> click.testing.Result:
    """Run ``send`` beside the event loop, which runs the receiver."""
    run: Any = partial(command, "send", *arguments)
    result: click.testing.Result = await anyio.to_thread.run_sync(run)
    return result


async def test_a_request_is_sent(receiver: Receiver) -> None:
    """Signed, and the answer is printed."""
    receiver.script = [answer("202 Accepted", b'{"uid":"msg_1"}')]
    result = await sent("--id", "msg_1", "--allow-network", "127.0.0.0/8", receiver.url)
    assert (0, '202 Accepted\n{"uid":"msg_1"}\n') == (result.exit_code, result.stdout)
    (request,) = receiver.requests
    standardwebhooks.Webhook(SECRET).verify(request.body, dict(request.headers))


async def test_a_refusal_is_a_failure(receiver: Receiver) -> None:
    """Of the command, too; the answer is printed all the same."""
    receiver.script = [answer("401 Unauthorized", b'{"error":"unauthorized"}')]
    result = await sent("--allow-network", "127.0.0.0/8", receiver.url)
    assert (1, '401 Unauthorized\n{"error":"unauthorized"}\n') == (result.exit_code, result.stdout)


async def test_an_address_of_this_machine_is_opened_by_an_option(receiver: Receiver) -> None:
    """Whoever tries a pipeline at home is told which."""
    result = await sent(receiver.url)
    assert 2 == result.exit_code
    assert "Error: 127.0.0.1 is a loopback address: if that is meant, add --allow-network 127.0.0.0/8" in result.stderr
    assert 0 == receiver.connections


async def test_a_request_has_headers_of_its_own(receiver: Receiver) -> None:
    """Such as the one in which GitHub says what has happened."""
    result = await sent(
        "--auth", "github", "-H", "X-GitHub-Event: issues", "--allow-network", "127.0.0.0/8", receiver.url
    )
    assert 0 == result.exit_code, result.output
    assert "issues" == receiver.requests[0].headers["x-github-event"]
