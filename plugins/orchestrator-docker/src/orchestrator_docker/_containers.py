"""What the engine says of containers, read into values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

import attrs

from orchestrator_docker._naming import Owner


@attrs.frozen(kw_only=True)
class Container:
    """A container as ``inspect`` shows it.

    Attributes:
        id: the engine's id of it.
        name: its name, without the slash.
        owner: whose it is; ``None`` if it is not ours.
        status: ``created``, ``running``, ``paused``, ``exited``, …
        is_running: whether it has processes, paused ones included.
        exit_code: what it ended with.
        is_out_of_memory: whether the kernel ended it because of its memory.
        error: why the engine could not start it.
        finished_at: when it ended by the engine's clock, in seconds since 1970 UTC; ``None`` if it has not.
    """

    id: str
    name: str
    owner: Owner | None
    status: str
    is_running: bool
    exit_code: int
    is_out_of_memory: bool
    error: str
    finished_at: float | None

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> Self:
        """Read the answer of ``inspect``."""
        state = answer["State"]
        return cls(
            id=answer["Id"],
            name=answer["Name"].removeprefix("/"),
            owner=Owner.read(answer["Config"].get("Labels") or {}),
            status=state["Status"],
            is_running=bool(state["Running"]) or bool(state.get("Restarting")),
            exit_code=int(state["ExitCode"]),
            is_out_of_memory=bool(state.get("OOMKilled")),
            error=state.get("Error") or "",
            finished_at=_moment(state.get("FinishedAt") or ""),
        )

    @classmethod
    def started(cls, container: str, name: str, owner: Owner) -> Self:
        """Return what a container is that was started a moment ago, without asking the engine again.

        Args:
            container: the engine's id of it.
            name: its name.
            owner: whose it is.
        """
        return cls(
            id=container, name=name, owner=owner, status="running", is_running=True,
            exit_code=0, is_out_of_memory=False, error="", finished_at=None,
        )  # fmt: skip

    def after(self, code: int) -> Self:
        """Return it as if it had ended with the exit code of a command that ran in it."""
        return attrs.evolve(self, status="exited", is_running=False, exit_code=code, error="", finished_at=None)

    @property
    def never_ran(self) -> bool:
        """Whether it was created and not started yet."""
        return self.status == "created"


@attrs.frozen(kw_only=True)
class Listed:
    """A container of ours as ``ps`` shows it.

    Attributes:
        id: the engine's id of it.
        name: its name, without the slash.
        image: its image.
        owner: whose it is; ``None`` if it is kept warm for attempts to come.
        labels: all its labels.
        state: ``created``, ``running``, ``paused``, ``exited``, …
        status: the same in the engine's words, such as ``Up 3 minutes``.
        created_at: when it was made by the engine's clock, in seconds since 1970 UTC.
    """

    id: str
    name: str
    image: str
    owner: Owner | None
    labels: Mapping[str, str]
    state: str
    status: str
    created_at: float

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> Self:
        """Read one entry of the engine's list."""
        labels = answer.get("Labels") or {}
        return cls(
            id=answer["Id"],
            name=(answer.get("Names") or ["/"])[0].removeprefix("/"),
            image=answer.get("Image") or "",
            owner=Owner.read(labels),
            labels=labels,
            state=answer["State"],
            status=answer.get("Status") or "",
            created_at=float(answer.get("Created") or 0),
        )

    @property
    def is_running(self) -> bool:
        """Whether it has processes, paused ones included."""
        return self.state in {"running", "paused", "restarting"}


def _moment(text: str) -> float | None:
    """Read a moment; the engine writes the year 1 for "never"."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.timestamp() if moment.year > 1 else None
    except (ValueError, OverflowError):
        return None
