"""Writes what the reference pages have from the code itself: ``python docs/reference.py``.

In `configuration.md` a table stands between ``<!-- reference: NAME -->`` and ``<!-- end -->``, where NAME is a table of
the file (``pipeline``) or a kind of input or process (``inputs.jsonl``). In `cli.md` all commands' help stands there,
and in `ancestor.md` the tests of each defect are filled in.
"""

from __future__ import annotations

import ast
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import attrs
import click

from orchestrator_core import Operation, ProcessOptions, RetryPolicy, Secret, Where
from orchestrator_core._config import fields, scalars, tables
from orchestrator_core._config.annotations import RawTable
from orchestrator_core._config.classes import resolve_types
from orchestrator_core._config.components import BESIDE
from orchestrator_core._plugins import Plugins
from orchestrator_core.cli._root import root
from orchestrator_core.hookspecs import component_fields

ROOT = Path(__file__).parents[1]
CONFIGURATION = Path(__file__).with_name("configuration.md")
COMMAND_LINE = Path(__file__).with_name("cli.md")
ANCESTOR = Path(__file__).with_name("ancestor.md")
PLUGINS = ("command", "docker", "jsonl", "postgres", "python", "timer", "webhook")

TABLES: Mapping[str, type[Any]] = {
    "file": tables.FileTable,
    "pipeline": tables.PipelineConfig,
    "journal": tables.JournalConfig,
    "defaults": tables.DefaultsTable,
    "retry": RetryPolicy,
    "inputs": tables.InputTable,
    "processes": tables.ProcessTable,
    "after": tables.UpstreamTable,
}

_WORDS = {
    str: "text",
    bool: "`true` or `false`",
    int: "whole number",
    float: "number",
    timedelta: "duration",
    scalars.Rate: "rate",
    Path: "path",
    Secret: "secret",
    Where: "condition",
    Any: "any value",
    RawTable: "table",
}

_DEFECT = re.compile(r"^\| B(\d+) \| (.*?) \| .*\|$", re.MULTILINE)
_MARKED = re.compile(r"(<!-- reference: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Write the pages anew."""
    for page, filled in ((CONFIGURATION, configuration), (COMMAND_LINE, command_line), (ANCESTOR, ancestor)):
        page.write_text(filled(page.read_text("utf-8")), "utf-8")


def configuration(page: str) -> str:
    """Return the page with every table as it should be."""
    plugins = Plugins.load(PLUGINS)
    return _MARKED.sub(lambda match: f"{match[1]}\n{_table(match[2], plugins)}\n\n{match[3]}", page)


def command_line(page: str) -> str:
    """Return the page with every command's help as it should be."""
    shown = "\n\n".join(f"## `{name}`\n\n```text\n{text}\n```" for name, text in _helps(root, "orchestrator"))
    return _MARKED.sub(lambda match: f"{match[1]}\n{shown}\n\n{match[3]}", page)


def ancestor(page: str) -> str:
    """Return the page with the tests of each defect: those that have its number in their name or docstring."""
    tests = _tests_by_defect()
    return _DEFECT.sub(lambda match: f"| B{match[1]} | {match[2]} | {', '.join(tests.get(match[1], []))} |", page)


def _tests_by_defect() -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for name, function in tests():
        said = ast.get_docstring(function) or ""
        for number in {*re.findall(r"_b(\d+)(?=_)", function.name), *re.findall(r"\bB(\d+)\b", said)}:
            found.setdefault(number, []).append(f"`{name}`")
    return found


def tests() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield every test as the pages name it: ``module::test``, a plugin's as ``plugin/module::test``."""
    contracts = "orchestrator_core/testing/**/*.py"
    for path in sorted(
        path for glob in ("tests/**/*.py", contracts, "plugins/*/tests/*.py") for path in ROOT.glob(glob)
    ):
        plugin = re.search(r"/plugins/orchestrator-(\w+)/", str(path))
        module = f"{plugin[1]}/{path.stem}" if plugin else path.stem
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield f"{module}::{node.name}", node


def _helps(command: click.Command, name: str) -> Iterator[tuple[str, str]]:
    context = click.Context(command, info_name=name, terminal_width=100, **root.context_settings)
    yield name, command.get_help(context)
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            inner = command.get_command(context, each)
            if inner is not None and not inner.hidden:
                yield from _helps(inner, f"{name} {each}")


def names() -> Sequence[str]:
    """Return the names of all tables that the configuration's page must have."""
    plugins = Plugins.load(PLUGINS)
    kinds = [*(f"inputs.{kind}" for kind in plugins.inputs), *(f"processes.{kind}" for kind in plugins.processes)]
    return [*TABLES, *kinds]


def _table(name: str, plugins: Plugins) -> str:
    if name in TABLES:
        return _rows(TABLES[name], hidden=())
    node, _, kind = name.partition(".")
    if node == "inputs":
        return _rows(plugins.inputs[kind].factory, hidden=("directory", *BESIDE))
    return _rows(plugins.processes[kind].factory, hidden=("directory", "allow_privileged"))


def _rows(kind: Any, hidden: Sequence[str]) -> str:  # noqa: ANN401 (any component's class)
    resolve_types(kind)
    said = fields.help_of(kind)
    shown = [field for field in component_fields(kind) if field.alias not in hidden and not field.name.startswith("_")]
    if not shown:
        return "It has no options."
    shown.sort(key=lambda field: field.default is not attrs.NOTHING)  # what is required comes first
    rows = [
        f"| `{each.alias}` | {type_(each.type)} | {_default(each, kind)} | {_cell(said[each.alias or ''])} |"
        for each in shown
    ]
    return "\n".join(["| Key | Type | Default | Meaning |", "|---|---|---|---|", *rows])


def type_(kind: Any) -> str:  # noqa: ANN401 (unions and aliases are no types)
    """Say in words what a key takes."""
    origin = get_origin(kind)
    if kind in _WORDS or origin is None:
        return _WORDS.get(kind) or _class(kind)
    if origin is Mapping and attrs.has(get_args(kind)[1]):
        return "a table for each"
    inner = [arg for arg in get_args(kind) if arg not in {type(None), ...}]
    if origin is Literal:
        return " or ".join(f'`"{arg}"`' for arg in inner)
    if origin in {Union, types.UnionType}:
        return " or ".join(dict.fromkeys(type_(arg) for arg in inner))
    collection = "table" if origin in {dict, Mapping} else "list"
    return f"{collection} of {type_(inner[-1])}"


def _class(kind: Any) -> str:  # noqa: ANN401 (as above)
    if kind is Operation:
        return "operation"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " or ".join(f'`"{member.value}"`' for member in kind)
    return "table" if attrs.has(kind) else "any value"


def _default(field: attrs.Attribute[Any], kind: Any) -> str:  # noqa: ANN401 (as above)
    default: Any = field.default
    if default is None and issubclass(kind, tables.DefaultsTable):
        default = getattr(ProcessOptions(), field.name)  # what neither the process nor [defaults] says
    if default is attrs.NOTHING:
        return "required"
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # attrs types it as a function
        default = default.factory()
    if default is None or default in ((), frozenset(), {}) or attrs.has(type(default)):
        return ""
    return f"`{_toml(default)}`"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return f'"{scalars.format_duration(value)}"'
    if isinstance(value, Enum):
        return f'"{value.value}"'
    if isinstance(value, list | tuple | set | frozenset):
        return f"[{', '.join(_toml(each) for each in value)}]"
    return f'"{value}"' if isinstance(value, str | Path) else str(value)


def _cell(text: str) -> str:
    return text.removesuffix(".").replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


if __name__ == "__main__":
    main()
