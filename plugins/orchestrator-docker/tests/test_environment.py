"""What the engine and Linux make of variables: what a container is told arrives as it is, or is refused beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anyio
import pytest
from engines import IMAGE, Dockerd

from orchestrator_core import ConfigurationError, Event
from orchestrator_core.testing import FakeAttemptContext
from orchestrator_docker import DockerProcess

pytestmark = pytest.mark.anyio

EVENT = Event(location="rain", operation="create", id="7")

_LARGE = 120 * 1024


async def lines_of(script: str, env: Mapping[str, str]) -> Sequence[str]:
    """Run a shell script with variables, and return what it has logged."""
    context = FakeAttemptContext()
    async with DockerProcess(image=IMAGE, command=["sh", "-c", script], env=env) as process:
        with anyio.fail_after(60):
            await process.run(EVENT, context)
    return context.lines


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param("a\nb", ["a", "b"], id="newline"),
        pytest.param("a=b=", ["a=b="], id="="),
        pytest.param("a,b", ["a,b"], id="b32 comma"),
        pytest.param("\"a\" 'b' $HOME `c`", ["\"a\" 'b' $HOME `c`"], id="quotes"),
        pytest.param("ä\N{SNOWMAN}", ["ä\N{SNOWMAN}"], id="not ASCII"),
        pytest.param("", [""], id="empty"),
    ],
)
async def test_d90_value_arrives_as_it_is(dockerd: Dockerd, value: str, shown: Sequence[str]) -> None:
    """D90: what a value holds is nobody's syntax."""
    assert shown == await lines_of('printf "%s\\n" "$VALUE"', {"VALUE": value})


@pytest.mark.parametrize(
    "env",
    [
        pytest.param({f"A{n}": "x" for n in range(10_000)}, id="10,000"),
        pytest.param({f"A{n}": "x" * _LARGE for n in range(8)}, id="nearly 1 MiB"),
        pytest.param({"A": "x" * (128 * 1024 - 3)}, id="nearly 128 KiB"),
    ],
)
async def test_d90_what_is_taken_can_be_started(dockerd: Dockerd, env: Mapping[str, str]) -> None:
    """D90: what is not refused at check time, Linux takes too."""
    assert ["on"] == await lines_of("echo on", env)


def test_d90_limit_is_in_bytes() -> None:
    """D90: a character counts with all its bytes. Catches: a container that can never start, found out at run time."""
    with pytest.raises(ConfigurationError, match="1 MiB"):
        DockerProcess(image=IMAGE, env={f"A{n}": "\N{SNOWFLAKE}" * (_LARGE // 3) for n in range(12)})
