"""Names and labels: how a container says whose it is.

Docker lets one container at a time bear a name, so a name that is a function of the delivery is a lock per host: two
attempts of one delivery can't run side by side on it, whoever starts them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Self

import attrs

PREFIX = "orchestrator-engine."
"""What the keys of our labels begin with."""

INSTALL = PREFIX + "install"
DELIVERY = PREFIX + "delivery"
ATTEMPT = PREFIX + "attempt"
PROCESS = PREFIX + "process"
DEADLINE = PREFIX + "deadline"
KEEP = PREFIX + "keep"
WARM = PREFIX + "warm"

_SAFE = re.compile(r"[a-zA-Z0-9_.-]{1,200}", re.ASCII)


def name_of(delivery_id: str) -> str:
    """Return the name of a delivery's container.

    >>> name_of("k3f09a1c-1042.1")
    'orchestrator-k3f09a1c-1042.1'
    """
    if _SAFE.fullmatch(delivery_id):
        return f"orchestrator-{delivery_id}"
    return f"orchestrator-sha256-{hashlib.sha256(delivery_id.encode()).hexdigest()}"


def install_of(delivery_id: str) -> str:
    """Return the installation that a delivery belongs to: its journal, by the name that its ids begin with.

    A journal is what knows a delivery's fate, so its name and no folder or host tells whose containers are whose.
    """
    return delivery_id.rpartition("-")[0] or delivery_id


@attrs.frozen(kw_only=True)
class Owner:
    """Whose container it is, as its labels say.

    Attributes:
        delivery_id: the delivery.
        attempt: the attempt that made it.
        process: the process's name in the pipeline.
        deadline: when it is to be ended, in seconds since 1970 UTC.
        keep: whether it is kept when its result is recorded: ``never``, ``failed`` or ``always``.
    """

    delivery_id: str
    attempt: int
    process: str
    deadline: float
    keep: str = "never"

    @property
    def install(self) -> str:
        """The journal that knows the delivery."""
        return install_of(self.delivery_id)

    def labels(self) -> Mapping[str, str]:
        """Return the labels."""
        return {
            INSTALL: self.install,
            DELIVERY: self.delivery_id,
            ATTEMPT: str(self.attempt),
            PROCESS: self.process,
            DEADLINE: f"{self.deadline:.3f}",
            KEEP: self.keep,
        }

    @classmethod
    def read(cls, labels: Mapping[str, str]) -> Self | None:
        """Return the owner that labels speak of, ``None`` if they are not ours."""
        try:
            return cls(
                delivery_id=labels[DELIVERY],
                attempt=int(labels[ATTEMPT]),
                process=labels[PROCESS],
                deadline=float(labels[DEADLINE]),
                keep=labels.get(KEEP, "never"),
            )
        except (KeyError, ValueError):
            return None
