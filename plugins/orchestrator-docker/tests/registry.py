"""Two registries of one image, for everybody and for `USER` alone; run inside an engine's network as a program.

The image is large enough for its pull to have a progress.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import json
import os
import platform
import sys
import tarfile
import threading
from http import HTTPStatus
from pathlib import Path

OPEN, CLOSED = "127.0.0.1:5000", "127.0.0.1:5001"
"""Where they listen; of registries on its own host an engine demands no TLS."""

USER, PASSWORD = "puller", "hunter2"

_ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_AUTHORIZED = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _layer() -> bytes:
    """Return a layer that no other image has: what an engine has already it does not pull."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in (("noise", os.urandom(4 << 20)), ("bin/busybox", Path("/bin/busybox").read_bytes())):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    blobs: dict[str, bytes]
    manifest: bytes

    def do_GET(self) -> None:
        """Answer the four questions of a pull."""
        path = self.path.removeprefix("/v2/")
        reference = path.rpartition("/")[2]
        if self.headers["Host"] == CLOSED and self.headers["Authorization"] != _AUTHORIZED:
            self._answer(HTTPStatus.UNAUTHORIZED, _error("UNAUTHORIZED"), "application/json")
        elif not path:
            self._answer(HTTPStatus.OK, b"{}", "application/json")
        elif "/manifests/" in path and reference in {"1", _digest(self.manifest)}:
            self._answer(HTTPStatus.OK, self.manifest, _MANIFEST)
        elif "/blobs/" in path and reference in self.blobs:
            self._answer(HTTPStatus.OK, self.blobs[reference], "application/octet-stream")
        else:
            self._answer(HTTPStatus.NOT_FOUND, _error("MANIFEST_UNKNOWN"), "application/json")

    do_HEAD = do_GET  # noqa: N815 (the name that http.server looks for)

    def _answer(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Docker-Content-Digest", _digest(content))
        if status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", 'Basic realm="registry"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


def _error(code: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}).encode()


def serve(ready: Path) -> None:
    """Serve until the program is ended; write the image's digest to a file once there is an answer."""
    layer = _layer()
    rootfs = {"type": "layers", "diff_ids": [_digest(layer)]}
    config = json.dumps({"architecture": _ARCHITECTURE, "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    _Handler.blobs = {_digest(each): each for each in (layer, config)}
    described = [{"mediaType": kind, "size": len(each), "digest": _digest(each)} for each, kind in (
        (config, "application/vnd.docker.container.image.v1+json"),
        (layer, "application/vnd.docker.image.rootfs.diff.tar.gzip"),
    )]  # fmt: skip
    _Handler.manifest = json.dumps(
        {"schemaVersion": 2, "mediaType": _MANIFEST, "config": described[0], "layers": described[1:]}
    ).encode()
    servers = [http.server.ThreadingHTTPServer((host, int(port)), _Handler)
               for host, _, port in (each.partition(":") for each in (OPEN, CLOSED))]  # fmt: skip
    ready.with_suffix(".part").write_text(_digest(_Handler.manifest))
    ready.with_suffix(".part").rename(ready)
    threading.Thread(target=servers[0].serve_forever, daemon=True).start()
    servers[1].serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
