"""Which plugins are installed, by the metadata of their distributions alone."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from importlib import metadata
from typing import TypeAlias

import attrs

from orchestrator_core._errors import PluginError
from orchestrator_core.hookspecs import ENTRY_POINT_GROUP

NAME = re.compile(r"[a-z0-9_-]{1,63}")
_ENGINE = "orchestrator-engine"
_FIRST_PARTY = frozenset({"docker", "postgres", "webhook"})


@attrs.frozen
class InstalledPlugin:
    """A plugin as its distribution's metadata describes it; what could drive a terminal is escaped.

    Attributes:
        name: the entry point's name, which is what stands in ``type``.
        distribution: the distribution that provides it.
        version: the distribution's version.
        summary: the distribution's one-line description.
        module: the module that would be imported.
    """

    name: str
    distribution: str
    version: str
    summary: str
    module: str

    @property
    def origin(self) -> str:
        """Distribution and version, for messages."""
        return f"{self.distribution} {self.version}".rstrip()

    def error(self, cause: str, remedy: str) -> PluginError:
        """Return a `PluginError` about this plugin."""
        return PluginError(self.name, cause, remedy, distribution=self.distribution, version=self.version)


Entry: TypeAlias = tuple[InstalledPlugin, metadata.EntryPoint]


def installed() -> Sequence[InstalledPlugin]:
    """Return the installed plugins, ordered by name; nothing is imported."""
    return sorted((plugin for plugin, _ in Catalogue.read().entries), key=lambda plugin: (plugin.name, plugin.origin))


def one_line(text: str) -> str:
    """Escape what could break a line or drive a terminal: control, bidirectional and separator characters."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def clash(name: str, plugins: Sequence[InstalledPlugin]) -> PluginError:
    """Return the error for what several distributions claim."""
    claims = " and ".join(f'{plugin.origin} (plugin "{plugin.name}")' for plugin in plugins)
    strangers = dict.fromkeys(plugin.distribution for plugin in plugins if plugin.distribution != _ENGINE)
    builtin = ", and it is built in" if any(plugin.distribution == _ENGINE for plugin in plugins) else ""
    return PluginError(name, f"claimed by {claims}{builtin}", f"pip uninstall {' or '.join(strangers)}")


@attrs.frozen
class Catalogue:
    """The entry points of the group.

    Attributes:
        entries: every plugin with its entry point.
        unreadable: the distributions whose metadata can't be read, and why.
    """

    entries: Sequence[Entry]
    unreadable: Sequence[str]

    @classmethod
    def read(cls) -> Catalogue:
        """Read the metadata of every distribution on ``sys.path``; of one that is there twice, the first counts."""
        entries: dict[str, Sequence[Entry]] = {}
        unreadable = []
        for distribution in metadata.distributions():
            # One stranger's damaged metadata must not hide everybody's plugins; its parsers raise what they like.
            try:
                if ENTRY_POINT_GROUP in (distribution.read_text("entry_points.txt") or ""):
                    entries.setdefault(_canonical(distribution.metadata["Name"]), _entries(distribution))
            except Exception as error:  # noqa: BLE001
                place = getattr(distribution, "_path", distribution)
                unreadable.append(one_line(f"{place}: {type(error).__name__}: {error}"))
        return cls([entry for group in entries.values() for entry in group], unreadable)

    def find(self, name: str) -> Entry:
        """Return the one plugin of that name.

        Raises:
            PluginError: there is none, there are several, or it can't be named by a ``type``.
        """
        alike = [entry for entry in self.entries if _canonical(entry[1].name) == _canonical(name)]
        if not alike:
            raise self._missing(one_line(name))
        if len(alike) > 1:
            raise clash(one_line(name), [plugin for plugin, _ in alike])
        plugin, entry_point = alike[0]
        if not NAME.fullmatch(entry_point.name):
            raise plugin.error("that is no name for a plugin", f"its authors must choose one of {NAME.pattern}")
        if entry_point.name != name:
            raise PluginError(one_line(name), "is not installed", f'did you mean "{plugin.name}"?')
        if "\\" in plugin.origin:
            raise plugin.error("its name or version has control characters", "uninstall it, this is no honest mistake")
        return plugin, entry_point

    def _missing(self, name: str) -> PluginError:
        names = sorted({plugin.name for plugin, _ in self.entries})
        if name in _FIRST_PARTY:
            remedy = f"pip install orchestrator-{name}"
        elif close := difflib.get_close_matches(name, names, 1):
            remedy = f'did you mean "{close[0]}"?'
        else:
            remedy = f"install the distribution that provides it; there are {', '.join(names) or 'none'}"
        unreadable = f" (unreadable metadata: {'; '.join(self.unreadable)})" if self.unreadable else ""
        return PluginError(name, f"is not installed{unreadable}", remedy)


def _entries(distribution: metadata.Distribution) -> Sequence[Entry]:
    facts = {field: distribution.metadata[field] for field in distribution.metadata}
    name, version, summary = (one_line(facts.get(field, "")) for field in ("Name", "Version", "Summary"))
    return [
        (InstalledPlugin(one_line(point.name), name, version, summary, one_line(point.value)), point)
        for point in dict.fromkeys(distribution.entry_points)
        if point.group == ENTRY_POINT_GROUP
    ]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
