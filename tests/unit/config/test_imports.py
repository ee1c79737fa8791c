"""What an import costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIBRARIES = ("cattrs", "tomllib", "tree_sitter", "tree_sitter_toml", "jsonschema")


@pytest.mark.parametrize("module", ["orchestrator_core", "orchestrator_core._config"])
def test_the_configuration_s_libraries_are_imported_when_used(module: str) -> None:
    """A pipeline built in code need not pay for them."""
    code = f"import sys, {module}; print([name for name in {LIBRARIES!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]\n" == run.stdout


def test_public_names_are_there() -> None:
    """Each by itself, however much of the package was imported before."""
    code = "import orchestrator_core._config as c; print(all(callable(getattr(c, name)) for name in c.__all__ * 2))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "True\n" == run.stdout
