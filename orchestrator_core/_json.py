"""JSON in and out without losing a digit or storing what UTF-8 can't hold."""

from __future__ import annotations

import json
import json.encoder
import re
import secrets
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

from orchestrator_core._errors import EventError

JSON: TypeAlias = "None | bool | int | float | Decimal | str | list[JSON] | dict[str, JSON]"
"""A JSON value. A number that a float can't hold exactly is a `decimal.Decimal`, so that no digit is lost."""

SURROGATES = re.compile("[\ud800-\udfff]")

# Python's encoder can't write a Decimal as a number. Each goes out as a string that starts with a token that nobody can
# guess, and loses its quotes afterwards.
_EXACT = secrets.token_hex(16)
_EXACT_NUMBER = re.compile(f'"{_EXACT}([^"]*)"')


def _encode_exact(value: object) -> str:
    if isinstance(value, Decimal) and value.is_finite():
        return f"{_EXACT}{value}"
    raise EventError(f"{value!r:.80} is not JSON: use text, numbers, true, false, null, lists and objects")


quote = json.encoder.encode_basestring
"""Returns text as a JSON string. The text must be one that UTF-8 can hold."""


def _make_encode() -> Callable[[object], str]:
    """Return an encoder that keeps the compiled part of `json.JSONEncoder`, which makes it anew for each value.

    That is half of the time for a small value. What lacks that part is encoded by the public way.
    """
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        options: dict[str, Any] = {"ensure_ascii": False, "allow_nan": False, "separators": (",", ":")}
        return json.JSONEncoder(**options, default=_encode_exact).encode
    # In its order: circles already seen (none: a circle is too deep a nesting), default, strings, indent, separators,
    # sort_keys, skipkeys, allow_nan.
    pieces = make(None, _encode_exact, quote, None, ":", ",", False, False, False)  # noqa: FBT003 (its only form)
    return lambda value: "".join(pieces(value, 0))


_encode = _make_encode()


def dump_json(value: JSON) -> str:
    """Return compact JSON text that UTF-8 can hold.

    Raises:
        EventError: the value holds NaN, half a surrogate pair, too deep a nesting or a type that is not JSON.
    """
    try:
        text = _encode(value)
    except (ValueError, TypeError, RecursionError) as error:
        raise EventError(f"not JSON: {error}") from error
    if not text.isascii() and SURROGATES.search(text):
        raise EventError("not JSON: half of a surrogate pair, which UTF-8 can't hold")
    return _EXACT_NUMBER.sub(r"\1", text) if _EXACT in text else text


def own(value: JSON) -> JSON:
    """Copy a value with all its lists and objects, so that whoever changes those of the other changes nothing here.

    Raises:
        EventError: it is nested too deep.
    """
    try:
        copy: JSON = _copy(value) if isinstance(value, _CONTAINERS) else value
    except RecursionError:
        copy = load_json(dump_json(value))
    return copy


_CONTAINERS = (dict, list, tuple)


def _copy(value: Any) -> Any:  # noqa: ANN401 (JSON of any shape)
    if isinstance(value, dict):
        return {key: _copy(each) if isinstance(each, _CONTAINERS) else each for key, each in value.items()}
    return [_copy(each) if isinstance(each, _CONTAINERS) else each for each in value]


def _parse_float(text: str) -> float | Decimal:
    value = float(text)
    try:
        exact = Decimal(text)
        return value if exact == Decimal(repr(value)) else exact
    except InvalidOperation:
        raise ValueError(f"the number {text:.40} is out of range") from None


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not a JSON number")


_decode = json.JSONDecoder(parse_float=_parse_float, parse_constant=_refuse_constant).decode


def load_json(text: str | bytes) -> Any:  # noqa: ANN401 (JSON of any shape)
    """Parse JSON text without losing a digit of its numbers.

    Raises:
        EventError: not UTF-8, not JSON, NaN or infinity, or nested too deep.
    """
    try:
        return _decode(text.decode() if isinstance(text, bytes) else text)
    except (ValueError, RecursionError) as error:
        raise EventError(f"not JSON: {error}") from error
