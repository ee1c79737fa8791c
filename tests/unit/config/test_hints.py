"""The nearest right name or place for an unknown key."""

from __future__ import annotations

import pytest

from tests.configuring import VALID, Folder


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param(
            'after = ["rows"]',
            'after = ["rows"]\nimage = "x"',
            '11:1: unknown key "image"; it belongs inside execution_context',
            id="option beside its table",
        ),
        pytest.param(
            '"acme/job" }',
            '"x", timeout = "5s" }',
            '11:36: unknown key "timeout"; it belongs in [processes.job], beside execution_context',
            id="engine's key inside options",
        ),
        pytest.param(
            'raw"\n',
            'raw"\ntables = []\n',
            '7:1: unknown key "tables"; it belongs inside options',
            id="an input's option beside its table",
        ),
        pytest.param(
            'raw"\n',
            'raw"\noptions = { operations = [] }\n',
            '7:13: "operations" is no option; it belongs in [inputs.rows], beside options',
            id="an input's key inside its options",
        ),
        pytest.param(
            'after = ["rows"]',
            'after = ["rows"]\nattempts = 3',
            '11:1: unknown key "attempts"; it belongs inside retry',
            id="retry's key beside it",
        ),
        pytest.param(
            'after = ["rows"]',
            'after = ["rows"]\nretry = { timeout = "5s" }',
            '11:11: unknown key "timeout"; it belongs in [processes.job], beside retry',
            id="a process's key inside retry",
        ),
        pytest.param(
            'after = ["rows"]',
            'after = ["rows"]\noperations = ["create"]',
            '11:1: unknown key "operations"; it belongs inside a table of after, such as after = [{ node = "…", … }]',
            id="a link's key beside after",
        ),
        pytest.param(
            "version = 1",
            'version = 1\nurl = "memory:"',
            '3:1: unknown key "url"; it belongs in [journal]',
            id="the journal's key at the top",
        ),
        pytest.param(
            "version = 1",
            'version = 1\nname = "x"',
            '3:1: unknown key "name"; it belongs in [pipeline]',
            id="the pipeline's key at the top",
        ),
        pytest.param(
            "version = 1",
            'version = 1\n[pipeline]\ntimeout = "5s"',
            '4:1: unknown key "timeout"; it belongs in [defaults]',
            id="a default in the pipeline",
        ),
        pytest.param(
            "version = 1",
            'version = 1\n[process.x]\ntype = "call"',
            '3:2: unknown key "process"; did you mean "processes"?',
            id="singular",
        ),
        pytest.param(
            '"acme/job" }',
            '"x", Env = {} }',
            '11:36: unknown key "Env"; did you mean "env"?',
            id="capital",
        ),
        pytest.param(
            'after = ["rows"]',
            'after = ["rows"]\nimagee = "x"',
            '11:1: unknown key "imagee"; did you mean "image", inside execution_context?',
            id="misspelt option beside its table",
        ),
        pytest.param(
            'after = ["rows"]',
            'after = [{ node = "rows", wher = {} }]',
            '10:27: unknown key "wher"; did you mean "where"?',
            id="misspelt key of a link",
        ),
        pytest.param(
            '"acme/job" }',
            '"x", allow_privileged = true }',
            '11:36: "allow_privileged" is no option; it belongs in [pipeline]',
            id="what only the pipeline may allow",
        ),
        pytest.param(
            'after = ["rows"]',
            'after = ["rows"]\nname = "x"',
            '11:1: unknown key "name"; there are timeout, retry, concurrency, rate, ordered_by, on_dead, join, type, '
            "after, execution_context",
            id="a name beside the table's own",
        ),
    ],
)
def test_an_unknown_key(folder: Folder, old: str, new: str, said: str) -> None:
    """The hint says where it belongs, or what was meant, or what there is."""
    assert said in folder.said(VALID.replace(old, new))
