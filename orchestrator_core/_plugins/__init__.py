"""Load the plugins that a pipeline names, and no other; refuse what is broken or in conflict.

pluggy by itself stops at the first hook that raises, aborts loading at the first broken plugin, passes over a second
plugin of the same name and a misspelt hook in silence, and awaits nothing. Here each of these is a `PluginError`.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from types import ModuleType
from typing import TYPE_CHECKING, Any

import attrs
import pluggy

from orchestrator_core import hookspecs
from orchestrator_core._errors import PluginError, PluginErrors
from orchestrator_core._plugins._catalogue import Catalogue, Entry, InstalledPlugin, clash, installed, one_line
from orchestrator_core._plugins._hooks import REGISTERS, describe, key, wrong_hooks, wrong_list
from orchestrator_core._plugins._observer import Observer
from orchestrator_core.hookspecs import InputType, JournalType, ProcessType

if TYPE_CHECKING:
    import click

    from orchestrator_core._notices import Notice

__all__ = ["InstalledPlugin", "Observer", "Plugins", "installed", "one_line"]

_log = logging.getLogger("orchestrator_core.plugins")


@attrs.frozen
class Plugins:
    """The loaded plugins and what they have registered.

    Attributes:
        loaded: the plugins, by name.
        inputs: kinds of input, by what stands in ``type``.
        processes: kinds of process, by what stands in ``type``.
        journals: kinds of journal, by URL scheme, besides the engine's own.
        commands: commands for ``orchestrator <plugin> …``.
        observers: what to call for each notice; none of them ever raises.
        errors: what is wrong with those that did not load whole; empty after `load`.
    """

    loaded: Mapping[str, InstalledPlugin] = attrs.field(factory=dict)
    inputs: Mapping[str, InputType] = attrs.field(factory=dict)
    processes: Mapping[str, ProcessType] = attrs.field(factory=dict)
    journals: Mapping[str, JournalType] = attrs.field(factory=dict)
    commands: Sequence[click.Command] = ()
    observers: Sequence[Callable[[Notice], None]] = ()
    errors: Sequence[PluginError] = ()

    @classmethod
    def load(cls, names: Iterable[str], *, slow_after: float = 5.0) -> Plugins:
        """Import the named plugins, and no other, and ask them what they register.

        Args:
            names: entry-point names; one that is given twice counts once.
            slow_after: seconds after which a plugin that is still being loaded is named in the log.

        Raises:
            PluginError: one of them is missing, broken or in conflict; the others were tried all the same.
            PluginErrors: several are.
        """
        plugins = cls.probe(names, slow_after=slow_after)
        if len(plugins.errors) > 1:
            raise PluginErrors(plugins.errors)
        for error in plugins.errors:
            raise error
        return plugins

    @classmethod
    def probe(cls, names: Iterable[str], *, slow_after: float = 5.0) -> Plugins:
        """Load what can be loaded, and keep in `errors` what `load` would raise."""
        catalogue = Catalogue.read()
        loader = _Loader(slow_after)
        for name in dict.fromkeys(names):
            try:
                loader.load(catalogue.find(name))
            except PluginError as error:
                loader.errors.append(error)
        return loader.plugins()


class _Loader:
    """Loads one plugin after the other; gathers what they bring and what is wrong with them."""

    def __init__(self, slow_after: float) -> None:
        self.errors: list[PluginError] = []
        self._slow_after = slow_after
        self._loaded: dict[str, InstalledPlugin] = {}
        self._registered: dict[str, dict[str, Any]] = {hook: {} for hook in REGISTERS}
        self._owners: dict[tuple[str, str], InstalledPlugin] = {}
        self._observers: list[Observer] = []

    def plugins(self) -> Plugins:
        inputs, processes, journals, commands = (self._registered[hook] for hook in REGISTERS)
        return Plugins(
            loaded=self._loaded,
            inputs=inputs,
            processes=processes,
            journals=journals,
            commands=tuple(commands.values()),
            observers=tuple(self._observers),
            errors=tuple(self.errors),
        )

    def load(self, entry: Entry) -> None:
        plugin, entry_point = entry
        with self._foreign(plugin, "importing it"):
            module = entry_point.load()
        if not isinstance(module, ModuleType):
            cause = f"its entry point {plugin.module} is a {type(module).__name__}, not a module"
            raise plugin.error(cause, "its authors must let it name the module that holds the @hookimpl functions")
        with self._foreign(plugin, "reading its hooks"):
            problems = list(wrong_hooks(module))
        if problems:
            raise plugin.error("; ".join(problems), f"its authors must mend that in {plugin.module}")
        # A manager for each plugin: then one's exception stops no other's hooks, and every result has an owner.
        manager = pluggy.PluginManager("orchestrator_core")
        manager.add_hookspecs(hookspecs)
        with self._foreign(plugin, "registering its hooks"):
            manager.register(module, plugin.name)
        for hook in REGISTERS:
            try:
                self._register(plugin, hook, getattr(manager.hook, hook))
            except PluginError as error:
                self.errors.append(error)
        for impl in manager.hook.orchestrator_observe.get_hookimpls():
            self._observers.append(Observer(impl.function, f'of plugin "{plugin.name}" ({plugin.origin})'))
        self._loaded[plugin.name] = plugin

    def _register(self, plugin: InstalledPlugin, hook: str, call: Callable[[], list[Any]]) -> None:
        with self._foreign(plugin, f"{hook}()"):
            results = call()
        for result in results:
            with self._foreign(plugin, f"reading what {hook}() returned"):
                problem = wrong_list(hook, result)
            if problem:
                raise plugin.error(f"{hook}() {problem}", f"install a version of {plugin.distribution} that fits")
            for item in result:
                name = key(plugin.name, item)
                owner = self._owners.setdefault((hook, name), plugin)
                if name in self._registered[hook]:
                    raise clash(name, [owner, plugin])
                self._registered[hook][name] = item

    @contextmanager
    def _foreign(self, plugin: InstalledPlugin, doing: str) -> Iterator[None]:
        """Run a plugin's code: what it raises becomes a `PluginError`, what it prints goes to stderr."""
        remedy = f"upgrade or uninstall {plugin.distribution}, or take it out of the configuration"
        slow = "plugin %s (%s): %s has taken %g s so far; if it hangs, press Ctrl-C and then %s"
        watch = threading.Timer(
            self._slow_after, _log.warning, (slow, plugin.name, plugin.origin, doing, self._slow_after, remedy)
        )
        watch.daemon = True
        watch.start()
        process = os.getpid()
        try:
            with redirect_stdout(sys.stderr):
                yield
        # Its sys.exit() is no more than a broken plugin's, and Ctrl-C is how an operator leaves one that hangs.
        except BaseException as error:
            raise plugin.error(f"{doing} raised {describe(error)}", remedy) from error
        finally:
            watch.cancel()
            if os.getpid() != process:
                # It has forked: the copy must not go on to run the same pipeline a second time.
                os._exit(3)
