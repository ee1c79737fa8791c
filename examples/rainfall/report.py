"""Prints what the pipeline has put into `reporting`: the engine again, here inside a program."""

import sys
from pathlib import Path
from typing import Any

import anyio
import attrs

from orchestrator_core import AttemptContext, Event, InputContext, MemoryJournal, Operation, Orchestrator
from orchestrator_postgres import PostgresSql

RAIN = """
    SELECT stadium, count(*) AS readings, sum(rain_mm) AS rain_mm
    FROM sensor JOIN precipitation USING (sensor)
    GROUP BY stadium
    ORDER BY rain_mm DESC, stadium
"""


@attrs.frozen
class Ask:
    """Asks once."""

    async def run(self, context: InputContext) -> None:
        """Emit one event."""
        await context.emit(Event(location="report", operation=Operation.READ, id="rain"))


@attrs.frozen
class Print:
    """Prints the rows that the query before it has returned."""

    async def run(self, event: Event, context: AttemptContext) -> None:
        """Write a line for each stadium."""
        rows: Any = context.outputs["query"]
        sys.stdout.write(f"{'stadium':<26}{'readings':>9}{'rain in mm':>12}\n")
        for row in rows:
            sys.stdout.write(f"{row['stadium']:<26}{row['readings']:>9}{row['rain_mm']:>12}\n")


async def main() -> None:
    """Ask, query, print, end."""
    async with Orchestrator(journal=MemoryJournal()) as orchestrator:
        orchestrator.add_input("ask", Ask())
        query = PostgresSql("embedded:reporting", statement=RAIN, directory=Path(__file__).parent)
        orchestrator.add_process("query", query)
        orchestrator.add_process("print", Print())
        orchestrator.add_link("ask", "query")
        orchestrator.add_link("query", "print")
        await orchestrator.run(until_idle=True)


if __name__ == "__main__":
    anyio.run(main)
