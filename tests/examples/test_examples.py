"""The small examples do what their pages say."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def _orchestrator(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from orchestrator_core.cli import main; main()", *arguments],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    """A copy of the example, since running it leaves a journal and files behind."""
    return Path(shutil.copytree(EXAMPLES / "orders", tmp_path / "orders"))


def _customers(file: Path) -> list[str]:
    events = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    return sorted(event["data"]["customer"] for event in events)


def test_orders_go_where_their_total_sends_them(orders: Path) -> None:
    """Priced orders are packed, large ones told to sales, an order of nothing is complained about."""
    _orchestrator(orders, "run", "--until-idle")
    assert _customers(orders / "packed.jsonl") == ["Ada", "Barbara", "Grace", "Tony"]
    assert _customers(orders / "big.jsonl") == ["Barbara", "Grace"]
    assert _customers(orders / "refused.jsonl") == ["Edsger"]


def test_orders_are_not_packed_twice(orders: Path) -> None:
    """A second run of the same file has nothing to do."""
    _orchestrator(orders, "run", "--until-idle")
    _orchestrator(orders, "run", "--until-idle")
    assert _customers(orders / "packed.jsonl") == ["Ada", "Barbara", "Grace", "Tony"]


def test_embedding_counts_each_file(tmp_path: Path) -> None:
    """A program with the engine inside runs its own components until they are idle."""
    for name, text in {"one.txt": "less is more", "two.txt": "an old silent pond"}.items():
        (tmp_path / name).write_text(text, "utf-8")
    program = EXAMPLES / "embedding/watch_folder.py"
    done = subprocess.run([sys.executable, program, tmp_path], capture_output=True, text=True, timeout=60, check=True)
    assert "done=2, dead=0" in done.stdout
