"""The process `command`: a program that runs once for an event."""

from __future__ import annotations

import base64
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import attrs

from orchestrator_core import (
    AttemptContext,
    ConfigurationError,
    Event,
    EventError,
    OrchestratorError,
    ProcessStatus,
    ProcessType,
    Reconciliation,
    Reject,
    RetryLater,
    hookimpl,
    load_json,
)
from orchestrator_core.builtin import _process_group
from orchestrator_core.builtin._process_group import Finished

_LONGEST_VARIABLE = 64 * 1024
_LONGEST_LINE = 64 * 1024
_LONGEST_OUTPUT = 1024 * 1024

# The names are those of sysexits.h.
_TRY_AGAIN = 75
_NEVER = {64: "EX_USAGE", 65: "EX_DATAERR", 78: "EX_CONFIG"}


class CommandError(OrchestratorError):
    """A command could not be run, failed, or did not print what it was to print."""


class CommandExitError(CommandError):
    """A command has failed.

    Attributes:
        code: its exit code; negative: the signal that ended it.
        last_line: what it last wrote to its standard error.
    """

    def __init__(self, code: int, last_line: str) -> None:
        self.code = code
        self.last_line = last_line
        how = f"exited with code {code}" if code >= 0 else f"was ended by {_name(-code)}"
        super().__init__(f"the command {how}" + (f": {last_line:.300}" if last_line else ""))


@attrs.frozen(kw_only=True)
class Command:
    """Runs a program once for each event.

    The program finds the event's JSON as one line on its standard input, and as base64 in ``PIPELINE_EVENT`` unless
    that is over 64 KiB, the idempotency key in ``PIPELINE_DELIVERY_ID`` and the attempt's number in
    ``PIPELINE_ATTEMPT``. The lines that it writes to its standard output and standard error are the attempt's log.

    Exit code 0 is success; 75 asks to be run later, which does not count as a failure; 64, 65 and 78 make a dead letter
    at once; any other is a failure and retried by policy. When its time is up, the program and all that it has started
    get SIGTERM, and after `grace` SIGKILL; what it leaves behind when it ends by itself is ended as well. If the engine
    itself was killed, what is left of the interrupted attempt on this machine is ended before the next one (on Linux).

    Attributes:
        argv: the program and its arguments, without a shell; a program with a ``/`` in its name is found from `cwd`.
        env: variables beside those of the engine's own environment.
        cwd: the working directory, relative to `directory`.
        directory: where a relative `cwd` begins; the folder of the configuration file if it is not given there.
        output: what goes to the processes downstream: ``none``, or the ``last_line`` of the standard output that is
            not empty, which must be JSON.
        grace: the time from SIGTERM to SIGKILL.
        retry_after: how long to wait after exit code 75.
    """

    argv: Sequence[str] = attrs.field()
    env: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    cwd: Path = attrs.field(default=Path(), converter=Path)
    directory: Path = attrs.field(default=Path(), converter=Path)
    output: Literal["none", "last_line"] = attrs.field(
        default="none", validator=attrs.validators.in_(("none", "last_line"))
    )
    grace: timedelta = timedelta(seconds=10)
    retry_after: timedelta = timedelta(seconds=30)

    @argv.validator
    def _check_argv(self, _attribute: object, argv: Sequence[str]) -> None:
        if isinstance(argv, str) or not argv or not argv[0]:
            raise ConfigurationError('argv must be a list that begins with a program, such as ["python3", "job.py"]')
        if any("\0" in argument for argument in argv):
            raise ConfigurationError("argv can't hold a NUL character")

    @env.validator
    def _check_env(self, _attribute: object, env: Mapping[str, str]) -> None:
        for name, value in env.items():
            if not name or "=" in name or "\0" in name + value:
                raise ConfigurationError(f"env: {name!r} must be a name without =, its value without a NUL character")

    async def check(self) -> None:
        """Raise if there is no such program or no such working directory."""
        program, folder = self.argv[0], self._cwd
        if not folder.is_dir():
            raise ConfigurationError(f'cwd "{folder}" is no folder')
        path = self.env.get("PATH", os.environ.get("PATH", os.defpath))
        beside = folder / program
        if shutil.which(str(beside) if "/" in program else program, path=path) is None:
            if "/" in program and beside.is_file():
                raise ConfigurationError(f'"{program}" may not be executed: chmod +x it, or put its interpreter first')
            raise ConfigurationError(f'there is no program "{program}": install it, or correct argv')

    async def run(self, event: Event, context: AttemptContext) -> ProcessStatus | None:
        """Run the program."""
        payload = event.to_json().encode()
        try:
            finished = await _process_group.run(
                self.argv,
                env=self._environment(payload, context),
                cwd=self._cwd,
                stdin=payload + b"\n",  # a line, so that a shell's `read` takes it and `cat >>` appends one
                log=context.log,
                longest_line=_LONGEST_LINE if self.output == "none" else _LONGEST_OUTPUT,
                grace=self.grace.total_seconds(),
            )
        except OSError as error:
            reason = "there is no such folder" if not self._cwd.is_dir() else error.strerror or error
            raise CommandError(f'"{self.argv[0]}" can\'t be started in {self._cwd}: {reason}') from error
        self._judge(finished)
        return None if self.output == "none" else ProcessStatus(output=_output(finished.stdout))

    async def reconcile(self, event: Event, context: AttemptContext) -> Reconciliation:  # noqa: ARG002 (the contract's)
        """End what is left of an attempt whose engine was killed, so that the next one does not overlap with it."""
        await _process_group.end_orphans(f"PIPELINE_DELIVERY_ID={context.delivery_id}", self.grace.total_seconds())
        return Reconciliation.UNKNOWN

    @property
    def _cwd(self) -> Path:
        return (self.directory / self.cwd).absolute()

    def _environment(self, payload: bytes, context: AttemptContext) -> Mapping[str, str]:
        environment = {
            **os.environ,
            **self.env,
            "PIPELINE_EVENT": base64.b64encode(payload).decode(),
            "PIPELINE_DELIVERY_ID": context.delivery_id,
            "PIPELINE_ATTEMPT": str(context.attempt),
        }
        # Linux starts no program with a variable over 128 KiB.
        if len(environment["PIPELINE_EVENT"]) > _LONGEST_VARIABLE:
            del environment["PIPELINE_EVENT"]
        return environment

    def _judge(self, finished: Finished) -> None:
        if finished.code == 0:
            return
        error = CommandExitError(finished.code, finished.stderr)
        if finished.code == _TRY_AGAIN:
            raise RetryLater(self.retry_after, str(error)) from error
        if finished.code in _NEVER:
            raise Reject(f"{error} ({_NEVER[finished.code]})") from error
        raise error


def _output(line: str) -> Any:  # noqa: ANN401 (JSON of any shape)
    if not line:
        raise CommandError(
            'the command printed nothing, but output = "last_line" wants a line of JSON (it may be null)'
        )
    try:
        return load_json(line)
    except EventError as error:
        raise CommandError(f"the last line the command printed is {error}: {line:.100}") from error


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@hookimpl
def orchestrator_register_processes() -> list[ProcessType]:
    """Register the process."""
    return [ProcessType("command", Command, summary="Runs a program once for an event")]
