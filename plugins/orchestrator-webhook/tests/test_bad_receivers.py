"""H96 to H102 of the catalogue of bad inputs: what hostile or broken receivers, names and URLs come to."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme
from aiohttp.abc import AbstractResolver, ResolveResult
from anyio import to_thread
from receiving import EVENT, OK, Receiver, answer

from orchestrator_core import RetryLater
from orchestrator_core.testing import FakeAttemptContext
from orchestrator_webhook import (
    BadStatusError,
    ClientTls,
    EgressRefusedError,
    MissingWebhookURLError,
    UnansweredError,
    WebhookConfigurationError,
    WebhookError,
    WebhookProcess,
)
from orchestrator_webhook._client import Client, GuardedResolver
from orchestrator_webhook._networks import Guard, networks
from orchestrator_webhook._target import Target

pytestmark = pytest.mark.anyio

QUICK: dict[str, Any] = {"timeout": timedelta(seconds=0.5), "connect_timeout": timedelta(seconds=0.3)}


async def failure(process: WebhookProcess) -> Exception:
    """Run a process that must fail, for 30 s at most, and return why."""
    with anyio.fail_after(30), pytest.raises(WebhookError) as caught:
        async with process:
            await process.run(EVENT, FakeAttemptContext())
    return caught.value


class Names(AbstractResolver):
    """A resolver whose answers a test writes, one list for each question."""

    def __init__(self, *answers: list[str] | Exception) -> None:
        self.answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Give the next answer; wait for ever when there is none."""
        if not self.answers:
            await anyio.sleep_forever()
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return [ResolveResult(hostname=host, host=each, port=port, family=family, proto=0, flags=0) for each in found]

    async def close(self) -> None:
        """Let go of nothing."""


async def resolved(*answers: list[str] | Exception, times: int = 1) -> list[str]:
    """Ask the guarded resolver, and return its last answer."""
    resolver = GuardedResolver(Guard(), Names(*answers), seconds=0.05)
    found: list[ResolveResult] = []
    for _ in range(times):
        found = await resolver.resolve("hooks.example", 443)
    return [each["host"] for each in found]


async def test_h96_a_name_that_is_not_there() -> None:
    """The attempt fails and may be tried again: a name may come back."""
    error = await failure(WebhookProcess(url="https://nothing.invalid/", **QUICK))
    assert isinstance(error, UnansweredError)


async def test_h96_a_name_that_is_none() -> None:
    """A check says so, as a request would."""
    process = WebhookProcess(url="https://hooks..example/", **QUICK)
    assert isinstance(await failure(process), UnansweredError)
    async with process:
        with pytest.raises(UnansweredError, match="label empty"):
            await process.check()


async def test_h96_a_check_connects_to_whatever_address_answers(receiver: Receiver) -> None:
    """As a request does, for which the first need not be the one."""
    guard = Guard(networks(["127.0.0.0/8"]))
    target = Target.parse(f"http://hooks.example:{receiver.port}/", guard)
    async with Client(target, guard, connections=1, connect_timeout=5, timeout=5, tls=None) as client:
        client._resolver = GuardedResolver(guard, Names(["127.0.0.2", "127.0.0.1"], ["127.0.0.2"]))
        await client.connect()
        with pytest.raises(UnansweredError, match="ConnectionRefusedError"):
            await client.connect()


async def test_h96_names_that_take_for_ever() -> None:
    """They have their own, shorter time."""
    with pytest.raises(TimeoutError):
        await resolved()


async def test_h96_a_thousand_addresses() -> None:
    """A few of them are enough."""
    assert 16 == len(await resolved([f"1.1.{n // 250}.{n % 250}" for n in range(1_000)]))


async def test_h96_rebinding() -> None:
    """A name that was public the first time is looked at again the second time."""
    with pytest.raises(EgressRefusedError, match=r"leads to 10\.0\.0\.1, a private address"):
        await resolved(["1.1.1.1"], ["10.0.0.1"], times=2)


async def test_h96_public_and_private_together() -> None:
    """A mixture is no accident, so none of it is used."""
    with pytest.raises(EgressRefusedError):
        await resolved(["1.1.1.1", "127.0.0.1"])


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST"])
async def test_h96_a_name_for_localhost(receiver: Receiver, host: str) -> None:
    """Whatever the name, the address counts: nothing is connected to."""
    error = await failure(WebhookProcess(url=f"http://{host}:{receiver.port}/"))
    assert isinstance(error, EgressRefusedError)
    assert 0 == receiver.connections


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "0x7f.1",
        "127.1",
        "2130706433",
        "0177.0.0.1",
        "127.0.0.1.",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "[fe80::1%25eth0]",
        "169.254.169.254",
        "１２７.0.0.1",  # noqa: RUF001 (full-width digits)
        "①27.0.0.1",
        "127。0。0。1",
    ],
)
def test_h96_addresses_in_disguise(host: str) -> None:
    """They are refused when the pipeline is checked, long before anything is sent."""
    with pytest.raises(WebhookConfigurationError):
        WebhookProcess(url=f"http://{host}/")


def test_h96_a_homograph_is_shown_for_what_it_is() -> None:
    """A name in other letters is written in ASCII, where no two look alike."""
    process = WebhookProcess(url="https://hооks.example/")  # noqa: RUF001 (Cyrillic)
    assert "xn--" in process._target.host


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
@pytest.mark.parametrize("to", ["internal", "itself", "file:///etc/passwd"])
async def test_h97_redirects(receiver: Receiver, status: str, to: str) -> None:
    """They are not followed, wherever they lead; the status is shown."""
    async with Receiver() as internal:
        location = {"internal": internal.url, "itself": receiver.url}.get(to, to)
        receiver.script = [answer(status, location=location)]
        error = await failure(receiver.process())
    assert isinstance(error, BadStatusError)
    assert (status, 1, 0) == (error.status, len(receiver.requests), internal.connections)


async def forever(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Write as long as somebody reads."""
    while True:
        writer.write(data)
        await writer.drain()


async def endless_headers(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begin an answer whose headers never end."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    await forever(writer, b"x-more: and more\r\n" * 100)


async def endless_header(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begin an answer with a header that never ends."""
    writer.write(b"HTTP/1.1 200 OK\r\nx-long: ")
    await forever(writer, b"x" * 10_000)


async def flood_of_100s(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Announce the answer for ever."""
    await forever(writer, b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


async def never(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Take the request and say nothing."""
    await reader.read()


async def stops_in_the_status_line(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Break off in the first line."""
    writer.write(b"HTTP/1.1 20")
    await writer.drain()
    reset(writer)


async def resets_after_the_request(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the request and hang up."""
    reset(writer)


async def resets_after_the_status(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Break off after the first line."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    await writer.drain()
    reset(writer)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with a reset instead of an end."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize(
    "line",
    [
        endless_headers,
        endless_header,
        flood_of_100s,
        answer("200 OK", x_nul="a\0b"),
        b"HTTP/1.1 abc\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
    ],
    ids=["headers", "header", "1xx", "nul", "abc", "tls", "ssh", "end"],
)
async def test_h98_answers_that_are_none(receiver: Receiver, line: Any) -> None:
    """The attempt fails within its time and memory, and is tried again."""

    async def write(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(line)
        await writer.drain()

    receiver.script = [write if isinstance(line, bytes) else line]
    assert isinstance(await failure(receiver.process(**QUICK)), UnansweredError)


@pytest.mark.parametrize("status", ["000", "600", "999"])
async def test_h98_a_status_from_nowhere(receiver: Receiver, status: str) -> None:
    """Whatever it means, it is no success."""
    receiver.script = [answer(f"{status} Odd", connection="close")]
    assert isinstance(await failure(receiver.process()), BadStatusError)


async def test_h98_an_endless_body(receiver: Receiver) -> None:
    """The receiver has said 200, so it is a success; of the rest, 64 KiB are read."""

    async def write(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await forever(writer, b"x" * 10_000)

    receiver.script = [write]
    with anyio.fail_after(10):
        async with receiver.process() as process:
            assert None is await process.run(EVENT, FakeAttemptContext())


async def test_h98_an_endless_body_is_no_output(receiver: Receiver) -> None:
    """Where the answer is wanted, half of it will not do."""
    receiver.script = [answer("200 OK", b'"' + b"x" * 100_000 + b'"')]
    error = await failure(receiver.process(output="json"))
    assert "is not complete: it is over 65,536 bytes" in str(error)


async def test_h98_http_1_0_without_a_length(receiver: Receiver) -> None:
    """The answer ends with the connection."""

    async def write(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.0 200 OK\r\n\r\n{"ok":true}')
        await writer.drain()

    receiver.script = [write]
    async with receiver.process(output="json") as process:
        status = await process.run(EVENT, FakeAttemptContext())
    assert status is not None
    assert {"ok": True} == status.output


async def test_h98_a_bomb_despite_identity(receiver: Receiver) -> None:
    """What is compressed is not unpacked, since nobody asked for it."""
    receiver.script = [
        answer("200 OK", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xed\xc1\x01", content_encoding="gzip")
    ]
    assert "not JSON" in str(await failure(receiver.process(output="json")))
    assert "identity" == receiver.requests[0].headers["accept-encoding"]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority for certificates."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """The authority's certificate in a file."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


def server_context(authority: trustme.CA, name: str = "127.0.0.1", **options: Any) -> ssl.SSLContext:
    """Return the TLS of a receiver."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, **options).configure_cert(context)
    return context


@pytest.fixture
async def tls_receiver(authority: trustme.CA) -> AsyncIterator[Receiver]:
    """A receiver with a certificate."""
    async with Receiver(server_context(authority)) as receiver:
        yield receiver


async def test_h99_a_trusted_certificate(tls_receiver: Receiver, ca_file: Path) -> None:
    """With the authority in a file."""
    async with tls_receiver.process(tls=ClientTls(ca=ca_file)) as process:
        await process.check()
        await process.run(EVENT, FakeAttemptContext())
    assert 1 == len(tls_receiver.requests)


async def test_h99_an_unknown_authority(tls_receiver: Receiver) -> None:
    """Nothing is sent to whom nobody vouches for."""
    error = await failure(tls_receiver.process())
    assert "certificate verify failed" in str(error)
    assert [] == tls_receiver.requests


@pytest.mark.parametrize("wrong", ["expired", "host"])
async def test_h99_a_wrong_certificate(authority: trustme.CA, ca_file: Path, wrong: str) -> None:
    """Expired, or another host's."""
    then = datetime.now(UTC) - timedelta(days=1)
    context = (
        server_context(authority, not_before=then - timedelta(days=1), not_after=then)
        if wrong == "expired"
        else server_context(authority, "hooks.example")
    )
    async with Receiver(context) as receiver:
        error = await failure(receiver.process(tls=ClientTls(ca=ca_file)))
    assert "certificate verify failed" in str(error)
    assert [] == receiver.requests


async def test_h99_the_name_is_said_to_the_server(authority: trustme.CA, ca_file: Path) -> None:
    """The original name in the handshake and in the request, though the connection goes to an address."""
    names: list[str | None] = []
    context = server_context(authority, "localhost")
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    async with Receiver(context) as receiver:
        url = f"https://localhost:{receiver.port}/"
        networks = ["127.0.0.0/8", "::1/128"]
        async with receiver.process(url=url, tls=ClientTls(ca=ca_file), allow_networks=networks) as process:
            await process.run(EVENT, FakeAttemptContext())
        assert (["localhost"], f"localhost:{receiver.port}") == (names, receiver.requests[0].headers["host"])


async def test_h99_tls_1_0(authority: trustme.CA, ca_file: Path) -> None:
    """Too old."""
    context = server_context(authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1
    async with Receiver(context) as receiver:
        assert isinstance(await failure(receiver.process(tls=ClientTls(ca=ca_file))), UnansweredError)


@pytest.mark.parametrize("shown", [True, False], ids=["shown", "missing"])
async def test_h99_a_client_certificate(authority: trustme.CA, ca_file: Path, tmp_path: Path, shown: bool) -> None:
    """A receiver that wants one gets it, or nothing (mTLS)."""
    context = server_context(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    mine = tmp_path / "mine.pem"
    authority.issue_cert("orchestrator@example.org").private_key_and_cert_chain_pem.write_to_path(mine)
    async with Receiver(context) as receiver:
        process = receiver.process(tls=ClientTls(ca=ca_file, certificate=mine if shown else None), **QUICK)
        if shown:
            async with process:
                await process.run(EVENT, FakeAttemptContext())
        else:
            assert isinstance(await failure(process), UnansweredError)
        assert shown == bool(receiver.requests)


@pytest.fixture
def silent() -> Iterator[int]:
    """A port where connections are accepted and nothing is ever said."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


async def test_h99_a_receiver_that_says_no_goodbye(authority: trustme.CA, ca_file: Path) -> None:
    """A check has connected to it all the same: it may wait for a request, and hear nothing before."""
    gone = threading.Event()

    def serve(listener: socket.socket) -> None:
        with server_context(authority).wrap_socket(listener.accept()[0], server_side=True):
            gone.wait()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=serve, args=[listener])
        serving.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        try:
            async with WebhookProcess(
                url=url, allow_networks=["127.0.0.0/8"], tls=ClientTls(ca=ca_file), connect_timeout=timedelta(seconds=2)
            ) as process:
                await process.check()
        finally:
            gone.set()
            await to_thread.run_sync(serving.join)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_h99_h100_a_receiver_that_says_nothing(silent: int, scheme: str) -> None:
    """In the handshake or after the request: the time is up, and the message says so."""
    process = WebhookProcess(url=f"{scheme}://127.0.0.1:{silent}/", allow_networks=["127.0.0.0/8"], **QUICK)
    error = await failure(process)
    assert ("no connection in time" if scheme == "https" else "no complete answer within 0.5 s") in str(error)


@pytest.mark.parametrize(
    "line",
    [never, stops_in_the_status_line, resets_after_the_request, resets_after_the_status],
    ids=["never", "mid-status", "after-request", "after-status"],
)
async def test_h100_a_receiver_that_breaks_off(receiver: Receiver, line: Any) -> None:
    """Whether it has taken the request is unknown, so it is sent again: that is what the delivery id is for."""
    receiver.script = [line, OK]
    process = receiver.process(**QUICK)
    async with process:
        with pytest.raises(UnansweredError):
            await process.run(EVENT, FakeAttemptContext())
        await process.run(EVENT, FakeAttemptContext(attempt=2))
    first, second = receiver.requests
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])


async def test_h100_a_receiver_that_breaks_off_in_the_body(receiver: Receiver) -> None:
    """It has said 200, so it is a success."""

    async def write(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        reset(writer)

    receiver.script = [write]
    async with receiver.process() as process:
        assert None is await process.run(EVENT, FakeAttemptContext())


async def test_h100_a_receiver_that_drips(receiver: Receiver) -> None:
    """A byte at a time does not keep a request alive beyond its time."""

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in b"HTTP/1.1 200 OK\r\n" + b"x-more: and more\r\n" * 100:
            writer.write(bytes([byte]))
            await writer.drain()
            await anyio.sleep(0.02)

    receiver.script = [drip]
    with anyio.fail_after(5):
        assert isinstance(await failure(receiver.process(**QUICK)), UnansweredError)


async def test_h100_an_answer_before_the_request_was_sent() -> None:
    """A receiver need not read what it refuses."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer("413 Too Large", connection="close"))
        await writer.drain()
        writer.close()

    large = EVENT.derive(data="x" * 900_000)
    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with anyio.fail_after(30), pytest.raises(WebhookError):
            async with WebhookProcess(url=url, allow_networks=["127.0.0.0/8"]) as process:
                await process.run(large, FakeAttemptContext())


async def test_h100_a_receiver_that_resets_in_the_midst_of_the_request() -> None:
    """It may have seen a part of it, so it is sent again, from the beginning."""
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if not received:
            received.append(await reader.read(1_000))
            reset(writer)
            return
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        received.append(await reader.readexactly(length))
        writer.write(OK)
        writer.close()

    large = EVENT.derive(data="x" * 900_000)
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with anyio.fail_after(30):
            async with WebhookProcess(url=url, allow_networks=["127.0.0.0/8"]) as process:
                with pytest.raises(UnansweredError):
                    await process.run(large, FakeAttemptContext())
                await process.run(large, FakeAttemptContext(attempt=2))
    assert large.to_json().encode() == received[1]
    assert received[1].startswith(received[0])


async def test_h100_retry_after_in_every_spelling(receiver: Receiver) -> None:
    """What makes sense is kept to, within the limit; what does not is a failure like any other."""
    for value, seconds in RETRY_AFTER.items():
        receiver.script = [answer("503 Service Unavailable", retry_after=value)]
        async with receiver.process(longest_wait=timedelta(minutes=5)) as process:
            with anyio.fail_after(10), pytest.raises((RetryLater, BadStatusError)) as caught:
                await process.run(EVENT, FakeAttemptContext())
        asked = caught.value.after.total_seconds() if isinstance(caught.value, RetryLater) else None
        assert (value, seconds) == (value, asked)


RETRY_AFTER = {
    "0": 1.0,
    "7": 7.0,
    "0007": 7.0,
    "9999999999": 300.0,
    "9" * 400: None,
    "-1": None,
    "1.5": None,
    "1e3": None,
    "0x10": None,
    "NaN": None,
    "": None,
    "soon": None,
    "7, 8": None,
    "Thu, 01 Jan 1970 00:00:00 GMT": 1.0,
    "Fri, 31 Dec 9999 23:59:59 GMT": 300.0,
    "Friday, 31-Dec-99 23:59:59 GMT": 1.0,
    "Fri, 31 Dec 9999 23:59:59 +9999": None,
    "Fri, 99 Dec 9999 23:59:59 GMT": None,
    "Fri, 31 Dec 0000 23:59:59 GMT": 1.0,
}


async def test_h101_the_environment_is_ignored(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither a proxy nor a password file gets between a process and its receiver."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password hunter2\n", "utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    async with receiver.process() as process:
        await process.run(EVENT, FakeAttemptContext())
    assert "authorization" not in receiver.requests[0].headers


@pytest.mark.parametrize(
    "url",
    [
        "http://user:hunter2@hooks.example/",
        "http://user@hooks.example/",
        "http://hooks.example:0/",
        "http://hooks.example:25/",
        "http://hooks.example:6379/",
        "http://hooks.example:99999/",
        "http://hooks.example:-1/",
        "http://hooks.example:http/",
        "http://hooks.example/a b",
        "http://hooks.example/\r\nx: y",
        "http://hooks.example/\x00",
        "http://hooks.example\\@evil.example/",
        "http://hooks.example/" + "x" * 64 * 1024,
        "http:///path",
        "http://",
        "//hooks.example/",
        "hooks.example",
        "ftp://hooks.example/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://[::1/",
    ],
    ids=lambda url: url.replace("\0", "NUL")[:40],
)
def test_h102_urls(url: str) -> None:
    """They are refused when the pipeline is checked; the message never shows a password."""
    with pytest.raises(WebhookConfigurationError) as caught:
        WebhookProcess(url=url)
    assert str(caught.value).startswith("url")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["{data.url}", "https://{data.host}/", "https://hooks.example:{id}/", "{id}://x/"])
def test_h102_a_url_is_no_template(url: str) -> None:
    """No event chooses where its request goes."""
    with pytest.raises(WebhookConfigurationError, match=r"^url"):
        WebhookProcess(url=url)


@pytest.mark.parametrize("options", [{}, {"url": ""}], ids=["missing", "empty"])
def test_no_url(options: dict[str, str]) -> None:
    """B29: the ancestor documented this error, and took an empty URL."""
    with pytest.raises(MissingWebhookURLError) as caught:
        WebhookProcess(**options)  # type: ignore[arg-type]
    assert 'error creating webhook: missing "url" config value' == str(caught.value)
