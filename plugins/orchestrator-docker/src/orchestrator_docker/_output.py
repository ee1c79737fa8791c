"""What a program returns: the last line of its standard output, or a file, read as JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from orchestrator_core import JSON, EventError, load_json
from orchestrator_docker._errors import ContainerOutputError, NotThereError
from orchestrator_docker._frames import LONGEST_OUTPUT, Lines

ReadFile = Callable[[str, int], Awaitable[bytes]]
"""Reads a file of a container, by its path and up to a size."""


async def read_output(kind: str, stdout: Lines, read_file: ReadFile, path: str) -> JSON:
    """Return what a program that has succeeded returns.

    Args:
        kind: the option ``output``.
        stdout: what it wrote.
        read_file: reads a file of its container.
        path: the file for its output.

    Raises:
        ContainerOutputError: it is not there, too large or no JSON.
    """
    match kind:
        case "last_line":
            return _parse(_last_line(stdout), "the last line the container wrote")
        case "file":
            return _parse(await _file(read_file, path), path)
        case _:
            return None


async def _file(read_file: ReadFile, path: str) -> bytes:
    try:
        return await read_file(path, LONGEST_OUTPUT)
    except NotThereError as error:
        raise ContainerOutputError(
            f'output = "file", but the container has not written {path} (see PIPELINE_OUTPUT_FILE)'
        ) from error


def _last_line(stdout: Lines) -> bytes:
    if stdout.is_last_too_long:
        raise ContainerOutputError(f"the last line the container wrote is over the limit of {LONGEST_OUTPUT:,} bytes")
    if not stdout.last:
        raise ContainerOutputError(
            'the container wrote nothing to its standard output, but output = "last_line" wants a line of JSON '
            "(it may be null)"
        )
    return stdout.last


def _parse(content: bytes, what: str) -> JSON:
    try:
        parsed: JSON = load_json(content)
    except EventError as error:
        raise ContainerOutputError(f"{what} is {error}: {content[:100].decode(errors='replace')}") from error
    return parsed
