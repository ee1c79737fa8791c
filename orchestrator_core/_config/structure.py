"""Typed values of tables, and everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import attrs
from cattrs import AttributeValidationNote, BaseValidationError, ClassValidationError, IterableValidationNote

from orchestrator_core._config.classes import UnknownKey, message_of
from orchestrator_core._config.hooks import make_converter
from orchestrator_core._config.problems import Finding, Keys, quote
from orchestrator_core._config.references import Mistake, Resolver
from orchestrator_core._plugins import one_line

T = TypeVar("T")


class Structure:
    """Makes typed values, and keeps what is wrong.

    Attributes:
        resolver: reads references on the way.
        findings: everything that was wrong so far.
    """

    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver
        self.findings: list[Finding] = []
        self._converter = make_converter(resolver)

    def attempt(self, value: object, kind: type[T], keys: Keys) -> T | None:
        """Return the typed value, or ``None`` and keep what is wrong."""
        # The constructors and validators of components are foreign code, and whatever they raise is a problem with the
        # table that they were handed.
        try:
            return self._converter.structure(value, kind)
        except Exception as error:  # noqa: BLE001
            self.findings.extend(_findings(error, keys))
            return None

    def quietly(self, value: object, kind: Any) -> Any:  # noqa: ANN401 (a union is no class)
        """Return the typed value, or ``None`` if something is wrong with it, which somebody else reports."""
        try:
            return self._converter.structure(value, kind)
        except (Mistake, BaseValidationError):
            return None

    def add(self, keys: Keys, message: str, hint: str = "", *, at_key: bool = False) -> None:
        """Keep something that is wrong."""
        self.findings.append(Finding(keys, message, hint, at_key=at_key))


def _findings(error: Exception, keys: Keys) -> Iterator[Finding]:
    if isinstance(error, BaseValidationError):
        for inner in error.exceptions:
            yield from _findings(inner, (*keys, *_step(inner, error)))
    elif isinstance(error, UnknownKey):
        yield Finding((*keys, error.key), f"unknown key {quote(error.key)}", at_key=True, known=error.known)
    elif isinstance(error, Mistake):
        yield Finding((*keys, *error.inside), str(error), error.hint)
    else:
        yield Finding(keys, one_line(message_of(error))[:500])


def _step(inner: Exception, outer: BaseValidationError) -> Keys:
    for note in getattr(inner, "__notes__", ()):
        if isinstance(note, IterableValidationNote):
            return (note.index,)
        if isinstance(note, AttributeValidationNote) and isinstance(outer, ClassValidationError):
            return (getattr(attrs.fields_dict(outer.cl)[note.name], "alias", note.name),)
    return ()
