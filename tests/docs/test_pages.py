"""Every code block that a reader might copy is run, parsed or checked, page by page and in order."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs
import click
import pytest
from packaging.requirements import Requirement

from orchestrator_core.cli._root import root
from tests.docs.pages import ROOT, Block, blocks, page_id, pages

DRAWN = {"", "text", "{toctree}", "{eval-rst}", "sql"}
"""Blocks that are looked at, not run."""

SURROUNDINGS = {
    "PYTHONPATH": "site",
    "NO_COLOR": "1",
    "COLUMNS": "120",
    "LC_ALL": "C.UTF-8",
}

SET_UP = re.compile(r"(pip|uv|nox|git|cd|python3? -m (venv|build|twine))( |$)")
"""Commands that prepare a machine: checked, not run."""


@attrs.define
class Reader:
    """Somebody who follows one page from top to bottom in a folder of their own."""

    folder: Path
    names: dict[str, object] = attrs.field(factory=lambda: {"__name__": "page"})

    def follow(self, block: Block) -> None:
        """Do what the block says."""
        if block.file is not None:
            path = self.folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, "utf-8")
        if block.language not in DRAWN:
            _CHECKS[block.language](self, block)

    def python(self, block: Block) -> None:
        """Run it, after the page's other Python; a module of tests is run by the page's pytest."""
        if block.file is not None and block.file.startswith("test_"):
            return
        source = "\n" * block.line + block.text
        exec(compile(source, str(block.page), "exec", dont_inherit=True), self.names)

    def toml(self, block: Block) -> None:
        """A whole pipeline has no problems; a part of one is TOML."""
        if "version" not in tomllib.loads(block.text):
            return
        file = block.file or "block.toml"
        (self.folder / file).write_text(block.text, "utf-8")
        named = re.findall(r'\{ *env *= *"(\w+)"', block.text)
        values = {name: "whsec_c2VjcmV0" if "SECRET" in name else "postgresql:///shop" for name in named}
        self._run(f"orchestrator check {file}", values)

    def json(self, block: Block) -> None:
        """It is JSON, whole or line by line."""
        if block.language == "jsonl":
            for line in block.text.splitlines():
                json.loads(line)
        else:
            json.loads(block.text)

    def console(self, block: Block) -> None:
        """Each command succeeds and prints what stands below it."""
        for command, expected in _sessions(block.text):
            if command == "pip install -e .":
                self._run("python -m hatchling build -t wheel -d dist && python -m zipfile -e dist/*.whl site")
            elif SET_UP.match(command):
                _check(command)
            else:
                found = self._run(command)
                assert not expected or re.fullmatch(_pattern(expected), found.rstrip()), f"{block}:\n{found}"

    def shell(self, block: Block) -> None:
        """Commands for the reader's own machine: not run, but there."""
        for line in block.text.replace("\\\n", " ").splitlines():  # a shell joins lines that end with a backslash
            _check(line)

    def _run(self, command: str, variables: Mapping[str, str] | None = None) -> str:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env={**os.environ, **SURROUNDINGS, "PATH": path, **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout


_CHECKS: Mapping[str, Callable[[Reader, Block], None]] = {
    "python": Reader.python,
    "toml": Reader.toml,
    "json": Reader.json,
    "jsonl": Reader.json,
    "console": Reader.console,
    "sh": Reader.shell,
}


def _sessions(text: str) -> Iterator[tuple[str, str]]:
    """Split into commands and what they print."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        yield command, expected.rstrip()


def _pattern(expected: str) -> str:
    """Match the text, where ``…`` stands for anything."""
    return re.escape(expected).replace("…", "(?s:.*)")


def _check(line: str) -> None:
    """What is installed by name is ours, with extras that it has; our commands and their options are there."""
    for words in _commands(line):
        match words:
            case ["pip", "install", *wanted]:
                for word in wanted:
                    if re.fullmatch(r"orchestrator-[a-z]+(\[[a-z]+\])?", word):
                        requirement = Requirement(word)
                        assert requirement.extras <= _extras()[requirement.name], word
            case ["orchestrator", *arguments]:
                _check_options(arguments)


def _commands(line: str) -> Iterator[list[str]]:
    words = [word for word in shlex.split(line, comments=True) if not re.match(r"[A-Z_]+=", word)]
    for is_operator, command in itertools.groupby(words, lambda word: word in {"&&", "|", ";"}):
        if not is_operator:
            yield list(command)


def _check_options(arguments: Sequence[str]) -> None:
    command: click.Command = root
    context = click.Context(command, **root.context_settings)  # click keeps what it is first asked for
    for word in arguments:
        if word.startswith("-"):
            known = {option for parameter in command.get_params(context) for option in parameter.opts}
            assert word.partition("=")[0] in known, f"{command.name} has no {word}"
        elif isinstance(command, click.Group):
            found = command.get_command(context, word)
            assert found is not None, f"{command.name} has no command {word}"
            command = found


def _extras() -> dict[str, set[str]]:
    projects = [tomllib.loads(path.read_text()) for path in [ROOT / "pyproject.toml", *ROOT.glob("plugins/*/*.toml")]]
    return {each["project"]["name"]: set(each["project"].get("optional-dependencies", {})) for each in projects}


def _marks(page: Path) -> list[pytest.MarkDecorator]:
    return [pytest.mark.needs_postgres] if "embedded:" in page.read_text("utf-8") else []


@pytest.mark.parametrize("page", [pytest.param(page, id=page_id(page), marks=_marks(page)) for page in pages()])
def test_every_block_of_a_page_holds(page: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader who follows a page from top to bottom gets what it says."""
    folder = open_folder / "reader"
    if page.is_relative_to(ROOT / "examples"):
        shutil.copytree(page.parent, folder, ignore=shutil.ignore_patterns(".orchestrator", "__pycache__"))
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    reader = Reader(folder)
    for block in blocks(page):
        reader.follow(block)


def test_every_block_says_its_language() -> None:
    """Every block is of a kind that a test looks at."""
    known = DRAWN | _CHECKS.keys()
    assert [str(block) for page in pages() for block in blocks(page) if block.language not in known] == []
