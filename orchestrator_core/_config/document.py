"""Read a TOML file: its values by `tomllib`, the line and column of each by tree-sitter, both within limits."""

from __future__ import annotations

import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import tree_sitter_toml
from tree_sitter import Language, Node, Parser

from orchestrator_core._config.problems import Keys

SIZE_LIMIT = 256 * 1024
PARTS_LIMIT = 32
DEPTH_LIMIT = 32
_NUMBER_LIMIT = 80

_LANGUAGE = Language(tree_sitter_toml.language())
_KEY = frozenset({"bare_key", "quoted_key", "dotted_key"})
_NO_VALUE = frozenset({"comment", "ERROR"})
_NESTING = frozenset({"array", "inline_table"})
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


class UnreadableError(Exception):
    """The file can't be read as TOML at all.

    Attributes:
        message: what is wrong.
        hint: what to do about it.
        at: line and column, if the file could be read so far.
    """

    def __init__(self, message: str, hint: str = "", at: tuple[int, int] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.at = at


@attrs.frozen
class Places:
    """Where the keys and values of a document stand.

    Attributes:
        source: the text's bytes, in which the offsets count.
        keys: the offset of each key.
        values: the offset of each value.
    """

    source: bytes
    keys: Mapping[Keys, int]
    values: Mapping[Keys, int]

    def key(self, keys: Keys) -> tuple[int, int]:
        """Return line and column of a key, or of the nearest table around it that is in the file."""
        return self._position(keys, self.keys)

    def value(self, keys: Keys) -> tuple[int, int]:
        """Return line and column of a value, or of the nearest table around it that is in the file."""
        return self._position(keys, self.values)

    def _position(self, keys: Keys, offsets: Mapping[Keys, int]) -> tuple[int, int]:
        while keys and keys not in offsets:
            keys, offsets = keys[:-1], self.keys
        return position(self.source, offsets[keys] if keys else 0)


@attrs.frozen
class Document:
    """A parsed TOML document.

    Attributes:
        values: what `tomllib` made of it.
        places: where each of them stands.
    """

    values: dict[str, Any]
    places: Places


def read(path: Path) -> bytes:
    """Return the content of a configuration file.

    Raises:
        UnreadableError: it is missing, not a file, too large or may not be read.
    """
    try:
        # Asked first: opening a FIFO waits for its writer.
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableError("not a file", "name a TOML file")
        with path.open("rb") as file:
            content = file.read(SIZE_LIMIT + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableError(f"can't be read: {reason}", "name a TOML file that is there and may be read") from error
    return content


def parse(content: bytes) -> Document:
    """Parse TOML within the limits on size, key parts, nesting and digits.

    Raises:
        UnreadableError: over a limit, not UTF-8 or not TOML.
    """
    if len(content) > SIZE_LIMIT:
        raise UnreadableError(f"larger than {SIZE_LIMIT // 1024} KiB", "move data out of the configuration")
    source = content.removeprefix(b"\xef\xbb\xbf")
    text = _decode(source)
    root = Parser(_LANGUAGE).parse(source).root_node
    # Before tomllib looks: it takes seconds over a key of many parts, and ends in a RecursionError where values nest.
    _check_limits(root, source)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(str(error), source) from error
    except RecursionError as error:
        raise UnreadableError(f"values nested deeper than {DEPTH_LIMIT}", "write it in fewer levels") from error
    except ValueError as error:
        raise UnreadableError(f"not TOML: {error}") from error
    return Document(values, _places(root, source))


def parse_value(text: str) -> Any:  # noqa: ANN401 (whatever the text spells)
    """Return the TOML value that a text spells.

    Raises:
        UnreadableError: it spells none.
    """
    values = parse(b"value = " + text.encode(errors="surrogatepass")).values
    if values.keys() != {"value"}:
        raise UnreadableError("more than one value")
    return values["value"]


def position(source: bytes, offset: int) -> tuple[int, int]:
    """Return line and column, both from 1, the column in characters."""
    start = source.rfind(b"\n", 0, offset) + 1
    return source.count(b"\n", 0, offset) + 1, len(source[start:offset].decode(errors="replace")) + 1


def _decode(source: bytes) -> str:
    if source.startswith(_WIDE_BOMS):
        raise UnreadableError("this is UTF-16 or UTF-32", "save the file as UTF-8", (1, 1))
    try:
        return source.decode()
    except UnicodeDecodeError as error:
        message = f"not UTF-8: byte 0x{source[error.start]:02x} at offset {error.start}"
        raise UnreadableError(message, "save the file as UTF-8", position(source, error.start)) from error


def _syntax_error(message: str, source: bytes) -> UnreadableError:
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message, re.DOTALL)
    if not found:
        return UnreadableError(f"not TOML: {message}")
    what, line, column = found.groups()
    again = "twice" in what or "overwrite" in what or "redefine" in what
    hint = "it stands in the file already: give each table and key a name of its own" if again else ""
    at = (int(line), int(column)) if line else position(source, len(source))
    return UnreadableError(f"not TOML: {what}", hint, at)


def _check_limits(root: Node, source: bytes) -> None:
    """Walk the tree without recursion, so that the tree itself can be of any depth."""
    cursor = root.walk()
    path: list[str] = []
    parts = depth = 0
    while True:
        node = cursor.node
        assert node is not None
        kind = node.type
        parts = parts + (kind == "dotted_key")
        depth = depth + (kind in _NESTING)
        if parts >= PARTS_LIMIT:
            message = f"a key of more than {PARTS_LIMIT} dotted parts"
            raise UnreadableError(message, "write it in fewer", position(source, node.start_byte))
        if depth > DEPTH_LIMIT:
            message = f"values nested deeper than {DEPTH_LIMIT}"
            raise UnreadableError(message, "write it in fewer levels", position(source, node.start_byte))
        if kind in {"integer", "float"} and node.end_byte - node.start_byte > _NUMBER_LIMIT:
            message = f"a number of more than {_NUMBER_LIMIT} digits"
            raise UnreadableError(message, "write it as text", position(source, node.start_byte))
        path.append(kind)
        if cursor.goto_first_child():
            continue
        while True:
            left = path.pop()
            parts -= left == "dotted_key"
            depth -= left in _NESTING
            if cursor.goto_next_sibling():
                break
            if not cursor.goto_parent():
                return


def _places(root: Node, source: bytes) -> Places:
    walk = _Walk(source)
    for node in root.children:
        if node.type == "pair":
            walk.pair(node, ())
        elif node.type in {"table", "table_array_element"}:
            walk.table(node)
    return Places(source, walk.keys, walk.values)


class _Walk:
    """Gathers the offsets; what it does not understand it leaves out, and a problem there is shown further outside."""

    def __init__(self, source: bytes) -> None:
        self.keys: dict[Keys, int] = {}
        self.values: dict[Keys, int] = {}
        self._source = source
        self._lengths: dict[Keys, int] = {}

    def table(self, node: Node) -> None:
        header = next((child for child in node.children if child.type in _KEY), None)
        if header is None:
            return
        keys: Keys = ()
        *outer, (last, offset) = self._parts(header)
        for name, start in outer:
            keys = self._into((*keys, name), start)
        keys = (*keys, last)
        if node.type == "table_array_element":
            self._lengths[keys] = self._lengths.get(keys, 0) + 1
        keys = self._into(keys, offset)
        for child in node.children:
            if child.type == "pair":
                self.pair(child, keys)

    def pair(self, node: Node, keys: Keys) -> None:
        parts = [child for child in node.children if child.is_named and child.type not in _NO_VALUE]
        if len(parts) != len(("key", "value")):
            return
        key, value = parts
        for name, offset in self._parts(key):
            keys = (*keys, name)
            self._add(keys, offset)
        self._value(value, keys)

    def _value(self, node: Node, keys: Keys) -> None:
        self.values[keys] = node.start_byte
        if node.type == "inline_table":
            for child in node.children:
                if child.type == "pair":
                    self.pair(child, keys)
        elif node.type == "array":
            elements = [child for child in node.children if child.is_named and child.type not in _NO_VALUE]
            for index, child in enumerate(elements):
                self.keys[(*keys, index)] = child.start_byte
                self._value(child, (*keys, index))

    def _into(self, keys: Keys, offset: int) -> Keys:
        """Note a table's key; of an array of tables, the last one is meant."""
        self._add(keys, offset)
        if keys in self._lengths:
            keys = (*keys, self._lengths[keys] - 1)
            self._add(keys, offset)
        return keys

    def _add(self, keys: Keys, offset: int) -> None:
        self.keys.setdefault(keys, offset)
        self.values.setdefault(keys, offset)

    def _parts(self, node: Node) -> list[tuple[str, int]]:
        return [(self._name(leaf), leaf.start_byte) for leaf in _leaves(node)]

    def _name(self, leaf: Node) -> str:
        text = self._source[leaf.start_byte : leaf.end_byte].decode()
        return text if leaf.type == "bare_key" else next(iter(tomllib.loads(f"{text} = 0")))


def _leaves(node: Node) -> Iterator[Node]:
    if node.type == "dotted_key":
        for child in node.children:
            if child.type in _KEY:
                yield from _leaves(child)
    else:
        yield node
