"""A program and all that it starts, as one: run with its output read line by line, and ended as a whole."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import anyio
import attrs
from anyio.abc import ByteReceiveStream, ByteSendStream, Process

_DRAIN = 1.0


@attrs.frozen
class Finished:
    """How a program ended.

    Attributes:
        code: its exit code; negative: the signal that ended it.
        stdout: the last line on its standard output that was not empty.
        stderr: the last line on its standard error that was not empty.
    """

    code: int
    stdout: str
    stderr: str


class _Output:
    """Reads one of a program's streams, line by line, until its end or until `scope` is over."""

    def __init__(self, log: Callable[[str], None], longest_line: int) -> None:
        # The program may have something to say while it is being ended, so a cancelled attempt goes on reading.
        self.scope = anyio.CancelScope(shield=True)
        self.last = ""
        self._log = log
        self._longest_line = longest_line
        self._rest = b""

    async def read(self, stream: ByteReceiveStream) -> None:
        with self.scope:
            async for chunk in stream:
                *lines, self._rest = (self._rest + chunk).split(b"\n")
                for line in lines:
                    self._take(line)
                if len(self._rest) > self._longest_line:
                    self._take(self._rest)
                    self._rest = b""
        if self._rest:
            self._take(self._rest)

    def _take(self, line: bytes) -> None:
        # Not every journal can store a NUL.
        text = line.decode(errors="replace").rstrip("\r").replace("\0", "\N{REPLACEMENT CHARACTER}")
        if text.strip():
            self.last = text
        self._log(text)


async def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    stdin: bytes,
    log: Callable[[str], None],
    longest_line: int,
    grace: float,
) -> Finished:
    """Run a program to its end, and end with it what it has left behind in its process group.

    When cancelled, the group gets SIGTERM, and after `grace` seconds SIGKILL.

    Args:
        argv: the program and its arguments; no shell reads them.
        env: its whole environment.
        cwd: its working directory.
        stdin: what it can read.
        log: called with each line of its output, as it comes.
        longest_line: what is longer is cut into several lines.
        grace: seconds from SIGTERM to SIGKILL.

    Raises:
        OSError: it can't be started.
    """
    # asyncio, cancelled while it starts a program, forgets it before it has ended, and nobody collects it.
    with anyio.CancelScope(shield=True):
        process = await anyio.open_process(argv, env=env, cwd=cwd, start_new_session=True)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    stdout, stderr = _Output(log, longest_line), _Output(log, longest_line)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_send, process.stdin, stdin)
            tasks.start_soon(stdout.read, process.stdout)
            tasks.start_soon(stderr.read, process.stderr)
            try:
                await process.wait()
            finally:
                with anyio.CancelScope(shield=True):
                    await _end(process, grace)
                # What it has left behind may hold its pipes open for ever.
                stdout.scope.deadline = stderr.scope.deadline = anyio.current_time() + _DRAIN
    finally:
        _signal_group(process, signal.SIGKILL)
        with anyio.CancelScope(shield=True):
            await process.aclose()
    assert process.returncode is not None
    return Finished(process.returncode, stdout.last, stderr.last)


async def _send(stream: ByteSendStream, data: bytes) -> None:
    # A program need not read its input.
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        await stream.send(data)
        await stream.aclose()


async def _end(process: Process, grace: float) -> None:
    if process.returncode is None:
        _signal_group(process, signal.SIGTERM)
        with anyio.move_on_after(grace):
            await process.wait()
    if process.returncode is None:
        _signal_group(process, signal.SIGKILL)
        await process.wait()


def _signal_group(process: Process, number: signal.Signals) -> None:
    # While the group has members its id is nobody else's; and ids are given out in turn, so no new one has it yet.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


async def end_orphans(variable: str, grace: float) -> int:
    """End the programs that have this variable in their environment; return how many there were.

    They are what an engine leaves behind that was killed itself. Only Linux shows them.

    Args:
        variable: for example ``PIPELINE_DELIVERY_ID=7``.
        grace: seconds from SIGTERM to SIGKILL.
    """
    orphans = [os.pidfd_open(pid) for pid in _with_variable(variable.encode())]
    try:
        for orphan in orphans:
            _signal(orphan, signal.SIGTERM)
        with anyio.move_on_after(grace):
            for orphan in orphans:
                await anyio.wait_readable(orphan)
    finally:
        for orphan in orphans:
            _signal(orphan, signal.SIGKILL)
            os.close(orphan)
    return len(orphans)


def _signal(descriptor: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, number)


def _with_variable(variable: bytes) -> Sequence[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        # Others' programs can't be looked into, and any may end at this moment.
        with suppress(OSError):
            if variable in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found
