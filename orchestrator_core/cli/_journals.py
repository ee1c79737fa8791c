"""The pipeline's journal, opened for a command that reads, or that writes a little, beside whoever runs on it."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from orchestrator_core._config.document import UnreadableError, parse, read
from orchestrator_core._journal import MemoryJournal, SqliteJournal
from orchestrator_core.cli import _output
from orchestrator_core.cli._failures import Refused, Unknown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from orchestrator_core._config import Configuration
    from orchestrator_core._contracts import Journal, JournalReader


@attrs.frozen
class Located:
    """What a command that only looks has to know of a pipeline.

    Attributes:
        name: the pipeline's name.
        inputs: the names of its inputs, in the order of the file.
        processes: the names of its processes, likewise.
        journal: its journal, not opened yet.
    """

    name: str
    inputs: tuple[str, ...]
    processes: tuple[str, ...]
    journal: Journal


def locate(path: Path) -> Located:
    """Find the journal of a pipeline's file.

    A look must work in a shell that has neither the run's environment nor its plugins, so the rest of the file is not
    checked, unless the journal is one that a plugin brings.

    Raises:
        ConfigurationProblems: the file can't be read, or a plugin's journal can't be made of it.
    """
    try:
        values = parse(read(path)).values
    except UnreadableError:
        values = {}
    url = _get(values, "journal", "url") or _default_url()
    scheme, _, place = url.partition(":") if isinstance(url, str) else ("", "", "")
    if not values or scheme != "sqlite" or not place:
        from orchestrator_core._config import load  # noqa: PLC0415 (twice the cost of the whole look)

        return located(load(path))
    name = _get(values, "pipeline", "name")
    journal = SqliteJournal(Path(os.path.abspath(path.parent), place))  # noqa: PTH100 (as the configuration does)
    return Located(str(name or "pipeline"), _names(values, "inputs"), _names(values, "processes"), journal)


def _default_url() -> str:
    from orchestrator_core._config.tables import JOURNAL_URL  # noqa: PLC0415 (as above; most files name theirs)

    return JOURNAL_URL


def located(configuration: Configuration) -> Located:
    """Return what there is to know of a whole configuration."""
    journal = configuration.open_journal()
    if isinstance(journal, MemoryJournal):
        raise Refused(
            'the journal is "memory:", which nobody but the run itself can see: choose another one in the file'
        )
    return Located(configuration.pipeline.name, tuple(configuration.inputs), tuple(configuration.processes), journal)


def require(what: str, name: str, known: Iterable[str]) -> None:
    """Refuse a name that nobody knows, which else would look like one that has nothing."""
    names = list(dict.fromkeys(known))
    if name in names:
        return
    from orchestrator_core._config.problems import did_you_mean  # noqa: PLC0415 (only a refusal pays for it)

    hint = did_you_mean(name, names)
    raise Unknown(f'the pipeline has no {what} "{name}"' + (f": {hint}" if hint else ""))


def _get(values: dict[str, Any], table: str, key: str) -> object:
    found = values.get(table)
    return found.get(key) if isinstance(found, dict) else None


def _names(values: dict[str, Any], table: str) -> tuple[str, ...]:
    found = values.get(table)
    return tuple(found) if isinstance(found, dict) else ()


@asynccontextmanager
async def reader(where: Located) -> AsyncIterator[JournalReader]:
    """Open a journal for reading; one that is not there yet is empty."""
    journal = where.journal
    if not isinstance(journal, SqliteJournal):
        async with journal:
            yield journal
    elif journal.path.exists():
        async with SqliteJournal.reader(journal.path) as reads:
            yield reads
    else:
        _output.message(f"there is no journal at {journal.path} yet: the pipeline has not run")
        async with MemoryJournal() as nothing:
            yield nothing


@asynccontextmanager
async def writer(where: Located) -> AsyncIterator[Journal]:
    """Open a journal for a few short writes."""
    journal = where.journal
    async with SqliteJournal.writer(journal.path) if isinstance(journal, SqliteJournal) else journal as writes:
        yield writes
