"""The process `python`, with real modules in a folder."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import anyio
import pytest

from orchestrator_core import JSON, ConfigurationError, Event, HopLimitError, Operation, ProcessStatus, Reject
from orchestrator_core._plugins import Plugins
from orchestrator_core.builtin.python import NotJsonError, PythonFunction
from orchestrator_core.testing import FakeAttemptContext

pytestmark = pytest.mark.anyio

EVENT = Event(location="public.rain", operation=Operation.CREATE, id="7", trigger="raw", data={"mm": 2})


@pytest.fixture
def context() -> FakeAttemptContext:
    """The context of an attempt."""
    return FakeAttemptContext(delivery_id="d-1", outputs={"clean": [1]})


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Callable[[str], PythonFunction]]:
    """Write ``steps.py`` into the configuration's folder, and return the process of its function ``step``."""

    def write(code: str) -> PythonFunction:
        (tmp_path / "steps.py").write_text(dedent(code))
        return PythonFunction(function="steps:step", directory=tmp_path)

    yield write
    for name, loaded in list(sys.modules.items()):
        if str(getattr(loaded, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


async def run(process: PythonFunction, context: FakeAttemptContext) -> ProcessStatus | None:
    """Enter the process and run it once."""
    with anyio.fail_after(30):
        async with process:
            return await process.run(EVENT, context)


@pytest.mark.parametrize("define", ["async def", "def"])
async def test_a_function_is_called_with_the_event_and_the_context(
    module: Callable[[str], PythonFunction], context: FakeAttemptContext, define: str
) -> None:
    """Whether it is asynchronous or not."""
    process = module(f"""
        {define} step(event, context):
            context.log(f"{{event.id}} {{context.delivery_id}} {{context.attempt}} {{context.process}}")
            context.emit(event.derive(id="8"))
            return {{"data": event.data, "outputs": dict(context.outputs), "deadline": context.deadline}}
    """)
    status = await run(process, context)
    expected: JSON = {"data": {"mm": 2}, "outputs": {"clean": [1]}, "deadline": context.deadline}
    assert ProcessStatus(output=expected) == status
    assert ["7 d-1 1 process"] == context.lines
    assert ["8"] == [event.id for event in context.emitted]


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ("None", None),
        ("ProcessStatus(name='me', output=1)", ProcessStatus(name="me", output=1)),
        ("{'a': [1, 2.5, None, True]}", ProcessStatus(output={"a": [1, 2.5, None, True]})),
        ("0", ProcessStatus(output=0)),
        ("''", ProcessStatus(output="")),
    ],
)
async def test_what_a_function_returns_is_the_output(
    module: Callable[[str], PythonFunction], context: FakeAttemptContext, returned: str, expected: ProcessStatus | None
) -> None:
    """Nothing, a status, or any JSON."""
    code = f"from orchestrator_core import ProcessStatus\ndef step(event, context): return {returned}"
    assert expected == await run(module(code), context)


@pytest.mark.parametrize("returned", ["object()", "{'a': {1}}", "float('nan')", "b'bytes'", "{1: 'a', (2,): 3}"])
async def test_what_is_not_json_is_a_failure(
    module: Callable[[str], PythonFunction], context: FakeAttemptContext, returned: str
) -> None:
    """The error names the function and the type."""
    with pytest.raises(NotJsonError, match="steps:step returned a value of type "):
        await run(module(f"def step(event, context): return {returned}"), context)


@pytest.mark.parametrize("define", ["async def", "def"])
async def test_what_a_function_raises_is_the_attempts_end(
    module: Callable[[str], PythonFunction], context: FakeAttemptContext, define: str
) -> None:
    """It reaches the engine as it is."""
    code = f"from orchestrator_core import Reject\n{define} step(event, context): raise Reject('negative rain')"
    with pytest.raises(Reject, match="negative rain"):
        await run(module(code), context)


async def test_a_keyboard_interrupt_of_a_thread_is_a_failure(
    module: Callable[[str], PythonFunction], context: FakeAttemptContext
) -> None:
    """It is the function's own, as signals go to the main thread. Catches: one function that ends the program."""
    with pytest.raises(RuntimeError, match="the function raised KeyboardInterrupt"):
        await run(module("def step(event, context): raise KeyboardInterrupt"), context)


async def test_a_function_that_is_not_async_does_not_block_the_loop(
    module: Callable[[str], PythonFunction], context: FakeAttemptContext
) -> None:
    """It runs in a thread of its own, and two of them at a time."""
    process = module("""
        import threading
        both = threading.Barrier(2)

        def step(event, context):
            both.wait(20)
            return threading.current_thread() is threading.main_thread()
    """)
    statuses = []

    async def attempt() -> None:
        statuses.append(await process.run(EVENT, context))

    async with process, anyio.create_task_group() as tasks:
        tasks.start_soon(attempt)
        tasks.start_soon(attempt)
    assert [ProcessStatus(output=False)] * 2 == statuses


async def test_a_function_in_a_thread_changes_the_attempt_on_the_loops_thread(
    module: Callable[[str], PythonFunction],
) -> None:
    """The engine's contexts, and the observers behind them, are not made for threads."""
    threads = []

    class Noting(FakeAttemptContext):
        def log(self, line: str) -> None:
            threads.append(threading.current_thread())

        def emit(self, event: Event) -> None:
            threads.append(threading.current_thread())

    await run(module("def step(event, context): context.log('a'), context.emit(event)"), Noting())
    assert [threading.current_thread()] * 2 == threads


async def test_an_error_of_the_context_reaches_the_function(
    module: Callable[[str], PythonFunction], context: FakeAttemptContext
) -> None:
    """An event that was derived too often is refused inside the thread."""
    process = module("""
        def step(event, context):
            for _ in range(20):
                event = event.derive()
            context.emit(event)
    """)
    with pytest.raises(HopLimitError):
        await run(process, context)


async def test_a_function_that_hangs_does_not_hold_up_the_engine(
    module: Callable[[str], PythonFunction], context: FakeAttemptContext
) -> None:
    """When its time is up the attempt is over, and the function ends at its next word to the context."""
    process = module("""
        import threading
        started, go_on, ended = threading.Event(), threading.Event(), threading.Event()

        def step(event, context):
            started.set()
            go_on.wait(20)
            try:
                context.log("too late")
            finally:
                ended.set()
    """)
    async with process:
        steps = sys.modules["steps"]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(process.run, EVENT, context)
            assert await anyio.to_thread.run_sync(steps.started.wait, 20)
            tasks.cancel_scope.cancel()
        steps.go_on.set()
        assert await anyio.to_thread.run_sync(steps.ended.wait, 20)
    assert [] == context.lines


async def test_functions_that_hang_leave_threads_for_others(
    module: Callable[[str], PythonFunction], context: FakeAttemptContext
) -> None:
    """The event loop's default allows 40 threads: more than that may hang here."""
    process = module("""
        import threading
        started, go_on = threading.Semaphore(0), threading.Event()

        def step(event, context):
            started.release()
            go_on.wait(20)
    """)
    async with process:
        steps = sys.modules["steps"]
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(process.run, EVENT, context)
            for _ in range(50):
                assert await anyio.to_thread.run_sync(steps.started.acquire, True, 20)
            steps.go_on.set()


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("class Step:\n    async def __call__(self, e, c): return 1\nstep = Step()", id="async-object"),
        pytest.param("class Step:\n    def __call__(self, e, c): return 1\nstep = Step()", id="object"),
        pytest.param("async def later(): return 1\ndef step(e, c): return later()", id="returns-awaitable"),
        pytest.param(
            "import functools\nasync def f(x, e, c): return x\nstep = functools.partial(f, 1)", id="async-partial"
        ),
        pytest.param("def step(*arguments): return 1", id="any-arguments"),
    ],
)
async def test_ways_to_be_a_function(
    module: Callable[[str], PythonFunction], context: FakeAttemptContext, code: str
) -> None:
    """Whatever can be called with an event and a context."""
    assert ProcessStatus(output=1) == await run(module(code), context)


async def test_a_method_is_found_by_a_path(
    module: Callable[[str], PythonFunction], tmp_path: Path, context: FakeAttemptContext
) -> None:
    """`module:object.method`."""
    module("class Steps:\n    @staticmethod\n    def one(event, context): return 1")
    assert ProcessStatus(output=1) == await run(PythonFunction(function="steps:Steps.one", directory=tmp_path), context)


async def test_a_module_may_import_its_neighbours_late(
    module: Callable[[str], PythonFunction], tmp_path: Path, context: FakeAttemptContext
) -> None:
    """The folder is on the path for as long as the process is in use."""
    (tmp_path / "neighbour.py").write_text("value = 3")
    process = module("""
        def step(event, context):
            import neighbour
            return neighbour.value
    """)
    assert ProcessStatus(output=3) == await run(process, context)


async def test_the_path_is_left_as_it_was(module: Callable[[str], PythonFunction], context: FakeAttemptContext) -> None:
    """After the process is out of use, and after an import that failed."""
    before = list(sys.path)
    await run(module("def step(event, context): ..."), context)
    with pytest.raises(ConfigurationError):
        await PythonFunction(function="steps:missing").check()
    assert before == sys.path


async def test_installed_modules_come_first(tmp_path: Path, context: FakeAttemptContext) -> None:
    """A file beside the configuration shadows nothing; the function wanted is an installed one."""
    (tmp_path / "json.py").write_text("raise AssertionError")
    process = PythonFunction(function="orchestrator_core:Event.derive", directory=tmp_path)
    with pytest.raises(ConfigurationError, match=r"can't be called with \(event, context\)"):
        await run(process, context)


async def test_a_file_that_an_installed_module_hides_is_refused(tmp_path: Path) -> None:
    """Which of the two is meant nobody can say; running the wrong one would be worse."""
    (tmp_path / "json.py").write_text("def loads(event, context): ...")
    with pytest.raises(ConfigurationError, match=r'"json" is .*json/__init__\.py, which hides .*/json\.py'):
        await PythonFunction(function="json:loads", directory=tmp_path).check()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("", "module 'steps' has no attribute 'step'"),
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("def step(event, context:", "SyntaxError"),
        ("raise RuntimeError('no luck')", "RuntimeError: no luck"),
        ("import sys; sys.exit('done')", "SystemExit: done"),
        ("step = 7", "can't be called with (event, context)"),
        ("def step(event): ...", "can't be called with (event, context): too many positional arguments"),
        ("def step(event, context, more): ...", "missing a required argument: 'more'"),
        ("def step(event, context): yield", "is a generator"),
        ("async def step(event, context): yield", "is a generator"),
    ],
)
async def test_the_check_finds_a_function_that_can_not_be_called(
    module: Callable[[str], PythonFunction], code: str, message: str
) -> None:
    """Before the first event; the error names the function."""
    with pytest.raises(ConfigurationError) as caught:
        await module(code).check()
    assert str(caught.value).startswith('function "steps:step" ')
    assert message in str(caught.value)


async def test_the_check_leaves_a_process_in_use_alone(
    module: Callable[[str], PythonFunction], context: FakeAttemptContext
) -> None:
    """It may be asked at any time."""
    process = module("def step(event, context): return 1")
    async with process:
        await process.check()
        assert ProcessStatus(output=1) == await process.run(EVENT, context)


@pytest.mark.parametrize("reference", ["", "steps", "steps:", ":step", "steps.step", "a b:c", "steps:step()", "../x:y"])
async def test_a_reference_that_is_none_is_refused(reference: str) -> None:
    """When the component is made."""
    with pytest.raises(ConfigurationError, match='function must be "module:function"'):
        PythonFunction(function=reference)


async def test_it_is_found_by_its_entry_point() -> None:
    """`type = "python"`, as anybody's."""
    assert PythonFunction is Plugins.load(["python"]).processes["python"].factory
