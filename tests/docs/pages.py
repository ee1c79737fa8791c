"""The pages that people read, and the code blocks in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import attrs
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
_FILE = re.compile(r"<!-- file: (\S+) -->")


def pages() -> list[Path]:
    """Return every page of the project that may hold code."""
    found = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("examples/*/README.md"),
        *ROOT.glob("plugins/*/README.md"),
    ]
    return sorted(page for page in found if "_build" not in page.parts)


def page_id(page: Path) -> str:
    """Name a page in a test's id."""
    return str(page.relative_to(ROOT))


@attrs.frozen
class Block:
    """One fenced block.

    Attributes:
        page: where it stands.
        line: the line of its fence, from 1.
        language: what stands behind the fence.
        text: its content.
        file: the name to save it under, from a comment ``<!-- file: NAME -->`` in front of it.
    """

    page: Path
    line: int
    language: str
    text: str
    file: str | None

    def __str__(self) -> str:
        return f"{page_id(self.page)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page in order."""
    file: str | None = None
    for token in MarkdownIt().parse(page.read_text("utf-8")):
        if token.type == "html_block":
            match = _FILE.search(token.content)
            file = match[1] if match else None
        elif token.type == "fence":
            line = token.map[0] + 1 if token.map else 0
            yield Block(page, line, token.info.strip(), token.content, file)
            file = None
