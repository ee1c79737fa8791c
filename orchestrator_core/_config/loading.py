"""Load a configuration: read it, check all of it, and either return it or say everything that is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import attrs

from orchestrator_core._config.configuration import Configuration
from orchestrator_core._config.document import UnreadableError, parse, read
from orchestrator_core._config.graph import PlacedLink, link_findings, name_findings, too_many
from orchestrator_core._config.kinds import Fitted, fit, kind_of, option_names, plugin_findings
from orchestrator_core._config.literals import literal_passwords
from orchestrator_core._config.nodes import Node, read_links, read_nodes
from orchestrator_core._config.overrides import override
from orchestrator_core._config.problems import (
    ConfigurationProblems,
    Finding,
    Keys,
    Problem,
    describe,
    nearest,
    quote,
)
from orchestrator_core._config.references import Resolver, mark
from orchestrator_core._config.report import Report
from orchestrator_core._config.structure import Structure
from orchestrator_core._config.tables import (
    VERSION,
    DefaultsTable,
    FileTable,
    JournalConfig,
    PipelineConfig,
    given,
    treatment,
)
from orchestrator_core._plugins import Plugins, installed

T = TypeVar("T")
FindPlugins: TypeAlias = Callable[[Iterable[str]], Plugins]

_OWN_SCHEMES = ("sqlite", "memory")


def load(
    path: str | Path,
    *,
    overrides: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
    find_plugins: FindPlugins = Plugins.probe,
) -> Configuration:
    """Return a checked configuration.

    Only the plugins that the file names are imported.

    Args:
        path: the TOML file.
        overrides: ``path=value`` pairs that win over the file.
        environ: what ``{ env = … }`` refers to; the process's environment unless given.
        find_plugins: loads plugins by name, and keeps in `Plugins.errors` what is wrong with them.

    Raises:
        ConfigurationProblems: with everything that is wrong, in the order of the file.
    """
    path = Path(path)
    try:
        document = parse(read(path))
    except UnreadableError as error:
        line, column = error.at or (None, None)
        raise ConfigurationProblems([Problem(str(path), line, column, error.message, error.hint)]) from None
    overridden = override(document.values, overrides)
    resolver = Resolver(os.environ if environ is None else environ, path.parent)
    checker = _Checker(mark(overridden.values), Structure(resolver), path, find_plugins)
    configuration = checker.check()
    findings = [*literal_passwords(overridden.values), *checker.structure.findings, *resolver.warnings.values()]
    report = Report(str(path), document.places, overridden.places, checker.components, resolver.hidden)
    problems = (*report.problems(findings), *overridden.problems)
    if configuration is None or any(problem.severity == "error" for problem in problems):
        raise ConfigurationProblems(problems)
    return attrs.evolve(configuration, warnings=problems)


class _Checker:
    """Checks the parts of a file one after the other; what is wrong goes to the structure's findings."""

    def __init__(self, values: Mapping[str, Any], structure: Structure, path: Path, find_plugins: FindPlugins) -> None:
        self.structure = structure
        self.components: dict[Keys, tuple[str, ...]] = {}
        self._values = values
        self._path = path
        self._folder = Path(os.path.abspath(path.parent))  # noqa: PTH100 (symlinks stay as they are)
        self._find_plugins = find_plugins

    def check(self) -> Configuration | None:
        """Return the configuration, or ``None`` if there can be none; the findings decide whether it is right."""
        if not self._values:
            self.structure.add((), "the file is empty", f"begin with version = {VERSION}, or run orchestrator init")
            return None
        self._head()
        pipeline = self._section("pipeline", PipelineConfig) or PipelineConfig()
        journal = self._section("journal", JournalConfig) or JournalConfig()
        defaults = self._section("defaults", DefaultsTable)
        raw = {section: self._values.get(section, {}) for section in ("inputs", "processes")}
        names = [list(table) if isinstance(table, Mapping) else [] for table in raw.values()]
        if finding := too_many(*names):
            self.structure.findings.append(finding)
            return None
        inputs = list(read_nodes("inputs", raw["inputs"], self.structure))
        processes = list(read_nodes("processes", raw["processes"], self.structure))
        self._names(inputs, processes)
        links = self._links(inputs, processes)
        plugins = self._plugins([*inputs, *processes], pipeline, journal)
        engine = {"directory": self._folder, "allow_privileged": pipeline.allow_privileged}
        fitted_inputs = list(self._fitted(inputs, plugins, engine))
        fitted = list(self._fitted(processes, plugins, engine))
        common = given(defaults, self._values.get("defaults", {}))
        treated = {each.node.name: treatment(given(each.node.table, each.node.raw), common) for each in fitted}
        return Configuration(
            path=self._path,
            pipeline=pipeline,
            journal=self._journal(journal, plugins),
            inputs={each.node.name: each.as_input() for each in fitted_inputs},
            processes={each.node.name: each.as_process(treated[each.node.name]) for each in fitted},
            links=tuple(each.link for each in links),
            plugins=plugins,
            written=self._values,
        )

    def _head(self) -> None:
        known = tuple(attrs.fields_dict(FileTable))
        for key in self._values:
            if key not in known:
                self.structure.findings.append(Finding((key,), f"unknown key {quote(key)}", at_key=True, known=known))
        version = self._values.get("version")
        if version is None:
            self.structure.add((), '"version" is missing', f"begin with version = {VERSION}")
        elif type(version) is not int or version != VERSION:
            hint = "upgrade orchestrator-engine" if type(version) is int and version > VERSION else ""
            self.structure.add(("version",), f"expected version {VERSION}, found {describe(version)}", hint)

    def _section(self, name: str, kind: type[T]) -> T | None:
        return self.structure.attempt(self._values.get(name, {}), kind, (name,))

    def _names(self, inputs: Sequence[Node], processes: Sequence[Node]) -> None:
        names = [node.name for node in inputs], [node.name for node in processes]
        for section, found in zip(("inputs", "processes"), names, strict=True):
            if not found:
                what = "input" if section == "inputs" else "process"
                self.structure.add((), f"the pipeline has no {what}", f"add a table [{section}.NAME]")
        self.structure.findings.extend(name_findings(*names))

    def _links(self, inputs: Sequence[Node], processes: Sequence[Node]) -> Sequence[PlacedLink]:
        read = [link for process in processes for link in read_links(process, self.structure)]
        links = [link for link in read if link is not None]
        names = [node.name for node in inputs], [node.name for node in processes]
        complete = len(links) == len(read) and all(names)
        self.structure.findings.extend(link_findings(*names, links, complete=complete))
        return links

    def _plugins(self, nodes: Sequence[Node], pipeline: PipelineConfig, journal: JournalConfig) -> Plugins:
        """Load the plugins that the file names, and no other."""
        named: dict[Keys, str] = {("pipeline", "plugins", index): name for index, name in enumerate(pipeline.plugins)}
        if journal.scheme not in _OWN_SCHEMES and ":" in journal.url:
            named["journal", "url"] = _plugin_of_scheme(journal.scheme)
        plugins = self._find_plugins(dict.fromkeys([*(node.plugin for node in nodes if node.plugin), *named.values()]))
        for error in plugins.errors:
            self.structure.findings.extend(plugin_findings(error, nodes, named))
        return plugins

    def _fitted(self, nodes: Iterable[Node], plugins: Plugins, engine: Mapping[str, Any]) -> Iterator[Fitted]:
        for node in nodes:
            kind = kind_of(node, plugins, self.structure)
            fitted = kind and fit(node, kind, engine, self.structure)
            if kind:
                self.components[node.keys] = option_names(node, kind)
            if fitted:
                yield fitted

    def _journal(self, journal: JournalConfig, plugins: Plugins) -> JournalConfig:
        """Check the journal's URL and make the path in it absolute."""
        keys = ("journal", "url")
        schemes = [*_OWN_SCHEMES, *plugins.journals]
        if ":" not in journal.url or (journal.scheme == "sqlite" and not journal.location):
            self.structure.add(keys, 'expected a URL such as "sqlite:.orchestrator/journal.db" or "memory:"')
        elif journal.scheme == "sqlite":
            return attrs.evolve(journal, url=f"sqlite:{Path(self._folder, journal.location)}")
        elif journal.scheme not in schemes and not any(found.keys == keys for found in self.structure.findings):
            near = nearest(journal.scheme, schemes)
            hint = f'did you mean "{near}:"?' if near else ""
            self.structure.add(keys, f"no plugin has a journal for {quote(journal.scheme + ':')}", hint)
        return journal


def _plugin_of_scheme(scheme: str) -> str:
    """Return the plugin that has the journals of a scheme: the one with whose name the scheme begins."""
    names = {plugin.name for plugin in installed()}
    return max((name for name in names if scheme.startswith(name)), key=len, default=scheme)
