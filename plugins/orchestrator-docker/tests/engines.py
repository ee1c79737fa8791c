"""A real Docker Engine of the tests' own: started with its own folders and socket, stopped by its process id."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import docker

IMAGE = "orchestrator-test/busybox:1"
_START_SECONDS = 60.0
_STOP_SECONDS = 60.0
_APPLETS = (
    "base64 cat chmod grep date dd echo env false head id kill ln ls mkdir mount nc printf rm seq sh sleep stat "
    "tail test touch tr true wc wget yes"
)


class EngineMissing(Exception):  # noqa: N818 (a state of the machine, not an error of the code)
    """There is no Docker Engine to be started here."""


class Dockerd:
    """One engine in a folder and a network of its own, with containerd beside it as on a server.

    Two engines in one network would share a bridge and a set of firewall rules. Where nobody collects orphans, a
    containerd that a killed engine had started would stay a zombie, and keep the next engine from starting.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.socket = folder / "docker.sock"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._companions: list[subprocess.Popen[bytes]] = []

    @property
    def host(self) -> str:
        """What goes into `DOCKER_HOST`."""
        return f"unix://{self.socket}"

    @property
    def client(self) -> Any:
        """A new SDK client."""
        return docker.APIClient(base_url=self.host, version="auto", timeout=60)

    def start(self) -> Self:
        """Start it and wait until it answers."""
        if not self._companions:
            self._start_companions()
        (self.folder / "pid").unlink(missing_ok=True)
        self._process = self._spawn(
            "nsenter", f"--net=/proc/{self._companions[0].pid}/ns/net", "dockerd",
            "--data-root", str(self.folder / "data"), "--exec-root", str(self.folder / "exec"),
            "--pidfile", str(self.folder / "pid"), "--containerd", str(self.folder / "containerd.sock"),
            "-H", self.host, *self._options,
        )  # fmt: skip
        end = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise EngineMissing(f"dockerd does not start: {self._last_words()}")
            time.sleep(0.05)
        return self

    def inside(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a program in the engine's network, to be ended with it."""
        program = self._spawn("nsenter", f"--net=/proc/{self._companions[0].pid}/ns/net", *command)
        self._companions.append(program)
        return program

    def _start_companions(self) -> None:
        network = self._spawn("unshare", "--net", "sh", "-c", "ip link set lo up; touch $0; exec sleep infinity",
                              str(self.folder / "network"))  # fmt: skip
        self._companions.append(network)
        containerd = self._spawn("containerd", "--config", "/dev/null", "--root", str(self.folder / "containerd"),
                                 "--state", str(self.folder / "state"), "--address",
                                 str(self.folder / "containerd.sock"))  # fmt: skip
        self._companions.append(containerd)
        end = time.monotonic() + _START_SECONDS
        while not ((self.folder / "network").exists() and (self.folder / "containerd.sock").exists()):
            if time.monotonic() > end:
                raise EngineMissing(f"containerd does not start: {self._last_words()}")
            time.sleep(0.02)

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )  # fmt: skip

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send the engine a signal; unless that stops or wakes it, wait for its end."""
        assert self._process is not None
        self._process.send_signal(number)
        if number not in {signal.SIGSTOP, signal.SIGCONT}:
            self._process.wait(_STOP_SECONDS)

    def stop(self) -> None:
        """End the engine and everything it has started."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(Exception):
                self.remove_all()
            self.kill(signal.SIGTERM)
        for each in self._companions:
            each.kill()
            each.wait(_STOP_SECONDS)
        _end_shims(self.folder)
        for mount in _mounts_below(self.folder):
            subprocess.run(["umount", "-l", mount], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def limit_disk(self, megabytes: int) -> None:
        """Give the engine a small disk of its own for its data; before it is started."""
        (self.folder / "data").mkdir()
        size = f"size={megabytes}m"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(self.folder / "data")], check=True)

    def fill_disk(self) -> None:
        """Leave no room on the engine's disk; once more, if ended containers have given some back."""
        with contextlib.suppress(OSError), self._filler.open("ab", buffering=0) as filler:
            while filler.write(bytes(1 << 12)):
                pass

    def free_disk(self) -> None:
        """Make room again."""
        self._filler.unlink()

    @property
    def _filler(self) -> Path:
        return self.folder / "data" / "filler"

    def remove_all(self) -> None:
        """Remove every container."""
        client = self.client
        for each in client.containers(all=True, quiet=True):
            with contextlib.suppress(docker.errors.APIError):
                client.remove_container(each["Id"], v=True, force=True)
        client.close()

    def load_image(self) -> None:
        """Make the test image from the machine's static busybox."""
        client = self.client
        client.import_image_from_data(_busybox(), repository=IMAGE.split(":", maxsplit=1)[0], tag="1")
        client.close()

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as line, contextlib.suppress(OSError):
            line.settimeout(5)
            line.connect(str(self.socket))
            line.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in line.recv(64)
        return False

    def _last_words(self) -> str:
        return " / ".join((self.folder / "log").read_text(errors="replace").splitlines()[-3:])


@contextlib.contextmanager
def engine(*options: str, image: bool = True, megabytes: int = 0) -> Iterator[Dockerd]:
    """Run an engine with the test image, and a disk of its own if it is to have only so many megabytes.

    Its folder is short, since the path of a socket must be.
    """
    if shutil.which("dockerd") is None or not Path("/bin/busybox").exists():
        raise EngineMissing("install docker.io and busybox-static")
    if os.geteuid() != 0:
        raise EngineMissing("dockerd needs root")
    dockerd = Dockerd(Path(tempfile.mkdtemp(prefix="od-", dir="/tmp")), *options)
    try:
        if megabytes:
            dockerd.limit_disk(megabytes)
        dockerd.start()
        if image:
            dockerd.load_image()
        yield dockerd
    finally:
        dockerd.stop()


def _busybox() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder in ("bin", "tmp", "etc"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            archive.addfile(entry)
        archive.add("/bin/busybox", "bin/busybox")
        for applet in _APPLETS.split():
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(entry)
        users = b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"
        entry = tarfile.TarInfo("etc/passwd")
        entry.size = len(users)
        archive.addfile(entry, io.BytesIO(users))
    return buffer.getvalue()


def _end_shims(folder: Path) -> None:
    """End what is left of the containers: their shims, which are named by our folder."""
    for pid in _processes_of(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _processes_of(folder: Path) -> Sequence[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes().split(b"\0")
            if b"containerd" in command[0] and any(str(folder).encode() in each for each in command):
                found.append(int(entry.name))
    return found


def _mounts_below(folder: Path) -> Sequence[str]:
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return sorted((each for each in mounts if each.startswith(f"{folder}/")), key=len, reverse=True)
