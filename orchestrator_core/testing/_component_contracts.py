"""`InputContract` and `ProcessContract`: what the engine expects of every component, as tests for a plugin's author."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, ClassVar

import anyio
import anyio.lowlevel
import attrs
import pytest

from orchestrator_core._contracts import Input, Process, ProcessExitStatus, ProcessStatus
from orchestrator_core._errors import JournalUnavailableError
from orchestrator_core._event import Event
from orchestrator_core._json import dump_json
from orchestrator_core.testing._contexts import FakeAttemptContext, FakeInputContext

_MOMENTS = (0, 1, 2, 3, 5, 8, 13, 21, 34)
"""After how many rounds of the event loop a component is cancelled; spread so as to hit many of its awaits."""


class _ComponentContract:
    """What inputs and processes have in common."""

    pytestmark = pytest.mark.anyio

    timeout: ClassVar[float] = 10.0
    """How many seconds anything here may take; more for a source or a job that is slow to start."""

    @pytest.fixture
    def component(self) -> Any:  # noqa: ANN401 (an input or a process)
        """Return your component, not entered yet."""
        pytest.fail("override the fixture component: it returns your component, ready to be entered and run")

    @pytest.fixture
    async def entered(self, component: Any) -> AsyncIterator[Any]:  # noqa: ANN401
        """Enter the component as the engine does: once, before first use, if it is an async context manager."""
        async with AsyncExitStack() as stack:
            if hasattr(component, "__aenter__"):
                await stack.enter_async_context(component)
            yield component

    async def test_check_passes(self, entered: Any) -> None:  # noqa: ANN401
        """While its surroundings are in order, ``check`` returns. Catches: a check that needs a run before it."""
        if not hasattr(entered, "check"):
            pytest.skip("the component has no check()")
        with anyio.fail_after(self.timeout):
            await entered.check()


class InputContract(_ComponentContract):
    """The tests that every input passes.

    Derive a test class, return your input from the fixture ``component``, and make things happen at its source in the
    fixture ``happen``::

        class TestSpool(InputContract):
            @pytest.fixture
            def component(self, tmp_path: Path) -> Spool:
                return Spool(tmp_path)

            @pytest.fixture
            def happen(self, tmp_path: Path) -> Callable[[], Awaitable[None]]:
                async def drop_a_file() -> None:
                    (tmp_path / f"{new_uid()}.json").write_text("{}")

                return drop_a_file

    Attributes:
        replayable: set it where the input's type says so: what was not accepted is emitted again by the next run.
        timeout: how many seconds anything here may take.
    """

    replayable: ClassVar[bool] = False

    @pytest.fixture
    def happen(self) -> Callable[[], Awaitable[None]]:
        """Return a function that makes one thing happen at the source, a different one at each call.

        For each, the input emits one event.
        """
        pytest.fail(
            "override the fixture happen: it returns an async function that makes one thing happen at the source"
        )

    async def test_is_an_input(self, component: Input) -> None:
        """It has an async ``run(context)``. Catches: a plain function under that name."""
        assert isinstance(component, Input)

    async def test_emits_what_happens(self, entered: Input, happen: Callable[[], Awaitable[None]]) -> None:
        """Once it says that it is ready, what happens is emitted. Catches: ready said before it listens."""
        context = FakeInputContext()
        with anyio.fail_after(self.timeout):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(entered.run, context)
                await context.until(lambda: context.is_ready)
                await happen()
                context.ask_for_a_look()
                event = await anext(context.accepted)
                tasks.cancel_scope.cancel()
        assert event.to_json()

    @pytest.mark.parametrize("rounds", _MOMENTS)
    async def test_ends_when_cancelled(self, entered: Input, rounds: int) -> None:
        """At any await it lets go, and can be run again. Catches: cancellation swallowed; state left half made."""
        for _ in range(2):
            with anyio.fail_after(self.timeout):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(entered.run, FakeInputContext())
                    for _ in range(rounds):
                        await anyio.lowlevel.checkpoint()
                    tasks.cancel_scope.cancel()

    async def test_runs_again_within_one_entry(self, entered: Input, happen: Callable[[], Awaitable[None]]) -> None:
        """After a failure the engine calls ``run`` again without leaving. Catches: resources that only one run has."""
        for _ in range(2):
            await self.test_emits_what_happens(entered, happen)

    async def test_refused_event_is_emitted_again(self, entered: Input, happen: Callable[[], Awaitable[None]]) -> None:
        """What the journal did not accept is still at the source. Catches: an acknowledgement before the acceptance."""
        if not self.replayable:
            pytest.skip("the input does not promise to be replayable")
        context = FakeInputContext()
        context.fail(JournalUnavailableError("the disk is full"))
        await happen()
        with anyio.fail_after(self.timeout):
            event = await self._first_accepted(entered, context)
        assert event.to_json()

    async def test_lost_reply_is_absorbed(self, entered: Input, happen: Callable[[], Awaitable[None]]) -> None:
        """What was accepted without the input hearing of it has the same uid the second time. Catches: random uids."""
        if not self.replayable:
            pytest.skip("the input does not promise to be replayable")
        context = FakeInputContext()
        context.fail(JournalUnavailableError("the reply was lost"), committed=True)
        await happen()
        with anyio.fail_after(self.timeout):
            await self._first_accepted(entered, context)
            await happen()
            context.ask_for_a_look()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_run_until_it_works, entered, context)
                await context.until(lambda: len({_content(event) for event in context.events}) == 2)
                tasks.cancel_scope.cancel()
        assert 2 == len(context.events)

    async def _first_accepted(self, component: Input, context: FakeInputContext) -> Event:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_run_until_it_works, component, context)
            event = await anext(context.accepted)
            tasks.cancel_scope.cancel()
        return event


def _content(event: Event) -> str:
    """Return what an event says, without what makes it this event."""
    return attrs.evolve(event, uid="-", time=datetime.fromtimestamp(0, UTC)).to_json()


async def _run_until_it_works(component: Input, context: FakeInputContext) -> None:
    """Start the input again when it raises because of the journal, as the engine does."""
    while True:
        try:
            await component.run(context)
        except JournalUnavailableError:
            continue
        return


class ProcessContract(_ComponentContract):
    """The tests that every process passes.

    Derive a test class, return your process from the fixture ``component``, and an event that it handles with success
    from the fixture ``event``::

        class TestEcho(ProcessContract):
            @pytest.fixture
            def component(self) -> Echo:
                return Echo()

            @pytest.fixture
            def event(self) -> Event:
                return Event(location="t", operation="create", id="1")

    Attributes:
        timeout: how many seconds anything here may take.
    """

    @pytest.fixture
    def event(self) -> Event:
        """Return an event that the process handles with success."""
        pytest.fail("override the fixture event: it returns an event that your process handles with success")

    async def test_is_a_process(self, component: Process) -> None:
        """It has an async ``run(event, context)``. Catches: a plain function under that name."""
        assert isinstance(component, Process)

    async def test_succeeds(self, entered: Process, event: Event) -> None:
        """It returns ``None`` or a success whose output is JSON. Catches: a return value that the engine refuses."""
        await self._run(entered, event, FakeAttemptContext())

    async def test_runs_again_for_the_same_delivery(self, entered: Process, event: Event) -> None:
        """A second attempt with the same delivery id is no error. Catches: a conflict with its own first."""
        for attempt in (1, 2):
            await self._run(entered, event, FakeAttemptContext(attempt=attempt))

    async def test_runs_several_at_a_time(self, entered: Process, event: Event) -> None:
        """Attempts of different deliveries do not disturb each other. Catches: state of a run kept on the process."""
        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(self._run, entered, event, FakeAttemptContext(delivery_id=f"delivery-{number}"))

    @pytest.mark.parametrize("rounds", _MOMENTS)
    async def test_ends_when_cancelled(self, entered: Process, event: Event, rounds: int) -> None:
        """At any await it lets go, and the next attempt succeeds. Catches: cancellation swallowed; a lock kept."""
        with anyio.fail_after(self.timeout):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(entered.run, event, FakeAttemptContext())
                for _ in range(rounds):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
        await self._run(entered, event, FakeAttemptContext(attempt=2))

    async def _run(self, component: Process, event: Event, context: FakeAttemptContext) -> None:
        with anyio.fail_after(self.timeout):
            status = await component.run(event, context)
        assert status is None or isinstance(status, ProcessStatus)
        if status is not None:
            assert ProcessExitStatus.SUCCESS is status.status, f"the logs are {status.logs}"
            assert dump_json(status.output)
