"""What a link lets through, in words and signs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator_core.cli.render.json_lines import json_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator_core._pipeline import Link

_SIGNS = {"exact": "=", "gt": ">", "lt": "<", "prefix": "begins with", "suffix": "ends with", "in": "in"}


def condition_of(link: Link) -> str:
    """Return what a link lets through; nothing for everything.

    >>> from orchestrator_core import Link
    >>> where = {"any": [{"field": "data.mm", "gt": 3}, {"not": {"field": "data.city", "exists": True}}]}
    >>> condition_of(Link("a", "b", operations=["create"], where=where))
    'create, where data.mm > 3 or not (data.city exists)'
    """
    parts = [
        " or ".join(sorted(str(operation) for operation in link.operations)) if link.operations is not None else "",
        " or ".join(link.locations) if link.locations is not None else "",
        f"where {_text(link.where.condition)}" if link.where is not None else "",
    ]
    return ", ".join(part for part in parts if part)


def _text(condition: Mapping[str, Any]) -> str:
    if "field" in condition:
        field = condition["field"]
        return " and ".join(_test(field, name, value) for name, value in condition.items() if name != "field")
    kind, inner = next(iter(condition.items()))
    if kind == "not":
        return f"not ({_text(inner)})"
    parts = [f"({_text(each)})" if _is_compound(each) else _text(each) for each in inner]
    return (" or " if kind == "any" else " and ").join(parts)


def _test(field: str, name: str, value: Any) -> str:  # noqa: ANN401 (any JSON value)
    if name == "exists":
        return f"{field} exists" if value else f"{field} is missing"
    return f"{field} {_SIGNS[name]} {json_line(value)}"


def _is_compound(condition: Mapping[str, Any]) -> bool:
    return "any" in condition or "all" in condition or len(condition) > 2  # noqa: PLR2004 (a field and one test)
