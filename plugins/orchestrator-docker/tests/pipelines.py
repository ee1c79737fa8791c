"""One attempt; a pipeline in a program of its own, to be killed while its containers run, and what they leave."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import anyio
from engines import IMAGE, Dockerd

from orchestrator_core import Event
from orchestrator_core.testing import FakeAttemptContext
from orchestrator_docker import DockerProcess

_PROGRAM = "import sys; from orchestrator_core.cli import main; sys.exit(main())"
_LOOK_SECONDS = 0.02

EVENT = Event(location="rain", operation="create", id="7")
"""What happened, where it does not matter what."""

STEPS = "echo start $PIPELINE_DELIVERY_ID >> /effects/log; sleep {}; echo end $PIPELINE_DELIVERY_ID >> /effects/log"
"""A script that leaves a mark when it starts and one when it ends."""


async def attempt(host: str, *, context: FakeAttemptContext | None = None, **options: Any) -> None:
    """Run one attempt on an engine."""
    async with DockerProcess(image=IMAGE, command=["true"], host=host, **options) as process:
        with anyio.fail_after(60):
            await process.run(EVENT, context or FakeAttemptContext())


class PipelineFolder:
    """A folder with a pipeline of one input and one docker process, and the program that runs it.

    Args:
        folder: where everything is written.
        dockerd: the engine.
        count: how many events there are.
        script: what the container's shell does; ``/effects`` is `effects`.
        host: the engine's address, if it is not reached by its own socket.
        options: other lines of the process's execution context.
        table: lines of the process's own table.
    """

    def __init__(
        self,
        folder: Path,
        dockerd: Dockerd,
        *,
        count: int,
        script: str,
        host: str = "",
        options: Sequence[str] = (),
        table: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.dockerd = dockerd
        self.host = host or dockerd.host
        self.effects = folder / "effects"
        self.effects.mkdir()
        self._program: subprocess.Popen[bytes] | None = None
        events = [json.dumps({"location": "t", "operation": "create", "id": str(n)}) for n in range(count)]
        (folder / "events.jsonl").write_text("".join(f"{line}\n" for line in events))
        (folder / "pipeline.toml").write_text(
            "\n".join(
                [
                    "version = 1",
                    '[pipeline]\nname = "test"\nconcurrency = 8',
                    '[journal]\nurl = "sqlite:journal.db"',
                    '[inputs.source]\ntype = "jsonl"\noptions = { path = "events.jsonl" }',
                    '[processes.job]\ntype = "docker"\nafter = ["source"]',
                    *table,
                    "[processes.job.execution_context]",
                    f'image = "{IMAGE}"',
                    f"command = {json.dumps(['sh', '-c', script])}",
                    'mounts = [{ source = "effects", target = "/effects" }]',
                    *options,
                ]
            )
        )

    def start(self, *arguments: str) -> Self:
        """Run the pipeline until it is idle."""
        with (self.folder / "log").open("ab") as log:
            self._program = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, "run", "pipeline.toml", "--until-idle", *arguments],
                cwd=self.folder,
                env={**os.environ, "DOCKER_HOST": self.host},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def kill(self, number: signal.Signals = signal.SIGKILL, within: float = 60.0) -> int:
        """Send a signal and wait for the program's end; return its exit code."""
        assert self._program is not None
        self._program.send_signal(number)
        return self._program.wait(within)

    def finish(self, within: float = 120.0) -> int:
        """Wait until the program has ended by itself; return its exit code."""
        assert self._program is not None
        try:
            return self._program.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the pipeline did not end: {self.output[-2000:]}") from None

    def succeed(self, within: float = 120.0) -> None:
        """Wait until the program has ended by itself, with the exit code of a run that went well."""
        code = self.finish(within)
        assert code == 0, f"the pipeline ended with exit code {code}: {self.output[-4000:]}"

    @property
    def is_running(self) -> bool:
        """Whether the program runs."""
        return self._program is not None and self._program.poll() is None

    def peak(self) -> int:
        """Return the most memory that the program has held so far, in KiB; 0 once it has ended."""
        assert self._program is not None
        try:
            status = Path(f"/proc/{self._program.pid}/status").read_text()
        except OSError:
            return 0
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) if found else 0

    def has_done(self, count: int) -> bool:
        """Tell whether so many deliveries have left their last mark, or nothing is left to do."""
        return len(self.marks("end")) >= count or not self.is_running

    @property
    def output(self) -> str:
        """What the program has printed."""
        return (self.folder / "log").read_text(errors="replace")

    def marks(self, word: str) -> Counter[str]:
        """Return how often each delivery has left a mark."""
        path = self.effects / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        return Counter(line.split()[1] for line in lines if line.startswith(f"{word} "))

    def running(self) -> set[str]:
        """Return the deliveries that have left their first mark and not yet their last."""
        return set(self.marks("start")) - set(self.marks("end"))

    def deliveries(self) -> Sequence[Mapping[str, Any]]:
        """Return the ledger as ``orchestrator deliveries`` shows it."""
        found = subprocess.run(
            [sys.executable, "-c", _PROGRAM, "deliveries", "list", "--json", "--limit", "10000"],
            cwd=self.folder,
            check=True,
            capture_output=True,
        )
        return [json.loads(line) for line in found.stdout.splitlines()]

    @contextlib.contextmanager
    def ended_at_last(self) -> Iterator[Self]:
        """Kill the program if the test leaves it running."""
        try:
            yield self
        finally:
            if self.is_running:
                self.kill()


def wait_until(condition: Callable[[], bool], what: str, within: float = 60.0) -> None:
    """Wait for something that other programs do."""
    end = time.monotonic() + within
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"it did not happen within {within:g} s: {what}")
        time.sleep(_LOOK_SECONDS)
