"""One attempt as a command in a warm container."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import anyio

from orchestrator_core import JSON
from orchestrator_docker import _stream
from orchestrator_docker._containers import Container
from orchestrator_docker._engine import Engine
from orchestrator_docker._errors import (
    ContainerEndedError,
    ContainerLostError,
    ContainerOutputError,
    NameTakenError,
    NotThereError,
)
from orchestrator_docker._frames import STDERR, STDOUT, Frames, Lines
from orchestrator_docker._output import read_output
from orchestrator_docker._spec import Assignment
from orchestrator_docker._verdict import judge

if TYPE_CHECKING:
    from orchestrator_docker._process import DockerProcess


_SOONEST, _LATEST = 0.01, 1.0
_MOMENT = 5.0


class Command:
    """A command in a container that runs already.

    Args:
        options: the process.
        engine: where it runs.
        container: the container's id.
        log: takes the lines that it writes.
    """

    def __init__(self, options: DockerProcess, engine: Engine, container: str, log: Callable[[str], None]) -> None:
        self._options = options
        self._engine = engine
        self._container = container
        self._log = log
        self._lines = {STDOUT: Lines(), STDERR: Lines()}

    async def run(self, task: Assignment, argv: Sequence[str]) -> JSON:
        """Run it to its end and return its output; cut off, it goes on until its container is ended.

        Raises:
            ContainerEndedError: it did not begin, since the container does not run any more.
            RetryLater, Reject, DockerError: what its end means if it has not succeeded.
        """
        command = await self._prepare(task, argv)
        await self._follow(command)
        code, has_gone_on = await self._code(command)
        ended = await self._engine.inspect(self._container)
        if ended is None or not (ended.is_running or ended.is_out_of_memory):
            raise ContainerLostError(self._container[:12])
        self._judge(ended, code)
        if self._options.output == "last_line" and has_gone_on:
            raise ContainerOutputError(
                "the command went on after its output had ended, so the last line that was read may not be its last: "
                "let nothing between here and the engine cut the connection, and the command not close its output"
            )
        return await read_output(self._options.output, self._lines[STDOUT], self._read_file, task.output_file)

    async def _prepare(self, task: Assignment, argv: Sequence[str]) -> str:
        try:
            if task.files:
                await self._engine.put(self._container, task.files_in, task.files)
            return await self._engine.exec_create(
                self._container,
                argv,
                environment=dict(task.variables),
                user=self._options.user,
                workdir=self._options.workdir or None,
            )
        except (NotThereError, NameTakenError) as error:  # by their status: there is no such container, or it has ended
            raise ContainerEndedError(self._container[:12]) from error

    async def _follow(self, command: str) -> None:
        """Start it, and log what it writes until it ends."""
        question = json.dumps({"Detach": False, "Tty": False}).encode()
        answer = await _stream.post(self._engine, f"/exec/{command}/start", question)
        frames = Frames()
        try:
            while data := await answer.receive():
                for stream, content in frames.feed(data):
                    for line in self._lines[stream or STDOUT].feed(content):
                        self._log(line)
        finally:
            await answer.close()
        for lines in self._lines.values():
            for line in lines.finish():
                self._log(line)

    async def _code(self, command: str) -> tuple[int, bool]:
        """Return its exit code, which is there a moment after its output has ended, and whether it took longer.

        The answer that carries the output does not say where it ends, so that one that was cut looks like a whole one.
        """
        pause, begin = _SOONEST, anyio.current_time()
        has_gone_on = False
        while True:
            is_running, code, _ = await self._engine.exec_inspect(command)
            if not is_running and code is not None:
                return code, has_gone_on
            has_gone_on = anyio.current_time() - begin > _MOMENT
            await anyio.sleep(pause)
            pause = min(pause * 2, _LATEST)

    def _judge(self, container: Container, code: int) -> None:
        last = self._lines[STDERR].last or self._lines[STDOUT].last
        judge(
            container.after(code),
            image=self._options.image,
            last_words=last.decode(errors="replace").strip(),
            lost_contact=False,
            retry_after=self._options.retry_after,
        )

    async def _read_file(self, path: str, limit: int) -> bytes:
        return await self._engine.read_file(self._container, path, limit)
