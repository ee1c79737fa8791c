"""Secrets that are written into the file itself, which more people read than a secret should have readers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from orchestrator_core._config.problems import Finding, Keys
from orchestrator_core._config.redaction import has_password
from orchestrator_core._secret import Secret
from orchestrator_core.hookspecs import component_fields

_HINT = 'keep it elsewhere: { env = "NAME" } or { file = "/path" }'


def literal_passwords(written: object, keys: Keys = ()) -> Iterator[Finding]:
    """Warn of each URL or DSN with a password in it."""
    if isinstance(written, str) and has_password(written):
        yield Finding(keys, "a password is written here", _HINT, severity="warning")
    for key, each in _inside(written):
        yield from literal_passwords(each, (*keys, key))


def literal_secrets(value: object, written: object, keys: Keys) -> Iterator[Finding]:
    """Warn of each secret that is written as it is, given what became of a table.

    A connection string is none by itself: most have no password, or none that is worth hiding.
    """
    if isinstance(value, Secret) and isinstance(written, str) and keys[-1] != "connection_string":
        yield Finding(keys, "a secret is written here", _HINT, severity="warning")
    elif attrs.has(type(value)) and isinstance(written, Mapping):
        for field in component_fields(type(value)):
            alias = field.alias or field.name
            yield from literal_secrets(getattr(value, field.name), written.get(alias), (*keys, alias))
    else:
        typed = dict(_inside(value))
        for key, each in _inside(written):
            yield from literal_secrets(typed.get(key), each, (*keys, key))


def _inside(value: object) -> Iterator[tuple[str | int, object]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list | tuple):
        yield from enumerate(value)
