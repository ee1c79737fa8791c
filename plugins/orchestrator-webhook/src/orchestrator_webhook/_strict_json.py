"""JSON as a stranger may send it: read strictly, so that nobody after us can read it as something else.

Beyond `orchestrator_core.load_json`: no key twice in an object, no deep nesting, and ``-0`` keeps its sign.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from orchestrator_core import EventError

DEPTH_LIMIT = 64


def parse(content: bytes) -> Any:  # noqa: ANN401 (JSON of any shape)
    """Parse a request's body.

    Raises:
        EventError: it is not UTF-8, not JSON, or not strict.
    """
    try:
        text = content.decode("utf-8")
        value = (_decode_signed if "-0" in text else _decode)(text)
    except RecursionError:
        raise EventError(_TOO_DEEP) from None
    except ValueError as error:
        raise EventError(f"not JSON: {error}") from error
    # Most bodies have too few brackets to be deep, whatever they look like.
    if text.count("[") + text.count("{") > DEPTH_LIMIT and _is_deep(value):
        raise EventError(_TOO_DEEP)
    return value


_TOO_DEEP = f"not JSON that is accepted: nested over {DEPTH_LIMIT} deep"


def _is_deep(value: Any) -> bool:  # noqa: ANN401
    level = [value]
    for _ in range(DEPTH_LIMIT):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())
        ]
        if not level:
            return False
    return any(isinstance(each, dict | list) for each in level)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r:.80} is there twice")
    return found


def _real(text: str) -> float | Decimal:
    value = float(text)
    try:
        exact = Decimal(text)
        return value if exact == Decimal(repr(value)) else exact
    except InvalidOperation:
        raise ValueError(f"the number {text:.40} is out of range") from None


def _signed(text: str) -> int | float:
    return -0.0 if text == "-0" else int(text)


def _constant(text: str) -> None:
    raise ValueError(f"{text} is not a JSON number")


def _decoder(**options: Any) -> Callable[[str], Any]:  # noqa: ANN401
    decoder = json.JSONDecoder(object_pairs_hook=_object, parse_float=_real, parse_constant=_constant, **options)
    return decoder.decode


_decode = _decoder()
_decode_signed = _decoder(parse_int=_signed)
