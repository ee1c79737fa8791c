"""Values that stand elsewhere: ``{ env = "X" }``, with an optional default, and ``{ file = "/path" }``."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from orchestrator_core._config.problems import Finding, Keys, quote

FILE_LIMIT = 64 * 1024
_SHORTEST_HIDDEN = 4
_NAME_A_FILE = "name a file that holds the value"
_FORMS = (frozenset({"env"}), frozenset({"env", "default"}), frozenset({"file"}))


class Mistake(ValueError):  # noqa: N818 (a report rather than a failure)
    """A value is not what its place expects.

    Attributes:
        message: what is wrong, and what was expected.
        hint: what to do about it.
        found: what was there instead; apart from the message, as it may be a secret in the wrong place.
        inside: where inside the value it is.
    """

    def __init__(self, message: str, hint: str = "", *, found: str = "", inside: Keys = ()) -> None:
        super().__init__(f"{message}, found {found}" if found else message)
        self.message = message
        self.hint = hint
        self.found = found
        self.inside = inside


@attrs.frozen
class Reference:
    """A table that may stand for a value. Whether it does depends on what its place expects.

    Attributes:
        keys: where it stands.
        table: the table as it is written.
    """

    keys: Keys
    table: Mapping[str, Any]

    def __str__(self) -> str:
        kind = "env" if "env" in self.table else "file"
        return f"{{ {kind} = {quote(self.table[kind])} }}"


def mark(value: Any, keys: Keys = ()) -> Any:  # noqa: ANN401 (any TOML value)
    """Return a copy in which every table of a reference's form is a `Reference`."""
    if isinstance(value, dict):
        if value.keys() in _FORMS and isinstance(value.get("env", value.get("file")), str):
            return Reference(keys, value)
        return {key: mark(each, (*keys, key)) for key, each in value.items()}
    if isinstance(value, list):
        return [mark(each, (*keys, index)) for index, each in enumerate(value)]
    return value


@attrs.define
class Resolver:
    """Reads references, and remembers what must not be shown.

    Attributes:
        environ: the environment.
        folder: relative files are inside this folder.
        hidden: what the references held.
        warnings: what is odd about them, though they could be read.
    """

    environ: Mapping[str, str] = attrs.field(factory=lambda: os.environ, repr=False)
    folder: Path = attrs.field(factory=Path)
    hidden: set[str] = attrs.field(factory=set, init=False, repr=False)
    warnings: dict[Keys, Finding] = attrs.field(factory=dict, init=False)

    def read(self, reference: Reference, *, secret: bool = False) -> Any:  # noqa: ANN401 (a default is any TOML value)
        """Return what a reference stands for: text, or its default as it is written.

        Args:
            reference: what to read.
            secret: whether it is expected to be a secret, so that a file that everybody may read is worth a warning.

        Raises:
            Mistake: there is nothing to be read.
        """
        table = reference.table
        if "file" in table:
            text = self._file(reference, secret=secret)
        elif table["env"] in self.environ:
            text = self.environ[table["env"]]
        elif "default" in table:
            return table["default"]
        else:
            name = quote(table["env"])
            raise Mistake(f"the environment variable {name} is not set", "set it, or give a default beside env")
        self.hide(text)
        return text

    def hide(self, text: str) -> None:
        """Keep a text out of every message."""
        # Hiding each "8" or "on" would make riddles of the messages.
        if len(text) >= _SHORTEST_HIDDEN:
            self.hidden.add(text)

    def _file(self, reference: Reference, *, secret: bool) -> str:
        name = reference.table["file"]
        path = self._locate(name)
        try:
            content, mode = _read(path)
            text = content.decode()
        except OSError as error:
            raise Mistake(f"{quote(path)} can't be read: {error.strerror}", _NAME_A_FILE) from error
        except UnicodeDecodeError as error:
            raise Mistake(f"{quote(path)} is not UTF-8 text", _NAME_A_FILE) from error
        if secret and mode & stat.S_IROTH:
            message = f"everybody may read {quote(path)}"
            self.warnings[reference.keys] = Finding(reference.keys, message, f"chmod o= {path}", severity="warning")
        return text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")

    def _locate(self, name: str) -> Path:
        if "\0" in name or not name:
            raise Mistake(f"{quote(name)} is no file's name", _NAME_A_FILE)
        folder = os.path.realpath(self.folder)
        path = Path(folder, name)
        if not Path(name).is_absolute() and not Path(real := os.path.realpath(path)).is_relative_to(folder):
            raise Mistake(f"{quote(name)} leads out of the configuration's folder", f"to mean it, write {quote(real)}")
        return path


def _read(path: Path) -> tuple[bytes, int]:
    # Without waiting: a FIFO has no end, and it may have become one between a look and the opening.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise Mistake(f"{quote(path)} is not a file", _NAME_A_FILE)
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(FILE_LIMIT + 1)
    finally:
        os.close(descriptor)
    if len(content) > FILE_LIMIT:
        raise Mistake(f"{quote(path)} is larger than {FILE_LIMIT // 1024} KiB", _NAME_A_FILE)
    return content, mode
