"""A folder on ``sys.path`` with real distributions in it, for tests of what happens to installed plugins."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

PREAMBLE = """
import attrs
from orchestrator_core import InputType, JournalType, ProcessType, hookimpl

@attrs.frozen
class Component:
    prefix: str = "saw"
    async def run(self, *arguments): ...

"""


class PluginSite:
    """Installs distributions the way an installer leaves them: modules, and a ``dist-info`` folder with metadata."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    @contextmanager
    def on_path(cls, folder: Path) -> Iterator[PluginSite]:
        """Put the folder on ``sys.path``; afterwards take it and what was imported from it away."""
        sys.path.insert(0, str(folder))
        try:
            yield cls(folder)
        finally:
            sys.path.remove(str(folder))
            for name, module in list(sys.modules.items()):
                if str(getattr(module, "__file__", None)).startswith(str(folder)):
                    del sys.modules[name]
            importlib.invalidate_caches()

    def add(
        self,
        distribution: str,
        code: str = "",
        *,
        plugin: str = "echo",
        version: str = "1.0",
        summary: str = "",
        target: str = "",
        entry_points: Mapping[str, str] | None = None,
    ) -> str:
        """Install a distribution with one module, and return the module's name.

        Args:
            distribution: its name.
            code: the module's source, after imports and an attrs class ``Component``.
            plugin: the entry point's name.
            version: its version.
            summary: its one-line description.
            target: what the entry point names, the module unless given.
            entry_points: all entry points, instead of that one.
        """
        module = "module_of_" + "".join(c if c.isalnum() else "_" for c in distribution)
        (self.folder / f"{module}.py").write_text(PREAMBLE + dedent(code))
        points = {plugin: target or module} if entry_points is None else entry_points
        self.add_raw(
            distribution,
            metadata=f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\nSummary: {summary}\n",
            entry_points="\n".join(["[orchestrator_core.plugins]", *(f"{n} = {value}" for n, value in points.items())]),
        )
        return module

    def add_raw(self, folder: str, *, metadata: str, entry_points: str) -> None:
        """Install a ``dist-info`` folder with these two files."""
        info = self.folder / f"{''.join(c if c.isalnum() else '_' for c in folder)}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(metadata)
        (info / "entry_points.txt").write_text(entry_points)
        importlib.invalidate_caches()
