"""W25 to W37 and W45 to W49 of the bad inputs: requests that lie, drip, bite, or are none at all."""

from __future__ import annotations

import asyncio
import gzip
import json
import resource
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from sending import SECRET, Sender, read_reply, receiving, request, running_pipeline, signed

from orchestrator_core import JournalBrokenError, JournalUnavailableError, SqliteJournal
from orchestrator_core.testing import FakeInputContext, RecordingProcess
from orchestrator_webhook import ListenError, WebhookConfigurationError, WebhookInput

pytestmark = pytest.mark.anyio

HEAD = b"POST /hook HTTP/1.1\r\nhost: localhost\r\n"


async def refused(data: bytes, statuses: Sequence[int] = (400,), *, end: bool = False, **options: Any) -> None:
    """Send bytes; they must be refused, accepted must be nothing, and the input must still answer others."""
    async with receiving(**options) as (sender, context):
        reply = await sender.raw(data, end=end)
        assert reply.status in statuses
        assert [] == context.events
        assert 202 == (await sender.post({})).status


# W25 to W30: lengths, framing, heads, bombs


@pytest.mark.parametrize(
    "length", ["-1", "+5", "5.0", "0x5", "5 5", "5, 6", "", "99999999999999999999999", "1e3", "\u0665"], ids=str
)
async def test_w25_lengths_that_are_none(length: str) -> None:
    """They are refused before the body is looked at."""
    head = HEAD + b"content-length: " + length.encode() + b"\r\n\r\n"
    await refused(head + b"12345", (400, 413))


async def test_w25_two_lengths() -> None:
    """Even when the second is the same: a proxy may have read the other."""
    await refused(HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}x")


async def test_w25_a_body_shorter_than_its_length() -> None:
    """It is waited for, but not for ever."""
    await refused(HEAD + b"content-length: 5\r\n\r\n{}", (408,), body_timeout=timedelta(seconds=0.1))


async def test_w25_a_body_longer_than_its_length() -> None:
    """What is beyond it is the beginning of another request, and a bad one."""
    async with receiving() as (sender, context):
        reader, writer = await sender.connect()
        writer.write(HEAD + b"content-length: 2\r\n\r\n{}{}{}")
        replies = [await read_reply(reader), await read_reply(reader)]
        writer.close()
    assert {202, 400, 0} >= {reply.status for reply in replies}
    assert len(context.events) <= 1


@pytest.mark.parametrize(
    "lines",
    [
        b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"transfer-encoding: chunked, identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"transfer-encoding: identity\r\n\r\n{}",
        b"transfer-encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\n2\r\n{}x\r\n0\r\n\r\n",
        b"content-length: 2\n\n{}",
        b"x-folded: a\r\n b\r\ncontent-length: 2\r\n\r\n{}",
        b"content-length : 2\r\n\r\n{}",
        b"content-length: 2\r\nx y: z\r\n\r\n{}",
        b"content-length: 2\r\n: z\r\n\r\n{}",
        b"content-length: 2\r\nx: a\0b\r\n\r\n{}",
    ],
    ids=[
        "cl-te", "te-cl", "chunked-identity", "identity", "xchunked", "overflow", "negative", "zz", "too-long",
        "bare-lf", "folding", "space", "space-in-name", "no-name", "nul",
    ],
)  # fmt: skip
async def test_w26_framing_that_two_may_read_differently(lines: bytes) -> None:
    """It is refused and the connection closed, so that nothing can be smuggled behind it."""
    async with receiving(body_timeout=timedelta(seconds=0.2)) as (sender, context):
        reader, writer = await sender.connect()
        writer.write(HEAD + lines + request(b'{"smuggled":1}'))
        first, second = await read_reply(reader), await read_reply(reader)
        writer.close()
    assert first.status in {0, 400, 408}
    assert (0, []) == (second.status, context.events)


@pytest.mark.parametrize("chunk", [10, 1_000, 100_000])
async def test_w27_a_chunked_body_over_the_limit(chunk: int) -> None:
    """It is refused while it is read, however long it would go on."""
    async with receiving(max_body=50_000) as (sender, context):
        reader, writer = await sender.connect()
        writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n")

        async def send_for_ever() -> None:
            with suppress(ConnectionError):
                while True:
                    writer.write(b"%x\r\n" % chunk + b"x" * chunk + b"\r\n")
                    await writer.drain()
                    await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_for_ever)
            assert 413 == (await read_reply(reader)).status
            tasks.cancel_scope.cancel()
        writer.close()
    assert [] == context.events


@pytest.mark.parametrize(
    "head",
    [
        b"x: " + b"y" * 64 * 1024 + b"\r\n",
        b"x: y\r\n" * 10_000,
        (b"x: " + b"y" * 1_000 + b"\r\n") * 1_000,
        b"x" * 64 * 1024 + b": y\r\n",
    ],
    ids=["one", "10000", "1MB", "name"],
)
@pytest.mark.parametrize("ends", [True, False], ids=["ends", "endless"])
async def test_w28_heads_that_are_too_large(head: bytes, ends: bool) -> None:
    """One header or thousands, whether or not they come to an end."""
    async with receiving() as (sender, context):
        reader, writer = await sender.connect()
        try:
            writer.write(HEAD + head + (b"\r\n" if ends else b""))
            await writer.drain()
        except ConnectionError:
            pass
        assert (await read_reply(reader)).status in {0, 431}
        writer.close()
        assert 202 == (await sender.post({}, {"x": "y" * 10_000})).status
    assert 1 == len(context.events)


async def test_w28_a_path_that_is_too_long() -> None:
    """It counts as a part of the head."""
    await refused(b"POST /" + b"x" * 20_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", (431,))


async def test_w28_trailers_are_bounded_and_no_headers() -> None:
    """What comes behind the body is neither read nor kept for ever."""
    headers = signed(b"{}")
    trailers = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    body = b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    async with receiving(auth="standard", secret=SECRET) as (sender, context):
        assert 401 == (await sender.raw(HEAD + body + trailers.encode() + b"\r\n")).status
        assert (await sender.raw(HEAD + body + b"x: y\r\n" * 10_000)).status in {0, 401, 431}
    assert [] == context.events


@pytest.mark.parametrize("start", [b"", b"PO", HEAD[:-5], HEAD, HEAD + b"x", b"\r\n"], ids=repr)
async def test_w29_a_head_that_does_not_end(start: bytes) -> None:
    """It has its time, whatever has come by then."""
    async with receiving(head_timeout=timedelta(seconds=0.1)) as (sender, _):
        assert (await sender.raw(start)).status in {0, 408}


async def answered_dripping(sender: Sender, start: bytes, rest: bytes) -> int:
    """Send bytes, then a byte now and then; return the status of the answer, which must come before the end."""
    reader, writer = await sender.connect()
    writer.write(start)

    async def drip() -> None:
        for byte in rest:
            writer.write(bytes([byte]))
            await anyio.sleep(0.01)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(drip)
        with anyio.fail_after(5):
            reply = await read_reply(reader)
        tasks.cancel_scope.cancel()
    writer.close()
    return reply.status


async def test_w29_a_head_that_drips() -> None:
    """A byte now and then does not extend its time."""
    async with receiving(head_timeout=timedelta(seconds=0.2)) as (sender, _):
        assert 408 == await answered_dripping(sender, b"", HEAD + b"x: y\r\n" * 200)


async def test_w29_a_second_head_that_drips() -> None:
    """The same holds after a good request on the same connection."""
    async with receiving(head_timeout=timedelta(seconds=0.1), idle_timeout=timedelta(seconds=30)) as (sender, _):
        for start in (b"PO", b"\r\n"):
            reader, writer = await sender.connect()
            writer.write(request(b"{}"))
            assert 202 == (await read_reply(reader)).status
            writer.write(start)
            assert 408 == (await read_reply(reader)).status
            writer.close()


async def test_w29_a_body_that_drips() -> None:
    """It has its own time."""
    async with receiving(body_timeout=timedelta(seconds=0.2)) as (sender, context):
        assert 408 == await answered_dripping(sender, HEAD + b"content-length: 1000\r\n\r\n", b" " * 1_000)
    assert [] == context.events


@asynccontextmanager
async def crowd(sender: Sender, count: int, start: bytes) -> AsyncIterator[None]:
    """Hold many connections open, each of which has sent the same few bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(4_096, hard)), hard))
    writers = []
    try:
        for _ in range(count):
            _, writer = await sender.connect()
            writers.append(writer)
            writer.write(start)
        yield
    finally:
        for writer in writers:
            writer.close()


@pytest.mark.parametrize("start", [b"", b"P", HEAD, HEAD + b"content-length: 10\r\n\r\n{"], ids=repr)
async def test_w29_600_slow_connections_leave_others_served(start: bytes) -> None:
    """They drive out one another, not those who send. Catches: a limit that counts slow connections like others."""
    async with receiving() as (sender, context), crowd(sender, 600, start):
        with anyio.fail_after(10):
            for _ in range(50):
                assert 202 == (await sender.post({"n": 1})).status
    assert 50 == len(context.events)


async def test_w29_connections_at_work_are_not_driven_out() -> None:
    """Whoever has sent a whole request is answered; the one too many is told to come again."""
    context = FakeInputContext("hooks")
    context.hold()
    async with receiving(context, max_connections=5) as (sender, _):
        pairs = [await sender.connect() for _ in range(5)]
        for _, writer in pairs:
            writer.write(request(b"{}"))
        await sender.waiting(5)
        assert 503 == (await sender.raw(b"")).status
        context.release()
        assert [202] * 5 == [(await read_reply(reader)).status for reader, _ in pairs]
        for _, writer in pairs:
            writer.close()


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "deflate", "gzip, identity", "GZIP", "x"])
async def test_w30_bombs(encoding: str) -> None:
    """What is compressed is not unpacked."""
    bomb = gzip.compress(b"0" * 10_000_000)
    await refused(request(bomb, {"content-encoding": encoding}), (415,))


@pytest.mark.parametrize("encoding", ["identity", "Identity", ""])
async def test_w30_identity_is_no_encoding(encoding: str) -> None:
    """It says nothing."""
    async with receiving() as (sender, _):
        assert 202 == (await sender.post({}, {"content-encoding": encoding})).status


# W31 to W37: JSON


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b" \n", 400), (b"null", 202), (b"7", 202), (b'""', 202), (b"true", 202), (b"[]", 202)],
)
async def test_w31_bodies_with_little_in_them(body: bytes, status: int) -> None:
    """Any JSON is data; nothing is no JSON."""
    async with receiving() as (sender, context):
        assert status == (await sender.post(body)).status
    assert (status == 202) == bool(context.events)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 65 + b"]" * 65,
        b'{"a":' * 65 + b"1" + b"}" * 65,
        b'{"a":' * 32 + b"[" * 33 + b"]" * 33 + b"}" * 32,
        b"[" * 100_000 + b"]" * 100_000,
        b"[" * 100_000,
    ],
    ids=["65-lists", "65-objects", "mixed", "100000", "unclosed"],
)
async def test_w32_nesting(body: bytes) -> None:
    """64 deep is deep enough."""
    await refused(request(body))


async def test_w32_nesting_up_to_the_limit() -> None:
    """And many brackets side by side are not deep."""
    async with receiving() as (sender, context):
        for body in (b"[" * 64 + b"]" * 64, b"[" + b"[]," * 1_000 + b"{}]", json.dumps("[{" * 100).encode()):
            assert 202 == (await sender.post(body)).status
    assert 3 == len(context.events)


@pytest.mark.parametrize("body", [b'{"a":1,"a":2}', b'{"a":1,"a":1}', b'[{"x":{"a":1,"\\u0061":2}}]', b'{"":1,"":2}'])
async def test_w33_the_same_key_twice(body: bytes) -> None:
    """One reader takes the first, another the last."""
    await refused(request(body))


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999999999999999999999", "1" * 5_000, "01", "+1", ".5", "1.", "0x1"]
)
async def test_w34_numbers_that_are_none(number: str) -> None:
    """They are refused."""
    await refused(request(f'{{"n":{number}}}'.encode()))


@pytest.mark.parametrize(
    ("number", "kept"),
    [
        ("-0", -0.0),
        ("-0.0", -0.0),
        ("1e999", Decimal("1e999")),
        ("0.1", 0.1),
        ("12345678901234567890.123456789", Decimal("12345678901234567890.123456789")),
        ("9007199254740993", 9007199254740993),
        ("1" * 4_000, int("1" * 4_000)),
    ],
    ids=lambda value: str(value)[:24],
)
async def test_w34_numbers_are_kept_to_the_last_digit(number: str, kept: object) -> None:
    """The sign of nothing, too."""
    async with receiving() as (sender, context):
        assert 202 == (await sender.post(f'{{"n":{number}}}'.encode())).status
    (event,) = context.events
    assert repr(kept) == repr(event.data["n"])


@pytest.mark.parametrize("text", ["\\ud800", "\\udc00", "a\\ud800b", "\\udc00\\ud800"])
async def test_w35_halves_of_surrogate_pairs(text: str) -> None:
    """Python keeps them, UTF-8 can't."""
    await refused(request(f'{{"a":"{text}"}}'.encode()))
    await refused(request(f'{{"{text}":1}}'.encode()))


@pytest.mark.parametrize(
    "field", ["location", "operation", "id", "time", "hops", "uid", "traceparent", "\udc00"], ids=repr
)
async def test_w35_half_of_a_pair_where_a_field_is_read(field: str) -> None:
    """The answer says what is wrong, and repeats nothing that it can't hold. Found by dice: it was a 500."""
    fields = {"location": "l", "operation": "create", "id": "7", "trigger": "t", field: "\ud800"}
    async with receiving(format="event") as (sender, context):
        reply = await sender.post(fields)
        assert (400, []) == (reply.status, context.events)
        assert reply.json["error"]


async def test_w35_whole_surrogate_pairs() -> None:
    """They are one character."""
    async with receiving() as (sender, context):
        assert 202 == (await sender.post(b'{"a":"\\ud83d\\ude00"}')).status
    assert [{"a": "\U0001f600"}] == [event.data for event in context.events]


async def test_w36_a_nul_in_a_text(tmp_path: Path) -> None:
    """It is stored as it came."""
    done = RecordingProcess()
    async with running_pipeline(SqliteJournal(tmp_path / "journal.db"), done) as sender:
        assert 202 == (await sender.post(b'{"a":"x\\u0000y"}')).status
        await done.until(lambda: bool(done.runs))
    assert {"a": "x\0y"} == done.runs[0].event.data


@pytest.mark.parametrize(
    "text", [b"\xff", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc3", b"\x80"], ids=repr
)
async def test_w37_what_is_no_utf8(text: bytes) -> None:
    """Overlong forms and surrogates among it; a byte-order mark is no JSON either."""
    await refused(request(b'{"a":"' + text + b'"}'))
    await refused(request("{}".encode("utf-8-sig")))
    await refused(request("{}".encode("utf-16")))


# W45 to W49: gone senders, a journal in trouble, odd targets


@pytest.mark.parametrize(
    "start",
    [HEAD, HEAD + b"\r\n", HEAD + b"content-length: 10\r\n\r\n", HEAD + b"content-length: 10\r\n\r\n{"],
    ids=repr,
)
async def test_w45_the_sender_hangs_up(start: bytes) -> None:
    """After the head or in the body: nothing is accepted."""
    async with receiving() as (sender, context):
        for _ in range(5):
            _, writer = await sender.connect()
            writer.write(start)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        assert 202 == (await sender.post({"n": 1})).status
    assert [{"n": 1}] == [event.data for event in context.events if event.data is not None]


async def test_w45_the_sender_hangs_up_before_the_answer() -> None:
    """It will send the same again, and gets the answer then: one event."""
    context = FakeInputContext("hooks")
    context.hold()
    async with receiving(context, auth="standard", secret=SECRET) as (sender, _):
        headers = signed(b"{}")
        _, writer = await sender.connect()
        writer.write(request(b"{}", headers))
        await sender.waiting(1)
        writer.close()
        context.release()
        assert 202 == (await sender.post(b"{}", headers)).status
    assert 1 == len(context.events)


@pytest.mark.parametrize("committed", [False, True], ids=["refused", "reply-lost"])
@pytest.mark.parametrize(
    "error", [JournalUnavailableError("the disk is full"), JournalBrokenError("fsync failed")], ids=["full", "broken"]
)
async def test_w46_the_journal_is_away(error: Exception, committed: bool) -> None:
    """503, and never 2xx; where only the reply was lost, the second try finds the event."""
    context = FakeInputContext("hooks")
    context.fail(error, committed=committed)
    async with receiving(context, auth="standard", secret=SECRET) as (sender, _):
        headers = signed(b"{}")
        replies = [await sender.post(b"{}", headers) for _ in range(2)]
    assert ([503, 202], "1", 1) == (
        [reply.status for reply in replies],
        replies[0].headers["retry-after"],
        len(context.events),
    )


async def test_w46_the_journal_is_slow() -> None:
    """A sender is not kept waiting for ever."""
    context = FakeInputContext("hooks")
    context.hold()
    async with receiving(context, answer_timeout=timedelta(seconds=0.1)) as (sender, _):
        reply = await sender.post({})
        assert (503, "1") == (reply.status, reply.headers["retry-after"])
        assert context.problem is not None
        context.release()
        assert 202 == (await sender.post({})).status
    assert 1 == len(context.events)


async def test_w46_another_program_holds_the_journal(tmp_path: Path) -> None:
    """A step of the journal can't be called off, but a sender is told in time. Catches: awaiting the step."""
    done = RecordingProcess()
    options: dict[str, Any] = {"answer_timeout": timedelta(seconds=0.2)}
    async with running_pipeline(SqliteJournal(tmp_path / "journal.db"), done, **options) as sender:
        with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            replies = [await sender.post({}, {"webhook-id": "msg_1"}) for _ in range(3)]
            other.execute("ROLLBACK")
        assert [(503, "1")] * 3 == [(reply.status, reply.headers["retry-after"]) for reply in replies]
        assert 202 == await status_in_the_end(sender)
        await done.until(lambda: done.running == 0 and bool(done.runs))
    assert 1 == len(done.runs)


async def status_in_the_end(sender: Sender) -> int:
    """Send the same request until it is no longer told to come again, as a good sender does."""
    while (reply := await sender.post({}, {"webhook-id": "msg_1"})).status == 503:
        await anyio.lowlevel.checkpoint()
    return reply.status


async def test_w46_a_defect_leaves_no_request_waiting() -> None:
    """What nobody has foreseen ends the input, for its supervisor to start again; who waits is told to come again."""
    context = FakeInputContext("hooks")
    context.fail(RuntimeError("a defect"))
    replies = []

    async def post_and_wait() -> None:
        async with receiving(context) as (sender, _):
            replies.append(await sender.post({}))
            await anyio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await post_and_wait()
    assert caught.group_contains(RuntimeError, match="a defect")
    assert [(503, "1")] == [(reply.status, reply.headers["retry-after"]) for reply in replies]


async def test_w46_one_event_spoils_no_other() -> None:
    """Requests are stored together and judged one by one. Catches: an answer for the batch instead of the event."""
    context = FakeInputContext("hooks")
    context.hold()
    statuses: dict[int, int] = {}

    async def post(sender: Sender, number: int, body: bytes) -> None:
        statuses[number] = (await sender.post(body)).status

    async with receiving(context) as (sender, _), anyio.create_task_group() as tasks:
        for number, body in enumerate([b"1", b"2", b'"\\ud800"', b"3"]):
            tasks.start_soon(post, sender, number, body)
        await sender.waiting(4)
        context.release()
    assert {0: 202, 1: 202, 2: 400, 3: 202} == statuses
    assert {1, 2, 3} == {event.data for event in context.events}


async def test_w46_the_input_stops() -> None:
    """What waits for the journal is answered; what comes then is told to come again, until another one takes over."""
    leaving = FakeInputContext("leaves")
    leaving.hold()
    statuses: list[int] = []

    async def post(sender: Sender) -> None:
        statuses.append((await sender.post({}, path="/hook")).status)

    async def post_late(sender: Sender) -> None:
        await anyio.wait_all_tasks_blocked()
        await post(sender)
        leaving.release()

    async with receiving(path="/stays") as (sender, _):
        async with anyio.create_task_group() as posting:  # noqa: SIM117 (the posting outlasts the input)
            async with receiving(leaving, bind=f"127.0.0.1:{sender.port}") as (other, _):
                posting.start_soon(post, other)
                await other.waiting(1)
                posting.start_soon(post_late, other)
        assert [503, 202] == statuses
        reply = await sender.post({}, path="/hook")
        assert (503, "1") == (reply.status, reply.headers["retry-after"])
        async with receiving(bind=f"127.0.0.1:{sender.port}"):
            assert 202 == (await sender.post({}, path="/hook")).status


async def test_w46_whoever_is_sending_when_the_input_stops_is_answered() -> None:
    """That they are to come again; also on a port that had nobody on it for a moment before."""

    async def finish(sender: Sender, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while True:
                _, other = await sender.connect()  # refused once the port is closed
                other.close()
        writer.write(b"{}")

    async with anyio.create_task_group() as sending:  # noqa: SIM117 (the sending outlasts the input)
        async with receiving() as (sender, context):
            reader, writer = await sender.connect()
            writer.write(request(b"{}", {"connection": "close"}))
            assert 202 == (await read_reply(reader)).status
            assert b"" == await reader.read()
            writer.close()
            reader, writer = await sender.connect()
            writer.write(HEAD + b"content-length: 2\r\nexpect: 100-continue\r\n\r\n")
            assert 100 == (await read_reply(reader)).status
            sending.start_soon(finish, sender, writer)
    reply = await read_reply(reader)
    writer.close()
    assert (503, 1) == (reply.status, len(context.events))


async def test_w47_the_queue_is_full() -> None:
    """429, and when to come again; those that wait are not disturbed."""
    context = FakeInputContext("hooks")
    context.hold()
    async with receiving(context, queue=3) as (sender, _):
        pairs = [await sender.connect() for _ in range(3)]
        for _, writer in pairs:
            writer.write(request(b"{}"))
        await sender.waiting(3)
        reply = await sender.post({})
        assert (429, "1") == (reply.status, reply.headers["retry-after"])
        context.release()
        assert [202] * 3 == [(await read_reply(reader)).status for reader, _ in pairs]
        for _, writer in pairs:
            writer.close()
        assert 202 == (await sender.post({})).status
    assert 4 == len(context.events)


@pytest.mark.parametrize(
    "line",
    [
        b"POST /hook/ HTTP/1.1",
        b"POST //hook HTTP/1.1",
        b"POST /x/../hook HTTP/1.1",
        b"POST /./hook HTTP/1.1",
        b"POST /%68ook HTTP/1.1",
        b"POST /hook%2f HTTP/1.1",
        b"POST /hook%00 HTTP/1.1",
        b"POST /HOOK HTTP/1.1",
        b"POST /hook;x HTTP/1.1",
        b"POST http://localhost/hook HTTP/1.1",
        b"POST hook HTTP/1.1",
        b"POST * HTTP/1.1",
        b"CONNECT localhost:22 HTTP/1.1",
        b"POST /hook",
        b"POST /hook HTTP/0.9",
        b"POST /hook HTTP/2.0",
        b"POST /hook HTTP/9.9",
        b"POST /hook HTTQ/1.1",
        b"post /hook HTTP/1.1",
        b"BREW /hook HTTP/1.1",
        b" POST /hook HTTP/1.1",
        b"POST /hook HTTP/1.1\r\nupgrade: h2c\r\nconnection: upgrade",
        b"POST /hook HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade",
        b"PRI * HTTP/2.0",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.2",
        b"\0",
        b"\xff" * 100,
    ],
    ids=lambda line: repr(line[:40]),
)
async def test_w48_targets_and_protocols(line: bytes) -> None:
    """4xx, or the connection is closed; a path has one spelling."""
    async with receiving(head_timeout=timedelta(seconds=0.2)) as (sender, context):
        reply = await sender.raw(line + b"\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}")
    assert reply.status == 0 or 400 <= reply.status < 500
    assert [] == context.events


async def test_w48_a_query_is_no_part_of_the_path() -> None:
    """Some senders have one."""
    async with receiving() as (sender, _):
        assert 202 == (await sender.post({}, path="/hook?source=shop")).status


async def test_w49_100_continue() -> None:
    """Too large a body is refused before it is sent, another is asked for."""
    async with receiving(max_body=10) as (sender, context):
        expect = {"expect": "100-continue"}
        too_large = await sender.raw(request(b"", expect | {"content-length": "11"}))
        assert 413 == too_large.status
        reader, writer = await sender.connect()
        writer.write(request(b"", expect | {"content-length": "2"}))
        assert b"HTTP/1.1 100 Continue\r\n\r\n" == await reader.readuntil(b"\r\n\r\n")
        writer.write(b"{}")
        assert 202 == (await read_reply(reader)).status
        writer.close()
    assert 1 == len(context.events)


# C24 and its kind: where to listen


@pytest.mark.parametrize(
    "bind", ["127.0.0.1:0", "127.0.0.1:70000", "127.0.0.1", ":8080", "8080", "[::1", "a:b", "::1:80", ""]
)
def test_c24_ports_that_are_none(bind: str) -> None:
    """They are refused when the pipeline is checked."""
    with pytest.raises(WebhookConfigurationError, match=r"^bind "):
        WebhookInput(path="/hook", auth="none", bind=bind)


@pytest.mark.parametrize(
    "path", ["hook", "", "/a b", "/a//b", "//", "/../a", "/a/.", "/a?b", "/a#b", "/a%20b", "/é", "/a\n"]
)
def test_c24_paths_that_are_none(path: str) -> None:
    """They are refused when the pipeline is checked."""
    with pytest.raises(WebhookConfigurationError, match=r"^path "):
        WebhookInput(path=path, auth="none")


async def test_c24_a_port_in_use() -> None:
    """The message names the input, the port, and what to do."""
    async with receiving() as (sender, _):
        taken = sender.port
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.2", taken)
        async with server:
            component = WebhookInput(path="/hook", auth="none", bind=f"127.0.0.2:{taken}")
            with pytest.raises(
                ListenError, match=rf'^input "second" can\'t listen on 127\.0\.0\.2:{taken}: .*set bind'
            ):
                await component.run(FakeInputContext("second"))


async def test_c24_a_path_in_use() -> None:
    """The message names both inputs; the first goes on."""
    async with receiving(FakeInputContext("first")) as (sender, _):
        component = WebhookInput(path="/hook", auth="none", bind=f"127.0.0.1:{sender.port}")
        with pytest.raises(ListenError, match=r'^inputs "first" and "second" both have the path /hook'):
            await component.run(FakeInputContext("second"))
        assert 202 == (await sender.post({})).status


async def test_c24_a_port_wanted_in_two_ways() -> None:
    """One port has one certificate and one set of limits."""
    async with receiving(FakeInputContext("first")) as (sender, _):
        component = WebhookInput(path="/other", auth="none", bind=f"127.0.0.1:{sender.port}", max_connections=5)
        with pytest.raises(ListenError, match=r'^inputs "first" and "second" share 127\.0\.0\.1:\d+, so tls'):
            await component.run(FakeInputContext("second"))
