"""An engine that gives recorded answers, for what a real one can't be made to say."""

from __future__ import annotations

import contextlib
import json
import socketserver
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
from unix_server import UnixServer

Answer = bytes
"""All that goes over the connection."""

Script = Mapping[str, Answer | Callable[[], Answer]]
"""What an engine answers, by what the request's first line holds; the first that fits counts."""

LABELS = {
    "orchestrator-engine.delivery": "delivery-1",
    "orchestrator-engine.attempt": "1",
    "orchestrator-engine.process": "process",
    "orchestrator-engine.deadline": "4102444800.0",
}
"""What the delivery's container says of its owner."""

VERSION = {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24", "Os": "linux", "Arch": "amd64"}


def answer(content: object, status: int = 200) -> Answer:
    """Return an answer of JSON."""
    body = json.dumps(content).encode()
    head = f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close"
    return head.encode() + b"\r\n\r\n" + body


def raw(body: bytes, *head: str, status: int = 200) -> Answer:
    """Return an answer with this body, and a head of these lines."""
    return "\r\n".join([f"HTTP/1.1 {status} x", *head, "Connection: close"]).encode() + b"\r\n\r\n" + body


def chunked(*lines: bytes) -> Answer:
    """Return an answer that comes line by line."""
    chunks = [b"%x\r\n%s\r\n\r\n" % (len(line) + 2, line) for line in lines]
    return raw(b"".join([*chunks, b"0\r\n\r\n"]), "Transfer-Encoding: chunked")


def container(*, deadline: float = 4_102_444_800.0, **state: Any) -> Answer:
    """Return what `inspect` says of the delivery's container."""
    labels = {**LABELS, "orchestrator-engine.deadline": str(deadline)}
    known = {"Status": "running", "Running": True, "ExitCode": 0, "FinishedAt": "0001-01-01T00:00:00Z", **state}
    return answer({"Id": "c1", "Name": "/orchestrator-delivery-1", "Config": {"Labels": labels}, "State": known})


def log(*lines: bytes, is_cut: bool = False) -> Answer:
    """Return a log of these lines, each with its moment; cut, its end is missing."""
    contents = [b"2026-01-01T00:00:0%d.000000000Z %s\n" % each for each in enumerate(lines)]
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(content) + 8, struct.pack(">B3xL", 1, len(content)) + content) for content in contents
    )
    return raw(chunks if is_cut else chunks + b"0\r\n\r\n", "Transfer-Encoding: chunked")


def ended(*logs: Answer) -> Script:
    """Return an engine whose container has ended, and whose log is answered like this, the last one from then on."""
    logs = logs or (log(),)
    answers = iter(logs)
    return {
        "/create": answer({"Id": "c1"}, 201),
        "/start": raw(b"", status=204),
        "/logs": lambda: next(answers, logs[-1]),
        "/json": container(Status="exited", Running=False),
    }


def runs_until_killed(over: Answer, said: Answer) -> Script:
    """Return an engine whose container runs until it is sent a signal.

    Args:
        over: what `inspect` says from then on.
        said: its log.
    """
    is_killed = False

    def kill() -> Answer:
        nonlocal is_killed
        is_killed = True
        return raw(b"", status=204)

    return {
        "/create": answer({"Id": "c1"}, 201),
        "/start": raw(b"", status=204),
        "/kill": kill,
        "/logs": said,
        "/json": lambda: over if is_killed else container(),
    }


@attrs.define
class Recorded:
    """An engine that answers by script.

    Attributes:
        socket: where it listens.
        answers: what it says.
        asked: the first lines of all requests.
        heads: the other lines of their heads.
    """

    socket: Path
    answers: Script
    asked: list[str] = attrs.field(factory=list)
    heads: list[list[str]] = attrs.field(factory=list)

    @property
    def host(self) -> str:
        """What goes into `DOCKER_HOST`."""
        return f"unix://{self.socket}"

    def answer_to(self, line: str) -> Answer:
        """Return what to say to a request."""
        self.asked.append(line)
        if "/version" in line and "/version" not in self.answers:
            return answer(VERSION)
        found = next((each for part, each in self.answers.items() if part in line), answer({"message": "?"}, 404))
        return found if isinstance(found, bytes) else found()


@contextlib.contextmanager
def recorded(socket: Path, answers: Script) -> Iterator[Recorded]:
    """Run an engine that answers by script."""
    engine = Recorded(socket, answers)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            line = self.rfile.readline().decode()
            heads: list[str] = []
            length = 0
            while (head := self.rfile.readline()) not in {b"\r\n", b""}:
                heads.append(head.decode())
                if head.lower().startswith(b"content-length:"):
                    length = int(head.split(b":")[1])
            self.rfile.read(length)
            engine.heads.append(heads)
            with contextlib.suppress(OSError):
                self.wfile.write(engine.answer_to(line))

    with contextlib.closing(UnixServer(socket, Handler)):
        yield engine


Serve = Callable[[Script], contextlib.AbstractContextManager[Recorded]]
"""Runs an engine that answers by script."""
