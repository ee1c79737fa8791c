"""The public names: what can be imported, what it says it is called, and what importing it costs."""

from __future__ import annotations

import importlib
import subprocess
import sys
from types import ModuleType

import pytest

import orchestrator_core
import orchestrator_core.hookspecs
import orchestrator_core.testing

_MODULES = (orchestrator_core, orchestrator_core.testing)
_HOOKS = {
    "orchestrator_register_inputs",
    "orchestrator_register_processes",
    "orchestrator_register_journals",
    "orchestrator_register_commands",
    "orchestrator_observe",
}


_PUBLIC = [pytest.param(module, name, id=f"{module.__name__}.{name}") for module in _MODULES for name in module.__all__]


@pytest.mark.parametrize(("module", "name"), _PUBLIC)
def test_every_public_name_is_there(module: ModuleType, name: str) -> None:
    """`__all__` promises nothing that can't be imported, those that are imported when used included."""
    assert getattr(module, name) is getattr(importlib.import_module(module.__name__), name)


@pytest.mark.parametrize(("module", "name"), _PUBLIC)
def test_every_public_class_and_function_has_a_docstring(module: ModuleType, name: str) -> None:
    """Whoever reads `help()` learns what it is for. Catches: a docstring that attrs or enum has made up."""
    found = getattr(module, name)
    if isinstance(found, type) or callable(found):
        text = found.__doc__ or ""
        assert text.strip()
        assert not text.startswith(f"{name}(")


@pytest.mark.parametrize("module", _MODULES, ids=lambda module: module.__name__)
def test_public_names_are_sorted_and_once(module: ModuleType) -> None:
    """The list reads well: constants, classes, functions, each in order."""
    ordered = sorted(set(module.__all__), key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert ordered == list(module.__all__)


@pytest.mark.parametrize("module", _MODULES, ids=lambda module: module.__name__)
def test_dir_tells_the_public_names(module: ModuleType) -> None:
    """Completion in a shell offers what is public, the lazy names included."""
    assert sorted(module.__all__) == dir(module)


@pytest.mark.parametrize("module", _MODULES, ids=lambda module: module.__name__)
def test_an_unknown_name_is_an_attribute_error(module: ModuleType) -> None:
    """Lazy names do not hide mistakes."""
    with pytest.raises(AttributeError, match=f"module '{module.__name__}' has no attribute 'Orchestra'"):
        _ = module.Orchestra


def test_every_error_is_public() -> None:
    """What a program may want to catch can be imported, and hangs in one tree."""
    errors = importlib.import_module("orchestrator_core._errors")
    classes = {name: value for name, value in vars(errors).items() if isinstance(value, type)}
    assert set() == classes.keys() - set(orchestrator_core.__all__)
    assert all(issubclass(each, orchestrator_core.OrchestratorError) for each in classes.values())


def test_hooks() -> None:
    """The hooks are those of the design, each with a docstring."""
    found = {name for name in vars(orchestrator_core.hookspecs) if name.startswith("orchestrator_")}
    assert _HOOKS == found
    assert all(getattr(orchestrator_core.hookspecs, name).__doc__ for name in found)


def imported_by(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter has after a statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_importing_the_core_is_cheap() -> None:
    """Of the libraries only pluggy, anyio and attrs come with it, and of the runner nothing."""
    before = imported_by("import pluggy, anyio, anyio.to_thread, attrs, logging, json, graphlib, random, fnmatch")
    extra = imported_by("import orchestrator_core") - before - set(sys.stdlib_module_names)
    assert {"orchestrator_core"} == {name for name in extra if not name.startswith("_")}


def test_the_core_brings_no_event_loop() -> None:
    """Neither asyncio nor trio is imported before a program has chosen one."""
    brought = imported_by("import orchestrator_core") & {"asyncio", "trio", "sqlite3", "click", "rich", "tree_sitter"}
    assert brought <= imported_by("import anyio, pluggy, attrs")


def test_the_fakes_need_no_test_framework() -> None:
    """A program may use the simulated clock without pytest and Hypothesis."""
    assert not {"pytest", "hypothesis"} & imported_by(
        "from orchestrator_core.testing import FakeInputContext, ScriptedProcess, SimulatedClock"
    )
