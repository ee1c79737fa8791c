"""The real command in a folder of its own, for tests of the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Queue
from tempfile import gettempdir
from textwrap import dedent
from threading import Thread
from typing import Any

import attrs
import psutil

SECONDS = 60
_NOT_OURS = frozenset({"NO_COLOR", "FORCE_COLOR", "COLUMNS", "PYTHONDONTWRITEBYTECODE"})

FIRST = """
    version = 1
    [inputs.lines]
    type = "jsonl"
    options = { path = "lines.jsonl" }
    [processes.clean]
    type = "python"
    after = ["lines"]
    retry = { attempts = 1 }
    execution_context = { function = "work:clean" }
"""
"""A pipeline of one input and one process, which fails for an event that says so."""

WORK = """
    from orchestrator_core import Reject

    def clean(event, context):
        context.log(f"looking at {event.id}")
        if event.data and event.data.get("fail"):
            raise Reject(event.data["fail"])
        return {"seen": event.id}
"""


@attrs.frozen
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What it wrote to stdout."""
        return self.out.splitlines()

    @property
    def objects(self) -> list[Any]:
        """The JSON that it wrote to stdout, line by line."""
        return [json.loads(line) for line in self.lines]


@attrs.frozen
class Running:
    """A command that runs."""

    process: subprocess.Popen[str]
    out: Queue[str | None]
    err: Queue[str | None]

    def line(self, text: str, *, of: str = "out") -> str:
        """Wait for a line that holds a text, and return it."""
        queue: Queue[str | None] = getattr(self, of)
        seen: list[str] = []
        while (line := queue.get(timeout=SECONDS)) is not None:
            if text in line:
                return line
            seen.append(line)
        raise AssertionError(f"it ended without {text!r} on std{of}:\n{''.join(seen)}")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait until it ends, and return its exit code."""
        return self.process.wait(SECONDS)

    def rest(self, of: str = "out") -> list[str]:
        """Return the lines that nobody has waited for; call it after `wait`."""
        queue: Queue[str | None] = getattr(self, of)
        return list(iter(lambda: queue.get(timeout=SECONDS), None))


@attrs.frozen
class CommandLine:
    """Runs ``orchestrator`` in a folder.

    Attributes:
        folder: where it runs.
    """

    folder: Path

    def write(self, name: str, text: str) -> Path:
        """Write a file into the folder."""
        path = self.folder / name
        path.write_text(dedent(text), encoding="utf-8")
        return path

    def append(self, name: str, text: str) -> None:
        """Write at the end of a file of the folder."""
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(dedent(text))

    def events(self, *records: Mapping[str, Any]) -> None:
        """Write the file that the input of `FIRST` reads."""
        self.write("lines.jsonl", "".join(f"{json.dumps(record)}\n" for record in records))

    def first(self, *records: Mapping[str, Any]) -> CommandLine:
        """Write the pipeline `FIRST` with what its input is to read."""
        self.write("pipeline.toml", FIRST)
        self.write("work.py", WORK)
        self.events(*records)
        return self

    def __call__(self, *arguments: str, stdin: str = "", **environ: str) -> Done:
        """Run a command to its end."""
        done = subprocess.run(
            self.command(arguments),
            cwd=self.folder,
            env=self.environ(environ),
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=SECONDS,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def running(self, *arguments: str, **environ: str) -> Iterator[Running]:
        """Start a command; at the end of the block it is killed if it still runs, and so is what it has started."""
        with subprocess.Popen(
            self.command(arguments),
            cwd=self.folder,
            env=self.environ(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        ) as process:
            queues: list[Queue[str | None]] = []
            readers = []
            for stream in (process.stdout, process.stderr):
                assert stream is not None
                queue: Queue[str | None] = Queue()
                queues.append(queue)
                readers.append(Thread(target=_read, args=(stream, queue)))
                readers[-1].start()
            try:
                yield Running(process, *queues)
            finally:
                _kill_all(process.pid)
                for reader in readers:
                    reader.join()

    @staticmethod
    def command(arguments: tuple[str, ...]) -> list[str]:
        """Return what to start."""
        return [sys.executable, "-m", "orchestrator_core.cli", *arguments]

    @staticmethod
    def environ(extra: Mapping[str, str]) -> dict[str, str]:
        """Return the environment to start it in."""
        own = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
        # Dozens of starts: compiled code is kept, but in nobody's tree.
        return {**own, "TZ": "UTC", "PYTHONPYCACHEPREFIX": f"{gettempdir()}/orchestrator-tests-pycache", **extra}


def _kill_all(pid: int) -> None:
    """End a program at once with all that it has started: jobs are in groups of their own and would outlive it."""
    with suppress(psutil.NoSuchProcess):
        program = psutil.Process(pid)
        for each in (program, *program.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                each.kill()


def _read(stream: Any, queue: Queue[str | None]) -> None:
    for line in stream:
        queue.put(line.rstrip("\n"))
    queue.put(None)
