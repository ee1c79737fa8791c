"""One run of a pipeline under the command line: what is shown, signals, reload."""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import anyio

from orchestrator_core._clock import SystemClock
from orchestrator_core._errors import OrchestratorError
from orchestrator_core._orchestrator import Orchestrator
from orchestrator_core._summary import Summary
from orchestrator_core.cli import _failures
from orchestrator_core.cli._printer import JsonPrinter, LogHandler, Printer, TextPrinter
from orchestrator_core.cli._writer import Writer
from orchestrator_core.cli.render.changes import changes
from orchestrator_core.cli.render.figures import count, duration
from orchestrator_core.cli.render.style import PLAIN, Look, one_line
from orchestrator_core.cli.render.summary import Ending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta

    from anyio.abc import TaskStatus

    from orchestrator_core._config import Configuration

_REMIND_SECONDS = 5.0


class Run:
    """Runs one configuration and shows it.

    Args:
        configuration: what to run.
        reload: reads the configuration again; raises if it is wrong.
        look_at: the command that lists this pipeline's dead letters.
        log_format: what to show: ``auto``, ``text`` or ``json``.
        verbose: show debug messages too.
        grace: how long running attempts may go on after the first signal.

    Attributes:
        cut_off_by: the signal that ended the run at once, if one did.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        reload: Callable[[], Configuration],
        look_at: str = "",
        log_format: Literal["auto", "text", "json"] = "auto",
        verbose: bool = False,
        grace: timedelta | None = None,
    ) -> None:
        self.cut_off_by: int | None = None
        self._configuration = configuration
        self._reload = reload
        self._look_at = look_at if configuration.journal.scheme != "memory" else ""
        self._verbose = verbose
        self._own_grace = grace
        self._clock = SystemClock()
        self._writer = Writer()
        self._message_look = Look.of(sys.stderr) if log_format == "auto" else PLAIN
        self._printer: Printer
        if log_format == "json":
            self._printer = JsonPrinter(self._writer)
        else:
            self._printer = TextPrinter(self._writer, Look.of(sys.stdout) if log_format == "auto" else PLAIN)
        self._stopped_at: float | None = None
        self._has_terminal = _has_terminal()

    async def go(self, until_idle: bool) -> Summary:  # noqa: FBT001 (anyio.run hands over arguments by position)
        """Run until idle or stopped, and show the summary."""
        with self._shown():
            try:
                return await self._go(until_idle=until_idle)
            except BaseExceptionGroup as group:
                # The group is this class's own doing; whoever reads the error wants what is in it.
                if len(group.exceptions) == 1:
                    raise group.exceptions[0] from None
                raise

    async def _go(self, *, until_idle: bool) -> Summary:
        began = self._clock.monotonic()
        async with anyio.create_task_group() as tasks:
            orchestrator = Orchestrator.from_configuration(
                self._configuration, observers=[self._printer], grace=self._own_grace
            )
            tasks.start_soon(self._writer.run, self._printer.tick)
            await tasks.start(self._heed_signals, orchestrator)
            async with orchestrator:
                self._printer.say(self._greeting())
                # A signal may have come while the journal opened, when there was no run to stop yet.
                stopped = self._stopped_at is not None
                summary = Summary() if stopped else await orchestrator.run(until_idle=until_idle)
                counts = await orchestrator.journal.counts()
            seconds = self._clock.monotonic() - began
            self._printer.end(Ending.of(counts, self._configuration.processes, seconds, self._look_at))
            tasks.cancel_scope.cancel()
        return summary

    @contextmanager
    def _shown(self) -> Iterator[None]:
        """Show log records while the pipeline runs, and write what is left at the end, however it ends."""
        handler = LogHandler(self._printer, verbose=self._verbose)
        root = logging.getLogger()
        root.addHandler(handler)
        root.setLevel(logging.INFO if self._verbose else logging.WARNING)
        for name in self._own_loggers():
            logging.getLogger(name).setLevel(logging.DEBUG if self._verbose else logging.INFO)
        logging.captureWarnings(capture=True)
        try:
            yield
        finally:
            logging.captureWarnings(capture=False)
            root.removeHandler(handler)
            self._writer.flush()

    def _own_loggers(self) -> set[str]:
        modules = (plugin.module.partition(":")[0] for plugin in self._configuration.plugins.loaded.values())
        return {"orchestrator_core", *(module.partition(".")[0] for module in modules)}

    def _greeting(self) -> str:
        nodes = [
            count(len(self._configuration.inputs), "input"),
            count(len(self._configuration.processes), "process", "processes"),
        ]
        return f"{one_line(self._configuration.pipeline.name)}: {', '.join(nodes)}; Ctrl-C stops"

    async def _heed_signals(
        self, orchestrator: Orchestrator, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        async with anyio.create_task_group() as tasks:
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
                task_status.started()
                async for number in signals:
                    if number == signal.SIGHUP and not self._hung_up():
                        tasks.start_soon(self._read_again, orchestrator)  # a component may take its time to open
                    elif self._stopped_at is None:
                        self._drain(orchestrator)
                        tasks.start_soon(self._remind)
                    else:
                        self._stop_now(orchestrator, number)

    @property
    def _grace(self) -> timedelta:
        return self._configuration.pipeline.grace if self._own_grace is None else self._own_grace

    def _hung_up(self) -> bool:
        """Tell whether the terminal went away: that sends the same signal as somebody who wants a reload."""
        return self._has_terminal and not _has_terminal()

    def _drain(self, orchestrator: Orchestrator) -> None:
        self._stopped_at = self._clock.monotonic()
        running = self._printer.tally.running
        jobs = f"{count(running, 'running job')} may take up to {duration(self._grace.total_seconds())}"
        waiting = f"{jobs}; once more stops at once" if running else "no job is running"
        self._printer.say(f"stopping: no more events are taken, {waiting}")
        orchestrator.stop()

    async def _remind(self) -> None:
        """Show from time to time what a drain waits for."""
        stopped_at = self._clock.monotonic()
        while True:
            await self._clock.sleep(_REMIND_SECONDS)
            left = self._grace.total_seconds() - (self._clock.monotonic() - stopped_at)
            if running := self._printer.tally.running:
                time = (
                    f"{duration(left)} left" if left > 0 else f"and {'its' if running == 1 else 'their'} time is over"
                )
                self._printer.say(f"stopping: {count(running, 'job')} still running, {time}")

    def _stop_now(self, orchestrator: Orchestrator, number: int) -> None:
        if self.cut_off_by is not None:
            # The journal stands a kill at any moment, so whoever has asked three times is obeyed at once.
            self._writer.flush()
            os._exit(128 + number)
        self.cut_off_by = number
        self._printer.say("stopping now: what is running is cut off and done again in the next run")
        orchestrator.stop()

    async def _read_again(self, orchestrator: Orchestrator) -> None:
        try:
            configuration = self._reload()
            await orchestrator.apply(configuration)
        except OrchestratorError as error:
            for line in _failures.lines(error, self._message_look):
                self._printer.say(line)
            self._printer.say("the configuration was not changed: the old pipeline goes on")
            return
        self._printer.say(f"read {configuration.path} again: {changes(self._configuration, configuration)}")
        self._configuration = configuration


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
