"""Bad plugins, G74 to G82 of the catalogue; G81, a hook that blocks the loop, is tested where the engine runs."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from orchestrator_core import Event, PluginError
from orchestrator_core._plugins import Plugins, installed
from tests.plugin_site import PluginSite


@pytest.fixture
def site(tmp_path: Path) -> Iterator[PluginSite]:
    """A place to install distributions."""
    with PluginSite.on_path(tmp_path) as site:
        yield site


def cause(*names: str) -> str:
    """Load plugins that must not load, and return why."""
    with pytest.raises(PluginError) as caught:
        Plugins.load(names)
    assert str(caught.value).isprintable()
    assert caught.value.remedy
    return caught.value.cause


RAISED = [
    pytest.param("raise ValueError('no luck')", "ValueError: no luck", id="exception"),
    pytest.param("import sys; sys.exit('done')", "SystemExit: done", id="sys.exit"),
    pytest.param("raise BaseException", "BaseException", id="BaseException"),
    pytest.param("raise KeyboardInterrupt", "KeyboardInterrupt", id="KeyboardInterrupt"),
    pytest.param("import asyncio; raise asyncio.CancelledError", "CancelledError", id="Cancelled"),
    pytest.param("raise ValueError('a\\n\\x1b[2Jb')", r"ValueError: a\n\x1b[2Jb", id="escapes"),
    pytest.param(
        "raise ExceptionGroup('two', [ValueError('a'), ExceptionGroup('one', [TypeError('b')])])",
        "ExceptionGroup of ValueError: a, ExceptionGroup of TypeError: b",
        id="ExceptionGroup",
    ),
]


@pytest.mark.parametrize(("code", "raised"), RAISED)
def test_g74_a_plugin_that_raises_when_it_is_imported(site: PluginSite, code: str, raised: str) -> None:
    """Whatever an import raises is an error that names the plugin, never the end of the program."""
    site.add("echo-plugin", code)
    assert f"importing it raised {raised}" == cause("echo")


def test_g74_a_plugin_that_hangs_when_it_is_imported_is_left_by_ctrl_c(site: PluginSite) -> None:
    """The signal ends the import, and the error says which plugin it was."""
    site.add("hanging", "import signal\nsignal.raise_signal(signal.SIGINT)\n", plugin="hanging")
    assert "importing it raised KeyboardInterrupt" == cause("hanging")


def test_g74_a_plugin_that_prints_when_it_is_imported(site: PluginSite, capsys: pytest.CaptureFixture[str]) -> None:
    """What it prints is kept out of the data on stdout."""
    site.add("echo-plugin", "print('hello')")
    Plugins.load(["echo"])
    assert "" == capsys.readouterr().out


def test_g74_a_plugin_that_forks_when_it_is_imported(site: PluginSite) -> None:
    """The child ends at once: it would be a second engine on the same journal."""
    module = site.add(
        "forking",
        """
        import os, warnings
        with warnings.catch_warnings(action="ignore"):
            child = os.fork()
        if child:
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        """,
        plugin="forking",
    )
    Plugins.load(["forking"])
    assert 3 == sys.modules[module].status


def test_g74_a_plugin_that_patches_json(site: PluginSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are read and written by functions that were bound before any plugin came."""
    for name in ("loads", "dumps"):
        monkeypatch.setattr(json, name, getattr(json, name))
    site.add("patching", "import json\njson.loads = json.dumps = lambda *_, **__: 'gotcha'\n", plugin="patching")
    Plugins.load(["patching"])
    text = '{"location":"l","operation":"read","id":"1","trigger":"t"}'
    assert text == Event.from_json(text).to_json()
    assert "gotcha" == json.dumps(1)


def test_g75_an_entry_point_to_a_missing_attribute(site: PluginSite) -> None:
    """The error names the attribute that is not there."""
    module = site.add("echo-plugin", target="module_of_echo_plugin:hooks")
    assert f"importing it raised AttributeError: module '{module}' has no attribute 'hooks'" == cause("echo")


def test_g75_an_entry_point_to_a_missing_module(site: PluginSite) -> None:
    """The error names the module that is not there."""
    site.add("echo-plugin", target="nothing_of_that_name")
    assert "importing it raised ModuleNotFoundError: No module named 'nothing_of_that_name'" == cause("echo")


def test_g75_an_entry_point_that_is_no_reference(site: PluginSite) -> None:
    """A value that can't be parsed is the plugin's fault and said to be."""
    site.add("echo-plugin", target="!!")
    assert cause("echo").startswith("importing it raised ")


def test_g75_an_entry_point_to_something_else_than_a_module(site: PluginSite) -> None:
    """A plugin is a module."""
    site.add("echo-plugin", "answer = 42\n", target="module_of_echo_plugin:answer")
    assert "its entry point module_of_echo_plugin:answer is a int, not a module" == cause("echo")


def test_g75_a_factory_that_is_not_callable(site: PluginSite) -> None:
    """It is refused when the plugin is loaded, not when a pipeline is built of it."""
    site.add("echo-plugin", "@hookimpl\ndef orchestrator_register_inputs(): return [InputType('echo', 7)]\n")
    assert (
        'orchestrator_register_inputs() returned InputType "echo" with 7 as its factory, which can\'t be called'
    ) == cause("echo")


@pytest.mark.parametrize("parameters", ["context", "notice, context", "*, notice", "", "message"])
def test_g75_a_hook_with_the_wrong_parameters(site: PluginSite, parameters: str) -> None:
    """The error shows how the hook is called."""
    site.add("echo-plugin", f"@hookimpl\ndef orchestrator_observe({parameters}): ...\n")
    assert "orchestrator_observe has the wrong parameters: it is orchestrator_observe(notice)" == cause("echo")


def test_g76_two_distributions_that_claim_one_name(site: PluginSite) -> None:
    """Where pluggy passes over the second in silence, here the error names both, and neither is imported."""
    site.add("echo-plugin", "raise AssertionError", version="1.0")
    site.add("other-echo", "raise AssertionError", version="2.0")
    claims = cause("echo").removeprefix("claimed by ").split(" and ")
    assert ['echo-plugin 1.0 (plugin "echo")', 'other-echo 2.0 (plugin "echo")'] == sorted(claims)


def test_g76_a_name_that_shadows_a_builtin(site: PluginSite) -> None:
    """The stranger is named with the engine, and the remedy is to uninstall the stranger."""
    site.add("echo-plugin", "raise AssertionError", plugin="timer")
    with pytest.raises(PluginError) as caught:
        Plugins.load(["timer"])
    engine = metadata.version("orchestrator-engine")
    assert {f'orchestrator-engine {engine} (plugin "timer")', 'echo-plugin 1.0 (plugin "timer")'} == set(
        caught.value.cause.removeprefix("claimed by ").removesuffix(", and it is built in").split(" and ")
    )
    assert "pip uninstall echo-plugin" == caught.value.remedy


@pytest.mark.parametrize("twin", ["My-Plugin", "my_plugin", "MY--PLUGIN"])
def test_g76_names_that_differ_by_case_or_dashes(site: PluginSite, twin: str) -> None:
    """They are one name to a reader, so both are refused."""
    site.add("one", plugin="my-plugin")
    site.add("two", plugin=twin)
    found = cause("my-plugin")
    assert 'one 1.0 (plugin "my-plugin")' in found
    assert f'two 1.0 (plugin "{twin}")' in found


def test_g76_a_scheme_that_shadows_the_engines_own(site: PluginSite) -> None:
    """Nobody takes over `sqlite:` journals by being installed."""
    site.add(
        "echo-plugin", "@hookimpl\ndef orchestrator_register_journals(): return [JournalType('sqlite', Component)]\n"
    )
    assert ('orchestrator_register_journals() returned JournalType "sqlite", which is the engine\'s own') == cause(
        "echo"
    )


def test_g76_two_components_of_one_name(site: PluginSite) -> None:
    """Within a plugin, too, a name means one thing."""
    site.add("echo-plugin", "@hookimpl\ndef orchestrator_register_inputs(): return [InputType('in', Component)] * 2\n")
    assert 'claimed by echo-plugin 1.0 (plugin "echo") and echo-plugin 1.0 (plugin "echo")' == cause("echo")


@pytest.mark.parametrize("api", ["2", "-1", "True", "'1'", "None"])
def test_g77_a_component_for_another_api(site: PluginSite, api: str) -> None:
    """The error names what the plugin was made for and what this engine supports."""
    site.add(
        "echo-plugin",
        f"@hookimpl\ndef orchestrator_register_inputs(): return [InputType('in', Component, api={api})]\n",
    )
    assert (
        f'orchestrator_register_inputs() returned InputType "in" for plugin API {api}, but this engine supports 0 and 1'
    ) == cause("echo")


def test_g77_a_component_for_the_api_before(site: PluginSite) -> None:
    """The engine supports N and N-1."""
    site.add(
        "echo-plugin", "@hookimpl\ndef orchestrator_register_inputs(): return [InputType('in', Component, api=0)]\n"
    )
    assert ["echo.in"] == list(Plugins.load(["echo"]).inputs)


def test_g78_metadata_with_escapes_are_listed_inert(site: PluginSite) -> None:
    """A summary can't clear the screen, and a line break in it makes no second line."""
    site.add("echo-plugin", summary="nice\x1b[2J\n  and more", version="1.0")
    (plugin,) = [plugin for plugin in installed() if plugin.name == "echo"]
    assert plugin.summary.isprintable()
    assert plugin.summary.endswith("and more")


def test_g78_a_distribution_whose_version_has_escapes(site: PluginSite) -> None:
    """It is refused, and the refusal is inert."""
    site.add("echo-plugin", "raise AssertionError", version="1.0\x1b[31m")
    assert "its name or version has control characters" == cause("echo")


@pytest.mark.parametrize("name", ["Echo", "e cho", "e\x1b[31m"], ids=ascii)
def test_g78_an_entry_point_with_a_name_that_is_none(site: PluginSite, name: str) -> None:
    """It is refused as such, and listed inert."""
    site.add("echo-plugin", "raise AssertionError", plugin=name)
    assert "that is no name for a plugin" == cause(name)
    assert all(plugin.name.isprintable() for plugin in installed())


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (r"'in', Component, summary='a\nb'", r""""in" with a summary that is not one printable line: 'a\nb'"""),
        (r"'in', Component, summary=7", '"in" with a summary that is not one printable line: 7'),
        (r"'i\x1b[2Jn', Component", r"'i\x1b[2Jn', which does not match [a-z0-9_-]{1,63}"),
        ("7, Component", "7, which does not match [a-z0-9_-]{1,63}"),
    ],
    ids=["summary-newline", "summary-type", "name-escape", "name-type"],
)
def test_g78_a_component_with_escapes_in_name_or_summary(site: PluginSite, arguments: str, problem: str) -> None:
    """They would reach terminals, logs and the JSON Schema."""
    site.add("echo-plugin", f"@hookimpl\ndef orchestrator_register_inputs(): return [InputType({arguments})]\n")
    assert f"orchestrator_register_inputs() returned InputType {problem}" == cause("echo")


def test_g79_an_installed_plugin_that_nobody_names_is_never_imported(site: PluginSite, tmp_path: Path) -> None:
    """Importing it would leave a file behind, and does when the test imports it. Loading the whole group fails here."""
    trace = tmp_path / "imported"
    site.add("stranger", f"open({str(trace)!r}, 'w').close()\n", plugin="stranger")
    site.add("echo-plugin")
    Plugins.load(["echo"])
    installed()
    assert not trace.exists()
    importlib.import_module("module_of_stranger")
    assert trace.exists()


@pytest.mark.parametrize(("code", "raised"), RAISED)
def test_g80_a_hook_that_raises(site: PluginSite, code: str, raised: str) -> None:
    """Whatever a hook raises is an error that names the plugin and the hook."""
    site.add("echo-plugin", f"@hookimpl\ndef orchestrator_register_inputs():\n    {code}\n")
    assert f"orchestrator_register_inputs() raised {raised}" == cause("echo")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("7", "7 where a list of InputType is due"),
        ("'InputType'", "'InputType' where a list of InputType is due"),
        (
            "InputType('in', Component)",
            "InputType(name='in', factory=<class 'module_of_echo_plugin.Component'>, summary=''",
        ),
        ("[Component]", "a list with <class 'module_of_echo_plugin.Component'> where InputType is due"),
        ("[ProcessType('in', Component)]", "a list with ProcessType(name='in'"),
        ("[None]", "a list with None where InputType is due"),
        ("iter([])", "<list_iterator object at "),
        ("{'in': Component}", "{'in': <class 'module_of_echo_plugin.Component'>} where a list of InputType is due"),
    ],
)
def test_g80_a_hook_that_returns_the_wrong_type(site: PluginSite, value: str, problem: str) -> None:
    """The error shows what it returned and says what is due."""
    site.add("echo-plugin", f"@hookimpl\ndef orchestrator_register_inputs(): return {value}\n")
    assert cause("echo").startswith(f"orchestrator_register_inputs() returned {problem}")


def test_g80_a_command_that_is_not_clicks(site: PluginSite) -> None:
    """Commands are click's."""
    site.add("echo-plugin", "@hookimpl\ndef orchestrator_register_commands(): return ['run']\n")
    assert "orchestrator_register_commands() returned a list with 'run' where Command is due" == cause("echo")


def test_g80_a_hook_that_returns_a_coroutine(site: PluginSite) -> None:
    """Nobody would await it: the coroutine is refused and closed, so that it does not warn later."""
    site.add(
        "echo-plugin",
        """
        async def later():
            return []

        @hookimpl
        def orchestrator_register_inputs():
            return later()
        """,
    )
    assert cause("echo").startswith("orchestrator_register_inputs() returned <coroutine object later at ")


def test_g80_a_value_whose_repr_raises(site: PluginSite) -> None:
    """Even the wrong value's own code can't get past the border."""
    site.add(
        "echo-plugin",
        """
        class Hostile:
            def __repr__(self):
                raise SystemExit("gotcha")

        @hookimpl
        def orchestrator_register_inputs():
            return [Hostile()]
        """,
    )
    assert "reading what orchestrator_register_inputs() returned raised SystemExit: gotcha" == cause("echo")


def test_g82_a_component_whose_fields_can_not_be_read(site: PluginSite) -> None:
    """The options and the JSON Schema are made of a factory's fields: one that raises is refused by name."""
    site.add(
        "echo-plugin",
        """
        class Raising(type):
            @property
            def __attrs_attrs__(cls):
                raise RuntimeError("no fields for you")

        class Broken(metaclass=Raising):
            async def run(self, context): ...

        @hookimpl
        def orchestrator_register_inputs():
            return [InputType("in", Broken)]
        """,
    )
    assert "reading what orchestrator_register_inputs() returned raised RuntimeError: no fields for you" == cause(
        "echo"
    )
