"""What a container may not ask of its host, unless the pipeline says ``allow_privileged = true``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from orchestrator_core import ConfigurationError

_OPEN = "set allow_privileged = true under [pipeline] if this pipeline is to have such rights over its host"

# Those that Docker gives to every container by default; the rest reaches beyond the container.
_HARMLESS = frozenset({
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW",
    "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
})  # fmt: skip

_SOCKETS = (
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/run/crio/crio.sock",
)
_KERNEL = ("/proc", "/sys", "/dev")
_SYSTEM = ("/boot", "/etc", "/root", "/var/lib/docker", "/var/lib/containerd")


def refuse_capabilities(capabilities: Sequence[str]) -> None:
    """Refuse capabilities that reach beyond the container.

    Raises:
        ConfigurationError: one does.
    """
    for each in capabilities:
        if each.upper().removeprefix("CAP_") not in _HARMLESS:
            raise ConfigurationError(f"cap_add: {each} reaches beyond the container: {_OPEN}")


def refuse_network(network: str) -> None:
    """Refuse a network that is not the container's own.

    Raises:
        ConfigurationError: it is the host's or another container's.
    """
    if network == "host" or network.startswith(("container:", "ns:")):
        raise ConfigurationError(f'network: "{network}" is not the container\'s own: {_OPEN}')


def refuse(option: str, what: str) -> None:
    """Refuse an option that is for privileged pipelines only.

    Raises:
        ConfigurationError: always.
    """
    raise ConfigurationError(f"{option}: {what}: {_OPEN}")


def bind_source(source: str, directory: Path, engine: str, *, is_privileged: bool) -> str:
    """Return the path of the host that a bind mount shows, every link in it followed.

    Args:
        source: as it was configured.
        directory: what a relative path is relative to.
        engine: the engine's address; its socket is never shown.
        is_privileged: whether the pipeline may have rights over its host.

    Raises:
        ConfigurationError: it may not be shown.
    """
    if ".." in Path(source).parts:
        raise ConfigurationError(f'source: "{source:.100}" goes up by "..": write the path that is meant')
    if "\0" in source:
        raise ConfigurationError("source: a path can't hold a NUL character")
    try:
        path = os.path.realpath(directory / source)
    except OSError as error:
        raise ConfigurationError(f'source: "{source:.100}" can\'t be followed: {error}') from error
    if not is_privileged and any(_is_under(path, each) for each in (*_KERNEL, *_SYSTEM)):
        refuse("source", f'"{source:.100}" is part of the host\'s own system')
    for socket in (*_SOCKETS, *([engine.removeprefix("unix://")] if engine.startswith("unix://") else ())):
        if _shows(path, os.path.realpath(socket)):
            raise ConfigurationError(f'source: "{source:.100}" shows {socket}, which hands out the whole host')
    if Path(path).is_socket():
        raise ConfigurationError(f'source: "{source:.100}" is a socket')
    return path


def _shows(path: str, inner: str) -> bool:
    """Tell whether a folder holds something, however deep, or is it."""
    return _is_under(inner, path)


def _is_under(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
