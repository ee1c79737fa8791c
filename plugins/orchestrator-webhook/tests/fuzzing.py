"""Requests by dice: valid ones of every kind of sender, and what becomes of them when something goes wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from random import Random

import attrs
from sending import SECRET

from orchestrator_core import Secret
from orchestrator_webhook import HmacSignature
from orchestrator_webhook._signing import github_signature, slack_signature, standard_headers, stripe_signature

NOW = 1_800_000_000
"""When all requests are signed, in seconds since 1970: the inputs' clock has to stand there."""
KEY = "k3y"
OWN = HmacSignature(header="x-own", algorithm="sha512", encoding="base64", prefix="h=")

INPUTS: Mapping[str, Mapping[str, object]] = {
    "/json": {"auth": "none", "id": "{body.id?}", "location": "{header.x-event?}", "operation": "{body.op?}"},
    "/event": {"auth": "none", "format": "event"},
    "/cloudevents": {"auth": "none", "format": "cloudevents", "id": "{attribute.subject?}"},
    "/raw": {"auth": "none", "format": "raw"},
    "/standard": {"auth": "standard", "secret": SECRET},
    "/github": {"auth": "github", "secret": KEY},
    "/stripe": {"auth": "stripe", "secret": KEY},
    "/slack": {"auth": "slack", "secret": KEY},
    "/hmac": {"auth": "hmac", "secret": KEY, "hmac": OWN, "format": "raw"},
    "/bearer": {"auth": "bearer", "secret": KEY, "format": "event"},
}
"""The inputs that stand behind one port, by their paths: every kind of sender, every format."""

_TEXTS = (
    *("", "0", "-0", "a", "7", "é", "\0", "\ud800", "\U0001f600", "a.b", "%", "%00", "%ff", "{id}", "{0.__class__}"),
    *("../..", "x" * 300, "\x1b[31m", "\u2028", "create", "insert", "url_verification", "1e999", "NaN"),
)
_NAMES = ("id", "op", "location", "operation", "trigger", "uid", "data", "before", "key", "time", "hops", "traceparent")
_MORE_NAMES = ("type", "challenge", "event_id", "source", "specversion", "subject", "data_base64", "", "é", "a")
_NUMBERS = ("0", "-0", "-1", "16", "1e999", "1e99999999999999999999", "0.1", "NaN", "Infinity", "1" * 5_000, "01", "-")
_TIMES = ("2026-05-04T12:30:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "2026-05-04", "today", "-1")
_HEADERS = (
    *("content-length", "transfer-encoding", "content-encoding", "content-type", "connection", "expect", "upgrade"),
    *("host", "webhook-id", "webhook-timestamp", "webhook-signature", "idempotency-key", "authorization", "te"),
    *("traceparent", "x-event", "x-hub-signature-256", "x-github-delivery", "stripe-signature", "x-slack-signature"),
    *(
        "x-slack-request-timestamp",
        "x-own",
        "ce-id",
        "ce-time",
        "ce-source",
        "ce-x",
        "ce-",
        "x-forwarded-for",
        "trailer",
    ),
)
_VALUES = (
    *("", " ", "0", "-1", "+5", "5, 5", "99999999999999999999", "chunked", "identity", "gzip", "chunked, identity"),
    *(
        "100-continue",
        "close",
        "keep-alive, upgrade",
        "h2c",
        "websocket",
        "application/json",
        "application/cloudevents",
    ),
    *("application/cloudevents+json; charset=utf-16", "text/plain", "\xff", "a\0b", "a\rb", "a\nb: c", "x" * 20_000),
    *("%", "%ff", "%00", '"', '""', "v1,", "v1, v1,", "sha256=", "t=,v1=", "t=1,t=2,v1=0", "Bearer", "Bearer é", "1.0"),
)
_METHODS = ("POST", "POST", "POST", "POST", "PUT", "GET", "HEAD", "OPTIONS", "CONNECT", "PRI", "post", "", "PO ST")
_VERSIONS = ("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/", "")


@attrs.frozen
class Dice:
    """Makes requests; the same seed makes the same ones."""

    random: Random

    def request(self) -> list[bytes]:
        """Return a request in the pieces that it is to be sent in; half of them are as they should be, or nearly."""
        path = self.random.choice(list(INPUTS))
        content = self._content()
        headers = {"host": "localhost", "content-type": self._type(), **_SIGNED.get(path, _unsigned)(content)}
        headers |= {"connection": "close"} if self._is(0.95) else {}  # so that the end need not be waited for
        headers |= self._cloud_event() if path == "/cloudevents" and self._is(0.7) else {}
        framed = self._chunked(content) if self._is(0.2) else None
        headers |= {"content-length": str(len(content))} if framed is None else {"transfer-encoding": "chunked"}
        lines = list(headers.items())
        while self._is(0.3):
            self._spoil(lines)
        data = self._first(path) + b"".join(
            name.encode("latin-1", "replace") + b": " + value.encode("utf-8", "replace") + b"\r\n"
            for name, value in lines
        )
        data += b"\r\n" + (content if framed is None else framed)
        while self._is(0.3):
            data = self._mutated(data)
        return self._pieces(data)

    def _is(self, chance: float) -> bool:
        return self.random.random() < chance

    def _first(self, path: str) -> bytes:
        method, target, version = "POST", path, "HTTP/1.1"
        if self._is(0.1):
            method = self.random.choice(_METHODS)
        if self._is(0.1):
            target = self.random.choice(
                [f"{path}/", f"/{path}", f"{path}?a=b", f"{path}%00", f"http://x{path}", "*", "", "é"]
            )
        if self._is(0.1):
            version = self.random.choice(_VERSIONS)
        return f"{method} {target} {version}\r\n".encode()

    def _content(self) -> bytes:
        if self._is(0.1):
            return self.random.randbytes(self.random.randrange(200))
        if self._is(0.02):
            return self.random.choice([b"[", b'{"a":']) * self.random.choice([65, 1_000, 100_000])
        return self._json(0).encode("utf-8", "surrogatepass")

    def _json(self, depth: int) -> str:
        kind = self.random.randrange(8 if depth else 3)
        if depth > 4 or kind >= 5:
            return json.dumps(self.random.choice(_TEXTS), ensure_ascii=self._is(0.5))
        if kind == 3:
            return self.random.choice([*_NUMBERS, "null", "true", "nul"])
        if kind == 4:
            return json.dumps(self.random.choice(_TIMES))
        parts = [self._json(depth + 1) for _ in range(self.random.randrange(5))]
        if kind == 2:
            return f"[{','.join(parts)}]"
        fields = {"location": '"l"', "operation": '"create"', "id": '"7"', "trigger": '"t"'} if self._is(0.5) else {}
        fields |= {self.random.choice(_NAMES + _MORE_NAMES): part for part in parts}
        pairs = [f"{json.dumps(name)}:{value}" for name, value in fields.items()]
        return "{" + ",".join(pairs + pairs[:1] * self._is(0.05)) + "}"

    def _type(self) -> str:
        return self.random.choice(
            ["application/json", "application/json", "application/cloudevents+json", "text/plain"]
        )

    def _cloud_event(self) -> dict[str, str]:
        given = {"ce-specversion": "1.0", "ce-id": str(self.random.random()), "ce-source": "/s", "ce-type": "t.create"}
        if self._is(0.5):
            given[self.random.choice(["ce-time", "ce-subject", "ce-type", "ce-location"])] = self.random.choice(
                [*_TIMES, "%F0%9F%98%80", "%", "%ff", ""]
            )
        return given

    def _chunked(self, content: bytes) -> bytes:
        data = b""
        while content:
            size = self.random.randrange(1, 40)
            data += b"%x\r\n%s\r\n" % (len(content[:size]), content[:size])
            content = content[size:]
        return data + b"0\r\n" + b"x-trailer: y\r\n" * self._is(0.2) + b"\r\n"

    def _spoil(self, lines: list[tuple[str, str]]) -> None:
        at = self.random.randrange(len(lines))
        line = (self.random.choice(_HEADERS), self.random.choice(_VALUES))
        match self.random.randrange(4):
            case 0:
                lines[at : at + 1] = [(lines[at][0], line[1])]
            case 1:
                lines.insert(at, line)
            case 2:
                lines.insert(at, lines[at])
            case _ if len(lines) > 1:
                del lines[at]

    def _mutated(self, data: bytes) -> bytes:
        start = self.random.randrange(len(data) + 1)
        end = min(len(data), start + self.random.choice([0, 1, 2, 30]))
        middle = self.random.choice(
            [b"", data[start:end] * 2, self.random.randbytes(end - start), b"\r\n", b"\n", b"\0"]
        )
        return data[:start] + middle + data[end:] if data else b""

    def _pieces(self, data: bytes) -> list[bytes]:
        cuts = sorted(self.random.randrange(len(data) + 1) for _ in range(self.random.choice([0, 0, 0, 1, 3])))
        return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def _unsigned(_: bytes) -> dict[str, str]:
    return {}


def _standard(content: bytes) -> dict[str, str]:
    try:
        return standard_headers([Secret(SECRET)], f"msg_{hashlib.sha256(content).hexdigest()}", NOW, content)
    except UnicodeDecodeError:
        return {}  # its library signs text only


def _stripe(content: bytes) -> dict[str, str]:
    return {"stripe-signature": f"t={NOW},v1={stripe_signature(KEY.encode(), str(NOW), content)}"}


def _slack(content: bytes) -> dict[str, str]:
    now = str(NOW)
    return {"x-slack-request-timestamp": now, "x-slack-signature": slack_signature(KEY.encode(), now, content)}


_SIGNED: Mapping[str, Callable[[bytes], dict[str, str]]] = {
    "/standard": _standard,
    "/github": lambda content: {"x-hub-signature-256": github_signature(KEY.encode(), content)},
    "/stripe": _stripe,
    "/slack": _slack,
    "/hmac": lambda content: {"x-own": OWN.sign(KEY.encode(), content)},
    "/bearer": lambda _: {"authorization": f"Bearer {KEY}"},
}
