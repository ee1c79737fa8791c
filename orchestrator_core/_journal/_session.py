"""One connection to a journal's file, and what is worth remembering between its transactions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from sqlite3 import Connection
from typing import Any

from orchestrator_core._journal._rows import HELD, STATE, STEPS_PER_EVENT, Names
from orchestrator_core._journal._statements import execute_rows, load
from orchestrator_core._json import load_json
from orchestrator_core._plan import Plan, Upstream

_SQL = load("ledger.sql")


class Session:
    """The statements of a journal, run inside a transaction that somebody else begins and commits."""

    def __init__(self, connection: Connection, names: Names) -> None:
        self.connection = connection
        self.names = names
        self._plan_ids: dict[Plan, int] = {}
        self._plans: dict[int, Plan] = {}
        self._owners: dict[str, int] = {}

    def forget(self) -> None:
        """Drop what was learnt inside a transaction that was rolled back."""
        self._plan_ids.clear()
        self._plans.clear()
        self._owners.clear()

    def value(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Any:  # noqa: ANN401 (a column)
        """Run a statement and return the first column of its first row, ``None`` without one."""
        found = self.connection.execute(_SQL[statement], values).fetchone()
        return found[0] if found else None

    def column(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """Run a statement and return the first column of its rows."""
        return [row[0] for row in self.connection.execute(_SQL[statement], values)]

    def change(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> int:
        """Run a statement and return how many rows it changed."""
        return self.connection.execute(_SQL[statement], values).rowcount

    def change_rows(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> int:
        """Run a statement over many rows and return how many it changed."""
        return sum(execute_rows(self.connection, _SQL[statement], rows))

    def read_rows(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> Iterable[Any]:
        """Run a statement over many rows and yield the entries of the JSON lists that it returns."""
        for text in execute_rows(self.connection, _SQL[statement], rows):
            yield from json.loads(text)

    def forget_workers(self) -> None:
        """Drop what is known of workers, after some were struck off."""
        self._owners.clear()

    def plan_id(self, plan: Plan) -> int:
        """Return the number of a plan, storing it the first time it is seen."""
        if plan not in self._plan_ids:
            if self.value("find_plan", (plan.text,)) is None:
                self.change("add_plan", (plan.text,))
            number = int(self.value("find_plan", (plan.text,)))
            self._plan_ids[plan] = number
            self._plans[number] = plan
        return self._plan_ids[plan]

    def plan(self, number: int) -> Plan:
        """Return the plan with that number."""
        plan = self._plans.get(number)
        if plan is None:
            plan = self._plans[number] = Plan.from_json(self.value("load_plan", (number,)))
        return plan

    def owner(self, worker: str) -> int:
        """Return the number of a worker, 0 if it is not registered any more."""
        number = self._owners.get(worker)
        if number is None:
            number = self.value("find_worker", (worker,)) or 0
            if number:
                self._owners[worker] = number
        return number

    def siblings(self, events: Iterable[int]) -> Mapping[int, tuple[Plan, list[Upstream]]]:
        """Return, by event, its plan and what is known of each of its deliveries."""
        found = {}
        for seq, plan, states in self.read_rows("siblings", [(seq,) for seq in events]):
            known = sorted(states)
            found[seq] = (
                self.plan(plan),
                [
                    _SILENT[state] if output is None else Upstream(STATE[state], load_json(output))
                    for _, state, output in known
                ],
            )
        return found

    def release_lanes(self, rows: Iterable[int], now: float) -> None:
        """Let the next delivery of each key go on, after these deliveries have changed."""
        lanes: set[tuple[str, str]] = set()
        for process, lane in self.read_rows("lanes_of", [(row,) for row in rows]):
            lanes.add((process, lane))
        for process, lane in sorted(lanes):
            self.change("release_lane", {"process": process, "lane": lane, "now": now, "held": HELD})


_SILENT = [Upstream(state) for state in STATE]  # by code; nearly all of them, so made once


def event_of(row: int) -> int:
    """Return the event that a delivery's row belongs to."""
    return row // STEPS_PER_EVENT
