"""The webhook examples: in, enriched, out, signed both ways; and inside a program with a server of its own."""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import anyio
import httpx
import pytest

WEBHOOKS = Path(__file__).parents[2] / "examples/webhooks"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the example, since running it leaves a journal and files behind."""
    return Path(shutil.copytree(WEBHOOKS, tmp_path / "webhooks", ignore=shutil.ignore_patterns(".orchestrator")))


def _run(folder: Path, *arguments: str) -> None:
    """Run the pipeline, on a port that is free here."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    file = folder / "pipeline.toml"
    file.write_text(file.read_text("utf-8").replace("8090", port), "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", "from orchestrator_core.cli import main; main()", "run", "--until-idle", *arguments],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _received(folder: Path) -> list[dict[str, object]]:
    lines = (folder / "received.jsonl").read_text("utf-8").splitlines()
    return sorted((json.loads(line)["data"] for line in lines), key=lambda order: str(order["number"]))


ENRICHED = [
    {"number": "1001", "customer": "Ada", "total": 34.5},
    {"number": "1002", "customer": "Grace", "total": 122.0},
    {"number": "1003", "customer": "Tony", "total": 13.2},
]


def test_orders_come_in_are_enriched_and_go_out(folder: Path) -> None:
    """One command runs the shop, the pipeline and the partner; a second run has nothing to do."""
    _run(folder)
    assert ENRICHED == _received(folder)
    _run(folder)
    assert ENRICHED == _received(folder)


def test_a_shop_with_another_secret_is_not_heard(folder: Path) -> None:
    """Its requests are dead letters after three tries, and nothing comes in."""
    secret = 'processes.send_order.execution_context.secret="whsec_c29tZWJvZHkgZWxzZQ=="'
    retry = 'processes.send_order.retry={attempts=3,initial="10ms",max="20ms"}'
    _run(folder, "--set", secret, "--set", retry)
    assert not (folder / "received.jsonl").exists()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_program_receives_webhooks_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signed as GitHub does it; the program's own pages are beside them."""
    monkeypatch.chdir(folder)
    spec = importlib.util.spec_from_file_location("program", folder / "program.py")
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    body = b'{"issue":{"title":"It rains in"}}'
    signature = hmac.new(program.SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"x-github-event": "issues", "x-hub-signature-256": f"sha256={signature}"}
    transport = httpx.ASGITransport(program.app)
    async with (
        program.lifespan(program.app),
        httpx.AsyncClient(transport=transport, base_url="http://program") as client,
    ):
        with anyio.fail_after(30):
            while (await client.post("/hooks/github", content=body, headers=headers)).status_code == 503:  # noqa: ASYNC110
                await anyio.sleep(0.01)
            assert 401 == (await client.post("/hooks/github", content=body)).status_code
            while not (await client.get("/")).text:  # noqa: ASYNC110 (HTTP does not tell)
                await anyio.sleep(0.01)
        assert "issues: It rains in" == (await client.get("/")).text
