"""The engine inside a program of one's own: an input and a process, made here, run until they are idle."""

import sys
from datetime import timedelta
from pathlib import Path

import anyio
import attrs

from orchestrator_core import (
    AttemptContext,
    Event,
    InputContext,
    MemoryJournal,
    Operation,
    Orchestrator,
    ProcessStatus,
    RetryPolicy,
)


@attrs.frozen
class Folder:
    """An input: each file that is in a folder, once."""

    path: Path

    async def run(self, context: InputContext) -> None:
        """Emit an event for each file; the file's name is its identity, so a second look emits nothing new."""
        context.ready()
        events = [
            Event(location=str(self.path), operation=Operation.READ, id=file.name, uid=file.name)
            for file in sorted(self.path.iterdir())
        ]
        await context.emit_many(events)


@attrs.frozen
class CountWords:
    """A process: how many words a file has."""

    async def run(self, event: Event, context: AttemptContext) -> ProcessStatus:
        """Log the count, and return it for whatever comes after."""
        text = await anyio.Path(event.location, event.id).read_text("utf-8")
        words = len(text.split())
        context.log(f"{event.id} has {words} words")
        return ProcessStatus(output=words)


async def main(folder: Path) -> None:
    """Count the words of every file in a folder."""
    async with Orchestrator(journal=MemoryJournal(), concurrency=4) as orchestrator:
        orchestrator.add_input("folder", Folder(folder))
        retry = RetryPolicy(attempts=3)
        orchestrator.add_process("count", CountWords(), timeout=timedelta(seconds=10), retry=retry)
        orchestrator.add_link("folder", "count", operations={Operation.READ})
        summary = await orchestrator.run(until_idle=True)
    sys.stdout.write(f"{summary}\n")


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]))
