"""Options that are tables of their own, and how sizes are written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import attrs

from orchestrator_core import ConfigurationError, Secret

_VOLUME = re.compile(r"[a-zA-Z0-9][\w.-]*", re.ASCII)
_UNITS = {"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_size(name: str, text: str) -> int | None:
    """Return a size in bytes, ``None`` for an empty text.

    >>> parse_size("memory", "512m")
    536870912

    Raises:
        ConfigurationError: it is none.
    """
    if not text:
        return None
    found = re.fullmatch(r"(\d{1,12})([bkmgt])(?:i?b)?", text.strip().casefold(), re.ASCII)
    if not found or not int(found[1]):
        raise ConfigurationError(f'{name}: expected a size such as "512m" or "2g", found "{text:.40}"')
    return int(found[1]) * _UNITS[found[2]]


def _secret(value: Secret | str) -> Secret:
    return value if isinstance(value, Secret) else Secret(value)


@attrs.frozen
class RegistryAuth:
    """Who pulls the image, where the Docker configuration does not say.

    Attributes:
        username: the account at the registry.
        password: its password or token.
    """

    username: str
    password: Secret = attrs.field(converter=_secret)

    def reveal(self) -> Mapping[str, str]:
        """Return it as the SDK wants it, for the one call that needs it."""
        return {"username": self.username, "password": self.password.reveal()}


@attrs.frozen(kw_only=True)
class Mount:
    """Something from outside that a container sees.

    Attributes:
        target: where the container sees it, an absolute path.
        source: of a ``bind``, a path of the engine's host, relative to the configuration file's folder; of a
            ``volume``, its name, or nothing for one that lives and dies with the container.
        type: ``bind``, ``volume`` or ``tmpfs``.
        read_only: whether the container may only read it.
        size: how large a ``tmpfs`` may grow, such as ``64m``.
    """

    target: str = attrs.field()
    source: str = ""
    type: Literal["bind", "volume", "tmpfs"] = attrs.field(
        default="bind", validator=attrs.validators.in_(("bind", "volume", "tmpfs"))
    )
    read_only: bool = False
    size: str = "64m"

    @target.validator
    def _check_target(self, _attribute: object, target: str) -> None:
        if not target.startswith("/") or ".." in Path(target).parts or "\0" in target:
            raise ConfigurationError(f'target: expected an absolute path without "..", found "{target:.100}"')
        if not target.strip("/."):
            raise ConfigurationError("target: a container's own root can't be covered")

    def __attrs_post_init__(self) -> None:
        if self.type == "bind" and not self.source:
            raise ConfigurationError("source is missing: a bind mount shows a path of the host")
        if self.type == "volume" and self.source and not _VOLUME.fullmatch(self.source):
            raise ConfigurationError(
                f'source: "{self.source:.100}" is no name of a volume; a path of the host is shown by type = "bind"'
            )
        if self.type == "tmpfs" and self.source:
            raise ConfigurationError("source: a tmpfs has none, it begins empty")
        parse_size("size", self.size)
