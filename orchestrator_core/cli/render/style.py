"""How things look: the colours of states, and `Look`, what the place that is written to can show."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, TextIO

import attrs

from orchestrator_core._delivery import DeliveryState
from orchestrator_core._plugins import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PLAIN", "STATE_STYLES", "Look", "one_line"]

_CODES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "magenta": 35, "cyan": 36}

STATE_STYLES: Mapping[DeliveryState, str] = {
    DeliveryState.WAITING: "dim",
    DeliveryState.READY: "yellow",
    DeliveryState.RUNNING: "cyan",
    DeliveryState.DONE: "green",
    DeliveryState.DEAD: "red",
    DeliveryState.SKIPPED: "dim",
    DeliveryState.CANCELLED: "dim",
    DeliveryState.PARKED: "magenta",
}
"""The colour of each state, by the names that rich uses too."""


@attrs.frozen
class Look:
    """What the place that is written to can show.

    Attributes:
        colour: whether to use colours.
        width: columns of the terminal; ``None`` elsewhere, where nothing is shortened or wrapped.
    """

    colour: bool = False
    width: int | None = None

    @classmethod
    def of(cls, stream: TextIO, environ: Mapping[str, str] = os.environ) -> Look:
        """Find out for a stream; ``NO_COLOR`` (https://no-color.org) and a dumb terminal switch colours off."""
        if not stream.isatty():
            return cls()
        colour = not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        return cls(colour, shutil.get_terminal_size().columns)

    def paint(self, text: str, style: str) -> str:
        """Return the text with the escape codes of a style such as ``bold red``, or as it is."""
        if not self.colour or not style:
            return text
        codes = ";".join(str(_CODES[part]) for part in style.split())
        return f"\x1b[{codes}m{text}\x1b[0m"


PLAIN = Look()
"""Off a terminal."""
