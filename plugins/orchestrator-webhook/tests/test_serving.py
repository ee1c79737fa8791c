"""Where an input listens: TLS, proxies, the mounted application, and what it does to the rest of the program."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from sending import SECRET, Sender, free_port, receiving, request, signed
from starlette.applications import Starlette
from starlette.routing import Mount

from orchestrator_core import MemoryJournal, Orchestrator
from orchestrator_core.testing import FakeInputContext, RecordingProcess
from orchestrator_webhook import ClientTls, ServerTls, WebhookConfigurationError, WebhookInput, asgi

pytestmark = pytest.mark.anyio


async def test_tls_by_file(tmp_path: Path) -> None:
    """Where no proxy in front does it; a sender verifies the certificate."""
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with receiving(tls=ServerTls(certificate=Path("server.pem")), directory=tmp_path) as (sender, context):
        assert 202 == (await Sender(sender.port, tls=trusting).post({"n": 1})).status
        with pytest.raises(ssl.SSLCertVerificationError):
            await Sender(sender.port, tls=ssl.create_default_context()).post({"n": 2})
    assert 1 == len(context.events)


async def test_tls_handshakes_have_their_time(tmp_path: Path) -> None:
    """Who connects and says nothing is sent away."""
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    options: dict[str, Any] = {
        "tls": ServerTls(certificate=tmp_path / "server.pem"),
        "head_timeout": timedelta(seconds=0.1),
    }
    async with receiving(**options) as (sender, _):
        assert 0 == (await Sender(sender.port).raw(b"")).status


async def test_a_handshake_that_outlasts_the_input_leads_nowhere(tmp_path: Path) -> None:
    """Or its sender would go on talking to an input that was replaced long ago, and hear that nobody listens."""
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    heard, said = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trusting.wrap_bio(heard, said, server_hostname="127.0.0.1")
    options: dict[str, Any] = {"tls": ServerTls(certificate=Path("server.pem")), "directory": tmp_path}

    async def until_done(step: Callable[[], Any]) -> Any:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                writer.write(said.read())
                heard.write(await reader.read(65_536))

    async with receiving(**options) as (sender, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", sender.port)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        writer.write(said.read())
        heard.write(await reader.read(65_536))
    with closing(writer), anyio.fail_after(10):
        await until_done(tls.do_handshake)
        tls.write(request(b"{}"))
        parts = [await until_done(tls.read)]
        while parts[-1]:
            parts.append(await until_done(tls.read))
    assert b"".join(parts).startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize("content", [None, "nonsense"])
async def test_a_certificate_that_is_none(tmp_path: Path, content: str | None) -> None:
    """It is found by ``orchestrator check --connect``, and at the start."""
    path = tmp_path / "server.pem"
    if content is not None:
        path.write_text(content, "utf-8")
    component = WebhookInput(path="/hook", auth="none", tls=ServerTls(certificate=path))
    with pytest.raises(WebhookConfigurationError, match=r"^tls: "):
        await component.check()
    with pytest.raises(WebhookConfigurationError, match=r"^tls: "):
        await component.run(FakeInputContext())


@pytest.mark.parametrize("kind", [ServerTls, ClientTls])
def test_nobody_is_asked_for_the_passphrase_of_a_key(tmp_path: Path, kind: type[ServerTls | ClientTls]) -> None:
    """On a terminal, OpenSSL would ask, and with it the whole pipeline would wait."""
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hello")
    )
    chain = trustme.CA().issue_cert("127.0.0.1").cert_chain_pems[0].bytes()
    (tmp_path / "both.pem").write_bytes(key + chain)
    with pytest.raises(WebhookConfigurationError, match=r"^tls: the key has a passphrase"):
        kind(certificate=Path("both.pem")).context(tmp_path)


@pytest.mark.parametrize(
    ("trusted", "sender_shown"), [([], "127.0.0.1"), (["127.0.0.0/8"], "203.0.113.7"), (["10.0.0.0/8"], "127.0.0.1")]
)
async def test_a_proxy_says_who_the_sender_is(
    trusted: list[str], sender_shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    """If it is one of ours; others could say anything."""
    caplog.set_level(logging.INFO)
    async with receiving(auth="bearer", secret="t0ken", trust_forwarded=trusted) as (sender, _):
        assert 401 == (await sender.post({}, {"x-forwarded-for": "203.0.113.7"})).status
    assert f"401 refused for {sender_shown}: no right token" in caplog.text


async def test_refusals_are_told_to_the_operator(caplog: pytest.LogCaptureFixture) -> None:
    """Why, in the log, on one line whatever the sender wrote; and how many, to the observers."""
    caplog.set_level(logging.INFO)
    async with receiving(auth="standard", secret=SECRET) as (sender, context):
        headers = signed(b"{}") | {"webhook-timestamp": "\x1b[31m"}
        await sender.post(b"{}", signed(b"{}") | {"webhook-timestamp": "soon"})
        await sender.post(b"{}", headers)
    assert "the timestamp 'soon' is no number of seconds" in caplog.text
    assert "\x1b" not in caplog.text
    assert [("refused", 1.0, {"status": "401"})] == [(each.name, each.value, each.labels) for each in context.measured][
        :1
    ]


async def test_where_it_listens_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """So that whoever starts a pipeline knows where to send to."""
    caplog.set_level(logging.INFO)
    async with receiving() as (sender, _):
        pass
    assert f"listening on http://127.0.0.1:{sender.port}/hook" in caplog.messages


def test_auth_none_stays_on_the_loopback() -> None:
    """Unless where to listen is written out as well."""
    assert "127.0.0.1:8080" == str(WebhookInput(path="/a", auth="none")._listener_options().bind)
    assert "0.0.0.0:8080" == str(WebhookInput(path="/a", auth="bearer", secret="x")._listener_options().bind)
    assert "[::]:80" == str(WebhookInput(path="/a", auth="none", bind="[::]:80")._listener_options().bind)


async def test_it_leaves_signals_and_loggers_alone() -> None:
    """They belong to the program around it."""
    access = logging.getLogger("uvicorn.access")
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), access.handlers, access.propagate
    async with receiving():
        during = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), access.handlers, access.propagate
    assert before == during


def test_the_plugin_is_imported_without_its_libraries() -> None:
    """A pipeline that names it, or a list of plugins, need not wait for servers and clients."""
    code = (
        "import sys, orchestrator_webhook as w; w.WebhookInput(path='/a', auth='bearer', secret='x');"
        "print([name for name in ('aiohttp', 'uvicorn', 'httptools', 'standardwebhooks') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]" == done.stdout.strip()


async def test_the_application_can_be_mounted() -> None:
    """In a program with a server of its own; the inputs open no port, and answer while the pipeline runs."""
    done = RecordingProcess()
    async with Orchestrator(journal=MemoryJournal()) as orchestrator:
        orchestrator.add_input("hooks", WebhookInput(path="/github", auth="none", serve=False))
        orchestrator.add_process("done", done)
        orchestrator.add_link("hooks", "done")
        app = Starlette(routes=[Mount("/hooks", asgi(orchestrator))])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://program") as client:
            assert 503 == (await client.post("/hooks/github", json={"n": 1})).status_code
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(orchestrator.run)
                await anyio.wait_all_tasks_blocked()
                reply = await client.post("/hooks/github", json={"n": 1}, headers={"webhook-id": "msg_1"})
                others = [
                    (await client.post(path, json={})).status_code
                    for path in ("/hooks/other", "/hooks/", "/hooks/github/", "/hooks/%67ithub", "/github")
                ]
                await done.until(lambda: done.running == 0 and bool(done.runs))
                orchestrator.stop()
            assert 503 == (await client.post("/hooks/github", json={"n": 1})).status_code
    assert (202, {"uid": "msg_1"}, [404] * 5) == (reply.status_code, reply.json(), others)
    assert [{"n": 1}] == [run.event.data for run in done.runs]


async def test_the_application_stands_alone_too() -> None:
    """A server may run it by itself, and asks it to start and to stop."""
    async with Orchestrator(journal=MemoryJournal()) as orchestrator:
        app = asgi(orchestrator)
        said = []
        heard = iter(["startup", "shutdown"])

        async def receive() -> dict[str, str]:
            return {"type": f"lifespan.{next(heard)}"}

        async def send(message: dict[str, str]) -> None:
            said.append(message["type"])

        await app({"type": "lifespan"}, receive, send)
        await app({"type": "websocket"}, receive, send)
    assert ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"] == said


async def test_a_port_comes_back_at_once() -> None:
    """A restart need not wait for the kernel to forget old connections."""
    port = free_port()
    for _ in range(3):
        async with receiving(bind=f"127.0.0.1:{port}") as (sender, _):
            assert 202 == (await sender.post({})).status
