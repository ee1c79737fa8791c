"""`Watch`: what an input wants of a database, in one value."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import attrs

from orchestrator_core import Operation

ALL_OPERATIONS = frozenset({Operation.CREATE, Operation.UPDATE, Operation.DELETE})


@attrs.frozen(kw_only=True)
class Watch:
    """What an input wants of a database.

    Attributes:
        name: the input's name in the pipeline.
        tables: names and globs of tables.
        operations: which kinds of change to record.
        columns: the columns that events carry; ``None`` for all.
        changed: record an update only if one of these columns changed; ``None`` for every update.
        condition: a jsonpath over ``{"data": …, "before": …}`` that must hold; ``None`` for no condition.
        key_only: events carry the key's columns and no others.
        max_payload: the most bytes of a row; a larger one is reduced to its key.
        schema: the schema of our objects.
    """

    name: str
    tables: tuple[str, ...]
    operations: frozenset[Operation] = ALL_OPERATIONS
    columns: tuple[str, ...] | None = None
    changed: tuple[str, ...] | None = None
    condition: str | None = None
    key_only: bool = False
    max_payload: int = 262_144
    schema: str = "orchestrator"

    @property
    def channel(self) -> str:
        """The channel on which writers ring; hashed, since a channel's name has at most 63 bytes."""
        return f"orchestrator_{digest(self.schema, self.name)}"

    def row(self) -> dict[str, Any]:
        """Return the columns of the input's row."""
        options = {"tables": self.tables, "operations": sorted(operation.value for operation in self.operations)}
        return {
            "options": json.dumps(options),
            "version": 1,
            "columns": list(self.columns) if self.columns is not None else None,
            "changed": list(self.changed) if self.changed is not None else None,
            "condition": self.condition,
            "key_only": self.key_only,
            "max_payload": self.max_payload,
            "channel": self.channel,
        }


def digest(*names: str) -> str:
    """Shorten names to twelve digits, so that what is made of them stays under the limit of 63 bytes."""
    return hashlib.sha256("\0".join(names).encode()).hexdigest()[:12]
