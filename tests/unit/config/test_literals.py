"""Secrets in the file itself; passwords in URLs are C19 of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import pytest

from orchestrator_core import Secret
from orchestrator_core._config.literals import literal_secrets
from tests.configuring import VALID, Folder


@attrs.frozen
class Inner:
    """A table inside a table."""

    token: Secret


@attrs.frozen
class Outer:
    """Secrets at every depth."""

    secret: Secret | None = None
    keys: Sequence[Secret] = ()
    table: Mapping[str, Secret] = attrs.field(factory=dict)
    inner: Inner | None = None
    connection_string: Secret | None = None
    text: str = ""


HIDDEN = Secret("x")


@pytest.mark.parametrize(
    ("value", "written", "places"),
    [
        (Outer(secret=HIDDEN), {"secret": "x"}, [("secret",)]),
        (Outer(keys=(HIDDEN, HIDDEN)), {"keys": ["x", "y"]}, [("keys", 0), ("keys", 1)]),
        (Outer(table={"a": HIDDEN}), {"table": {"a": "x"}}, [("table", "a")]),
        (Outer(inner=Inner(HIDDEN)), {"inner": {"token": "x"}}, [("inner", "token")]),
        (Outer(connection_string=HIDDEN), {"connection_string": "x"}, []),
        (Outer(text="x"), {"text": "x"}, []),
        (Outer(secret=HIDDEN), {}, []),
    ],
)
def test_a_secret_that_is_written_as_it_is(value: Outer, written: object, places: object) -> None:
    """A warning at its place, at every depth; a connection string may well have nothing secret in it."""
    assert places == [finding.keys for finding in literal_secrets(value, written, ())]


def test_a_secret_in_a_file(folder: Folder) -> None:
    """A warning; one by reference is what the warning asks for."""
    literal = VALID.replace('"acme/job"', '"x", token = "hunter2"')
    reference = VALID.replace('"acme/job"', '"x", token = { env = "TOKEN" }')
    (warning,) = folder.load(literal).warnings
    assert (11, 44, "a secret is written here") == (warning.line, warning.column, warning.message)
    assert 'keep it elsewhere: { env = "NAME" } or { file = "/path" }' == warning.hint
    assert () == folder.load(reference, environ={"TOKEN": "hunter2"}).warnings
