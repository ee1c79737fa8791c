"""Requests and answers as values: a request's head, the answer, and the refusal that becomes one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import attrs

from orchestrator_core import JSON, dump_json

RawHeaders: TypeAlias = Iterable[tuple[bytes, bytes]]


@attrs.define(eq=False)
class Head:
    """What stands before a request's body. Made for every request, so not frozen, which costs more than the rest of it.

    Attributes:
        method: the method.
        headers: the headers, their names in lower case; of one that is there several times, the last.
        repeated: the headers that are there several times.
    """

    method: str
    headers: Mapping[str, str]
    repeated: frozenset[str]

    @classmethod
    def of(cls, method: str, raw: RawHeaders) -> Head:
        """Make a head of what ASGI hands over."""
        headers: dict[str, str] = {}
        repeated: set[str] = set()
        for name, value in raw:
            key = name.decode("latin-1")  # in lower case, as ASGI has it
            if key in headers:
                repeated.add(key)
            headers[key] = value.decode("latin-1")
        return cls(method, headers, frozenset(repeated))


@attrs.define(eq=False)
class Answer:
    """What is said to a request.

    Attributes:
        status: the status code.
        body: the body.
        headers: headers besides the content's type and length.
        type: the content's type.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    type: str = "application/json"

    @classmethod
    def json(cls, status: int, body: JSON, **headers: str) -> Answer:
        """Make an answer with a JSON body; in a header's name, underscores stand for hyphens."""
        return cls(status, dump_json(body).encode(), {name.replace("_", "-"): value for name, value in headers.items()})

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers as ASGI takes them."""
        extra = [(name.encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        return [(b"content-type", self.type.encode()), (b"content-length", b"%d" % len(self.body)), *extra]


class Refusal(Exception):  # noqa: N818 (an answer rather than an error)
    """A request that is not accepted.

    Attributes:
        answer: what the sender is told.
        reason: what the operator is told, which may be more.
    """

    def __init__(self, status: int, said: str, reason: str = "", **headers: str) -> None:
        # It may repeat what the sender wrote, and JSON can write half of a character.
        self.answer = Answer.json(status, {"error": _whole(said)}, **headers)
        self.reason = _whole(reason or said)
        super().__init__(self.reason)


def _whole(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def unauthorized(reason: str, scheme: str = "Signature") -> Refusal:
    """Return the refusal of a request that does not prove where it comes from; the sender is not told why."""
    return Refusal(401, "unauthorized", reason, www_authenticate=scheme)
