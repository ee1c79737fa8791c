"""Redaction of passwords in URLs and DSNs."""

from __future__ import annotations

import pytest

from orchestrator_core._config.redaction import has_password, redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://app:hunter2@db/shop", "postgresql://app:********@db/shop"),
        ("x amqp://a:p@h and y", "x amqp://a:********@h and y"),
        ("redis://:p@ss@w@h:1/0", "redis://:********@h:1/0"),
        ("postgresql://u:pa/ss@h", "postgresql://u:********@h"),
        ("'http://u:p@h', 'http://v:q@i'", "'http://u:********@h', 'http://v:********@i'"),
        ("host=h password=p%20x user=u", "host=h password=******** user=u"),
        ("password = 'a \\' b' user=u", "password = ******** user=u"),
        ("http://h/?sslpassword=p&x=1", "http://h/?sslpassword=********&x=1"),
        ("PWD=secret;Server=x", "PWD=********;Server=x"),
    ],
)
def test_a_password_is_hidden(text: str, shown: str) -> None:
    """The rest stays readable."""
    assert shown == redact(text)
    assert has_password(text)


@pytest.mark.parametrize(
    "text", ["http://h:80/x@y", "http://u@h", "mailto:a@b", "a: b@c", "nopassword=x", "password", "sqlite:a.db", ""]
)
def test_what_is_no_password_stays(text: str) -> None:
    """A port, a user, a word."""
    assert text == redact(text)
