"""The hooks page can't go stale."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from orchestrator_core import InputType, JournalType, ProcessType, hookspecs
from orchestrator_core._notices import Notice
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs/hooks.md").read_text("utf-8")
HOOKS = [hook for name, hook in vars(hookspecs).items() if name.startswith("orchestrator_")]


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.__name__)
def test_every_hook_has_a_section_with_its_arguments(hook: Callable[..., Any]) -> None:
    """A hook's heading is its name with its arguments."""
    assert f"## {hook.__name__}({', '.join(inspect.signature(hook).parameters)})" in PAGE.splitlines()


@pytest.mark.parametrize("kind", [InputType, ProcessType, JournalType])
def test_every_field_of_what_hooks_return_is_explained(kind: type[attrs.AttrsInstance]) -> None:
    """A type's signature on the page has every field, positional ones first."""
    fields = [field.name for field in attrs.fields(kind) if not field.kw_only]
    named = [field.name for field in attrs.fields(kind) if field.kw_only]
    assert f"`{kind.__name__}({', '.join(fields)}, *, {', '.join(named)})`" in PAGE


@pytest.mark.parametrize("notice", Notice.__args__, ids=lambda notice: notice.__name__)
def test_every_notice_is_named(notice: type[object]) -> None:
    """An observer's author can see what there is to match."""
    assert f"`{notice.__name__}`" in PAGE
