"""`Roster`: which processes are at work: each is entered, may be replaced while it works, and is left at last."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager

from anyio.abc import TaskGroup

from orchestrator_core._clock import Clock
from orchestrator_core._contracts import Journal, Process
from orchestrator_core._errors import ConfigurationError
from orchestrator_core._hosting import describe, host, restart_delay
from orchestrator_core._pipeline import ProcessOptions
from orchestrator_core._station import Station

_LOG = logging.getLogger("orchestrator_core")


class Roster:
    """The stations of a pipeline's processes.

    Args:
        journal: handed to those components that ask it.
        concurrency: how many attempts may run at once over all.
        clock: the time.
        on_open: called when a station begins to take deliveries.

    Attributes:
        at_work: the stations by the names of their processes; a component that is still being entered is here, too.
    """

    def __init__(self, journal: Journal, *, concurrency: int, clock: Clock, on_open: Callable[[], None]) -> None:
        self._journal = journal
        self._concurrency = concurrency
        self._clock = clock
        self._on_open = on_open
        self._leaving: list[Station] = []
        self._ahead: list[Station] = []
        self._hosts: TaskGroup | None = None
        self.at_work: dict[str, Station] = {}

    def __iter__(self) -> Iterator[Station]:
        """Yield the stations at work, and those that finish what they have."""
        yield from tuple(self.at_work.values())
        yield from tuple(self._leaving)

    async def start(self, hosts: TaskGroup) -> None:
        """Enter every component before anything runs, in tasks of this group.

        What can't be entered ends the run, and says whose it is.
        """
        self._hosts = hosts
        for station in tuple(self.at_work.values()):
            try:
                await self._open(station)
            except Exception as error:
                error.add_note(f'process "{station.name}" can\'t be opened')
                raise

    def end(self) -> None:
        """Enter no component any more."""
        self._hosts = None

    def close(self) -> None:
        """Leave every component."""
        self.dismiss()
        for station in self:
            station.closing.set()

    def add(self, name: str, process: Process, options: ProcessOptions) -> None:
        """Take up a process. It is given deliveries once its component was entered."""
        self.at_work[name] = station = self._new_station(name, process, options)
        if self._hosts is not None:
            self._hosts.start_soon(self._open_at_last, station)

    async def open(self, name: str, process: Process, options: ProcessOptions) -> Station:
        """Enter a process that is to be added; `take_over` or `dismiss` it then.

        Raises:
            ConfigurationError: it can't be entered.
        """
        station = self._new_station(name, process, options)
        self._ahead.append(station)
        if self._hosts is not None:
            self._hosts.start_soon(self._try_to_open, station)
            await station.entered.wait()
        if (error := station.error) is not None:
            raise ConfigurationError(f'process "{name}" can\'t be opened: {describe(error)}') from error
        return station

    def take_over(self, station: Station) -> None:
        """Take up a process that was opened ahead."""
        self._ahead.remove(station)
        station.predecessor = self._predecessor(station.name)
        station.limit = self._limit(station.options)
        self.at_work[station.name] = station
        station.is_open = True
        self._on_open()

    def dismiss(self) -> None:
        """Leave the processes that were opened ahead and not taken up."""
        for station in self._ahead:
            station.closing.set()
        self._ahead.clear()

    def remove(self, name: str) -> Station:
        """Give up a process: it takes no delivery any more, and is left once it has finished those it has."""
        station = self.at_work.pop(name)
        station.is_open = False
        self._leaving.append(station)
        return station

    def leave_idle(self) -> None:
        """Leave the components of those that were given up and have finished."""
        for station in [station for station in self._leaving if station.held <= 0]:
            station.closing.set()
            self._leaving.remove(station)

    def resize(self, concurrency: int) -> None:
        """Let so many attempts run at once over all from now on."""
        self._concurrency = concurrency
        for station in self.at_work.values():
            station.limit = self._limit(station.options)

    def _new_station(self, name: str, process: Process, options: ProcessOptions) -> Station:
        return Station(name, process, options, self._limit(options), self._predecessor(name))

    def _predecessor(self, name: str) -> Station | None:
        return next((station for station in reversed(self._leaving) if station.name == name), None)

    def _limit(self, options: ProcessOptions) -> int:
        return min(options.concurrency or self._concurrency, self._concurrency)

    async def _open(self, station: Station) -> None:
        if callable(attach := getattr(station.process, "attach", None)):
            attach(station.name, self._journal)
        if isinstance(station.process, AbstractAsyncContextManager) and self._hosts is not None:
            await self._hosts.start(host, station.process, station.name, station.closing)
        if self.at_work.get(station.name) is station:  # it may have been removed meanwhile
            station.is_open = True
            self._on_open()

    async def _try_to_open(self, station: Station) -> None:
        # In the group of the hosts, so that an end of the run ends the entering, too.
        try:
            await self._open(station)
        # The border to foreign code: the error goes to whoever wants the component opened.
        except Exception as error:  # noqa: BLE001
            station.error = error
        finally:
            station.entered.set()

    async def _open_at_last(self, station: Station) -> None:
        """Open a station while the others work, trying again until it can be opened or was removed."""
        failures = 0
        while self.at_work.get(station.name) is station:
            try:
                await self._open(station)
            # The border to foreign code: a component that can't be entered must not end a run under way.
            except Exception as error:  # noqa: BLE001
                failures += 1
                delay = restart_delay(failures)
                message = 'process "%s" can\'t be opened, trying again in %g s: %s'
                _LOG.error(message, station.name, delay, describe(error))
                await self._clock.sleep(delay)
            else:
                return
