"""The contract suites themselves: whole, and able to fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from orchestrator_core import Event, EventError, InputContext, Process, ProcessExitStatus, ProcessStatus
from orchestrator_core.testing import InputContract, JournalContract, ProcessContract

EVENT = Event(location="t", operation="create", id="1", trigger="in")
_SUITES = [JournalContract, InputContract, ProcessContract]


def own_tests(suite: type) -> list[tuple[str, Any]]:
    """Return every test of a suite's parts, also those that another part hides."""
    parts = [part for part in suite.__mro__ if part.__module__.startswith("orchestrator_core.")]
    return [(name, found) for part in parts for name, found in vars(part).items() if name.startswith("test_")]


@pytest.mark.parametrize("suite", _SUITES, ids=lambda suite: suite.__name__)
def test_no_test_hides_another(suite: type) -> None:
    """Two parts of a suite never use one name. Catches: a test that is never run."""
    names = Counter(name for name, _ in own_tests(suite))
    assert [] == [name for name, count in names.items() if count > 1]


@pytest.mark.parametrize("suite", _SUITES, ids=lambda suite: suite.__name__)
def test_every_test_says_what_it_catches(suite: type) -> None:
    """A test names the mistake that it would find."""
    assert [] == [name for name, found in own_tests(suite) if "Catches: " not in (found.__doc__ or "")]


@pytest.mark.parametrize("suite", _SUITES, ids=lambda suite: suite.__name__)
def test_a_suite_is_not_run_by_itself(suite: type) -> None:
    """Pytest collects classes called Test…; importing a suite into a test module must not run it there."""
    assert not suite.__name__.startswith("Test")


class _Keeping:
    """A process that keeps what it took when it is cancelled."""

    def __init__(self) -> None:
        self._only = anyio.Semaphore(1)

    async def run(self, event: Event, context: object) -> None:
        await self._only.acquire()
        await anyio.sleep_forever()


class _Returning:
    """A process that returns whatever the test says."""

    def __init__(self, result: object) -> None:
        self._result = result

    async def run(self, event: Event, context: object) -> Any:
        return self._result

    async def check(self) -> None:
        """Nothing can be wrong with it."""


class _Impatient(ProcessContract):
    timeout = 0.2


@pytest.mark.anyio
@pytest.mark.parametrize(
    "result",
    ["done", 0, ProcessStatus(status=ProcessExitStatus.FAIL), ProcessStatus(output=object())],  # type: ignore[arg-type]
    ids=["text", "number", "failure", "output that is not JSON"],
)
async def test_a_wrong_result_is_found(result: object) -> None:
    """The process suite fails on a return value that the engine would not take for success."""
    with pytest.raises((AssertionError, EventError)):
        await ProcessContract().test_succeeds(_Returning(result), EVENT)


@pytest.mark.anyio
async def test_a_process_that_keeps_what_it_took_is_found() -> None:
    """The process suite fails when a cancelled attempt leaves the component unusable."""
    with pytest.raises(TimeoutError):
        await _Impatient().test_ends_when_cancelled(_Keeping(), EVENT, 8)


class _Source:
    """An input over a list, with the faults that a test gives it."""

    def __init__(
        self, *, acknowledges_first: bool = False, random_uids: bool = False, listens_late: bool = False
    ) -> None:
        self.waiting: list[int] = []
        self._seen = 0
        self._acknowledges_first = acknowledges_first
        self._random_uids = random_uids
        self._listens_late = listens_late

    async def run(self, context: InputContext) -> None:
        context.ready()
        if self._listens_late:
            await anyio.wait_all_tasks_blocked()
            self.waiting.clear()
        while True:
            while self.waiting:
                number = self.waiting.pop(0) if self._acknowledges_first else self.waiting[0]
                uid = None if self._random_uids else str(number)
                await context.emit(Event(location="t", operation="create", id=str(number), uid=uid))
                if not self._acknowledges_first:
                    self.waiting.remove(number)
            context.caught_up()
            await context.sleep(1)

    async def check(self) -> None:
        """Nothing can be wrong with it."""

    async def happen(self) -> None:
        self._seen += 1
        self.waiting.append(self._seen)


class _Hasty(InputContract):
    timeout = 0.2
    replayable = True


@asynccontextmanager
async def found() -> AsyncIterator[None]:
    """Expect a test of a suite to fail, by an assertion or because what it waits for never comes."""
    with pytest.raises((AssertionError, TimeoutError)):
        yield


@pytest.mark.anyio
async def test_an_input_that_acknowledges_first_is_found() -> None:
    """The input suite fails when an event that was refused is lost."""
    source = _Source(acknowledges_first=True)
    async with found():
        await _Hasty().test_refused_event_is_emitted_again(source, source.happen)


@pytest.mark.anyio
async def test_random_uids_are_found() -> None:
    """The input suite fails when an event comes back as another one."""
    source = _Source(random_uids=True)
    async with found():
        await _Hasty().test_lost_reply_is_absorbed(source, source.happen)


@pytest.mark.anyio
async def test_an_input_that_is_not_ready_when_it_says_so_is_found() -> None:
    """The input suite fails when what happens right after "ready" is missed."""
    source = _Source(listens_late=True)
    async with found():
        await _Hasty().test_emits_what_happens(source, source.happen)


class TestListSource(InputContract):
    """An input without faults passes."""

    replayable = True

    @pytest.fixture
    def component(self) -> _Source:
        """An input over a list."""
        return _Source()

    @pytest.fixture
    def happen(self, component: _Source) -> Callable[[], Awaitable[None]]:
        """Append to the list."""
        return component.happen


class TestReturning(ProcessContract):
    """A process without faults passes."""

    @pytest.fixture
    def component(self) -> Process:
        """A process that returns a success."""
        return _Returning(ProcessStatus(output={"rows": 3}))

    @pytest.fixture
    def event(self) -> Event:
        """Any event."""
        return EVENT
