"""The hooks by which a plugin joins the engine, and the types it returns from them.

A plugin is a module named by an entry point in the group ``orchestrator_core.plugins``; the entry point's name is the
plugin's. Hooks are plain functions marked with `hookimpl`, called once at start-up; none of them may do I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
import pluggy

if TYPE_CHECKING:
    import click

    from orchestrator_core._contracts import Input, Journal, Process
    from orchestrator_core._notices import Notice

ENTRY_POINT_GROUP = "orchestrator_core.plugins"

PLUGIN_API = 1
"""The version of this contract; the engine supports plugins made for it and for the one before."""

hookspec = pluggy.HookspecMarker("orchestrator_core")
hookimpl = pluggy.HookimplMarker("orchestrator_core")


@attrs.frozen
class InputType:
    """A kind of input, named by ``type = "<plugin>"`` or ``type = "<plugin>.<name>"``.

    Attributes:
        name: the component's name; the one that bears its plugin's name is the plugin's main one.
        factory: an attrs class; its fields are the keys of ``options``. Fields named ``connection_string`` and
            ``operations`` are filled from the keys of those names beside ``options``.
        summary: one line for ``orchestrator plugins`` and the JSON Schema.
        replayable: after a crash it emits again what was not accepted.
        durable_ack: it acknowledges its source only after `emit` has returned.
        ordered: it emits the events of one key in the order in which they happened.
        api: the `PLUGIN_API` it was written for.
    """

    name: str
    factory: Callable[..., Input]
    summary: str = attrs.field(default="", kw_only=True)
    replayable: bool = attrs.field(default=False, kw_only=True)
    durable_ack: bool = attrs.field(default=False, kw_only=True)
    ordered: bool = attrs.field(default=False, kw_only=True)
    api: int = attrs.field(default=PLUGIN_API, kw_only=True)


@attrs.frozen
class ProcessType:
    """A kind of process, named by ``type = "<plugin>"`` or ``type = "<plugin>.<name>"``.

    Attributes:
        name: the component's name; the one that bears its plugin's name is the plugin's main one.
        factory: an attrs class; its fields are the keys of ``execution_context``.
        summary: one line for ``orchestrator plugins`` and the JSON Schema.
        idempotent: running an attempt again has no further effect.
        reconciles: it can tell after a crash what became of an attempt.
        api: the `PLUGIN_API` it was written for.
    """

    name: str
    factory: Callable[..., Process]
    summary: str = attrs.field(default="", kw_only=True)
    idempotent: bool = attrs.field(default=False, kw_only=True)
    reconciles: bool = attrs.field(default=False, kw_only=True)
    api: int = attrs.field(default=PLUGIN_API, kw_only=True)


@attrs.frozen
class JournalType:
    """A kind of journal, chosen by the scheme of ``[journal] url``.

    Attributes:
        scheme: the part of the URL before the colon.
        factory: called with the whole URL.
        summary: one line for ``orchestrator plugins``.
        api: the `PLUGIN_API` it was written for.
    """

    scheme: str
    factory: Callable[[str], Journal]
    summary: str = attrs.field(default="", kw_only=True)
    api: int = attrs.field(default=PLUGIN_API, kw_only=True)


@hookspec
def orchestrator_register_inputs() -> list[InputType]:  # type: ignore[empty-body]
    """Return the plugin's kinds of input."""


@hookspec
def orchestrator_register_processes() -> list[ProcessType]:  # type: ignore[empty-body]
    """Return the plugin's kinds of process."""


@hookspec
def orchestrator_register_journals() -> list[JournalType]:  # type: ignore[empty-body]
    """Return the plugin's kinds of journal."""


@hookspec
def orchestrator_register_commands() -> list[click.Command]:  # type: ignore[empty-body]
    """Return commands for ``orchestrator <plugin> …``."""


@hookspec
def orchestrator_observe(notice: Notice) -> None:
    """Take note of something that happened.

    Called on the event loop's thread, so be quick; an exception is logged and never fails a delivery.
    """


def component_fields(factory: Any) -> tuple[attrs.Attribute[Any], ...]:  # noqa: ANN401 (any class)
    """Return the options of a component's factory, in the order they were declared.

    A field with a leading underscore is for code that makes the component, such as a clock in a test, and no option.
    """
    if not attrs.has(factory):
        return ()
    return tuple(field for field in attrs.fields(factory) if field.init and not field.name.startswith("_"))
