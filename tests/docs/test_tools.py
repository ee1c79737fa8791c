"""The chores and their settings agree with what is there."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.docs.pages import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def _contract(name: str) -> dict[str, list[str]]:
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    found: dict[str, list[str]] = next(each for each in contracts if each["name"].startswith(name))
    return found


def test_every_private_module_is_kept_from_plugins() -> None:
    """The import contract names each module of the core that starts with an underscore."""
    core = ROOT / "orchestrator_core"
    private = {f"orchestrator_core.{path.stem}" for path in core.glob("_[a-z]*") if path.suffix in {"", ".py"}}
    assert private == set(_contract("Plugins import public names")["protected_modules"])


def test_every_plugin_is_a_stranger_to_the_others() -> None:
    """The import contract names each plugin's package."""
    packages = sorted(path.parent.name for path in ROOT.glob("plugins/*/src/*/__init__.py"))
    assert packages == _contract("Plugins are strangers")["modules"]


def _requirements(group: str) -> set[str]:
    """What the distributions here and a group ask for by themselves."""
    projects = [tomllib.loads(path.read_text("utf-8")) for path in ROOT.glob("plugins/*/pyproject.toml")]
    asked = list(PYPROJECT["dependency-groups"][group])
    for project in (PYPROJECT, *projects):
        asked += [project["project"]["name"], *project["project"]["dependencies"]]
    return {canonicalize_name(Requirement(each).name) for each in asked} | {"trio"}  # trio is an extra of anyio's


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("group", ["test", "bench"])
def test_tests_import_only_what_is_asked_for(group: str) -> None:
    """Whoever installs the distributions and the group of the tests, or of the benchmarks, can run every one."""
    files = [path for glob in ("tests/**/*.py", "plugins/*/tests/*.py") for path in ROOT.glob(glob)]
    files = [path for path in files if (ROOT / "tests/bench" in path.parents) == (group == "bench")]
    owners = packages_distributions()
    foreign = {name for path in files for name in _imported(path) if name in owners}
    requirements = _requirements(group)
    missing = {name for name in foreign if not {canonicalize_name(owner) for owner in owners[name]} & requirements}
    assert sorted(missing) == []


def test_ci_runs_the_commands_of_the_readme() -> None:
    """The two commands that a newcomer copies are the ones that CI runs."""
    script = (ROOT / ".ci/run").read_text("utf-8")
    readme = (ROOT / "README.md").read_text("utf-8")
    commands = [line[1:-1] for line in script.splitlines() if line.startswith("(")]
    assert [command for command in commands if command in readme.splitlines()] == commands
    assert len(commands) == 2
