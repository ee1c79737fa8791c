"""`Script`: a user's SQL, cut into statements, and which event fields its placeholders name.

Placeholders are psycopg's: ``%(data.city)s`` is the field ``data.city`` of the event, or, where ``parameters`` has that
name, the field it stands for; ``%%`` is one percent sign. Values are bound by the server's protocol, never put into the
text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import attrs

from orchestrator_core import JSON, ConfigurationError, Event, dump_json

if TYPE_CHECKING:
    from orchestrator_core import AttemptContext

# What hides a semicolon: quoted text and names, dollar quotes, comments. Nested comments are rare in the wild, and the
# server refuses what was cut wrongly.
_HIDDEN = re.compile(
    r"""(?P<escape>\b[eE]'(?:[^'\\]|\\.|'')*')
      | (?P<text>'(?:[^']|'')*')
      | (?P<name>"(?:[^"]|"")*")
      | (?P<dollar>(?P<tag>\$(?:[^\W\d]\w*)?\$).*?(?P=tag))
      | (?P<line>--[^\n]*)
      | (?P<block>/\*.*?\*/)
      | (?P<end>;)""",
    re.VERBOSE | re.DOTALL,
)
# What begins or ends a transaction. ROLLBACK TO a savepoint does neither.
_OF_TRANSACTIONS = re.compile(
    r"(?:BEGIN|COMMIT|END|ABORT|START\s+TRANSACTION|PREPARE\s+TRANSACTION"
    r"|ROLLBACK(?!\s+(?:(?:WORK|TRANSACTION)\s+)?TO\b))\b",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(r"%(?:\((?P<path>[^)]*)\)(?P<format>.)?|(?P<other>.)?)", re.DOTALL)
_ROOTS = (
    "location",
    "operation",
    "id",
    "trigger",
    "uid",
    "key",
    "time",
    "hops",
    "data",
    "before",
    "outputs",
    "delivery_id",
    "attempt",
)
_DEEP = {"data", "before", "outputs"}


@attrs.frozen
class Statement:
    """One statement of a script.

    Attributes:
        text: its SQL, with placeholders.
        paths: the event field of each placeholder's name.
    """

    text: str
    paths: Mapping[str, str]


@attrs.frozen
class Script:
    """A user's SQL.

    Attributes:
        statements: its statements, in order.
    """

    statements: tuple[Statement, ...]

    @classmethod
    def parse(cls, text: str, parameters: Mapping[str, str]) -> Script:
        """Cut a script into statements and check its placeholders.

        Raises:
            ConfigurationError: a placeholder or a parameter names no field, there is no statement, or one of them would
                begin or end a transaction.
        """
        for name, path in parameters.items():
            _check_path(path, f'parameter "{name}"')
        parts = split(text)
        for part in parts:
            _check_transaction(part)
        statements = [Statement(part, _paths(part, parameters)) for part in parts]
        if not statements:
            raise ConfigurationError("the statement is empty: write one, such as INSERT INTO … VALUES (%(data.city)s)")
        used = {name for statement in statements for name in statement.paths}
        if unused := sorted(parameters.keys() - used):
            raise ConfigurationError(f'parameter "{unused[0]}" is not used: write %({unused[0]})s in the statement')
        return cls(tuple(statements))


def split(text: str) -> list[str]:
    """Cut a script at the semicolons that end its statements; what is only comment is dropped."""
    statements = []
    begin = 0
    for match in _HIDDEN.finditer(text):
        if match["end"]:
            statements.append(text[begin : match.start()])
            begin = match.end()
    statements.append(text[begin:])
    return [statement.strip() for statement in statements if _blank(statement)]


def _blank(statement: str) -> str:
    return _HIDDEN.sub(lambda match: "" if match["line"] or match["block"] else match[0], statement).strip()


def _check_transaction(statement: str) -> None:
    if found := _OF_TRANSACTIONS.match(_blank(statement)):
        words = " ".join(found[0].upper().split())
        raise ConfigurationError(
            f"the statement has {words}: leave it out, all is one transaction with the note that the delivery is done"
        )


def _paths(statement: str, parameters: Mapping[str, str]) -> Mapping[str, str]:
    paths = {}
    for match in _PLACEHOLDER.finditer(statement):
        if match["other"] == "%":
            continue
        if match["path"] is None or match["format"] not in {"s", "b", "t"}:
            raise ConfigurationError(
                f"the statement has {match[0]!r}: write %(data.field)s for a field, %% for a percent sign"
            )
        path = parameters.get(match["path"], match["path"])
        _check_path(path, f"the placeholder {match[0]}")
        paths[match["path"]] = path
    return paths


def _check_path(path: str, where: str) -> None:
    root, _, rest = path.partition(".")
    if root not in _ROOTS or (bool(rest) and root not in _DEEP):
        known = ", ".join(_ROOTS)
        raise ConfigurationError(f'{where} names no field of an event: begin with one of {known}; such as "data.city"')


def values(statement: Statement, event: Event, context: AttemptContext) -> Mapping[str, Any]:
    """Return what a statement's placeholders stand for; a field that is not there is NULL."""
    fields: dict[str, Any] = {
        "location": event.location,
        "operation": event.operation.value,
        "id": event.id,
        "trigger": event.trigger,
        "uid": str(event.uid),
        "key": event.key,
        "time": event.time,
        "hops": event.hops,
        "data": event.data,
        "before": event.before,
        "outputs": context.outputs,
        "delivery_id": context.delivery_id,
        "attempt": context.attempt,
    }
    return {name: adapt(_look_up(fields, path)) for name, path in statement.paths.items()}


def _look_up(value: Any, path: str) -> Any:  # noqa: ANN401 (JSON of any shape)
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isascii() and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def adapt(value: JSON) -> Any:  # noqa: ANN401 (whatever psycopg binds)
    """Return a JSON value as psycopg is to bind it: fractions as exact numerics, lists and objects as JSON text."""
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, Mapping | list):
        return dump_json(dict(value) if isinstance(value, Mapping) else value)
    return value
