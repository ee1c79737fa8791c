"""The first pipeline: rain readings from a file to raw, validated to cleansed, split into reporting."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from orchestrator_core import Event, Reject
from orchestrator_core.testing import FakeAttemptContext
from orchestrator_postgres._embedded import EmbeddedServer

RAINFALL = Path(__file__).parents[2] / "examples/rainfall"
ORCHESTRATOR = str(Path(sys.executable).parent / "orchestrator")


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"rainfall_{name}", RAINFALL / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


VALIDATION = _module("validation")
READING: dict[str, Any] = {
    "sensor": "mcg",
    "stadium": "Melbourne Cricket Ground",
    "latitude": -37.82,
    "longitude": 144.9834,
    "rain_mm": 1.5,
    "measured_at": "2026-05-04T09:00:00+00:00",
}


def _validate(**changes: Any) -> Any:
    event = Event(location="public.reading", operation="create", id="1", data={**READING, **changes})
    return VALIDATION.validate(event, FakeAttemptContext())


def test_the_readings_are_what_the_script_makes(tmp_path: Path) -> None:
    """The file beside the script is the one that it writes."""
    script = Path(shutil.copy(RAINFALL / "make_readings.py", tmp_path))
    spec = importlib.util.spec_from_file_location("make_readings", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main()
    assert (tmp_path / "readings.jsonl").read_bytes() == (RAINFALL / "readings.jsonl").read_bytes()


def test_a_possible_reading_is_returned_as_it_was() -> None:
    """Validation changes nothing."""
    assert _validate() == READING


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rain_mm", -0.1),
        ("rain_mm", -999.0),
        ("latitude", 90.0001),
        ("latitude", -138.0),
        ("longitude", -180.01),
        ("longitude", 1449.834),
    ],
)
def test_an_impossible_reading_is_rejected_by_its_field(field: str, value: float) -> None:
    """The message names the field that is wrong, its value, and no other field."""
    with pytest.raises(Reject) as rejected:
        _validate(**{field: value})
    assert str(rejected.value).startswith(f"{field} is {value}: ")
    assert [other for other in ("rain_mm", "latitude", "longitude") if f"{other} is" in str(rejected.value)] == [field]


def test_every_wrong_field_is_named() -> None:
    """A reading that is wrong twice says so twice."""
    with pytest.raises(Reject, match=r"^rain_mm is -1: .*; latitude is 91: "):
        _validate(rain_mm=-1, latitude=91)


@pytest.mark.parametrize("edge", [{"rain_mm": 0}, {"latitude": -90}, {"latitude": 90}, {"longitude": 180}])
def test_the_edges_are_possible(edge: dict[str, int]) -> None:
    """No rain, the poles and the date line are real."""
    assert _validate(**edge) == {**READING, **edge}


def test_the_file_has_as_many_bad_readings_as_its_page_says() -> None:
    """288 of the 300 readings pass."""
    lines = (RAINFALL / "readings.jsonl").read_text("utf-8").splitlines()
    verdicts = [_verdict(json.loads(line)) for line in lines]
    assert (len(verdicts), verdicts.count("rejected")) == (300, 12)


def _verdict(reading: dict[str, Any]) -> str:
    try:
        _validate(**reading)
    except Reject:
        return "rejected"
    return "passed"


@pytest.fixture
def folder(open_folder: Path) -> Path:
    """A copy of the example, whose databases and journal are its own."""
    ignored = shutil.ignore_patterns(".orchestrator", "__pycache__")
    return Path(shutil.copytree(RAINFALL, open_folder / "rainfall", ignore=ignored))


def _run(folder: Path) -> None:
    command = [ORCHESTRATOR, "run", "pipeline.toml", "--until-idle"]
    subprocess.run(command, cwd=folder, check=True, timeout=120, stdout=subprocess.DEVNULL)


def _count(folder: Path, tables: Sequence[tuple[str, str]]) -> list[int]:
    async def count() -> list[int]:
        server = await EmbeddedServer.join(folder)
        try:
            return [await _rows(server, database, table) for database, table in tables]
        finally:
            await server.leave()

    return anyio.run(count)


async def _rows(server: EmbeddedServer, database: str, table: str) -> int:
    conninfo = await server.database(database)
    with psycopg.connect(make_conninfo(**conninfo)) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return row[0] if row else 0


TABLES = [("raw", "reading"), ("cleansed", "reading"), ("reporting", "sensor"), ("reporting", "precipitation")]


@pytest.mark.needs_postgres
def test_the_rows_arrive_in_reporting(folder: Path) -> None:
    """All readings are in raw, the possible ones in cleansed, their sensors and precipitation in reporting."""
    _run(folder)
    assert _count(folder, TABLES) == [300, 288, 12, 288]


@pytest.mark.needs_postgres
def test_a_second_run_moves_nothing(folder: Path) -> None:
    """Each reading is moved once, however often the pipeline runs."""
    _run(folder)
    _run(folder)
    assert _count(folder, TABLES) == [300, 288, 12, 288]


@pytest.mark.needs_postgres
def test_a_killed_run_goes_on_where_it_was(folder: Path) -> None:
    """Kill -9 in the middle of the work neither loses a reading nor moves one twice."""
    command = [ORCHESTRATOR, "run", "pipeline.toml", "--log-format", "json"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for number, _ in enumerate(running.stdout):
            if number == 200:
                break
        running.kill()
    _run(folder)
    assert _count(folder, TABLES) == [300, 288, 12, 288]
