"""Templates: JSON values and texts filled in by field paths, such as ``{data.order.id}``. Nothing is executed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Self, TypeAlias

import attrs

from orchestrator_core import JSON, OrchestratorError, dump_json
from orchestrator_webhook._errors import WebhookConfigurationError

Fields: TypeAlias = Mapping[str, Any]
"""What the first part of a path may name."""

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_MISSING = object()


class MissingFieldError(OrchestratorError):
    """A template names a field that is not there.

    Attributes:
        path: the path as it is written.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(f"there is no {{{path}}}: correct the path, or write {{{path}?}} if it may be missing")


@attrs.frozen
class Path:
    """A field path; digits index into lists.

    Attributes:
        text: as it is written.
        keys: its parts.
        optional: whether the field may be missing, and is ``null`` then.
    """

    text: str
    keys: tuple[str, ...]
    optional: bool

    @classmethod
    def parse(cls, text: str, roots: Collection[str]) -> Self:
        """Read a path.

        Raises:
            WebhookConfigurationError: it begins with something else than a root.
        """
        path = text.removesuffix("?")
        keys = tuple(path.split("."))
        if keys[0] not in roots or not all(keys):
            raise WebhookConfigurationError(f"{{{text}}} must begin with {', '.join(sorted(roots))}")
        return cls(path, keys, optional=path != text)

    def find(self, fields: Fields) -> JSON:
        """Return the value at the path.

        Raises:
            MissingFieldError: there is none, and it is not optional.
        """
        value: Any = fields
        for key in self.keys:
            value = _step(value, key)
        if value is not _MISSING:
            return value  # type: ignore[no-any-return]
        if self.optional:
            return None
        raise MissingFieldError(self.text)


def _step(value: object, key: str) -> object:
    if isinstance(value, Mapping):
        return value.get(key, _MISSING)
    if isinstance(value, list) and key.isdecimal() and len(key) < 10 and int(key) < len(value):  # noqa: PLR2004
        return value[int(key)]
    return _MISSING


@attrs.frozen
class Template:
    """Text with field paths in braces; ``{{`` and ``}}`` stand for braces.

    >>> template = Template.parse("order {data.id}", {"data"})
    >>> template.text({"data": {"id": 7}})
    'order 7'

    Attributes:
        parts: text and paths in turn.
    """

    parts: Sequence[str | Path]

    @classmethod
    def parse(cls, text: str, roots: Collection[str]) -> Self:
        """Read a template.

        Raises:
            WebhookConfigurationError: a brace stands alone, or a path begins with something unknown.
        """
        parts: list[str | Path] = []
        end = 0
        for found in _PART.finditer(text):
            parts.append(text[end : found.start()])
            end = found.end()
            if found[1] is not None:
                parts.append(Path.parse(found[1], roots))
            elif found[0] in {"{{", "}}"}:
                parts.append(found[0][0])
            else:
                raise WebhookConfigurationError(f"a {found[0]} stands alone in {text!r:.80}: write {found[0] * 2}")
        parts.append(text[end:])
        return cls([part for part in parts if part != ""])

    def value(self, fields: Fields) -> JSON:
        """Return what the template stands for: of a single path the value itself, else text.

        Raises:
            MissingFieldError: a field is not there.
        """
        match self.parts:
            case [Path() as path]:
                return path.find(fields)
        return self.text(fields)

    def text(self, fields: Fields) -> str:
        """Return the template with every path filled in; what is not text is written as JSON, and null as nothing.

        Raises:
            MissingFieldError: a field is not there.
        """
        return "".join(part if isinstance(part, str) else _text(part.find(fields)) for part in self.parts)


def _text(value: JSON) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else dump_json(value)


@attrs.frozen
class Tree:
    """Tables and lists whose texts are templates."""

    _node: Any

    @classmethod
    def parse(cls, node: object, roots: Collection[str]) -> Self:
        """Read the templates in a value of an option.

        Raises:
            WebhookConfigurationError: one of them is malformed.
        """
        if isinstance(node, Mapping):
            return cls({str(key): cls.parse(each, roots) for key, each in node.items()})
        if isinstance(node, list | tuple):
            return cls([cls.parse(each, roots) for each in node])
        return cls(Template.parse(node, roots) if isinstance(node, str) else node)

    def value(self, fields: Fields) -> JSON:
        """Return the value with all templates filled in.

        Raises:
            MissingFieldError: a field is not there.
        """
        match self._node:
            case dict() as table:
                return {key: each.value(fields) for key, each in table.items()}
            case list() as items:
                return [each.value(fields) for each in items]
            case Template() as template:
                return template.value(fields)
            case plain:
                return plain  # type: ignore[no-any-return]
