"""Loading a file as a whole."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator_core import Link, MemoryJournal, Operation, ProcessOptions, RetryPolicy, SqliteJournal
from orchestrator_core._config import ConfigurationProblems, load
from tests.configuring import VALID, Folder, Rows, Tick, find
from tests.plugin_site import PluginSite

FULL = """
version = 1

[pipeline]
name = "rainfall"
concurrency = 4
max_event_bytes = 1000
grace = "5s"

[journal]
url = "memory:"
keep_done = "1d"

[defaults]
timeout = "10m"
concurrency = 3
retry = { attempts = 7, initial = "2s" }

[inputs.rows]
type = "rows"
connection_string = { env = "DSN" }
operations = ["insert", "update"]
options = { tables = ["public.t"], poll = "5s" }

[processes.job]
type = "job"
after = ["rows"]
ordered_by = "key"
on_dead = "hold"
rate = "120/m"
retry = { attempts = 3, max_age = "1d" }
execution_context = { image = "acme/job" }

[processes.tell]
type = "call"
join = "any"
timeout = "5s"
after = [
    { node = "job", on = "dead" },
    { node = "rows", operations = ["delete"], locations = ["public.*"], where = { field = "data.x", exact = 1 } },
]
"""


def test_a_file_with_everything(folder: Folder) -> None:
    """Each table becomes what the engine is given."""
    configuration = folder.load(FULL, environ={"DSN": "postgresql://db"})
    assert ("rainfall", 4, 1000, timedelta(seconds=5)) == (
        configuration.pipeline.name,
        configuration.pipeline.concurrency,
        configuration.pipeline.max_event_bytes,
        configuration.pipeline.grace,
    )
    assert ("memory:", timedelta(days=1)) == (configuration.journal.url, configuration.journal.keep_done)
    rows = configuration.inputs["rows"]
    assert frozenset({Operation.CREATE, Operation.UPDATE}) == rows.operations
    assert {"tables": ("public.t",), "poll": timedelta(seconds=5)} == rows.options
    assert () == configuration.warnings


def test_the_links_of_a_file(folder: Folder) -> None:
    """In the order of the processes and of their after."""
    assert (
        Link("rows", "job"),
        Link("job", "tell", on="dead"),
        Link(
            "rows",
            "tell",
            operations=["delete"],
            locations=["public.*"],
            where={"field": "data.x", "exact": 1},
        ),
    ) == folder.load(FULL, environ={"DSN": ""}).links


def test_defaults_are_merged_key_by_key(folder: Folder) -> None:
    """A process's own keys win, those of its retry each for itself."""
    processes = folder.load(FULL, environ={"DSN": ""}).processes
    assert (
        ProcessOptions(
            timeout=timedelta(minutes=10),
            concurrency=3,
            rate=2.0,
            ordered_by="key",
            on_dead="hold",
            retry=RetryPolicy(attempts=3, initial=timedelta(seconds=2), max_age=timedelta(days=1)),
        )
        == processes["job"].options
    )
    assert (
        ProcessOptions(
            timeout=timedelta(seconds=5),
            concurrency=3,
            join="any",
            retry=RetryPolicy(attempts=7, initial=timedelta(seconds=2)),
        )
        == processes["tell"].options
    )


def test_what_a_file_leaves_out(folder: Folder) -> None:
    """The engine's own defaults."""
    configuration = folder.load(VALID)
    assert ProcessOptions() == configuration.processes["job"].options
    assert ("pipeline", 8) == (configuration.pipeline.name, configuration.pipeline.concurrency)
    assert f"sqlite:{folder.path}/.orchestrator/journal.db" == configuration.journal.url


def test_a_mistake_in_the_defaults_is_reported_once(folder: Folder) -> None:
    """Where it stands, not at each process that it would hold for."""
    said = folder.said(f'{VALID}[defaults]\nretry = {{ attempts = 0 }}\ntimeout = "x"\n')
    assert ["13:22", "14:11"] == [each.split(": ")[0] for each in said]


def test_the_pipeline_of_a_file(folder: Folder) -> None:
    """A graph for the engine."""
    graph = folder.load(FULL, environ={"DSN": ""}).graph()
    assert (["rows"], ["job", "tell"]) == (list(graph.inputs), list(graph.processes))


@pytest.mark.parametrize(
    ("url", "resolved"),
    [
        ("sqlite:state.db", "sqlite:{folder}/state.db"),
        ("sqlite:../state.db", "sqlite:{folder}/../state.db"),
        ("sqlite:/var/state.db", "sqlite:/var/state.db"),
    ],
)
def test_a_journal_s_path(folder: Folder, url: str, resolved: str) -> None:
    """Relative to the file's folder."""
    found = folder.load(f'{VALID}[journal]\nurl = "{url}"\n').journal
    assert resolved.format(folder=folder.path) == found.url


def test_a_journal_s_path_is_absolute(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the file was named, and wherever the engine goes from there."""
    folder.file.write_text(VALID)
    monkeypatch.chdir(folder.path.parent)
    found = load(Path(folder.path.name, folder.file.name), find_plugins=find).journal
    assert f"sqlite:{folder.path}/.orchestrator/journal.db" == found.url


def test_the_journals_of_the_core_need_no_plugin(folder: Folder) -> None:
    """SQLite in a file, and memory."""
    assert isinstance(folder.load(VALID).open_journal(), SqliteJournal)
    assert isinstance(folder.load(f'{VALID}[journal]\nurl = "memory:"\n').open_journal(), MemoryJournal)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("state.db", '13:7: expected a URL such as "sqlite:.orchestrator/journal.db" or "memory:"'),
        ("sqlite:", '13:7: expected a URL such as "sqlite:.orchestrator/journal.db" or "memory:"'),
        ("nats://h", '13:7: plugin "nats": is not installed; pip install orchestrator-nats'),
    ],
)
def test_a_journal_s_url_that_is_none(folder: Folder, url: str, said: str) -> None:
    """Without a scheme, without a path, or of a plugin that is not there."""
    assert [said] == folder.said(f'{VALID}[journal]\nurl = "{url}"\n')


def test_components_get_the_file_s_folder(folder: Folder) -> None:
    """A component with a directory has its relative paths begin there, unless the file says otherwise."""
    text = VALID.replace('"acme/job"', '"x", directory = "/elsewhere"')
    assert folder.path == folder.load(VALID).processes["job"].execution_context["directory"]
    assert Path("/elsewhere") == folder.load(text).processes["job"].execution_context["directory"]


def test_components_get_what_the_pipeline_allows(folder: Folder) -> None:
    """`allow_privileged` stands in one place for all."""
    allowed = f"{VALID}[pipeline]\nallow_privileged = true\n"
    assert [False, True] == [
        folder.load(text).processes["job"].execution_context["allow_privileged"] for text in (VALID, allowed)
    ]


def test_a_connection_string_for_an_input_that_takes_none(folder: Folder) -> None:
    """Nobody would read it."""
    text = f'{VALID}[inputs.tick]\ntype = "tick"\nconnection_string = "x"\n[processes.b]\ntype="call"\nafter=["tick"]\n'
    assert ['14:1: "tick" takes no connection_string; take it out'] == folder.said(text)


def test_operations_reach_an_input_that_knows_them(folder: Folder) -> None:
    """And the engine filters in any case."""
    text = VALID.replace('raw"\n', 'raw"\noperations = ["delete"]\n')
    configuration = folder.load(text)
    component = configuration.inputs["rows"].build(configuration.plugins)
    assert isinstance(component, Rows)
    assert frozenset({Operation.DELETE}) == component.operations


def test_operations_of_an_input_that_does_not_know_them(folder: Folder) -> None:
    """They stay with the engine."""
    text = VALID.replace(
        'type = "rows"\nconnection_string = "postgresql://db/raw"', 'type = "tick"\noperations = ["read"]'
    )
    configuration = folder.load(text)
    assert frozenset({Operation.READ}) == configuration.inputs["rows"].operations
    assert Tick() == configuration.inputs["rows"].build(configuration.plugins)


@pytest.mark.parametrize(
    ("type_", "said"),
    [
        ("jobb", '9:8: plugin "jobb": is not installed; pip install orchestrator-jobb'),
        ("call.twice", '9:8: plugin "call" has no process "call.twice"; did you mean "call.once"?'),
        ("rows", '9:8: "rows" is not a kind of process; inputs stand under [inputs], processes under [processes]'),
        ("Job", '9:8: expected "<plugin>" or "<plugin>.<component>" of a-z, 0-9, _ and -'),
        ("a.b.c", '9:8: expected "<plugin>" or "<plugin>.<component>" of a-z, 0-9, _ and -'),
        ("", '9:8: expected "<plugin>" or "<plugin>.<component>" of a-z, 0-9, _ and -'),
    ],
)
def test_a_type_that_is_none(folder: Folder, type_: str, said: str) -> None:
    """A plugin that is missing, a component that it does not have, the wrong section, no type at all."""
    assert [said] == folder.said(VALID.replace('type = "job"', f'type = "{type_}"'))


def test_a_missing_plugin_is_told_apart(folder: Folder) -> None:
    """So that a command can say by its exit code that something must be installed."""
    with pytest.raises(ConfigurationProblems) as caught:
        folder.load(VALID.replace('type = "job"', 'type = "nope"').replace("version = 1", "version = 2"))
    assert ("nope",) == caught.value.plugins
    assert ["", "nope"] == [problem.plugin for problem in caught.value.problems]


def test_a_missing_plugin_is_reported_wherever_it_is_named(folder: Folder) -> None:
    """At each type, and in the pipeline's list."""
    text = VALID.replace('type = "job"', 'type = "nope.x"') + '[pipeline]\nplugins = ["nope"]\n'
    assert ["9:8", "13:12"] == [each.split(": ")[0] for each in folder.said(text)]


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("2", "2:11: expected version 1, found 2; upgrade orchestrator-engine"),
        ('"1"', '2:11: expected version 1, found the text "1"'),
        ("true", "2:11: expected version 1, found true"),
        ("1.0", "2:11: expected version 1, found 1.0"),
    ],
)
def test_a_version_that_is_not_read(folder: Folder, version: str, said: str) -> None:
    """Only the number 1 is."""
    assert [said] == folder.said(VALID.replace("version = 1", f"version = {version}"))


def test_everything_wrong_is_reported_at_once_in_the_order_of_the_file(folder: Folder) -> None:
    """Each part is read by itself: a mistake in one hides none in another, not even in the same table."""
    text = """
        [pipeline]
        concurrency = 0
        nam = "x"
        [journal]
        keep_done = "7 days"
        [inputs.rows]
        type = "rows"
        connection_string = { env = "NONE" }
        operations = ["craete"]
        options = { batch = 0, wake = "never" }
        [processes.job]
        type = "job"
        timeout = "x"
        after = ["rwos", { node = "rows", on = "dead" }]
        execution_context = { imag = "x" }
        [processes.b]
        type = "missing"
        after = ["b"]
        """
    places = [each.split(": ")[0] for each in folder.said(text)]
    assert [
        "1:1",
        "3:15",
        "4:1",
        "6:13",
        "9:21",
        "10:15",
        "11:21",
        "11:31",
        "14:11",
        "15:10",
        "15:40",
        "16:21",
        "16:23",
        "18:8",
        "19:10",
    ] == places


def test_no_input_and_no_process(folder: Folder) -> None:
    """A pipeline has both."""
    assert [
        "1:1: the pipeline has no input; add a table [inputs.NAME]",
        "1:1: the pipeline has no process; add a table [processes.NAME]",
    ] == folder.said("version = 1")


@pytest.mark.parametrize("text", ["inputs = 5", "inputs = []", 'processes = "x"', "pipeline = []"])
def test_a_section_that_is_no_table(folder: Folder, text: str) -> None:
    """An error and no traceback."""
    assert any("expected a table" in each for each in folder.said(f"version = 1\n{text}\n"))


def test_a_node_that_is_no_table(folder: Folder) -> None:
    """An error and no traceback."""
    assert "13:5: expected a table, found 5" in folder.said(f"{VALID}[inputs]\nb = 5\n")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[PluginSite]:
    """A place to install distributions."""
    with PluginSite.on_path(tmp_path) as site:
        yield site


INPUT = """
@hookimpl
def orchestrator_register_inputs():
    return [InputType("{0}", Component)]
"""
PROCESS = """
@hookimpl
def orchestrator_register_processes():
    return [ProcessType("{0}", Component)]
"""
JOURNAL = """
@hookimpl
def orchestrator_register_journals():
    return [JournalType("SCHEME", lambda url: f"opened {url}")]
"""
USING = """
version = 1
[inputs.i]
type = "echo-in"
[processes.p]
type = "echo-out"
after = ["i"]
"""


def test_only_the_plugins_that_a_file_names_are_imported(site: PluginSite) -> None:
    """By a type, by the journal's scheme or in the pipeline's list; others may be installed."""
    site.add("one", INPUT.format("echo-in"), plugin="echo-in")
    site.add("two", PROCESS.format("echo-out"), plugin="echo-out")
    site.add("three", JOURNAL.replace("SCHEME", "echodb"), plugin="echo")
    site.add("four", "", plugin="watcher")
    site.add("five", "raise RuntimeError", plugin="stranger")
    file = site.folder / "pipeline.toml"
    file.write_text(f'{USING}[pipeline]\nplugins = ["watcher"]\n[journal]\nurl = "echodb://x"\n')
    configuration = load(file)
    assert {"echo-in", "echo-out", "echo", "watcher"} == configuration.plugins.loaded.keys()
    assert "module_of_five" not in sys.modules
    assert "opened echodb://x" == str(configuration.open_journal())


def test_a_broken_plugin_is_reported_with_its_distribution(site: PluginSite) -> None:
    """Where the file names it, with everything else that is wrong."""
    site.add("one", "raise RuntimeError('no luck')", plugin="echo-in")
    site.add("two", PROCESS.format("echo-out"), plugin="echo-out")
    file = site.folder / "pipeline.toml"
    file.write_text(f"{USING}timeout = 5\n")
    with pytest.raises(ConfigurationProblems) as caught:
        load(file)
    first, second = caught.value.problems
    assert (4, 8, "echo-in") == (first.line, first.column, first.plugin)
    assert 'plugin "echo-in" (one 1.0): importing it raised RuntimeError: no luck' == first.message
    assert (8, "") == (second.line, second.plugin)


def test_a_component_whose_options_can_not_be_read(site: PluginSite) -> None:
    """The plugin is to blame, and named."""
    code = "\n@attrs.frozen\nclass Bad(Component):\n    option: 'Missing' = 5\n"
    site.add("one", f"{code}{INPUT.format('echo-in').replace('Component', 'Bad')}", plugin="echo-in")
    site.add("two", PROCESS.format("echo-out"), plugin="echo-out")
    file = site.folder / "pipeline.toml"
    file.write_text(USING)
    with pytest.raises(ConfigurationProblems) as caught:
        load(file)
    assert ("echo-in",) == caught.value.plugins
    assert (
        f"{file}:4:8: error: the options of \"echo-in\" can't be read: NameError: name 'Missing' is not defined; "
        'upgrade the plugin "echo-in"'
    ) == str(caught.value)
