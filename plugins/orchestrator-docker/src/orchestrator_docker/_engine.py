"""`Engine`: the calls of the Docker Engine's API that we use, typed, made by the SDK in worker threads.

Every call is short: whatever waits for a container does not wait in a thread (see `_stream`). A call that is cancelled
goes on in its thread and its result is dropped; containers have names and labels, so what it may have made is found.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

import anyio
import docker
from anyio import to_thread
from docker import errors, utils

from orchestrator_core import ConfigurationError
from orchestrator_docker._archives import only_file
from orchestrator_docker._containers import Container, Listed
from orchestrator_docker._errors import (
    ContainerOutputError,
    DockerError,
    EngineError,
    EngineUnreachableError,
    ImagePullError,
    NameTakenError,
    NotThereError,
)
from orchestrator_docker._naming import PREFIX
from orchestrator_docker._options import RegistryAuth
from orchestrator_docker._sdk import FOREIGN, pull_error, refuse_replaced_urllib3, wrap
from orchestrator_docker._spec import ContainerSpec

T = TypeVar("T")

_LOG = logging.getLogger("orchestrator_docker")

THREADS = 16
_TIMEOUT = 60.0

# What the engine says, with status 500, of a path that the container itself has made impassable.
_NO_WAY = ("not a directory", "too many links", "too many levels of symbolic links")


class Engine:
    """A Docker Engine, or what speaks its API.

    Args:
        host: where it listens, as in ``DOCKER_HOST``; that variable's value, or the SDK's default, if empty.
        auth: for the registry of every image that is pulled; from the Docker configuration if ``None``.
    """

    def __init__(self, host: str = "", auth: RegistryAuth | None = None) -> None:
        environment = {**os.environ, "DOCKER_HOST": host} if host else dict(os.environ)
        try:
            self._parameters = utils.kwargs_from_env(environment=environment)
            self.host: str = utils.parse_host(self._parameters.get("base_url"))
        except (errors.DockerException, ValueError) as error:
            raise ConfigurationError(f"the address of the Docker Engine can't be used: {error}") from error
        self._auth = auth
        self._limiter = anyio.CapacityLimiter(THREADS)
        self._lock = threading.Lock()
        self._connecting = threading.Lock()
        self._api: Any = None
        self._calls = 0
        self._is_closed = False
        self._is_away = False

    @property
    def where(self) -> str:
        """Its address, for messages."""
        return self.host.replace("http+unix://", "unix://")

    @property
    def tls(self) -> Any:  # noqa: ANN401 (the SDK has no types)
        """The SDK's TLS settings, ``None`` without TLS."""
        return self._parameters.get("tls")

    @property
    def version(self) -> str:
        """The version of the API that both sides speak; known after the first call."""
        return str(self._api.api_version)

    def close(self) -> None:
        """Close the connections, those of calls that were given up once they are over."""
        with self._lock:
            self._is_closed = True
            self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._is_closed and not self._calls and self._api is not None:
            self._api.close()
            self._api = None

    def report_away(self, error: EngineUnreachableError) -> None:
        """Log that no engine answers: once, whoever waits for it, until one has answered."""
        with self._lock:
            is_known, self._is_away = self._is_away, True
        if not is_known:
            _LOG.warning("%s; trying again until it does", error)

    async def connect(self) -> str:
        """Make sure that the engine answers; return its own version."""
        return await self._call("asking for its version", lambda api: str(api.version()["Version"]))

    async def create(self, spec: ContainerSpec) -> str:
        """Create a container and return its id.

        Raises:
            NameTakenError: there is one of that name.
            NotThereError: the image is not here.
        """

        def work(api: Any) -> str:  # noqa: ANN401
            host_config = api.create_host_config(**spec.host)
            config = api.create_container_config(image=spec.image, host_config=host_config, **spec.config)
            return str(api.create_container_from_config(config, name=spec.name)["Id"])

        return await self._call(f"creating the container {spec.name}", work)

    async def start(self, container: str) -> None:
        """Start a container; no error if it runs."""
        await self._call("starting the container", lambda api: api.start(container))

    async def inspect(self, container: str) -> Container | None:
        """Return a container by id or name, ``None`` if there is none."""
        try:
            return await self._call(
                "looking at the container", lambda api: Container.read(api.inspect_container(container))
            )
        except NotThereError:
            return None

    async def kill(self, container: str, signal: str) -> None:
        """Send a signal to a container's first process; a paused one is woken for it. No error if it has ended."""

        def work(api: Any) -> None:  # noqa: ANN401
            if api.inspect_container(container)["State"].get("Paused"):
                api.unpause(container)
            api.kill(container, signal)

        try:
            await self._call(f"sending {signal} to the container", work)
        except (NotThereError, NameTakenError):  # 409 says "is not running"
            return
        except EngineError as error:
            if "not running" not in error.cause:
                raise

    async def remove(self, container: str) -> None:
        """Remove a container, running or not, and the volumes made for it. No error if it is gone or going."""
        try:
            await self._call("removing the container", lambda api: api.remove_container(container, v=True, force=True))
        except (NotThereError, NameTakenError):
            return

    async def owned(self, *labels: str) -> Sequence[Listed]:
        """Return the containers that are ours.

        Args:
            labels: only those with these labels, written ``key`` or ``key=value``.
        """
        wanted = list(labels) or [f"{PREFIX}install"]

        def work(api: Any) -> Sequence[Listed]:  # noqa: ANN401
            return [Listed.read(each) for each in api.containers(all=True, filters={"label": wanted})]

        return await self._call("listing containers", work)

    async def put(self, container: str, folder: str, archive: bytes) -> None:
        """Unpack a tar archive in a folder of a container."""
        await self._call("writing into the container", lambda api: api.put_archive(container, folder, archive))

    async def read_file(self, container: str, path: str, limit: int) -> bytes:
        """Return the content of a file in a container, ended or not.

        Raises:
            NotThereError: there is no such file.
            ContainerOutputError: it is no plain file, or longer than `limit` bytes, or no path leads there.
        """

        def work(api: Any) -> bytes:  # noqa: ANN401
            # The SDK's own call leaves an answer open that is not read to its end, and the engine locks the container
            # for as long as it is.
            url = f"{api.base_url}/v{api.api_version}/containers/{container}/archive"
            with api.get(url, params={"path": path}, stream=True, timeout=_TIMEOUT) as answer:
                if answer.status_code != HTTPStatus.OK:
                    raise _unreadable(path, answer.status_code, answer.text[:500])
                return only_file(answer.iter_content(64 * 1024), path, limit)

        return await self._call(f"reading {path} in the container", work)

    async def logs(self, container: str, tail: int) -> Sequence[tuple[int, bytes]]:
        """Return the last lines that a container has written to standard output (1) and standard error (2).

        For engines whose logs can't be followed; see `orchestrator_docker._stream`.
        """

        def work(api: Any) -> Sequence[tuple[int, bytes]]:  # noqa: ANN401
            return [
                (1, api.logs(container, stdout=True, stderr=False, tail=tail)),
                (2, api.logs(container, stdout=False, stderr=True, tail=tail)),
            ]

        return await self._call("reading the container's log", work)

    async def has_image(self, image: str) -> bool:
        """Tell whether the engine has an image."""
        try:
            await self._call(f"looking for {image}", lambda api: api.inspect_image(image)["Id"])
        except NotThereError:
            return False
        return True

    async def image_command(self, image: str) -> tuple[Sequence[str], Sequence[str]]:
        """Return the entrypoint and the command that an image has of its own."""

        def work(api: Any) -> tuple[Sequence[str], Sequence[str]]:  # noqa: ANN401
            config = api.inspect_image(image)["Config"]
            return config.get("Entrypoint") or (), config.get("Cmd") or ()

        return await self._call(f"looking at {image}", work)

    async def pull(self, image: str, on_progress: Callable[[Mapping[str, Any]], None] | None = None) -> None:
        """Pull an image, reading the answer to its end: errors arrive inside of it.

        Args:
            image: its name; without a tag or digest the tag is ``latest``.
            on_progress: called in the worker thread with each line of the engine's answer.

        Raises:
            ImagePullError: it can't be had.
        """
        repository, tag = utils.parse_repository_tag(image)
        auth = None if self._auth is None else self._auth.reveal()

        def work(api: Any) -> None:  # noqa: ANN401
            seen = False
            for line in api.pull(repository, tag=tag or "latest", stream=True, decode=True, auth_config=auth):
                seen = True
                if "error" in line:
                    raise pull_error(image, str(line["error"]))
                if on_progress is not None:
                    on_progress(line)
            if not seen:
                raise ImagePullError(image, "the engine's answer was empty")

        try:
            await self._call(f"pulling {image}", work)
        except EngineError as error:
            raise pull_error(image, error.cause) from error

    async def exec_create(self, container: str, argv: Sequence[str], **options: Any) -> str:  # noqa: ANN401
        """Prepare a command to be run in a running container, and return its id."""
        return await self._call(
            "preparing a command in the container",
            lambda api: str(api.exec_create(container, list(argv), **options)["Id"]),
        )

    async def exec_inspect(self, command: str) -> tuple[bool, int | None, int]:
        """Return whether a command runs, its exit code, and its process id on the engine's host."""

        def work(api: Any) -> tuple[bool, int | None, int]:  # noqa: ANN401
            found = api.exec_inspect(command)
            return bool(found["Running"]), found["ExitCode"], int(found.get("Pid") or 0)

        return await self._call("looking at the command in the container", work)

    async def _call(self, what: str, work: Callable[[Any], T]) -> T:
        return await to_thread.run_sync(self._work, what, work, abandon_on_cancel=True, limiter=self._limiter)

    def _work(self, what: str, work: Callable[[Any], T]) -> T:
        """Make a call in this thread; what it raises is ours from here on."""
        try:
            answer = work(self._begin())
        except DockerError:
            raise
        except FOREIGN as error:
            raise wrap(error, what, self.where) from error
        else:
            self._is_away = False
            return answer
        finally:
            with self._lock:
                self._calls -= 1
                self._close_if_unused()

    def _begin(self) -> Any:  # noqa: ANN401
        with self._lock:
            self._calls += 1
        with self._connecting:
            if self._api is None:
                refuse_replaced_urllib3()
                self._api = docker.APIClient(
                    **self._parameters, version="auto", timeout=_TIMEOUT, max_pool_size=THREADS
                )
            return self._api


def _unreadable(path: str, status: int, cause: str) -> DockerError:
    if status == HTTPStatus.NOT_FOUND:
        return NotThereError(f"reading {path}", status, cause)
    if any(each in cause for each in _NO_WAY):
        return ContainerOutputError(f"no path leads to {path}: {cause}")
    return EngineError(f"reading {path}", status, cause)
