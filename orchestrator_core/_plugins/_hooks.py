"""What is wrong with a plugin's hooks and with what they return: all that pluggy lets pass in silence."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from orchestrator_core import hookspecs
from orchestrator_core._errors import message_of
from orchestrator_core._plugins._catalogue import NAME, one_line
from orchestrator_core.hookspecs import PLUGIN_API, InputType, JournalType, ProcessType, component_fields

HOOKS = tuple(name for name in vars(hookspecs) if name.startswith("orchestrator_"))
REGISTERS = tuple(name for name in HOOKS if name.startswith("orchestrator_register_"))

_TYPES = {
    "orchestrator_register_inputs": InputType,
    "orchestrator_register_processes": ProcessType,
    "orchestrator_register_journals": JournalType,
}
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_OWN_SCHEMES = frozenset({"memory", "sqlite"})


def describe(error: BaseException) -> str:
    """Return an exception as one line: its type and message, and those of a group's members."""
    if isinstance(error, BaseExceptionGroup):
        return f"{type(error).__name__} of {', '.join(describe(inner) for inner in error.exceptions)}"
    message = one_line(message_of(error))[:500]
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def wrong_hooks(module: ModuleType) -> Iterator[str]:
    """Name the misspelt, unmarked and asynchronous hooks of a module, and those with other parameters."""
    for name, function in list(vars(module).items()):
        if not inspect.isroutine(function):
            continue
        options = getattr(function, "orchestrator_core_impl", None)
        own = name.startswith("orchestrator_") and getattr(function, "__module__", None) == module.__name__
        if options is None and not own:
            continue
        hook = (options and options["specname"]) or name
        if hook in HOOKS:
            yield from _wrong_function(name, function, hook, marked=options is not None)
        elif not (options and options["optionalhook"]):
            near = difflib.get_close_matches(hook, HOOKS, 1, 0.5)
            yield f"{name} is no hook" + (
                f", did you mean {near[0]}?" if near else f", the hooks are {', '.join(HOOKS)}"
            )


def _wrong_function(name: str, function: Callable[..., object], hook: str, *, marked: bool) -> Iterator[str]:
    if not marked:
        yield f"{name} lacks @hookimpl"
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        yield f"{name} is async, but a hook is a plain function: what waits belongs into a component"
    elif inspect.isgeneratorfunction(function):
        yield f"{name} is a generator, but a hook is a plain function"
    expected = list(inspect.signature(getattr(hookspecs, hook)).parameters)
    found = inspect.signature(function).parameters
    if list(found) != expected or any(parameter.kind is parameter.KEYWORD_ONLY for parameter in found.values()):
        yield f"{name} has the wrong parameters: it is {hook}({', '.join(expected)})"


def wrong_list(hook: str, result: object) -> str | None:
    """Say what is wrong with what a registering hook has returned, ``None`` if nothing is."""
    if inspect.iscoroutine(result):
        result.close()
    kind = _type(hook)
    if not isinstance(result, list | tuple):
        return f"returned {_show(result)} where a list of {kind.__name__} is due"
    for item in result:
        if not isinstance(item, kind):
            return f"returned a list with {_show(item)} where {kind.__name__} is due"
        if hook in _TYPES and (problem := next(_wrong_type(item), None)):
            return f"returned {kind.__name__} {problem}"
    return None


def key(plugin: str, item: Any) -> str:  # noqa: ANN401 (any of the types that hooks return)
    """Return the name under which a pipeline finds what a plugin has registered."""
    if isinstance(item, JournalType):
        return item.scheme
    return plugin if item.name == plugin else f"{plugin}.{item.name}"


def _type(hook: str) -> type[Any]:
    if hook == "orchestrator_register_commands":
        import click  # noqa: PLC0415 (an engine without plugins' commands does without)

        return click.Command
    return _TYPES[hook]


def _wrong_type(item: Any) -> Iterator[str]:  # noqa: ANN401 (its annotations are what is not to be trusted here)
    is_journal = isinstance(item, JournalType)
    name, pattern = (item.scheme, _SCHEME) if is_journal else (item.name, NAME)
    if not isinstance(name, str) or not pattern.fullmatch(name):
        yield f"{_show(name)}, which does not match {pattern.pattern}"
    if is_journal and name in _OWN_SCHEMES:
        yield f'"{name}", which is the engine\'s own'
    if type(item.api) is not int or not PLUGIN_API - 1 <= item.api <= PLUGIN_API:
        yield f'"{name}" for plugin API {_show(item.api)}, but this engine supports {PLUGIN_API - 1} and {PLUGIN_API}'
    if not isinstance(item.summary, str) or not item.summary.isprintable():
        yield f'"{name}" with a summary that is not one printable line: {_show(item.summary)}'
    if not callable(item.factory):
        yield f'"{name}" with {_show(item.factory)} as its factory, which can\'t be called'
    # Options and JSON Schema are made of these: a class whose fields can't be read is refused here, by name.
    component_fields(item.factory)


def _show(value: object) -> str:
    return one_line(repr(value))[:200]
