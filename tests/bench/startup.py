"""What an import and a glance at the help cost."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.measuring import Figures

_TIMES = 7


def _milliseconds(*commands: Sequence[str]) -> list[float]:
    """Run commands in turn, several times; return the median of each in milliseconds."""
    times: list[list[float]] = [[] for _ in commands]
    for _ in range(_TIMES):
        for taken, command in zip(times, commands, strict=True):
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            taken.append((time.perf_counter() - began) * 1_000)
    return [statistics.median(taken) for taken in times]


def imports(folder: Path) -> Figures:
    """Time ``import orchestrator_core``, the three imports below it, and the first use of what it brings when asked."""
    own, below, used = _milliseconds(
        [sys.executable, "-c", "import orchestrator_core"],
        [sys.executable, "-c", "import pluggy, anyio, attrs"],
        [sys.executable, "-c", "from orchestrator_core import Orchestrator"],
    )
    return {"own": own, "below": below, "used": used}


def help_page(folder: Path) -> Figures:
    """Time ``orchestrator --help`` and ``import click``."""
    command = str(Path(sys.executable).with_name("orchestrator"))
    own, below = _milliseconds([command, "--help"], [sys.executable, "-c", "import click"])
    return {"own": own, "below": below}
