"""The process `python`: a Python function that is called once for an event."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import anyio
import attrs
from anyio import from_thread, to_thread

from orchestrator_core import (
    JSON,
    AttemptContext,
    ConfigurationError,
    Event,
    EventError,
    OrchestratorError,
    ProcessStatus,
    ProcessType,
    dump_json,
    hookimpl,
)

_REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


class NotJsonError(OrchestratorError):
    """A function has returned something that is not JSON."""


@attrs.frozen(kw_only=True)
class PythonFunction:
    """Calls a Python function with each event and its context.

    What the function returns goes to the processes downstream: ``None``, any JSON value, or a `ProcessStatus`. An
    ``async def`` runs on the event loop and must not block it. A plain ``def`` runs in a thread of its own, which can't
    be stopped: when its time is up the attempt is over, but the function runs on until it returns, logs, emits, or asks
    ``anyio.from_thread.check_cancelled()``.

    The module is imported when the engine starts. It may be installed, or stand in `directory`, which is at the end of
    ``sys.path`` for as long as the process is in use. A changed module is seen after a restart.

    Attributes:
        function: ``module:function``.
        directory: where else to look for the module; the folder of the configuration file if it is not given there.
    """

    function: str = attrs.field()
    directory: Path = attrs.field(default=Path(), converter=Path)
    _loaded: list[Callable[..., Any]] = attrs.field(init=False, factory=list, repr=False, eq=False)

    @function.validator
    def _check_function(self, _attribute: object, value: str) -> None:
        if not _REFERENCE.fullmatch(value):
            raise ConfigurationError(f'function must be "module:function", such as "steps:cleanse", found {value!r}')

    async def __aenter__(self) -> Self:
        sys.path.append(self._folder)
        try:
            self._loaded.append(await to_thread.run_sync(self._load))
        except BaseException:
            self._leave_path()
            raise
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        self._loaded.clear()
        self._leave_path()

    def _leave_path(self) -> None:
        # The last one is ours: the same folder may be there for other reasons, or for another process.
        for index in reversed(range(len(sys.path))):
            if sys.path[index] == self._folder:
                del sys.path[index]
                return

    async def check(self) -> None:
        """Raise if the function can't be imported, or can't be called with an event and a context."""
        if not self._loaded:
            async with self:
                pass

    async def run(self, event: Event, context: AttemptContext) -> ProcessStatus | None:
        """Call the function."""
        (function,) = self._loaded
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
            result = await function(event, context)
        else:
            # A limiter of its own: a function that hangs must not take a thread from anybody, and the engine limits us.
            (result,) = await to_thread.run_sync(
                lambda: _call(function, event, _ThreadContext(context)),
                abandon_on_cancel=True,
                limiter=anyio.CapacityLimiter(1),
            )
            if inspect.isawaitable(result):
                result = await result
        return self._status(result)

    @property
    def _folder(self) -> str:
        return str(self.directory.absolute())

    def _load(self) -> Callable[..., Any]:
        name, _, path = self.function.partition(":")
        try:
            found: Any = import_module(name)
            self._refuse_a_namesake(found, name)
            for attribute in path.split("."):
                found = getattr(found, attribute)
        except ConfigurationError:
            raise
        # The module is foreign code: whatever its import raises, its sys.exit() included, is told with its name.
        except (Exception, SystemExit) as error:
            raise ConfigurationError(
                f'function "{self.function}" can\'t be imported: {type(error).__name__}: {error}'
            ) from error
        if inspect.isgeneratorfunction(found) or inspect.isasyncgenfunction(found):
            raise ConfigurationError(f'function "{self.function}" is a generator: return the output instead')
        try:
            inspect.signature(found).bind(None, None)
        except TypeError as error:
            raise ConfigurationError(
                f'function "{self.function}" can\'t be called with (event, context): {error}'
            ) from error
        return found  # type: ignore[no-any-return]

    def _refuse_a_namesake(self, module: Any, name: str) -> None:  # noqa: ANN401 (any module)
        beside = self.directory.absolute() / name.replace(".", "/")
        candidates = [beside.with_suffix(".py"), beside / "__init__.py"]
        standing = next((file.resolve() for file in candidates if file.is_file()), None)
        origin = getattr(module, "__file__", None)
        if standing is not None and (origin is None or Path(origin).resolve() != standing):
            raise ConfigurationError(
                f'"{name}" is {origin or "built in"}, which hides {standing}: give the latter another name'
            )

    def _status(self, result: Any) -> ProcessStatus | None:  # noqa: ANN401 (whatever the function returned)
        if result is None or isinstance(result, ProcessStatus):
            return result
        try:
            dump_json(result)
        except EventError as error:
            kind = type(result).__name__
            raise NotJsonError(
                f"{self.function} returned a value of type {kind}, which can't go downstream: {error}"
            ) from error
        return ProcessStatus(output=result)


def _call(function: Callable[..., Any], event: Event, context: AttemptContext) -> list[Any]:
    """Call a function in its thread, and return what it returned in a list: trio refuses a coroutine by itself."""
    try:
        return [function(event, context)]
    # Its own, as signals go to the main thread; on the loop it would end the program.
    except KeyboardInterrupt as error:
        raise RuntimeError("the function raised KeyboardInterrupt") from error


@attrs.frozen
class _ThreadContext:
    """The attempt's context for a function in a thread: what changes the attempt is done on the event loop's thread."""

    _context: AttemptContext

    @property
    def delivery_id(self) -> str:
        return self._context.delivery_id

    @property
    def attempt(self) -> int:
        return self._context.attempt

    @property
    def deadline(self) -> float:
        return self._context.deadline

    @property
    def process(self) -> str:
        return self._context.process

    @property
    def outputs(self) -> Mapping[str, JSON]:
        return self._context.outputs

    def log(self, line: str) -> None:
        from_thread.check_cancelled()
        from_thread.run_sync(self._context.log, line)

    def emit(self, event: Event) -> None:
        from_thread.check_cancelled()
        from_thread.run_sync(self._context.emit, event)


@hookimpl
def orchestrator_register_processes() -> list[ProcessType]:
    """Register the process."""
    return [ProcessType("python", PythonFunction, summary="Calls a Python function once for an event")]
