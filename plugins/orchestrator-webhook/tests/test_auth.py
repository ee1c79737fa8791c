"""Who a request comes from: W38 to W44 and W50 of the bad inputs, and each kind of sender's own vectors."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import standardwebhooks
import svix
from sending import SECRET, Sender, free_port, receiving, running_pipeline, signed
from slack_sdk.signature import SignatureVerifier

from orchestrator_core import Configuration, MemoryJournal, Orchestrator, Secret, SqliteJournal
from orchestrator_core.testing import RecordingProcess, SimulatedClock
from orchestrator_webhook import HmacSignature, WebhookConfigurationError, WebhookInput
from orchestrator_webhook._signing import standard_headers

pytestmark = pytest.mark.anyio

OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BODY = b'{"test": 2432232314}'
NOW = 1_800_000_000

# https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
GITHUB = {
    "x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
}
GITHUB_SECRET = "It's a Secret to Everybody"

# https://docs.slack.dev/authentication/verifying-requests-from-slack
SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SLACK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
SLACK = {
    "x-slack-request-timestamp": "1531420618",
    "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
}


async def statuses(requests: Sequence[tuple[bytes, Mapping[str, str]]], **options: Any) -> list[int]:
    """Send requests to an input, and return the statuses of the answers."""
    async with receiving(**{"auth": "standard", "secret": SECRET, **options}) as (sender, context):
        found = [(await sender.post(content, headers)).status for content, headers in requests]
    assert found.count(202) >= len(context.events)
    return found


# Each kind of sender


async def test_github_signs_as_its_documentation_says() -> None:
    """Its published example; the delivery is the event's identity."""
    async with receiving(auth="github", secret=GITHUB_SECRET, format="raw") as (sender, context):
        assert 202 == (await sender.post(b"Hello, World!", GITHUB)).status
        assert 401 == (await sender.post(b"Hello, World?", GITHUB)).status
    assert [GITHUB["x-github-delivery"]] == [event.uid for event in context.events]


async def test_slack_signs_as_its_documentation_says() -> None:
    """Its published example, in its time."""
    options = {"auth": "slack", "secret": SLACK_SECRET, "format": "raw", "clock": SimulatedClock(1_531_420_618)}
    assert [202, 401] == await statuses([(SLACK_BODY, SLACK), (SLACK_BODY + b"&", SLACK)], **options)


async def test_slack_signs_with_its_own_library() -> None:
    """As its SDK does it today; Slack's own id of the event counts."""
    content = b'{"event_id":"Ev0PV52K21","type":"event_callback"}'
    now = str(int(time.time()))
    signature = SignatureVerifier(SLACK_SECRET).generate_signature(timestamp=now, body=content)
    assert signature is not None
    headers = {"x-slack-request-timestamp": now, "x-slack-signature": signature}
    async with receiving(auth="slack", secret=SLACK_SECRET) as (sender, context):
        assert 202 == (await sender.post(content, headers)).status
    assert ["Ev0PV52K21"] == [event.uid for event in context.events]


async def test_slack_asks_whether_somebody_is_there() -> None:
    """It is answered at once, and is no event."""
    content = b'{"type":"url_verification","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}'
    now = str(int(time.time()))
    signature = SignatureVerifier(SLACK_SECRET).generate_signature(timestamp=now, body=content)
    headers = {"x-slack-request-timestamp": now, "x-slack-signature": signature or ""}
    async with receiving(auth="slack", secret=SLACK_SECRET) as (sender, context):
        reply = await sender.post(content, headers)
        assert 401 == (await sender.post(content, headers | {"x-slack-signature": "v0=00"})).status
    assert (200, b"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P", []) == (
        reply.status,
        reply.body,
        context.events,
    )


async def test_stripe_signs_with_its_own_library() -> None:
    """Several signatures while a secret is rolled, schemes of old among them; Stripe's own id of the event counts."""
    from stripe import WebhookSignature  # noqa: PLC0415 (takes seconds)

    content = b'{"id":"evt_1NG8Du2eZvKYlo2CUI79vXWy","object":"event"}'
    header = WebhookSignature.generate_signature_header(content.decode(), "whsec_test_secret")
    first, second = header.split(",")
    requests = [
        (content, {"stripe-signature": header}),
        (content, {"stripe-signature": f"{first},v1=00,{second},v0=00"}),
        (content, {"stripe-signature": f"{first},v0={second[3:]}"}),
        (content, {"stripe-signature": second}),
        (content, {"stripe-signature": f"t=x,{second}"}),
        (content + b" ", {"stripe-signature": header}),
    ]
    assert [202, 202, 401, 401, 401, 401] == await statuses(requests, auth="stripe", secret="whsec_test_secret")


@pytest.mark.parametrize("library", [standardwebhooks.Webhook, svix.Webhook], ids=["standardwebhooks", "svix"])
async def test_standard_webhooks_are_signed_by_other_libraries(library: Any) -> None:
    """Each signs what is accepted, and nobody else's."""
    now = datetime.now(UTC)
    signature = library(SECRET).sign("msg_1", now, BODY.decode())
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
    assert [202, 401] == await statuses([(BODY, headers), (BODY + b" ", headers)])


async def test_standard_webhooks_are_signed_as_their_documentation_says() -> None:
    """The published example, in its time; and what we would send is the same, to the last character."""
    published = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert [202] == await statuses([(BODY, published)], clock=SimulatedClock(1_614_265_330))
    assert published == standard_headers([Secret(SECRET)], published["webhook-id"], 1_614_265_330, BODY)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512", "sha1"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
async def test_a_signature_of_ones_own_kind(algorithm: Any, encoding: Any) -> None:
    """Any header, hash, encoding and prefix."""
    own = HmacSignature(header="X-Shop-Hmac", algorithm=algorithm, encoding=encoding, prefix="h=")
    mac = hmac.new(b"k3y", BODY, algorithm)
    right = mac.hexdigest() if encoding == "hex" else base64.b64encode(mac.digest()).decode()
    requests = [(BODY, {"x-shop-hmac": f"h={right}"}), (BODY, {"x-shop-hmac": right}), (BODY, {"x-shop-hmac": "h="})]
    assert [202, 401, 401] == await statuses(requests, auth="hmac", secret="k3y", hmac=own)


async def test_a_token() -> None:
    """In the usual header, with the usual word before it."""
    values = [
        "Bearer t0ken",
        "bearer t0ken",
        "Bearer t0ke",
        "Bearer t0kenn",
        "Bearer",
        "t0ken",
        "Basic t0ken",
        "Bearer  t0ken",
        "Bearer é",
    ]
    found = await statuses([(BODY, {"authorization": each}) for each in values], auth="bearer", secret="t0ken")
    assert [202, 202, *[401] * 7] == found


@pytest.mark.parametrize(
    "options",
    [
        {"auth": "standard"},
        {"auth": "github", "secret": ""},
        {"auth": "bearer", "secret": []},
        {"auth": "none", "secret": "x"},
        {"auth": "standard", "secret": "not base64"},
        {"auth": "hmac", "secret": "x"},
        {"auth": "github", "secret": "x", "hmac": HmacSignature()},
    ],
    ids=str,
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any]) -> None:
    """When the pipeline is checked."""
    with pytest.raises(WebhookConfigurationError, match=r"secret|hmac"):
        WebhookInput(path="/hook", **options)


def test_auth_must_be_written_out() -> None:
    """Nobody opens a port to everybody by leaving something out."""
    with pytest.raises(TypeError, match="auth"):
        WebhookInput(path="/hook")  # type: ignore[call-arg]


def test_secrets_are_not_shown() -> None:
    """Not in a repr."""
    assert "hunter2" not in repr(WebhookInput(path="/hook", auth="bearer", secret=[Secret("hunter2")]))


# W38 to W44


def _w38() -> dict[str, dict[str, str]]:
    right = signed(BODY)
    value = right["webhook-signature"]
    plain = value.removeprefix("v1,")
    wrong = "v1," + base64.b64encode(b"\0" * 32).decode()
    headers = {
        "no padding": {"webhook-signature": value.rstrip("=")},
        "whitespace": {"webhook-signature": f"v1,{plain[:10]}\t{plain[10:]}"},
        "empty": {"webhook-signature": ""},
        "wrong": {"webhook-signature": wrong},
        "no scheme": {"webhook-signature": plain},
        "wrong scheme": {"webhook-signature": f"v2,{plain}"},
        "asymmetric scheme": {"webhook-signature": f"v1a,{plain}"},
        "comma": {"webhook-signature": f"{value}, {value},"},
        "100": {"webhook-signature": " ".join([*[wrong] * 99, value])},
        "not ascii": {"webhook-signature": "v1,é"},
        "hex": {"webhook-signature": "v1," + base64.b64decode(plain).hex()},
    }
    return {name: right | change for name, change in headers.items()}


@pytest.mark.parametrize("name", _w38())
async def test_w38_signatures_that_are_none(name: str) -> None:
    """The right one in another spelling is not the right one; nobody has us compare a hundred."""
    assert [401] == await statuses([(BODY, _w38()[name])])


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
async def test_w38_a_header_is_missing(name: str) -> None:
    """Without one of them there is no signature."""
    headers = {key: value for key, value in signed(BODY).items() if key != name}
    assert [401] == await statuses([(BODY, headers)])


async def test_w38_the_right_one_among_50() -> None:
    """While secrets are changed, a sender may send several."""
    headers = signed(BODY)
    wrong = ["v1," + base64.b64encode(bytes([n] * 32)).decode() for n in range(49)]
    headers["webhook-signature"] = " ".join([*wrong, headers["webhook-signature"]])
    assert [202] == await statuses([(BODY, headers)])


async def test_w38_two_lines() -> None:
    """Proxies and applications differ in which of two counts."""
    headers = [*signed(BODY).items(), ("content-length", len(BODY)), ("host", "localhost")]
    lines = "".join(f"{name}: {value}\r\n" for name, value in [*headers, headers[2]])
    async with receiving(auth="standard", secret=SECRET) as (sender, context):
        reply = await sender.raw(f"POST /hook HTTP/1.1\r\n{lines}\r\n".encode() + BODY)
    assert (401, []) == (reply.status, context.events)


@pytest.mark.parametrize(
    ("timestamp", "status"),
    [
        (NOW, 202),
        (NOW - 300, 202),
        (NOW + 300, 202),
        (NOW - 301, 401),
        (NOW + 301, 401),
        (f"{NOW}.0", 401),
        (f" {NOW}", 202),  # HTTP takes the space away
        (f"+{NOW}", 401),
        (-NOW, 401),
        (10**20, 401),
        ("1e9", 401),
        ("", 401),
        ("now", 401),
        ("１８００００００００", 401),  # noqa: RUF001 (full-width digits)
        (f"{NOW}\x00", 400),
    ],
    ids=str,
)
async def test_w39_timestamps(timestamp: object, status: int) -> None:
    """Within five minutes, in whole seconds; the signature is right for each of them."""
    said = str(timestamp).encode().decode("latin-1")
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    mac = hmac.new(key, b"msg_1." + said.strip(" ").encode("latin-1") + b"." + BODY, hashlib.sha256).digest()
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": said,
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }
    assert [status] == await statuses([(BODY, headers)], clock=SimulatedClock(NOW))


async def test_w40_signatures_for_something_else() -> None:
    """Another id, another time, another body, another secret, the same JSON written otherwise."""
    headers = signed(BODY)
    requests = [
        (BODY, headers | {"webhook-id": "msg_2"}),
        (BODY, headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) - 1)}),
        (b'{"test": 2432232315}', headers),
        (b'{"test":2432232314}', headers),
        (json.dumps(json.loads(BODY), indent=1).encode(), headers),
        (b"", headers),
        (BODY, signed(BODY, secret=OTHER_SECRET)),
    ]
    assert [401] * 7 == await statuses(requests)


@pytest.mark.parametrize("auth", ["standard", "none"])
@pytest.mark.parametrize("name", ["webhook-id", "idempotency-key"])
@pytest.mark.parametrize("id_", ["a.b", ".", "", "x" * 10_000, "x" * 257, "é", "a b", "a\tb"], ids=lambda id_: id_[:5])
async def test_w41_ids_that_are_none(id_: str, name: str, auth: str) -> None:
    """What can't be signed, stored and compared is no identity."""
    if auth == "standard" and name == "idempotency-key":
        name = "webhook-id"
    secret = SECRET if auth == "standard" else None
    headers = signed(BODY) | {"webhook-id": "ok"} if auth == "standard" else {}
    assert [400] == await statuses([(BODY, headers | {name: id_})], auth=auth, secret=secret)


async def test_w41_a_line_break_in_an_id() -> None:
    """It ends the header, so what follows is a header of its own, or nonsense."""
    async with receiving() as (sender, context):
        reply = await sender.raw(b"POST /hook HTTP/1.1\r\nhost: x\r\nwebhook-id: a\rb\r\ncontent-length: 2\r\n\r\n{}")
    assert (400, []) == (reply.status, context.events)


@pytest.mark.parametrize("store", ["memory", "sqlite"])
async def test_w42_the_same_request_1000_times_in_parallel(store: str, tmp_path: Path) -> None:
    """One event, and the same answer for everybody."""
    journal = MemoryJournal() if store == "memory" else SqliteJournal(tmp_path / "journal.db")
    replies: list[Any] = []
    done = RecordingProcess()
    async with running_pipeline(journal, done, auth="standard", secret=SECRET) as sender:
        headers = signed(BODY)

        async def post() -> None:
            for _ in range(20):
                replies.append(await sender.post(BODY, headers))  # noqa: PERF401 (one after the other)

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(post)
        await done.until(lambda: done.running == 0 and bool(done.runs))
    assert [(202, b'{"uid":"msg_1"}')] == list({(reply.status, reply.body) for reply in replies})
    assert (1_000, 1) == (len(replies), len(done.runs))


@pytest.mark.parametrize("store", ["memory", "sqlite"])
@pytest.mark.parametrize("name", ["webhook-id", "idempotency-key"])
async def test_w43_the_same_id_with_another_body(store: str, name: str, tmp_path: Path) -> None:
    """The first one stands; that the second is another is said. What differs in spaces only is the same."""
    journal = MemoryJournal() if store == "memory" else SqliteJournal(tmp_path / "journal.db")
    bodies = [
        b'{"n":1}',
        b'{"n":2}',
        b'{"n": 1}',
        b'{"n":1.0}',
        b'{"n":true}',
        b'{"n":"1"}',
        b'{"n":1,"m":null}',
        b"null",
    ]
    done = RecordingProcess()
    async with running_pipeline(journal, done) as sender:
        found = [(await sender.post(body, {name: "id-1"})).status for body in bodies]
        await done.until(lambda: done.running == 0 and bool(done.runs))
    assert [202, 422, 202, 422, 422, 422, 422, 422] == found
    assert [{"n": 1}] == [run.event.data for run in done.runs]


async def test_w43_quotes_around_a_key_are_no_part_of_it() -> None:
    """The draft of Idempotency-Key has them, most of its users don't."""
    async with receiving() as (sender, context):
        for key in ("id-1", '"id-1"'):
            assert 202 == (await sender.post({"n": 1}, {"idempotency-key": key})).status
    assert ["id-1"] == [event.uid for event in context.events]


async def test_w44_a_replay_after_the_journal_has_forgotten() -> None:
    """A journal keeps events for days, a signature is good for minutes: so it can't come to a second event."""
    clock = SimulatedClock(NOW)
    async with receiving(auth="standard", secret=SECRET, clock=clock) as (sender, context):
        headers = signed(BODY, at=NOW)
        assert 202 == (await sender.post(BODY, headers)).status
        context.events.clear()
        context._first.clear()
        clock.shift(7 * 24 * 3600)
        assert 401 == (await sender.post(BODY, headers)).status
    assert [] == context.events


async def test_w50_a_secret_is_changed_during_traffic() -> None:
    """First both are known, then the senders change, then the old one goes: nobody is refused in between."""
    numbers = itertools.count()
    for known, secrets in [
        ([SECRET], [SECRET]),
        ([OTHER_SECRET, SECRET], [SECRET, OTHER_SECRET]),
        ([OTHER_SECRET], [OTHER_SECRET]),
    ]:
        requests = []
        for secret in secrets:
            content = b'{"n":%d}' % next(numbers)
            requests.append((content, signed(content, f"msg_{content!r}".replace(".", ""), secret=secret)))
        assert {202} == set(await statuses(requests, secret=known))


async def test_w50_a_secret_is_changed_by_reloads_of_a_running_pipeline(tmp_path: Path) -> None:
    """A good sender is never told that it is not genuine, and each of its requests is an event, none is two."""
    file, port = tmp_path / "pipeline.toml", free_port()

    def write(*secrets: str) -> Path:
        options = f'path = "/hook", auth = "standard", secret = {json.dumps(secrets)}, bind = "127.0.0.1:{port}"'
        process = 'type = "command"\nafter = ["hooks"]\nexecution_context = { argv = ["true"] }'
        text = (
            f'version = 1\n[inputs.hooks]\ntype = "webhook"\noptions = {{ {options} }}\n[processes.done]\n{process}\n'
        )
        file.write_text(text, "utf-8")
        return file

    sent, statuses, known = 0, set[int](), [SECRET]

    async def send_on() -> None:
        nonlocal sent
        while known:
            content = b'{"n":%d}' % sent
            headers = signed(content, f"msg_{sent}", secret=known[0])
            status = 0
            while status != 202:
                with suppress(OSError):  # nobody is there for a moment: a sender comes again
                    status = (await Sender(port).post(content, headers)).status
                statuses.add(status)
                await anyio.lowlevel.checkpoint()
            sent += 1

    async def goes_on(at_least: int) -> None:
        while sent < at_least:  # noqa: ASYNC110 (nothing tells of it)
            await anyio.sleep(0.001)

    with anyio.fail_after(60):
        async with Orchestrator.from_toml(write(SECRET)) as orchestrator, anyio.create_task_group() as tasks:
            tasks.start_soon(orchestrator.run)
            async with anyio.create_task_group() as senders:
                senders.start_soon(send_on)
                await goes_on(5)
                await orchestrator.apply(Configuration.load(write(OTHER_SECRET, SECRET)))
                await goes_on(sent + 5)
                known[0] = OTHER_SECRET
                await goes_on(sent + 5)
                await orchestrator.apply(Configuration.load(write(OTHER_SECRET)))
                await goes_on(sent + 5)
                known.clear()
            orchestrator.stop()
    assert statuses <= {0, 202, 503}
    async with SqliteJournal.reader(tmp_path / ".orchestrator/journal.db") as journal:
        found = [record.event.uid for record in await journal.events(limit=10_000)]
    assert sorted(f"msg_{number}" for number in range(sent)) == sorted(found)
