"""Loading of plugins: what is found, what is refused and how that is said."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator_core import Measured, PluginError, PluginErrors, hookspecs
from orchestrator_core._plugins import InstalledPlugin, Observer, Plugins, installed, one_line
from tests.plugin_site import PluginSite

NOTICE = Measured("sensors", "outbox_rows", 7)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[PluginSite]:
    """A place to install distributions."""
    with PluginSite.on_path(tmp_path) as site:
        yield site


def broken(name: str) -> PluginError:
    """Load a plugin that must not load, and return why."""
    with pytest.raises(PluginError) as caught:
        Plugins.load([name])
    return caught.value


def test_a_component_named_like_its_plugin_is_found_by_the_plugins_name_alone(site: PluginSite) -> None:
    """`type = "echo"` is the main component, `type = "echo.other"` another one."""
    site.add(
        "echo-plugin",
        """
        @hookimpl
        def orchestrator_register_inputs():
            return [InputType("echo", Component), InputType("other", Component)]

        @hookimpl
        def orchestrator_register_processes():
            return (ProcessType("echo", Component),)
        """,
    )
    plugins = Plugins.load(["echo"])
    assert ["echo", "echo.other"] == list(plugins.inputs)
    assert ["echo"] == list(plugins.processes)


def test_a_loaded_plugin_is_described_by_its_distribution(site: PluginSite) -> None:
    """What was loaded says where it comes from."""
    module = site.add("echo-plugin", summary="Says it again")
    assert {"echo": InstalledPlugin("echo", "echo-plugin", "1.0", "Says it again", module)} == Plugins.load(
        ["echo"]
    ).loaded


def test_journals_are_found_by_their_scheme(site: PluginSite) -> None:
    """The part of the URL before the colon chooses the journal."""
    site.add(
        "bolt",
        """
        @hookimpl
        def orchestrator_register_journals():
            return [JournalType("bolt", Component)]
        """,
        plugin="bolt",
    )
    assert ["bolt"] == list(Plugins.load(["bolt"]).journals)


def test_commands_are_gathered(site: PluginSite) -> None:
    """A plugin's commands are click's."""
    site.add(
        "echo-plugin",
        """
        import click

        @hookimpl
        def orchestrator_register_commands():
            return [click.Command("again")]
        """,
    )
    assert ["again"] == [command.name for command in Plugins.load(["echo"]).commands]


def test_an_observer_is_told(site: PluginSite) -> None:
    """`orchestrator_observe` is called with each notice."""
    module = site.add(
        "watcher",
        """
        seen = []

        @hookimpl
        def orchestrator_observe(notice):
            seen.append(notice)
        """,
        plugin="watcher",
    )
    for observer in Plugins.load(["watcher"]).observers:
        observer(NOTICE)
    assert [NOTICE] == sys.modules[module].seen


def test_a_plugin_named_twice_is_loaded_once(site: PluginSite) -> None:
    """A pipeline may use one plugin in many places."""
    site.add("watcher", "@hookimpl\ndef orchestrator_observe(notice): ...\n", plugin="watcher")
    assert 1 == len(Plugins.load(["watcher", "watcher"]).observers)


def test_installed_plugins_are_listed_without_importing_them(site: PluginSite) -> None:
    """The list is made of metadata alone."""
    module = site.add("echo-plugin", "raise SystemExit", summary="Says it again", version="2.1")
    assert InstalledPlugin("echo", "echo-plugin", "2.1", "Says it again", module) in installed()
    assert module not in sys.modules


def test_the_first_of_two_copies_of_a_distribution_counts(
    site: PluginSite, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As with imports: what stands first on the path shadows what stands behind it."""
    site.add("Echo.Plugin", version="1.0")
    with PluginSite.on_path(tmp_path_factory.mktemp("first")) as first:
        first.add("echo-plugin", version="2.0")
        assert "2.0" == Plugins.load(["echo"]).loaded["echo"].version


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("eco", 'did you mean "echo"?'),
        ("postgres", "pip install orchestrator-postgres"),
        ("zzz", "install the distribution that provides it; there are command, echo"),
    ],
)
def test_a_missing_plugin_is_reported_with_what_to_do(
    site: PluginSite, monkeypatch: pytest.MonkeyPatch, name: str, remedy: str
) -> None:
    """The message names the nearest right name, the command that installs it, or what there is."""
    monkeypatch.setattr(sys, "path", [str(site.folder)])
    site.add("echo-plugin", entry_points={"echo": "m", "command": "m"})
    error = broken(name)
    assert (name, "is not installed", remedy) == (error.plugin, error.cause, error.remedy)


def test_a_strangers_damaged_metadata_hide_nobodys_plugins(site: PluginSite) -> None:
    """One distribution with entry points that can't be parsed leaves the others loadable."""
    site.add_raw("damaged", metadata="Name: damaged\n", entry_points="[orchestrator_core.plugins]\nno equals sign")
    site.add("echo-plugin")
    assert ["echo"] == list(Plugins.load(["echo"]).loaded)


def test_damaged_metadata_are_named_where_a_plugin_is_missing(site: PluginSite) -> None:
    """The plugin that is missing may be in the distribution that can't be read."""
    site.add_raw("damaged", metadata="Name: damaged\n", entry_points="[orchestrator_core.plugins]\nno equals sign")
    assert "damaged-1.0.dist-info: TypeError" in broken("lost").cause


def test_an_exception_is_reported_with_distribution_version_cause_and_remedy(site: PluginSite) -> None:
    """All that an operator needs stands in the one message."""
    site.add(
        "echo-plugin", "@hookimpl\ndef orchestrator_register_inputs(): raise ValueError('no luck')\n", version="3.2"
    )
    assert (
        'plugin "echo" (echo-plugin 3.2): orchestrator_register_inputs() raised ValueError: no luck; '
        "upgrade or uninstall echo-plugin, or take it out of the configuration"
    ) == str(broken("echo"))


def test_an_exception_in_one_hook_hides_nothing_else(site: PluginSite) -> None:
    """Where pluggy stops at the first hook that raises, here each is called and each exception reported."""
    site.add(
        "half",
        """
        @hookimpl
        def orchestrator_register_inputs(): raise ValueError("first")

        @hookimpl
        def orchestrator_register_processes(): return [ProcessType("half", Component)]

        @hookimpl
        def orchestrator_register_journals(): raise ValueError("second")
        """,
        plugin="half",
    )
    plugins = Plugins.probe(["half"])
    assert ["half"] == list(plugins.processes)
    assert ["first", "second"] == [str(error.__cause__) for error in plugins.errors]


def test_a_broken_plugin_does_not_keep_others_from_loading(site: PluginSite) -> None:
    """Where pluggy aborts at the first broken plugin, here the sound ones behind it are loaded."""
    site.add("broken-one", "import nothing_of_that_name", plugin="one")
    site.add("broken-two", "raise RuntimeError('no')", plugin="two")
    site.add(
        "sound", "@hookimpl\ndef orchestrator_register_inputs(): return [InputType('in', Component)]\n", plugin="three"
    )
    plugins = Plugins.probe(["one", "two", "three"])
    assert ["three.in"] == list(plugins.inputs)
    assert ["one", "two"] == [error.plugin for error in plugins.errors]


def test_all_broken_plugins_are_reported_at_once(site: PluginSite) -> None:
    """One run tells everything that is to be mended."""
    site.add("broken-one", "import nothing_of_that_name", plugin="one")
    site.add("broken-two", "raise RuntimeError('no')", plugin="two")
    with pytest.raises(PluginErrors) as caught:
        Plugins.load(["one", "two", "three"])
    assert ["one", "two", "three"] == [error.plugin for error in caught.value.errors]
    assert 3 == len(str(caught.value).splitlines())


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        pytest.param(
            "@hookimpl\ndef orchestrator_register_input(): return []\n",
            "orchestrator_register_input is no hook, did you mean orchestrator_register_inputs?",
            id="misspelt",
        ),
        pytest.param(
            "def orchestrator_register_proceses(): return []\n",
            "orchestrator_register_proceses is no hook, did you mean orchestrator_register_processes?",
            id="misspelt-and-unmarked",
        ),
        pytest.param(
            "@hookimpl\ndef register_inputs(): return []\n",
            "register_inputs is no hook, did you mean orchestrator_register_inputs?",
            id="no-prefix",
        ),
        pytest.param(
            "def orchestrator_register_inputs(): return []\n",
            "orchestrator_register_inputs lacks @hookimpl",
            id="unmarked",
        ),
        pytest.param(
            "@hookimpl\nasync def orchestrator_observe(notice): ...\n",
            "orchestrator_observe is async, but a hook is a plain function: what waits belongs into a component",
            id="async",
        ),
        pytest.param(
            "@hookimpl(wrapper=True)\ndef orchestrator_register_inputs(): return (yield)\n",
            "orchestrator_register_inputs is a generator, but a hook is a plain function",
            id="wrapper",
        ),
        pytest.param(
            "@hookimpl(specname='orchestrator_register_inpus')\ndef inputs(): return []\n",
            "inputs is no hook, did you mean orchestrator_register_inputs?",
            id="specname",
        ),
    ],
)
def test_a_hook_that_pluggy_would_pass_over_is_refused(site: PluginSite, code: str, cause: str) -> None:
    """A hook that would never be called, or never awaited, is a mistake that its author must hear of."""
    site.add("echo-plugin", code)
    assert cause == broken("echo").cause


def test_all_wrong_hooks_of_a_plugin_are_named(site: PluginSite) -> None:
    """An author mends them in one go."""
    site.add(
        "echo-plugin",
        "def orchestrator_observ(notice): ...\n\n@hookimpl\ndef orchestrator_register_inputs(context): ...\n",
    )
    assert (
        "orchestrator_observ is no hook, did you mean orchestrator_observe?; "
        "orchestrator_register_inputs has the wrong parameters: it is orchestrator_register_inputs()"
    ) == broken("echo").cause


def test_an_optional_hook_of_a_newer_engine_is_let_pass(site: PluginSite) -> None:
    """A plugin that serves several engines marks what the older ones do not know."""
    site.add("echo-plugin", "@hookimpl(optionalhook=True)\ndef orchestrator_of_the_future(): ...\n")
    assert ["echo"] == list(Plugins.load(["echo"]).loaded)


def test_what_a_module_has_imported_is_not_taken_for_its_hooks(site: PluginSite) -> None:
    """A hook specification that a module imports, for its documentation say, is no hook of its own."""
    site.add("echo-plugin", "from orchestrator_core.hookspecs import orchestrator_observe\n")
    assert () == Plugins.load(["echo"]).observers


def test_a_hook_may_have_another_name(site: PluginSite) -> None:
    """The `specname` of pluggy works."""
    site.add(
        "echo-plugin",
        "@hookimpl(specname='orchestrator_register_inputs')\ndef inputs(): return [InputType('echo', Component)]\n",
    )
    assert ["echo"] == list(Plugins.load(["echo"]).inputs)


def test_two_journals_of_one_scheme_name_both_distributions(site: PluginSite) -> None:
    """A URL would not say which of them is meant."""
    for name in ("bolt", "nut"):
        code = "@hookimpl\ndef orchestrator_register_journals(): return [JournalType('bolt', Component)]\n"
        site.add(f"{name}-journal", code, plugin=name)
    with pytest.raises(PluginError) as caught:
        Plugins.load(["bolt", "nut"])
    assert (
        'plugin "bolt": claimed by bolt-journal 1.0 (plugin "bolt") and nut-journal 1.0 (plugin "nut"); '
        "pip uninstall bolt-journal or nut-journal"
    ) == str(caught.value)


def test_what_a_plugin_prints_stays_out_of_stdout(site: PluginSite, capsys: pytest.CaptureFixture[str]) -> None:
    """Data goes to stdout, and a plugin's greeting is none."""
    site.add("echo-plugin", "print('hello')")
    Plugins.load(["echo"])
    assert ("", "hello\n") == tuple(capsys.readouterr())


def test_a_plugin_that_takes_long_to_import_is_named_in_the_log(
    site: PluginSite, caplog: pytest.LogCaptureFixture
) -> None:
    """An operator in front of a start that hangs learns what to press Ctrl-C for."""

    class UntilLogged(logging.Handler):
        event = threading.Event()

        def emit(self, _record: logging.LogRecord) -> None:
            self.event.set()

    module = "the_test_that_waits"
    handler = UntilLogged()
    sys.modules[module] = handler  # type: ignore[assignment]
    logging.getLogger("orchestrator_core.plugins").addHandler(handler)
    try:
        site.add("slow-plugin", f"import {module}\nassert {module}.event.wait(60)\n", plugin="slow")
        Plugins.load(["slow"], slow_after=0.01)
    finally:
        logging.getLogger("orchestrator_core.plugins").removeHandler(handler)
        del sys.modules[module]
    assert "plugin slow (slow-plugin 1.0): importing it has taken 0.01 s so far" in caplog.messages[0]


@pytest.mark.parametrize(
    "error", [ValueError("no"), SystemExit(1), BaseExceptionGroup("g", [GeneratorExit()])], ids=repr
)
def test_an_observer_that_raises_is_logged_once_and_muted(
    caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    """Observing can fail nothing, not even by `sys.exit`."""
    told = []

    def observe(notice: object) -> None:
        told.append(notice)
        raise error

    observer = Observer(observe, 'of plugin "watcher"')
    observer(NOTICE)
    observer(NOTICE)
    assert [NOTICE] == told
    assert ['observer of plugin "watcher"'] == [message.split(" raised ")[0] for message in caplog.messages]


def test_ctrl_c_during_an_observer_is_no_fault_of_its(caplog: pytest.LogCaptureFixture) -> None:
    """The operator's signal passes through."""

    def interrupted(_notice: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Observer(interrupted, "of a test")(NOTICE)
    assert [] == caplog.messages


def test_an_observer_that_returns_a_coroutine_is_muted(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody would await it."""

    async def later(_notice: object) -> None: ...

    Observer(later, "of a test")(NOTICE)
    (message,) = caplog.messages
    assert message.startswith("observer of a test returned a coroutine, but an observer is a plain function")


def test_text_from_strangers_is_shown_on_one_line() -> None:
    """Control, bidirectional and separator characters are escaped, all others kept."""
    assert r"Grüße\x1b[31m\n\u202e\u2028" == one_line("Grüße\x1b[31m\n\u202e\u2028")


def test_every_hook_is_known_to_the_loader(site: PluginSite) -> None:
    """A hook that is specified but not called would be a gap of our own."""
    hooks = [name for name in vars(hookspecs) if name.startswith("orchestrator_")]
    code = "called = []\n"
    for name in hooks:
        parameters = "notice" if name == "orchestrator_observe" else ""
        code += f"@hookimpl\ndef {name}({parameters}):\n    called.append('{name}')\n    return []\n"
    module = site.add("echo-plugin", code)
    plugins = Plugins.load(["echo"])
    plugins.observers[0](NOTICE)
    assert hooks == sys.modules[module].called
