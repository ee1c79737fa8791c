"""JSON that stays on its line, whatever is in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator_core._json import dump_json

if TYPE_CHECKING:
    from orchestrator_core._json import JSON

_NOT_ASCII = re.compile(r"[^\x00-\x7e]")


def json_line(value: JSON) -> str:
    r"""Return compact JSON without a character that breaks lines, drives a terminal or turns the reading direction.

    JSON escapes the control characters of ASCII by itself; here the others that can't be printed are escaped too.

    >>> print(json_line({"name": "Zoë\u2028\u202e"}))
    {"name":"Zoë\u2028\u202e"}
    """
    text = dump_json(value)
    return text if text.isprintable() else _NOT_ASCII.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character.isprintable():
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
