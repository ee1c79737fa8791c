"""Arguments and options that several commands share."""

from __future__ import annotations

import functools
import shlex
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

DEFAULT_FILE = "pipeline.toml"

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
as_format_json = click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
overrides = click.option(
    "--set",
    "overrides",
    metavar="PATH=VALUE",
    multiple=True,
    help="Set a value of the file, such as journal.url=memory: or processes.clean.concurrency=2; may be repeated.",
)


def pipeline(*, argument: bool) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Give a command the parameter `path`: the pipeline's file, by -c and, if asked, as its argument."""

    def decorate(command: Callable[..., T]) -> Callable[..., T]:
        @functools.wraps(command)
        def with_path(
            *args: Any,  # noqa: ANN401 (the command's own)
            config: str | None,
            file: str | None = None,
            **kwargs: Any,  # noqa: ANN401 (the command's own)
        ) -> T:
            if config and file and config != file:
                raise click.UsageError(f'two pipeline files, "{file}" and "{config}": give one of them')
            return command(*args, path=_found(file or config), **kwargs)

        add = click.option("-c", "--config", metavar="FILE", help=f"The pipeline's file.  [default: {DEFAULT_FILE}]")
        decorated = add(with_path)
        return click.argument("file", metavar="[FILE]", required=False)(decorated) if argument else decorated

    return decorate


def repeated(path: Path) -> str:
    """Return what to add to a command so that it is about the same file; nothing for the default one."""
    return "" if str(path) == DEFAULT_FILE else f" -c {shlex.quote(str(path))}"


def _found(name: str | None) -> Path:
    path = Path(name or DEFAULT_FILE)
    if name is None and not path.exists():
        from orchestrator_core.cli._failures import Refused  # noqa: PLC0415 (only a refusal pays for it)

        raise Refused(f'there is no {DEFAULT_FILE} in this folder: name a file, or write one with "orchestrator init"')
    return path


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on
    """A duration as the configuration writes it, such as ``30s``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:  # noqa: ANN401
        """Return the duration."""
        if isinstance(value, timedelta):
            return value
        from orchestrator_core._config.references import Mistake  # noqa: PLC0415 (only a command with one pays)
        from orchestrator_core._config.scalars import parse_duration  # noqa: PLC0415

        try:
            return parse_duration(str(value))
        except Mistake as mistake:
            self.fail(f"{mistake}, found {value!r}", param, ctx)
