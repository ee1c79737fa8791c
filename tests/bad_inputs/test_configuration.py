"""Bad configurations, C1 to C24 of the catalogue. C22 to C24 go on where the engine and the webhook input run."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from orchestrator_core._config import ConfigurationProblems, load
from tests.configuring import VALID, Folder, find

RANGE = 'expected a duration such as "30s", "1h30m" or "250ms", more than zero and at most 36500d'
NAME = "is not 1 to 63 of a-z, 0-9, _ and -, without a - in front"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An empty folder for a configuration file."""
    return Folder(tmp_path)


def with_job(line: str) -> str:
    """Return a valid file with one more line, the twelfth, in its process."""
    return f"{VALID}{line}\n"


def test_c01_an_empty_file(folder: Folder) -> None:
    """It says how to begin, instead of everything that is missing."""
    assert ["1:1: the file is empty; begin with version = 1, or run orchestrator init"] == folder.said("# nothing\n")


def test_c02_a_file_that_is_not_utf_8(folder: Folder) -> None:
    """The error has the offset of the byte, and its line and column."""
    said = folder.said('version=1\nname="é'.encode() + b'\xff"')
    assert ["2:8: not UTF-8: byte 0xff at offset 18; save the file as UTF-8"] == said


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_c02_a_file_in_utf_16(folder: Folder, encoding: str) -> None:
    """The encoding is named; nothing is parsed."""
    text = ("\ufeff" if encoding == "utf-16-be" else "") + VALID
    assert ["1:1: this is UTF-16 or UTF-32; save the file as UTF-8"] == folder.said(text.encode(encoding))


def test_c03_a_byte_order_mark(folder: Folder) -> None:
    """A UTF-8 file may begin with one, as some editors write it."""
    assert ["rows"] == list(folder.load(b"\xef\xbb\xbf" + VALID.encode()).inputs)


def test_c04_a_file_of_10_mb(folder: Folder) -> None:
    """It is refused by its size: parsing it would find that it is no TOML."""
    found = folder.problems(b"[" * 10_000_000)
    assert ["larger than 256 KiB"] == [problem.message for problem in found]


def test_c05_a_key_of_20_000_parts(folder: Folder) -> None:
    """It is refused within 50 ms of processor time, give or take a slow machine; tomllib takes a hundred times that."""
    folder.said("version = 1")  # what is imported and compiled once is not counted
    started = time.process_time()
    said = folder.said(".".join(["a"] * 20_000) + " = 1")
    taken = time.process_time() - started
    assert ["1:1: a key of more than 32 dotted parts; write it in fewer"] == said
    assert taken < 4 * 0.050


@pytest.mark.parametrize("text", [f"a = {'[' * 5_000}{']' * 5_000}", f"a = {'[' * 200_000}", "a = " + "{a=" * 5_000])
def test_c06_values_nested_thousands_deep(folder: Folder, text: str) -> None:
    """An error and no traceback, closed or not."""
    (problem,) = folder.problems(text)
    assert "values nested deeper than 32" == problem.message


def test_c06_values_nested_33_deep(folder: Folder) -> None:
    """The error is at the first bracket too many."""
    assert ["1:37: values nested deeper than 32; write it in fewer levels"] == folder.said(f"a = {'[' * 33}{']' * 33}")


def test_c07_thousands_of_tables_of_many_parts(folder: Folder) -> None:
    """Refused by the first of them, or by the size of all."""
    header = f"[{'.'.join(['a'] * 40)}]\n"
    assert ["1:2: a key of more than 32 dotted parts; write it in fewer"] == folder.said(header * 3_000)
    assert ["larger than 256 KiB"] == [problem.message for problem in folder.problems(header * 4_000)]


def test_c08_an_integer_of_5_000_digits(folder: Folder) -> None:
    """An error with a place, where the standard library has none."""
    assert ["1:5: a number of more than 80 digits; write it as text"] == folder.said(f"a = {'9' * 5_000}")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_c09_a_time_out_that_is_no_number(folder: Folder, value: str) -> None:
    """The error says what a duration is."""
    assert [f"12:11: {RANGE}, found {value}"] == folder.said(with_job(f"timeout = {value}"))


@pytest.mark.parametrize(
    "value", ['"-5s"', '"0s"', '"1e308s"', '"36501d"', f'"{"9" * 60}d"', "-5", "0", "1e308", '"5"', '""']
)
def test_c10_a_duration_out_of_range(folder: Folder, value: str) -> None:
    """The error has the range."""
    (problem,) = folder.problems(with_job(f"timeout = {value}"))
    assert (12, 11) == (problem.line, problem.column)
    assert problem.message.startswith(RANGE)


def test_c11_an_unknown_key(folder: Folder) -> None:
    """The error names the nearest key."""
    assert ['12:1: unknown key "timout"; did you mean "timeout"?'] == folder.said(with_job('timout = "5s"'))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('concurrency = "5"', '12:15: expected a whole number, found the text "5"; write 5'),
        ("concurrency = true", "12:15: expected a whole number, found true"),
        ("concurrency = 5.0", "12:15: expected a whole number, found 5.0"),
        ("concurrency = [5]", "12:15: expected a whole number, found a list"),
        ("ordered_by = 5", '12:14: expected "key", found 5'),
        ("retry = 3", "12:9: expected a table, found 3"),
        ("retry = { attempts = 2.5 }", "12:22: expected a whole number, found 2.5"),
        (
            "rate = 5",
            '12:8: expected a rate such as "10/s", "100/m" or "5/h", more than zero and at most 1000000/s, found 5',
        ),
    ],
)
def test_c12_a_value_of_the_wrong_type(folder: Folder, line: str, said: str) -> None:
    """The error is at the value, and says what is expected and what was found."""
    assert [said] == folder.said(with_job(line))


def test_c12_options_of_the_wrong_type(folder: Folder) -> None:
    """A component's own fields are checked in the same way, however deep."""
    text = VALID.replace('"acme/job" }', '5, env = { A = 1 }, command = ["x", 2] }')
    assert [
        '11:31: expected text, found 5; put it in quotes: "5"',
        '11:46: expected text, found 1; put it in quotes: "1"',
        '11:67: expected text, found 2; put it in quotes: "2"',
    ] == folder.said(text)


def test_c13_one_name_for_an_input_and_a_process(folder: Folder) -> None:
    """They share one name space."""
    said = folder.said(VALID + '[processes.rows]\ntype = "call"\nafter = ["job"]\n')
    assert ['12:12: the name "rows" is taken already by an input; give each input and process its own'] == said


def test_c13_one_name_for_two_inputs(folder: Folder) -> None:
    """TOML itself has no two tables of one name."""
    (said,) = folder.said(VALID + '[inputs.rows]\ntype = "tick"\n')
    assert "twice" in said
    assert "give each table and key a name of its own" in said


@pytest.mark.parametrize("name", ["Rows", '"ro\u0308ws"', '"r\u00f6ws"'])
def test_c13_names_that_differ_by_case_or_normal_form(folder: Folder, name: str) -> None:
    """There are none: a name has neither capitals nor accents."""
    (said,) = folder.said(f'{VALID}[inputs.{name}]\ntype = "tick"\n')
    assert said.startswith("12:9: the name ")
    assert NAME in said


def test_c14_a_cycle(folder: Folder) -> None:
    """The error has the whole path, at the entry that closes it."""
    text = """
        version = 1
        [inputs.rows]
        type = "tick"
        [processes]
        a = { type = "call", after = ["rows", "c"] }
        b = { type = "call", after = ["a"] }
        c = { type = "call", after = ["b"] }
        """
    said = folder.said(text)
    assert 1 == len(said)
    assert "the links form a cycle: " in said[0]
    assert any(path in said[0] for path in ("a → b → c → a", "b → c → a → b", "c → a → b → c"))


def test_c14_a_process_that_follows_itself(folder: Folder) -> None:
    """The error is at the entry."""
    text = VALID.replace('["rows"]', '["rows", "job"]')
    assert ['10:18: "job" follows itself; name another node'] == folder.said(text)


def test_c14_an_edge_to_an_unknown_node(folder: Folder) -> None:
    """The error names the nearest node."""
    text = VALID.replace('["rows"]', '["rows", { node = "jobs" }]') + '[processes.b]\ntype = "call"\nafter = ["rwos"]\n'
    assert [
        '10:27: there is no input or process "jobs"; did you mean "job"?',
        '14:10: there is no input or process "rwos"; did you mean "rows"?',
    ] == folder.said(text)


def test_c14_orphans(folder: Folder) -> None:
    """An input that nothing follows and a process that follows nothing are errors, with their names."""
    said = folder.said(VALID + '[inputs.tick]\ntype = "tick"\n[processes.idle]\ntype = "call"\nafter = []\n')
    assert [
        '12:9: nothing follows the input "tick": its events would go nowhere; name it in the after of a process',
        '16:1: the process "idle" follows nothing: it would never run; name an input or process in its after',
    ] == said


def test_c15_10_000_nodes(folder: Folder) -> None:
    """Refused by their number alone."""
    nodes = "".join(f"[inputs.n{number}]\n" for number in range(10_000))
    assert [
        "8:2: the pipeline has 10,002 nodes, over the limit of 1,000; run several pipelines",
    ] == folder.said(VALID + nodes)


def test_c15_a_fan_out_to_1_000(folder: Folder) -> None:
    """With the input that makes one node too many; one less is a pipeline."""
    head = 'version = 1\n[inputs.rows]\ntype = "tick"\n[processes]\n'
    jobs = [f'p{number} = {{ type = "call", after = ["rows"] }}\n' for number in range(1_000)]
    assert [
        "4:2: the pipeline has 1,001 nodes, over the limit of 1,000; run several pipelines",
    ] == folder.said(head + "".join(jobs))
    assert 999 == len(folder.load(head + "".join(jobs[1:])).processes)


@pytest.mark.parametrize(
    "name",
    ["a/b", "..", "a\\u0000", "a\\nb", "n" * 300, "\U0001f600", "-a", "", "a b", "a.b", "A", "\\u001b[2J", "\u202egpj"],
)
def test_c16_a_name_that_is_none(folder: Folder, name: str) -> None:
    """Refused, and shown without what could drive a terminal."""
    said = folder.said(f'{VALID}[processes."{name}"]\ntype = "call"\nafter = ["rows"]\n')
    assert 1 == len(said)
    assert said[0].startswith("12:12: the name ")
    assert NAME in said[0]


def test_c17_a_variable_that_is_not_set(folder: Folder) -> None:
    """The error names it."""
    text = VALID.replace('"postgresql://db/raw"', '{ env = "RAW_DSN" }')
    assert [
        '6:21: the environment variable "RAW_DSN" is not set; set it, or give a default beside env',
    ] == folder.said(text)


def test_c17_a_variable_that_is_empty(folder: Folder) -> None:
    """Empty is not unset: the value is the empty text, and a default is not asked."""
    text = VALID.replace('"acme/job"', '{ env = "IMAGE", default = "other" }')
    configuration = folder.load(text, environ={"IMAGE": ""})
    assert "" == configuration.processes["job"].execution_context["image"]


def with_secret(path: object) -> str:
    """Return a file with a secret in another file."""
    return VALID.replace('"postgresql://db/raw"', f"{{ file = '{path}' }}")


def test_c18_a_secret_file_that_is_missing(folder: Folder) -> None:
    """The error has the path that was tried, relative to the file's folder."""
    (said,) = folder.said(with_secret("secret"))
    assert (
        f'6:21: "{folder.path}/secret" can\'t be read: No such file or directory; name a file that holds the value'
        == said
    )


def test_c18_a_secret_file_that_is_a_directory(folder: Folder) -> None:
    """It is not a file."""
    (folder.path / "secret").mkdir()
    (said,) = folder.said(with_secret("secret"))
    assert f'6:21: "{folder.path}/secret" is not a file; name a file that holds the value' == said


def test_c18_a_secret_file_that_is_a_fifo(folder: Folder) -> None:
    """It is not a file, and nobody waits for its writer."""
    os.mkfifo(folder.path / "secret")
    (said,) = folder.said(with_secret("secret"))
    assert f'6:21: "{folder.path}/secret" is not a file; name a file that holds the value' == said


def test_c18_a_secret_file_of_1_gb(folder: Folder) -> None:
    """Refused without reading it."""
    with (folder.path / "secret").open("wb") as file:
        file.truncate(1_000_000_000)
    (said,) = folder.said(with_secret("secret"))
    assert f'6:21: "{folder.path}/secret" is larger than 64 KiB; name a file that holds the value' == said


@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o640, False), (0o600, False)])
def test_c18_a_secret_file_that_everybody_may_read(folder: Folder, mode: int, warned: bool) -> None:
    """A warning with the command that mends it."""
    secret = folder.path / "secret"
    secret.write_text("postgresql://db")
    secret.chmod(mode)
    warnings = folder.load(with_secret("secret")).warnings
    expected = [f'{folder.file}:6:21: warning: everybody may read "{secret}"; chmod o= {secret}']
    assert (expected if warned else []) == [str(warning) for warning in warnings]


@pytest.mark.parametrize(
    ("content", "value"), [("x\n", "x"), ("x\r\n", "x"), ("x\n\n", "x\n"), ("x", "x"), (" x \n", " x "), ("\n", "")]
)
def test_c18_a_secret_file_with_a_newline_at_its_end(folder: Folder, content: str, value: str) -> None:
    """One is stripped, as every editor writes one."""
    secret = folder.path / "secret"
    secret.write_bytes(content.encode())
    secret.chmod(0o600)
    found = folder.load(with_secret("secret")).inputs["rows"].connection_string
    assert found is not None
    assert value == found.reveal()


PASSWORDS = [
    "postgresql://app:hunter2@db/raw",
    "postgresql://app:hun/ter2@db/raw",
    "host=db password=hunter2 dbname=raw",
    "host=db password = 'hunter2 \\\\' x'",
    "postgresql://db/raw?user=app&password=hunter2",
    "amqps://:hunter2@mq",
]


@pytest.mark.parametrize("url", PASSWORDS)
def test_c19_a_password_in_a_url_or_dsn(folder: Folder, url: str) -> None:
    """A warning with its place; the password is in nothing that is shown."""
    configuration = folder.load(VALID.replace("postgresql://db/raw", url).replace("acme/job", url))
    assert [(6, 21), (11, 31)] == [(warning.line, warning.column) for warning in configuration.warnings]
    assert "a password is written here" == configuration.warnings[0].message
    shown = f"{configuration!r} {configuration.warnings}"
    assert "hunter2" not in shown
    assert "hun/ter2" not in shown


@pytest.mark.parametrize("url", ["http://host:80/a@b", "postgresql://app@db/raw", "embedded:raw", "https://h:8443"])
def test_c19_a_url_without_a_password(folder: Folder, url: str) -> None:
    """No warning: a port or a user is no secret."""
    assert () == folder.load(VALID.replace("postgresql://db/raw", url)).warnings


@pytest.mark.parametrize("url", ["'amqp://app:hunter2@mq'", '{ env = "URL" }'])
def test_c19_a_password_in_what_a_component_says(folder: Folder, url: str) -> None:
    """What a component's own code puts into its message is redacted too."""
    more = f'[processes.call]\ntype = "call"\nafter = ["job"]\nexecution_context = {{ url = {url} }}\n'
    problems = folder.problems(VALID + more, environ={"URL": "amqp://app:hunter2@mq"})
    assert "hunter2" not in f"{problems}"
    assert any(problem.message.startswith("url must begin with http, found '") for problem in problems)


def test_c19_a_secret_in_the_wrong_place(folder: Folder) -> None:
    """What a reference holds is not in the message that it does not fit."""
    text = VALID.replace('"acme/job" }', '"x", memory = { env = "LIMIT" } }')
    said = folder.said(text, environ={"LIMIT": "hunter2"})
    assert ['11:45: { env = "LIMIT" } holds something else: expected a number'] == said


def test_c20_a_dollar_and_braces(folder: Folder) -> None:
    """They stay as they are: nothing is put into a string."""
    text = VALID.replace("acme/job", "${HOME} %(x)s {0.__class__} $(id)")
    context = folder.load(text, environ={"HOME": "/root"}).processes["job"].execution_context
    assert "${HOME} %(x)s {0.__class__} $(id)" == context["image"]


def test_c21_a_relative_path_out_of_the_folder(folder: Folder) -> None:
    """Refused, by name and through a link; the absolute path says that it is meant."""
    outside = folder.path.parent / "outside"
    outside.write_text("x")
    outside.chmod(0o600)
    expected = f'leads out of the configuration\'s folder; to mean it, write "{outside}"'
    (folder.path / "link").symlink_to(outside)
    assert [f'6:21: "../outside" {expected}'] == folder.said(with_secret("../outside"))
    assert [f'6:21: "link" {expected}'] == folder.said(with_secret("link"))
    assert "rows" in folder.load(with_secret(outside)).inputs


def test_c21_a_loop_of_links(folder: Folder) -> None:
    """An error, as a secret and as the configuration itself."""
    (folder.path / "loop").symlink_to(folder.path / "loop")
    (said,) = folder.said(with_secret("loop"))
    assert f'6:21: "{folder.path}/loop" can\'t be read: Too many levels of symbolic links; ' in said + ";"
    with pytest.raises(ConfigurationProblems, match="Too many levels of symbolic links"):
        load(folder.path / "loop", find_plugins=find)


def test_c21_an_include(folder: Folder) -> None:
    """There is none."""
    said = folder.said(f'include = "../other.toml"{VALID}')
    assert ['1:1: unknown key "include"; a pipeline is one file: write everything here'] == said


def test_c22_an_invalid_file_after_a_valid_one(folder: Folder) -> None:
    """Loading it raises, and changes nothing about what was loaded before."""
    before = folder.load(VALID)
    folder.said(with_job("timeout = 5"))
    assert before == folder.load(VALID)


def test_c23_a_node_that_is_gone(folder: Folder) -> None:
    """The rest is a pipeline like any other; the removed process is in neither its nodes nor its links."""
    more = '[processes.gone]\ntype = "call"\nafter = ["job"]\n'
    assert {"job", "gone"} == folder.load(VALID + more).graph().processes.keys()
    after = folder.load(VALID)
    assert {"job"} == after.graph().processes.keys()
    assert ["job"] == [link.target for link in after.links]


@pytest.mark.parametrize(("port", "said"), [(0, "'port' must be >= 1: 0"), (70_000, "'port' must be <= 65535: 70000")])
def test_c24_a_port_out_of_range(folder: Folder, port: int, said: str) -> None:
    """A component's validator speaks, at the place of the value."""
    text = VALID.replace('raw"\n', f'raw"\noptions = {{ port = {port} }}\n')
    assert [f"7:20: {said}"] == folder.said(text)


@pytest.mark.parametrize("kind", ["missing", "directory", "fifo"])
def test_a_configuration_that_is_no_file(tmp_path: Path, kind: str) -> None:
    """An error with the path, and nobody waits."""
    path = tmp_path / "pipeline.toml"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    with pytest.raises(ConfigurationProblems) as caught:
        load(path, find_plugins=find)
    assert [str(path)] == [problem.file for problem in caught.value.problems]
