"""The JSON Schema, by two judges that are not ours: jsonschema and tombi."""

from __future__ import annotations

import json
import subprocess
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from orchestrator_core._config import schema
from tests.configuring import PLUGINS, VALID
from tests.unit.config.test_loading import FULL

SCHEMA: dict[str, Any] = schema(PLUGINS)

GOOD = {
    "smallest": VALID,
    "everything": FULL,
    "references": VALID.replace('"acme/job" }', '{ env = "IMAGE", default = "x" }, env = { A = { file = "/a" } } }'),
    "no options": VALID.replace('"job"', '"call"', 1).replace('execution_context = { image = "acme/job" }', ""),
}
BAD = {
    "unknown key at the top": f"extra = 1\n{VALID}",
    "unknown key of a process": f'{VALID}timout = "5s"\n',
    "unknown option": VALID.replace('"acme/job" }', '"x", imge = 1 }'),
    "option of another type": VALID.replace('type = "job"', 'type = "call"'),
    "option of the wrong type": VALID.replace('"acme/job"', "5"),
    "missing option": VALID.replace('image = "acme/job"', ""),
    "missing connection string": VALID.replace('connection_string = "postgresql://db/raw"', ""),
    "connection string for an input that takes none": VALID.replace('"rows"', '"tick"', 1),
    "unknown type": VALID.replace('"job"', '"jobb"'),
    "no after": VALID.replace('after = ["rows"]', ""),
    "no version": VALID.replace("version = 1", ""),
    "duration without a unit": f'{VALID}timeout = "5"\n',
    "rate without a unit": f"{VALID}rate = 5\n",
    "unknown choice": f'{VALID}join = "some"\n',
    "operation": VALID.replace('after = ["rows"]', 'after = [{ node = "rows", operations = ["craete"] }]'),
    "condition": VALID.replace('after = ["rows"]', 'after = [{ node = "rows", where = { feild = "data" } }]'),
    "name": VALID.replace("processes.job", "processes.Job"),
    "reference": VALID.replace('"acme/job"', '{ evn = "IMAGE" }'),
}


def test_it_is_a_schema() -> None:
    """Of the dialect that it names."""
    Draft202012Validator.check_schema(SCHEMA)
    assert "https://json-schema.org/draft/2020-12/schema" == SCHEMA["$schema"]
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_what_is_right_is_valid(text: str) -> None:
    """As jsonschema sees it."""
    assert [] == [error.message for error in Draft202012Validator(SCHEMA).iter_errors(tomllib.loads(text))]


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_what_is_wrong_is_not(text: str) -> None:
    """As jsonschema sees it."""
    assert not Draft202012Validator(SCHEMA).is_valid(tomllib.loads(text))


def linted(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Check a file by the editor's tool, with the schema that it names."""
    (folder / "schema.json").write_text(json.dumps(SCHEMA))
    (folder / "pipeline.toml").write_text(f"#:schema ./schema.json\n{text}")
    tombi = Path(sysconfig.get_path("scripts"), "tombi")
    command = [str(tombi), "lint", "--offline", "--error-on-warnings", "pipeline.toml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_an_editor_has_nothing_to_say_about_what_is_right(tmp_path: Path, text: str) -> None:
    """Not even a warning."""
    result = linted(tmp_path, text)
    assert (0, "") == (result.returncode, result.stdout), result.stderr


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_an_editor_finds_what_is_wrong(tmp_path: Path, text: str) -> None:
    """While it is being written."""
    assert 1 == linted(tmp_path, text).returncode


def test_every_key_is_documented() -> None:
    """Of the engine's tables; a component's from its docstring or its metadata."""
    tables = [SCHEMA, *(SCHEMA["properties"][name] for name in ("pipeline", "journal", "defaults"))]
    tables += [SCHEMA["properties"][name]["additionalProperties"] for name in ("inputs", "processes")]
    assert all(key["description"] for table in tables for key in table["properties"].values())
    rows = SCHEMA["$defs"]["input.rows"]["properties"]
    assert ("the tables to watch; all of them if empty.", "how often to look") == (
        rows["tables"]["description"],
        rows["poll"]["description"],
    )


def test_defaults_are_in_it() -> None:
    """As a file would say them."""
    rows = SCHEMA["$defs"]["input.rows"]["properties"]
    assert (100, "1s", "auto") == (rows["batch"]["default"], rows["poll"]["default"], rows["wake"]["default"])


def test_what_stands_beside_the_options_is_not_among_them() -> None:
    """Nor what the engine gives."""
    assert {"tables", "batch", "poll", "wake", "port"} == SCHEMA["$defs"]["input.rows"]["properties"].keys()
    job = SCHEMA["$defs"]["process.job"]
    assert "allow_privileged" not in job["properties"]
    assert ["image"] == job["required"]


def test_kinds_are_summarised() -> None:
    """For whoever chooses among them."""
    node = SCHEMA["properties"]["inputs"]["additionalProperties"]["properties"]["type"]
    assert ["rows", "tick"] == node["anyOf"][0]["enum"]
    assert node["description"].endswith("\nrows: rows of a table")
