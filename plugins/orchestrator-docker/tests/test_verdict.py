"""What the end of a container means for its delivery."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import pytest

from orchestrator_core import Reject, RetryLater
from orchestrator_docker import ContainerNonZeroExit, ContainerStartError, ContainerTimeoutError
from orchestrator_docker._containers import Container
from orchestrator_docker._naming import Owner
from orchestrator_docker._verdict import has_fallen, judge

ENDED = Container(
    id="c",
    name="orchestrator-k1-7.0",
    owner=Owner(delivery_id="k1-7.0", attempt=1, process="job", deadline=1_000.0),
    status="exited",
    is_running=False,
    exit_code=0,
    is_out_of_memory=False,
    error="",
    finished_at=500.0,
)


def verdict(*, lost_contact: bool = False, last_words: str = "", **changes: Any) -> Exception | None:
    """Return what an end is raised as, ``None`` for a success."""
    try:
        judge(
            attrs.evolve(ENDED, **changes),
            image="i",
            last_words=last_words,
            lost_contact=lost_contact,
            retry_after=timedelta(seconds=30),
        )
    except Exception as error:  # noqa: BLE001 (it is what the test is about)
        return error
    return None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (0, type(None)),
        (1, ContainerNonZeroExit),
        (75, RetryLater),
        (64, Reject),
        (65, Reject),
        (78, Reject),
        (125, ContainerNonZeroExit),
        (126, ContainerNonZeroExit),
        (127, ContainerNonZeroExit),
        (137, ContainerNonZeroExit),
        (139, ContainerNonZeroExit),
        (255, ContainerNonZeroExit),
    ],
)
def test_exit_code(code: int, kind: type) -> None:
    """Each code has one meaning."""
    assert kind is type(verdict(exit_code=code))


@pytest.mark.parametrize(
    ("code", "words"), [(137, "SIGKILL"), (139, "SIGSEGV"), (143, "SIGTERM"), (3, "boom")], ids=str
)
def test_d86_error_says_why(code: int, words: str) -> None:
    """D86: a signal is named, and the container's last words are repeated."""
    assert words in str(verdict(exit_code=code, last_words="boom"))


def test_d86_out_of_memory_is_told_from_a_kill() -> None:
    """D86: 137 by the kernel's memory killer says what to do."""
    assert "raise `memory`" in str(verdict(exit_code=137, is_out_of_memory=True))


def test_d86_engine_restart_is_no_failure() -> None:
    """D86: a container that went down with the engine is run again without counting as a failure."""
    assert RetryLater is type(verdict(exit_code=137, lost_contact=True))


@pytest.mark.parametrize(
    ("code", "kind"), [(1, ContainerNonZeroExit), (64, Reject), (65, Reject), (78, Reject), (139, ContainerNonZeroExit)]
)
def test_exit_code_means_the_same_after_a_restart(code: int, kind: type) -> None:
    """A code that no engine ends a container with is the job's own. Catches: a failure that is never counted."""
    assert kind is type(verdict(exit_code=code, lost_contact=True))


def test_exit_code_75_keeps_its_delay_after_a_restart() -> None:
    """A job that asks to be run later is, after the time that was configured."""
    error = verdict(exit_code=75, lost_contact=True)
    assert isinstance(error, RetryLater)
    assert timedelta(seconds=30) == error.after


def test_out_of_memory_is_a_failure_even_then() -> None:
    """What the kernel ended for its memory would end so again."""
    assert ContainerNonZeroExit is type(verdict(exit_code=137, lost_contact=True, is_out_of_memory=True))


def test_success_counts_even_after_a_restart() -> None:
    """A container that ended well under an engine that came back has succeeded."""
    assert verdict(lost_contact=True) is None


def test_ended_at_its_deadline() -> None:
    """A container that was ended by a signal at its deadline has timed out."""
    assert ContainerTimeoutError is type(verdict(exit_code=137, finished_at=1_000.5))


@pytest.mark.parametrize("finished_at", [None, -62135596800.0, 1e12], ids=["never", "year 1", "far future"])
def test_d95_any_clock(finished_at: float | None) -> None:
    """D95: an exit code of its own means the same whatever the engine's clock says."""
    assert ContainerNonZeroExit is type(verdict(exit_code=1, finished_at=finished_at))


def test_container_that_never_started() -> None:
    """What kept it from starting is the reason."""
    assert ContainerStartError is type(verdict(exit_code=127, error="no such file"))


@pytest.mark.parametrize(
    ("changes", "fallen"),
    [
        ({"exit_code": 137}, True),
        ({"exit_code": 143}, True),
        ({"exit_code": 255}, True),
        ({"exit_code": 0}, False),
        ({"exit_code": 1}, False),
        ({"exit_code": 137, "is_out_of_memory": True}, False),
        ({"exit_code": 137, "finished_at": 1_001.0}, False),
    ],
)
def test_fallen(changes: dict[str, Any], fallen: bool) -> None:
    """Killed, terminated or without a code while nobody looked: its job is not known to have been done."""
    assert fallen is has_fallen(attrs.evolve(ENDED, **changes))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("0001-01-01T00:00:00Z", None),
        ("2026-11-23T07:15:28.501815814Z", 1795418128.501815),
        ("2026-11-23T08:15:28.5+01:00", 1795418128.5),
        ("", None),
        ("yesterday", None),
    ],
)
def test_d95_moments(text: str, moment: float | None) -> None:
    """D95: the engine's "never" is none, and fractions are kept."""
    state = {"Status": "exited", "Running": False, "ExitCode": 0, "FinishedAt": text}
    found = Container.read({"Id": "c", "Name": "/n", "Config": {"Labels": None}, "State": state})
    assert moment == found.finished_at
