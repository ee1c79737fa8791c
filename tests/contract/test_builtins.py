"""The core's own components against the suites for every component."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator_core import Event, Input, Process
from orchestrator_core.builtin.command import Command
from orchestrator_core.builtin.jsonl import JsonLines
from orchestrator_core.builtin.python import PythonFunction
from orchestrator_core.builtin.timer import Timer
from orchestrator_core.testing import InputContract, ProcessContract, SimulatedClock


class TestJsonLines(InputContract):
    """A file that is followed."""

    replayable = True

    @pytest.fixture
    def component(self, tmp_path: Path) -> Input:
        """Follow a file that is there."""
        (tmp_path / "readings.jsonl").touch()
        return JsonLines(path="readings.jsonl", directory=tmp_path, follow=True)

    @pytest.fixture
    def happen(self, tmp_path: Path) -> Callable[[], Awaitable[None]]:
        """Append a line."""
        numbers = itertools.count()

        async def append() -> None:
            with (tmp_path / "readings.jsonl").open("a") as file:
                file.write(f'{{"id":"{next(numbers)}"}}\n')

        return append


class TestTimer(InputContract):
    """A clock that ticks when the test says so."""

    @pytest.fixture
    def clock(self) -> SimulatedClock:
        """The timer's clock."""
        return SimulatedClock()

    @pytest.fixture
    def component(self, clock: SimulatedClock) -> Input:
        """Tick once a minute."""
        return Timer(every=timedelta(minutes=1), clock=clock)

    @pytest.fixture
    def happen(self, clock: SimulatedClock) -> Callable[[], Awaitable[None]]:
        """Let a minute pass."""

        async def tick() -> None:
            await clock.advance(60)

        return tick


class _OneEvent(ProcessContract):
    @pytest.fixture
    def event(self) -> Event:
        """Any event."""
        return Event(location="t", operation="create", id="1", trigger="in")


class TestCommand(_OneEvent):
    """A program that reads its event and prints a result."""

    @pytest.fixture
    def component(self) -> Process:
        """Run Python as if it were any program."""
        code = "import json, sys; print(json.dumps(json.load(sys.stdin)['id']))"
        return Command(argv=[sys.executable, "-c", code], output="last_line")


class TestPythonFunction(_OneEvent):
    """A function in a module beside the configuration file."""

    @pytest.fixture
    def component(self, tmp_path: Path) -> Iterator[Process]:
        """Call a plain function, which runs in a thread."""
        (tmp_path / "cleanse.py").write_text("def run(event, context):\n    return {'id': event.id}\n")
        yield PythonFunction(function="cleanse:run", directory=tmp_path)
        sys.modules.pop("cleanse", None)
