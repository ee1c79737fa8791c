"""The process `command`, with real programs."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest

from orchestrator_core import (
    JSON,
    ConfigurationError,
    Event,
    Operation,
    ProcessStatus,
    Reconciliation,
    Reject,
    RetryLater,
)
from orchestrator_core._plugins import Plugins
from orchestrator_core.builtin.command import Command, CommandError, CommandExitError
from orchestrator_core.testing import FakeAttemptContext

pytestmark = pytest.mark.anyio

EVENT = Event(location="public.rain", operation=Operation.CREATE, id="7", trigger="raw", data={"mm": 2})
LARGE = Event(location="public.rain", operation=Operation.CREATE, id="8", trigger="raw", data="x" * 300_000)


@pytest.fixture
def context() -> FakeAttemptContext:
    """The context of a second attempt."""
    return FakeAttemptContext(delivery_id="d-1", attempt=2)


def python(code: str, **options: Any) -> Command:
    """Return a command that runs this Python."""
    return Command(argv=[sys.executable, "-c", code], **options)


async def run(command: Command, context: FakeAttemptContext, event: Event = EVENT) -> ProcessStatus | None:
    """Run the command, for 30 s at most."""
    with anyio.fail_after(30):
        return await command.run(event, context)


@attrs.define(kw_only=True)
class Listening(FakeAttemptContext):
    """A context that takes hold of the programs whose ids are in the first line."""

    handles: list[int] = attrs.field(factory=list)
    heard: anyio.Event = attrs.field(factory=anyio.Event)

    def log(self, line: str) -> None:
        """Keep the line."""
        super().log(line)
        if not self.heard.is_set():
            self.handles.extend(os.pidfd_open(int(pid)) for pid in line.split())
            self.heard.set()


async def cancelled(command: Command) -> Listening:
    """Cancel a command when it has printed the ids of its programs."""
    context = Listening()
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(command.run, EVENT, context)
            await context.heard.wait()
            tasks.cancel_scope.cancel()
    return context


async def all_ended(handles: list[int]) -> bool:
    """Tell whether all these programs end without anybody doing something about it any more."""
    with anyio.move_on_after(10) as scope:
        for handle in handles:
            await anyio.wait_readable(handle)
    for handle in handles:
        os.close(handle)
    return not scope.cancelled_caught


async def test_the_event_is_on_the_standard_input(context: FakeAttemptContext) -> None:
    """As one line of compact JSON, to its end."""
    await run(python("import sys; print(sys.stdin.read(), end='')"), context)
    assert [EVENT.to_json()] == context.lines


async def test_the_event_and_the_attempt_are_in_the_environment(context: FakeAttemptContext) -> None:
    """The event is plain base64, without quotes around it."""
    code = (
        "import base64, os; e = os.environ;"
        "print(base64.b64decode(e['PIPELINE_EVENT'], validate=True).decode());"
        "print(e['PIPELINE_DELIVERY_ID'], e['PIPELINE_ATTEMPT'])"
    )
    await run(python(code), context)
    assert [EVENT.to_json(), "d-1 2"] == context.lines


async def test_a_large_event_is_on_the_standard_input_only(
    context: FakeAttemptContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable of that size can't be passed to a program; an engine's own, inherited, must not stand in for it."""
    monkeypatch.setenv("PIPELINE_EVENT", "of an engine that runs this engine")
    code = "import os, sys; print(len(sys.stdin.read()), os.environ.get('PIPELINE_EVENT'))"
    await run(python(code), context, LARGE)
    assert [f"{len(LARGE.to_json()) + 1} None"] == context.lines


async def test_a_program_need_not_read_its_input(context: FakeAttemptContext) -> None:
    """It may end while there is still something to send."""
    assert None is await run(python("pass"), context, LARGE)


async def test_its_own_environment_and_working_directory(tmp_path: Path, context: FakeAttemptContext) -> None:
    """Both are options; the working directory begins at the configuration's folder."""
    (tmp_path / "jobs").mkdir()
    code = "import os; print(os.getcwd(), os.environ['LEVEL'], 'PATH' in os.environ)"
    await run(python(code, env={"LEVEL": "info"}, cwd="jobs", directory=tmp_path), context)
    assert [f"{tmp_path}/jobs info True"] == context.lines


async def test_a_program_beside_the_configuration_is_found(tmp_path: Path, context: FakeAttemptContext) -> None:
    """A name with a slash begins at the working directory."""
    program = tmp_path / "job"
    program.write_text("#!/bin/sh\necho here\n")
    program.chmod(0o755)
    command = Command(argv=["./job"], directory=tmp_path)
    await command.check()
    await run(command, context)
    assert ["here"] == context.lines


async def test_no_shell_reads_the_arguments(context: FakeAttemptContext) -> None:
    """What a shell would act on is plain text."""
    await run(Command(argv=["echo", "$HOME; echo `id` *"]), context)
    assert ["$HOME; echo `id` *"] == context.lines


async def test_both_outputs_are_the_log(context: FakeAttemptContext) -> None:
    """Line by line, even if the last one has no line break."""
    await run(python("import sys; print('a\\n\\nb'); print('c', end='', file=sys.stderr)"), context)
    assert ["", "a", "b", "c"] == sorted(context.lines)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (rb"caf\xc3\xa9 \xff", ["café �"]),
        (rb"a\x00b", ["a�b"]),
        (rb"a\r\nb\r\n", ["a", "b"]),
    ],
)
async def test_output_that_is_no_text(context: FakeAttemptContext, written: bytes, expected: list[str]) -> None:
    """What can't be read or kept is replaced."""
    await run(python(f"import sys; sys.stdout.buffer.write(b'{written.decode()}')"), context)
    assert expected == context.lines


async def test_a_line_without_an_end_is_cut(context: FakeAttemptContext) -> None:
    """It is logged in pieces, so that it never fills the memory."""
    await run(python("print('x' * 1_000_000)"), context)
    assert 1_000_000 == sum(map(len, context.lines))
    assert max(map(len, context.lines)) <= 128 * 1024


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        (r"noise\n{\"mm\": 2}\n", {"mm": 2}),
        (r"[1]\n\n  \n", [1]),
        (r"null\n", None),
        (r"9007199254740993", 9007199254740993),
    ],
)
async def test_the_last_line_is_the_output(context: FakeAttemptContext, printed: str, expected: JSON) -> None:
    """The last one that is not empty, as JSON."""
    assert ProcessStatus(output=expected) == await run(python(f"print('{printed}')", output="last_line"), context)


async def test_a_long_last_line_is_the_output_whole(context: FakeAttemptContext) -> None:
    """It may be longer than what a line of the log may be."""
    status = await run(python("print('\"' + 'x' * 900_000 + '\"')", output="last_line"), context)
    assert ProcessStatus(output="x" * 900_000) == status


@pytest.mark.parametrize(
    ("code", "message"),
    [
        pytest.param("print('done')", "the last line the command printed is not JSON", id="text"),
        pytest.param("pass", "the command printed nothing", id="nothing"),
        pytest.param("import sys; print(1, file=sys.stderr)", "the command printed nothing", id="stderr"),
        pytest.param(
            "print('\"' + 'x' * 3_000_000 + '\"')", "the last line the command printed is not JSON", id="too-long"
        ),
    ],
)
async def test_an_output_that_is_none_is_a_failure(context: FakeAttemptContext, code: str, message: str) -> None:
    """The processes downstream must not go on with a guess."""
    with pytest.raises(CommandError, match=message):
        await run(python(code, output="last_line"), context)


async def test_without_output_the_last_line_may_be_anything(context: FakeAttemptContext) -> None:
    """`output = "none"` looks at nothing but the exit code."""
    assert None is await run(python("print('done')"), context)


@pytest.mark.parametrize("code", [1, 2, 63, 66, 74, 126, 127, 137, 255])
async def test_any_other_exit_code_is_a_failure(context: FakeAttemptContext, code: int) -> None:
    """It is retried by policy; the error has the last line of the standard error."""
    with pytest.raises(CommandExitError) as caught:
        await run(Command(argv=["sh", "-c", f"echo why >&2; exit {code}"]), context)
    assert f"the command exited with code {code}: why" == str(caught.value)
    assert ["why"] == context.lines


@pytest.mark.parametrize(("code", "name"), [(64, "EX_USAGE"), (65, "EX_DATAERR"), (78, "EX_CONFIG")])
async def test_some_exit_codes_make_a_dead_letter(context: FakeAttemptContext, code: int, name: str) -> None:
    """The program knows that this event will never succeed."""
    with pytest.raises(Reject) as caught:
        await run(Command(argv=["sh", "-c", f"echo why >&2; exit {code}"]), context)
    assert f"the command exited with code {code}: why ({name})" == caught.value.reason


async def test_exit_code_75_asks_for_later(context: FakeAttemptContext) -> None:
    """It does not count as a failure."""
    with pytest.raises(RetryLater) as caught:
        await run(Command(argv=["sh", "-c", "exit 75"], retry_after=timedelta(minutes=2)), context)
    assert timedelta(minutes=2) == caught.value.after


async def test_a_program_ended_by_a_signal_is_a_failure(context: FakeAttemptContext) -> None:
    """The error has the signal's name."""
    with pytest.raises(CommandExitError) as caught:
        await run(Command(argv=["sh", "-c", "kill -SEGV $$"]), context)
    assert "the command was ended by SIGSEGV" == str(caught.value)


async def test_the_whole_group_is_ended_when_the_attempt_is_cancelled() -> None:
    """The program and its child. Ending the program alone would leave the child running."""
    code = (
        "import os, subprocess, time; child = subprocess.Popen(['sleep', '600']);"
        "print(os.getpid(), child.pid, flush=True); time.sleep(600)"
    )
    context = await cancelled(python(code))
    assert await all_ended(context.handles)


async def cancelled_after(steps: int) -> None:
    """Cancel a command so many steps of the event loop after its start."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Command(argv=["sleep", "600"]).run, EVENT, FakeAttemptContext())
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


def test_a_program_that_is_cancelled_while_it_starts_is_collected(
    anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the moment, it has ended with the attempt. Catches: a start that can be cancelled half-way."""
    left: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda found: left.append(repr(found.exc_value)))
    for steps in range(12):
        anyio.run(cancelled_after, steps, backend=anyio_backend)
        gc.collect()
    assert [] == left


async def test_a_program_may_say_something_while_it_is_ended() -> None:
    """SIGTERM comes first, and what it writes then is in the log."""
    code = (
        "import os, signal, sys, time;"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('bye')));"
        "print(os.getpid(), flush=True); time.sleep(600)"
    )
    context = await cancelled(python(code))
    assert await all_ended(context.handles)
    assert "bye" == context.lines[-1]


async def test_a_program_that_ignores_sigterm_is_killed() -> None:
    """After the grace, and with all that it has started."""
    code = (
        "import os, signal, subprocess, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "child = subprocess.Popen(['sleep', '600']);"
        "print(os.getpid(), child.pid, flush=True); time.sleep(600)"
    )
    context = await cancelled(python(code, grace=timedelta(milliseconds=50)))
    assert await all_ended(context.handles)


async def test_a_stopped_program_is_killed() -> None:
    """It can't hear SIGTERM."""
    code = "import os, signal; print(os.getpid(), flush=True); os.kill(os.getpid(), signal.SIGSTOP)"
    context = await cancelled(python(code, grace=timedelta(milliseconds=50)))
    assert await all_ended(context.handles)


async def test_what_a_program_leaves_behind_is_ended() -> None:
    """Its success does not wait for a child that holds its output open, and the child does not outlive the attempt."""
    code = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True)"
    context = Listening()
    await run(python(code), context)
    assert await all_ended(context.handles)


async def test_what_has_left_the_group_does_not_hold_up_the_attempt() -> None:
    """A daemon that was started on purpose may hold the output open for ever."""
    code = "import subprocess; print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid, flush=True)"
    context = Listening()
    await run(python(code), context)
    (daemon,) = context.handles
    signal.pidfd_send_signal(daemon, signal.SIGKILL)
    assert await all_ended(context.handles)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"argv": ["no-such-program"]}, '"no-such-program" can\'t be started in {folder}: No such file or directory'),
        ({"argv": ["./job"]}, '"./job" can\'t be started in {folder}: Permission denied'),
        ({"argv": ["true"], "cwd": "nowhere"}, '"true" can\'t be started in {folder}/nowhere: there is no such folder'),
    ],
    ids=["missing", "not executable", "no folder"],
)
async def test_a_program_that_can_not_be_started_is_a_failure(
    tmp_path: Path, context: FakeAttemptContext, options: dict[str, Any], reason: str
) -> None:
    """The error names it, where it was started, and why it was not, in words and without a number."""
    (tmp_path / "job").touch(0o644)
    with pytest.raises(CommandError) as caught:
        await run(Command(directory=tmp_path, **options), context)
    assert str(caught.value) == reason.format(folder=tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"argv": ["no-such-program"]}, 'there is no program "no-such-program"'),
        ({"argv": ["./no-such-program"]}, 'there is no program "./no-such-program"'),
        ({"argv": ["./job"]}, r'"./job" may not be executed: chmod \+x it'),
        ({"argv": ["sh"], "env": {"PATH": "/nowhere"}}, 'there is no program "sh"'),
        ({"argv": ["sh"], "cwd": "nowhere"}, 'nowhere" is no folder'),
    ],
)
async def test_the_check_finds_what_is_missing(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    """Before the pipeline runs."""
    (tmp_path / "job").touch(0o644)
    with pytest.raises(ConfigurationError, match=message):
        await Command(directory=tmp_path, **options).check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"argv": []}, "argv must be a list"),
        ({"argv": "echo a"}, "argv must be a list"),
        ({"argv": [""]}, "argv must be a list"),
        ({"argv": ["a\0b"]}, "argv can't hold a NUL"),
        ({"argv": ["a"], "env": {"A=B": "c"}}, "env: 'A=B' must be a name without ="),
        ({"argv": ["a"], "env": {"A": "b\0"}}, "its value without a NUL"),
        ({"argv": ["a"], "env": {"": "b"}}, "env: '' must be a name"),
    ],
)
async def test_options_that_no_program_can_have(options: dict[str, Any], message: str) -> None:
    """They are refused when the component is made."""
    with pytest.raises(ConfigurationError, match=message):
        Command(**options)


async def test_the_environment_does_not_show() -> None:
    """It may hold a password."""
    assert "hunter2" not in repr(Command(argv=["a"], env={"PASSWORD": "hunter2"}))


def _left_running(delivery_id: str) -> subprocess.Popen[bytes]:
    """Start another engine's program, and wait for its first word: Linux shows the environment of what has begun."""
    process = subprocess.Popen(
        ["sh", "-c", "echo here; exec sleep 600"],
        env={**os.environ, "PIPELINE_DELIVERY_ID": delivery_id},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    with process.stdout as said:
        said.readline()
    return process


async def test_what_a_killed_engine_has_left_running_is_ended(context: FakeAttemptContext) -> None:
    """Asked what became of the attempt, it makes sure that the next one does not overlap with it."""
    orphan, stranger = _left_running(context.delivery_id), _left_running("d-11")
    try:
        assert Reconciliation.UNKNOWN == await Command(argv=["sleep"]).reconcile(EVENT, context)
        assert -15 == orphan.wait(10)
        assert None is stranger.poll()
    finally:
        orphan.kill()
        stranger.kill()
        orphan.wait()
        stranger.wait()


async def test_a_hundred_at_a_time() -> None:
    """Each has its own input and output."""
    contexts = [FakeAttemptContext(delivery_id=str(number)) for number in range(100)]
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for each in contexts:
                tasks.start_soon(Command(argv=["cat"]).run, EVENT.derive(id=each.delivery_id), each)
    assert [each.delivery_id for each in contexts] == [json.loads(each.lines[0])["id"] for each in contexts]


async def test_it_is_found_by_its_entry_point() -> None:
    """`type = "command"`, as anybody's."""
    assert Command is Plugins.load(["command"]).processes["command"].factory
