"""A configuration as it is in force: every default filled in, nothing secret shown."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import date, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from orchestrator_core._config.components import BESIDE
from orchestrator_core._config.hooks import table_of
from orchestrator_core._config.redaction import HIDDEN, redact
from orchestrator_core._config.references import Reference
from orchestrator_core._config.scalars import format_duration, format_rate
from orchestrator_core._config.tables import VERSION
from orchestrator_core._filters import Where
from orchestrator_core._pipeline import Link
from orchestrator_core._secret import Secret
from orchestrator_core.hookspecs import component_fields

if TYPE_CHECKING:
    from orchestrator_core._config.components import InputConfig, ProcessConfig
    from orchestrator_core._config.configuration import Configuration

_IN_CODE = object()


def normalised(configuration: Configuration) -> dict[str, Any]:
    """Return the tables of a configuration with every default filled in, as JSON values.

    Secrets are hidden. What stands elsewhere is shown as the reference that leads to it: it may hold a secret too.
    """
    written = configuration.written
    return {
        "version": VERSION,
        "pipeline": _class(configuration.pipeline, _inside(written, "pipeline")),
        "journal": _class(configuration.journal, _inside(written, "journal")),
        "inputs": {
            name: _input(each, configuration, _inside(written, "inputs", name))
            for name, each in configuration.inputs.items()
        },
        "processes": {
            name: _process(each, configuration, _inside(written, "processes", name))
            for name, each in configuration.processes.items()
        },
    }


def _input(config: InputConfig, configuration: Configuration, written: Mapping[str, Any]) -> dict[str, Any]:
    component = config.build(configuration.plugins)
    operations = None if config.operations is None else sorted(str(each) for each in config.operations)
    table = {
        "type": config.type,
        "connection_string": None if config.connection_string is None else HIDDEN,
        "operations": operations,
        "options": _component(component, _inside(written, "options")),
    }
    return _said(table)


def _process(config: ProcessConfig, configuration: Configuration, written: Mapping[str, Any]) -> dict[str, Any]:
    options = config.options
    after = [_link(link) for link in configuration.links if link.target == config.name]
    table = {
        "type": config.type,
        "after": after,
        **_class(options, {}),
        "rate": None if options.rate is None else format_rate(options.rate),
        "execution_context": _component(config.build(configuration.plugins), _inside(written, "execution_context")),
    }
    return _said(table)


def _link(link: Link) -> Any:  # noqa: ANN401 (a name or a table)
    table = _said(
        {
            "node": link.source,
            "on": None if link.on == "success" else link.on,
            "operations": None if link.operations is None else sorted(str(each) for each in link.operations),
            "locations": None if link.locations is None else list(link.locations),
            "where": link.where and show(link.where),
        }
    )
    return link.source if table == {"node": link.source} else table


def _component(component: Any, written: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401 (any component)
    fields = [field for field in component_fields(type(component)) if field.alias not in {*BESIDE, "allow_privileged"}]
    return _fields(component, fields, written)


def _class(value: attrs.AttrsInstance, written: Mapping[str, Any]) -> dict[str, Any]:
    return _fields(value, [field for field in attrs.fields(type(value)) if field.init], written)


def _fields(value: object, fields: list[attrs.Attribute[Any]], written: Mapping[str, Any]) -> dict[str, Any]:
    shown = {field.alias or "": show(getattr(value, field.name), written.get(field.alias or "")) for field in fields}
    return _said({key: each for key, each in shown.items() if each is not _IN_CODE})


def show(value: Any, written: object = None) -> Any:  # noqa: ANN401, C901, PLR0911 (one line for each kind of value)
    """Return a value as JSON that may be shown.

    Args:
        value: the value.
        written: how it is written in the file, if it is.
    """
    match value:
        case Secret():
            return HIDDEN
        case _ if isinstance(written, Reference) and not isinstance(value, Mapping):
            return dict(written.table)
        case str():
            return redact(value)
        case None | bool() | int() | float():
            return value
        case timedelta():
            return format_duration(value)
        case enum.Enum():
            return show(value.value)
        case Path() | date() | time():
            return str(value)
        case Where():
            return show(value.condition, written)
        case Mapping():
            inside = table_of(written) if isinstance(written, Mapping | Reference) else {}
            return {str(key): show(each, inside.get(key)) for key, each in value.items()}
        case set() | frozenset():
            return sorted((show(each) for each in value), key=str)
        case list() | tuple():
            beside = written if isinstance(written, list) and len(written) == len(value) else [None] * len(value)
            return [show(each, other) for each, other in zip(value, beside, strict=True)]
        case _ if attrs.has(type(value)):
            return _class(value, table_of(written) if isinstance(written, Mapping | Reference) else {})
    return _IN_CODE


def _said(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if value is not None}


def _inside(table: object, *keys: str) -> Mapping[str, Any]:
    """Return a table inside a table as it is written, empty if there is none."""
    for key in keys:
        table = table_of(table).get(key, {}) if isinstance(table, Mapping | Reference) else {}
    return table_of(table) if isinstance(table, Mapping | Reference) else {}
