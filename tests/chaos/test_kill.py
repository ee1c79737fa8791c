"""``kill -9`` at random moments of the running command, and at every call of the journal: nothing is lost."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.pipeline import assert_nothing_lost, attempts_of, read_runs, write_pipeline

EVENTS = 2_000
FEW = 6
_COMMAND = [sys.executable, "-m", "orchestrator_core.cli", "run", "--until-idle", "--log-format", "json"]
_KILLER = [sys.executable, str(Path(__file__).with_name("killed_at.py"))]
_PATIENCE = 120.0

pytestmark = pytest.mark.chaos


def start(folder: Path, command: list[str]) -> subprocess.Popen[bytes]:
    """Start a command in the pipeline's folder."""
    environment = {**os.environ, "EFFECTS": str(folder / "effects")}
    with (folder / "messages").open("ab") as messages:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=messages)


def finish(folder: Path) -> None:
    """Let the command run to its end."""
    assert 0 == start(folder, _COMMAND).wait(_PATIENCE), (folder / "messages").read_text()[-2_000:]


def kill_after(process: subprocess.Popen[bytes], effects: Path, growth: int) -> bool:
    """Kill a command once its processes have written so much more; ``False`` if it ended first."""
    goal = (effects.stat().st_size if effects.exists() else 0) + growth
    while (effects.stat().st_size if effects.exists() else 0) < goal:
        try:
            process.wait(0.002)
        except subprocess.TimeoutExpired:
            continue
        return False
    process.kill()
    process.wait()
    return True


def test_kills_at_random_moments(tmp_path: Path, kills: int, chaos_seed: int) -> None:
    """However often the command is killed, every accepted event ends as a success or as a dead letter.

    Catches: a done-mark before the attempt has ended, a checkpoint apart from its events, a claim without an owner.
    """
    write_pipeline(tmp_path, EVENTS)
    chance = random.Random(chaos_seed)
    total = EVENTS * 5 * 25  # about as many bytes as the processes write if nothing is repeated
    survived = 0
    for _ in range(kills):
        growth = chance.choice([0, 1, chance.randrange(total // kills)])
        survived += kill_after(start(tmp_path, _COMMAND), tmp_path / "effects", growth)
    finish(tmp_path)

    assert survived > kills // 2
    assert_nothing_lost(tmp_path, EVENTS)


def test_attempt_numbers_only_grow(tmp_path: Path, chaos_seed: int) -> None:
    """Over crashes, the attempts of one delivery begin in the order of their numbers.

    Catches: an attempt number that is counted up in memory, or only when the outcome is written.
    """
    write_pipeline(tmp_path, 300)
    chance = random.Random(chaos_seed)
    for _ in range(4):
        kill_after(start(tmp_path, _COMMAND), tmp_path / "effects", chance.randrange(1, 4_000))
    finish(tmp_path)

    attempts = attempts_of(read_runs(tmp_path))
    assert {key: sorted(numbers) for key, numbers in attempts.items()} == attempts


@pytest.mark.parametrize("moment", ["before", "inside", "after"])
def test_kill_at_every_call_of_the_journal(tmp_path: Path, moment: str) -> None:
    """A crash before, inside or right after any call of the journal loses and repeats nothing.

    Inside means that everything was written and the commit was not: the call must count as never made. Catches: two
    transactions where one is promised.
    """
    survived = 0
    for call in range(1, 1_000):
        folder = tmp_path / str(call)
        folder.mkdir()
        write_pipeline(folder, FEW)
        code = start(folder, [*_KILLER, str(call), moment]).wait(_PATIENCE)
        assert code in {0, 9}, (folder / "messages").read_text()[-2_000:]
        if code == 0:
            break
        survived += 1
        finish(folder)
        assert_nothing_lost(folder, FEW)

    assert survived >= 5
