"""SQL in files: `load` returns the named statements of one of them."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@cache
def load(file: str, schema: str) -> Mapping[str, str]:
    """Return the statements of ``sql/<file>.sql`` by name, in the file's order.

    Args:
        file: the file's name without its suffix.
        schema: the schema that holds our objects; quoted, it replaces ``{schema}``.
    """
    text = files(__package__).joinpath("sql", f"{file}.sql").read_text("utf-8")
    parts = _NAME.split(text.replace("{schema}", quote(schema)))
    return {name: statement.strip() for name, statement in zip(parts[1::2], parts[2::2], strict=True)}


def quote(identifier: str) -> str:
    """Quote an identifier."""
    return '"' + identifier.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """Quote a text literal."""
    escape = "E" if "\\" in text else ""
    return escape + "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
