"""What the engine has made of the options: each of them arrives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from engines import IMAGE, Dockerd

from orchestrator_core import Event
from orchestrator_core.testing import FakeAttemptContext
from orchestrator_docker import DockerProcess, Mount

pytestmark = pytest.mark.anyio

EVENT = Event(location="rain", operation="create", id="7")
NAME = "orchestrator-delivery-1"
TELL = "id -u; pwd; echo $COLOR; ls /bound; test -w /bound && echo writable; ls -d /volume; touch /tmpfs/x && echo on"


@pytest.fixture
def anyio_backend() -> str:
    """Once is enough: what arrives is the SDK's doing."""
    return "asyncio"


@pytest.fixture
def network(dockerd: Dockerd) -> Iterator[str]:
    """A network of the user's own."""
    client = dockerd.client
    client.create_network("rain")
    yield "rain"
    dockerd.remove_all()
    client.remove_network("rain")
    client.close()


async def told(dockerd: Dockerd, script: str, **options: Any) -> tuple[list[str], dict[str, Any]]:
    """Run a container until it has written "on"; return its log, and what the engine says of it."""
    context = FakeAttemptContext()
    process = DockerProcess(image=IMAGE, command=["sh", "-c", f"{script}; sleep 60"], **options)
    with anyio.fail_after(60):
        async with process, anyio.create_task_group() as tasks:
            tasks.start_soon(process.run, EVENT, context)
            while "on" not in context.lines:  # noqa: ASYNC110 (another program writes it)
                await anyio.sleep(0.01)
            found = await to_thread.run_sync(dockerd.client.inspect_container, NAME)
            tasks.cancel_scope.cancel()
    return list(context.lines), found


async def test_options_arrive(dockerd: Dockerd, network: str, tmp_path: Path) -> None:
    """A container has what its options say. Catches: an option that is checked and documented, and passed to nobody."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a-file").touch()
    lines, found = await told(
        dockerd, TELL, network=network, user="nobody", workdir="/tmp", env={"COLOR": "x,y=z"},
        memory="64m", cpus=0.5, pids=20, read_only=True, cap_add=["NET_RAW"], labels={"team": "rain"},
        directory=tmp_path, mounts=[
            Mount(source="data", target="/bound", read_only=True),
            Mount(type="volume", target="/volume"),
            Mount(type="tmpfs", target="/tmpfs", size="1m"),
        ],
    )  # fmt: skip
    assert ["65534", "/tmp", "x,y=z", "a-file", "/volume", "on"] == lines
    expected = {
        "Memory": 64 << 20, "MemorySwap": 64 << 20, "NanoCpus": 500_000_000, "PidsLimit": 20, "ReadonlyRootfs": True,
        "CapDrop": ["ALL"], "NetworkMode": network, "Init": True, "AutoRemove": False,
        "SecurityOpt": ["no-new-privileges"],
    }  # fmt: skip
    assert expected == {key: found["HostConfig"][key] for key in expected}
    assert ["NET_RAW"] == [each.removeprefix("CAP_") for each in found["HostConfig"]["CapAdd"]]
    assert {"bind": False, "volume": True, "tmpfs": True} == {each["Type"]: each["RW"] for each in found["Mounts"]}
    assert "rain" == found["Config"]["Labels"]["team"]


async def test_rights_over_the_host_arrive(dockerd: Dockerd) -> None:
    """With `allow_privileged` a container has what it asks for."""
    _, found = await told(
        dockerd, "test -c /dev/own && echo on", allow_privileged=True, network="host",
        devices=["/dev/null:/dev/own:rwm"], pid_mode="host", ipc_mode="host", cap_drop=[],
    )  # fmt: skip
    host = found["HostConfig"]
    assert ("host", "host", "host") == (host["NetworkMode"], host["PidMode"], host["IpcMode"])


async def test_entrypoint_and_command(dockerd: Dockerd) -> None:
    """The entrypoint is the program, the command its arguments."""
    context = FakeAttemptContext()
    async with DockerProcess(image=IMAGE, entrypoint=["echo", "a"], command=["b"]) as process:
        await process.run(EVENT, context)
    assert ["a b"] == context.lines
