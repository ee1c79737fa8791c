"""The configuration in force, as it may be shown."""

from __future__ import annotations

import json
from typing import Any

from orchestrator_core._config import normalised
from tests.configuring import VALID, Folder
from tests.unit.config.test_loading import FULL

ENVIRON = {"DSN": "hunter2", "IMAGE": "hunter2", "LIST": '["hunter2"]'}


def shown(folder: Folder, text: str) -> dict[str, Any]:
    """Return what is shown of a file."""
    found = normalised(folder.load(text, environ=ENVIRON))
    assert json.loads(json.dumps(found)) == found
    assert "hunter2" not in json.dumps(found)
    return found


def test_every_default_is_filled_in(folder: Folder) -> None:
    """Of the engine's tables and of the components."""
    assert {
        "version": 1,
        "pipeline": {
            "name": "pipeline",
            "concurrency": 8,
            "plugins": [],
            "allow_privileged": False,
            "max_event_bytes": 1_048_576,
            "grace": "30s",
        },
        "journal": {"url": f"sqlite:{folder.path}/.orchestrator/journal.db", "keep_done": "7d"},
        "inputs": {
            "rows": {
                "type": "rows",
                "connection_string": "********",
                "options": {"tables": [], "batch": 100, "poll": "1s", "wake": "auto", "port": 80},
            }
        },
        "processes": {
            "job": {
                "type": "job",
                "after": ["rows"],
                "timeout": "1h",
                "retry": {"attempts": 5, "initial": "1s", "max": "5m", "interruptions": 20},
                "on_dead": "skip",
                "join": "all",
                "execution_context": {"image": "acme/job", "directory": str(folder.path), "env": {}, "command": ""},
            }
        },
    } == shown(folder, VALID)


def test_defaults_are_merged_into_the_processes(folder: Folder) -> None:
    """What is shown is what holds."""
    job = shown(folder, FULL)["processes"]["job"]
    assert ("10m", 3, "2/s", "key", "hold") == tuple(
        job[key] for key in ("timeout", "concurrency", "rate", "ordered_by", "on_dead")
    )
    assert {"attempts": 3, "initial": "2s", "max": "5m", "max_age": "1d", "interruptions": 20} == job["retry"]


def test_links_are_shown_as_briefly_as_they_can_be(folder: Folder) -> None:
    """A name alone where nothing else is said."""
    processes = shown(folder, FULL)["processes"]
    assert ["rows"] == processes["job"]["after"]
    assert [
        {"node": "job", "on": "dead"},
        {
            "node": "rows",
            "operations": ["delete"],
            "locations": ["public.*"],
            "where": {"field": "data.x", "exact": 1},
        },
    ] == processes["tell"]["after"]


def test_secrets_and_references_are_not_shown(folder: Folder) -> None:
    """A secret is hidden; what stands elsewhere is shown as the reference, at any depth; a password is redacted."""
    context = """{ image = { env = "IMAGE" }, token = "hunter2", command = { env = "LIST" }, \
env = { A = { env = "IMAGE" }, B = "http://u:hunter2@h", C = "c" } }"""
    found = shown(folder, VALID.replace('{ image = "acme/job" }', context))["processes"]["job"]["execution_context"]
    assert {
        "image": {"env": "IMAGE"},
        "directory": str(folder.path),
        "token": "********",
        "command": {"env": "LIST"},
        "env": {"A": {"env": "IMAGE"}, "B": "http://u:********@h", "C": "c"},
    } == found


def test_what_is_shown_is_a_configuration(folder: Folder) -> None:
    """Loaded again, it shows the same."""
    first = shown(folder, FULL)
    overrides = [f"{name}={_toml(first[name])}" for name in ("pipeline", "journal", "inputs", "processes")]
    again = folder.load("version = 1\n[inputs]\n[processes]\n", overrides=overrides)
    assert first == normalised(again)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(each)}" for key, each in value.items()) + "}"
    return f"[{', '.join(map(_toml, value))}]" if isinstance(value, list) else json.dumps(value)
