"""`DockerProcess`: runs one container for each event."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import attrs

from orchestrator_core import (
    JSON,
    AttemptContext,
    Clock,
    ConfigurationError,
    Event,
    JournalReader,
    ProcessStatus,
    Reconciliation,
    SystemClock,
)
from orchestrator_docker import _policy
from orchestrator_docker._errors import ContainerImageMissingError
from orchestrator_docker._naming import PREFIX, Owner
from orchestrator_docker._options import Mount, RegistryAuth, parse_size

if TYPE_CHECKING:
    from orchestrator_docker._service import Service

_IMAGE = re.compile(r"[a-z0-9][\w.:/@-]{0,255}", re.ASCII)
_LONGEST_ARGUMENT = 128 * 1024 - 1  # Linux starts no program with a longer one
_LONGEST_ENVIRONMENT = 1024 * 1024
_LEAST_MEMORY = 6 * 1024 * 1024
_MOST_CPUS = 4096.0


def _words(value: Sequence[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        raise ConfigurationError(f'expected a list such as ["sh", "-c", "…"], found the text "{value:.40}"')
    return tuple(value)


def _one_of(*choices: str) -> Any:  # noqa: ANN401 (an attrs validator)
    return attrs.validators.in_(choices)


@attrs.define(kw_only=True, eq=False)
class DockerProcess:
    """Runs one container for each event, and adopts it after a crash instead of running it again.

    The container finds the event's JSON as base64 in ``PIPELINE_EVENT``, or, where that is over 64 KiB, as it is in the
    read-only file that ``PIPELINE_EVENT_FILE`` names; the idempotency key in ``PIPELINE_DELIVERY_ID`` and the attempt's
    number in ``PIPELINE_ATTEMPT``. What it writes to standard output and standard error is the attempt's log.

    Exit code 0 is success; 75 asks to be run later, which does not count as a failure; 64, 65 and 78 make a dead letter
    at once; any other is a failure and retried by policy.

    >>> DockerProcess(image="alpine:3.20", command=["echo", "hello"]).cap_drop
    ('ALL',)

    Attributes:
        image: what to run; pin it with a tag or a digest.
        command: the arguments, instead of the image's own.
        entrypoint: the program, instead of the image's own.
        env: variables of the container.
        pull: ``missing`` pulls an image that the engine does not have, ``always`` asks the registry before each
            attempt, ``never`` takes only what is there.
        registry_auth: who pulls; otherwise as ``docker login`` has left it in the Docker configuration.
        allow_images: if given, the image must match one of these patterns, such as ``registry.example/*``.
        output: what goes to the processes downstream: ``none``, the ``last_line`` of standard output that is not
            empty, or the ``file`` that ``PIPELINE_OUTPUT_FILE`` names; it must be JSON.
        keep: which ended containers are kept for a look into them: ``never``, ``failed`` or ``always``; until the
            journal forgets the delivery.
        grace: the time from SIGTERM to SIGKILL when the attempt's time is up.
        retry_after: how long to wait after exit code 75.
        user: the user in the container, by name or number, with a group after a colon.
        workdir: the working directory in the container.
        network: a network of the engine's; ``bridge`` is Docker's own, ``none`` is none.
        mounts: what the container sees from outside.
        memory: the most memory it may use, such as ``512m``.
        cpus: how many processors' time it may use, such as 1.5.
        pids: how many processes it may have.
        read_only: whether its own file system is read-only.
        cap_drop: capabilities taken away, ``ALL`` by default.
        cap_add: capabilities given back.
        gpus: how many graphics processors it sees, or ``all``.
        labels: labels of the container besides the engine's own.
        privileged: all rights over the host; needs ``allow_privileged``.
        devices: devices of the host, as ``/dev/x:/dev/y:rwm``; needs ``allow_privileged``.
        pid_mode: ``host`` for the host's processes; needs ``allow_privileged``.
        ipc_mode: ``host`` for the host's shared memory; needs ``allow_privileged``.
        warm: keep containers running and make each attempt a command in one of them, for jobs that are shorter than a
            container's start. An attempt finds what an earlier one has left in its container; at its deadline the
            container is killed without a grace; after a crash the job is run again instead of adopted.
        max_uses: after how many attempts a warm container is replaced; it is after every failure.
        idle: after how long without an attempt a warm container is removed.
        hold: the program that keeps a warm container running; the image must have it.
        host: where the engine listens; ``DOCKER_HOST`` or Docker's default if empty.
        allow_privileged: whether the pipeline lets processes have rights over their host; set under ``[pipeline]``.
        directory: what a relative bind mount is relative to; the configuration file's folder.
    """

    image: str = attrs.field(default="")
    command: Sequence[str] = attrs.field(default=(), converter=_words)
    entrypoint: Sequence[str] = attrs.field(default=(), converter=_words)
    env: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    pull: Literal["missing", "always", "never"] = attrs.field(
        default="missing", validator=_one_of("missing", "always", "never")
    )
    registry_auth: RegistryAuth | None = None
    allow_images: Sequence[str] = attrs.field(default=(), converter=_words)
    output: Literal["none", "last_line", "file"] = attrs.field(
        default="none", validator=_one_of("none", "last_line", "file")
    )
    keep: Literal["never", "failed", "always"] = attrs.field(
        default="never", validator=_one_of("never", "failed", "always")
    )
    grace: timedelta = timedelta(seconds=10)
    retry_after: timedelta = timedelta(seconds=30)
    user: str = ""
    workdir: str = ""
    network: str = attrs.field(default="bridge")
    mounts: Sequence[Mount] = attrs.field(default=(), converter=tuple)
    memory: str = attrs.field(default="")
    cpus: float = attrs.field(default=0.0)
    pids: int = attrs.field(default=512)
    read_only: bool = False
    cap_drop: Sequence[str] = attrs.field(default=("ALL",), converter=_words)
    cap_add: Sequence[str] = attrs.field(default=(), converter=_words)
    gpus: str = attrs.field(default="")
    labels: Mapping[str, str] = attrs.field(factory=dict)
    privileged: bool = False
    devices: Sequence[str] = attrs.field(default=(), converter=_words)
    pid_mode: Literal["", "host"] = attrs.field(default="", validator=_one_of("", "host"))
    ipc_mode: Literal["", "host"] = attrs.field(default="", validator=_one_of("", "host"))
    warm: bool = False
    max_uses: int = attrs.field(default=100)
    idle: timedelta = timedelta(minutes=1)
    hold: Sequence[str] = attrs.field(default=("sleep", "2147483647"), converter=_words)
    host: str = ""
    allow_privileged: bool = False
    directory: Path = attrs.field(default=Path(), converter=Path)
    _clock: Clock = attrs.field(factory=SystemClock, repr=False)
    _name: str = attrs.field(default="", init=False, repr=False)
    _journal: JournalReader | None = attrs.field(default=None, init=False, repr=False)
    _service: Service | None = attrs.field(default=None, init=False, repr=False)

    @image.validator
    def _check_image(self, _attribute: object, image: str) -> None:
        if not image:
            raise ContainerImageMissingError
        if not _IMAGE.fullmatch(image):
            raise ConfigurationError(f'image: "{image:.100}" is no name of an image, such as "alpine:3.20"')

    @allow_images.validator
    def _check_allowed(self, _attribute: object, patterns: Sequence[str]) -> None:
        if patterns and not any(fnmatchcase(self.image, pattern) for pattern in patterns):
            raise ConfigurationError(f'image: "{self.image}" matches none of allow_images ({", ".join(patterns)})')

    @command.validator
    @entrypoint.validator
    def _check_words(self, attribute: attrs.Attribute[Any], words: Sequence[str]) -> None:
        if any("\0" in word for word in words):
            raise ConfigurationError(f"{attribute.name}: an argument can't hold a NUL character")
        if any(len(word.encode()) > _LONGEST_ARGUMENT for word in words):
            raise ConfigurationError(f"{attribute.name}: an argument is over the system's limit of 128 KiB")

    @env.validator
    def _check_env(self, _attribute: object, env: Mapping[str, str]) -> None:
        for name, value in env.items():
            if not name or "=" in name or "\0" in name + value:
                raise ConfigurationError(f"env: {name!r} must be a name without =, its value without a NUL character")
            if name.startswith("PIPELINE_"):
                raise ConfigurationError(f"env: {name} is set by the engine: choose a name that does not begin so")
            if len(f"{name}={value}".encode()) > _LONGEST_ARGUMENT:
                raise ConfigurationError(f"env: {name} is over the system's limit of 128 KiB: mount a file instead")
        if sum(len(f"{name}={value}".encode()) for name, value in env.items()) > _LONGEST_ENVIRONMENT:
            raise ConfigurationError("env: all variables together are over 1 MiB: mount a file instead")

    @labels.validator
    def _check_labels(self, _attribute: object, labels: Mapping[str, str]) -> None:
        if taken := [key for key in labels if key.startswith(PREFIX)]:
            raise ConfigurationError(f"labels: {taken[0]} is the engine's own: choose another prefix than {PREFIX}")

    @network.validator
    def _check_network(self, _attribute: object, network: str) -> None:
        if not network:
            raise ConfigurationError('network: name one; "bridge" is Docker\'s own, "none" is none')

    @memory.validator
    def _check_memory(self, _attribute: object, memory: str) -> None:
        size = parse_size("memory", memory)
        if size is not None and size < _LEAST_MEMORY:
            raise ConfigurationError(f"memory: the engine gives no less than 6m, found {memory}")

    @cpus.validator
    def _check_cpus(self, _attribute: object, cpus: float) -> None:
        if not 0.0 <= cpus <= _MOST_CPUS:
            raise ConfigurationError(f"cpus: expected a number such as 0.5 or 2, found {cpus:g}")

    @pids.validator
    def _check_pids(self, _attribute: object, pids: int) -> None:
        if pids < 1:
            raise ConfigurationError(f"pids: expected 1 or more, found {pids}")

    @max_uses.validator
    def _check_max_uses(self, _attribute: object, max_uses: int) -> None:
        if max_uses < 1:
            raise ConfigurationError(f"max_uses: expected 1 or more, found {max_uses}")

    @hold.validator
    def _check_hold(self, _attribute: object, hold: Sequence[str]) -> None:
        if not hold:
            raise ConfigurationError('hold: name a program that does not end, such as ["sleep", "2147483647"]')

    @gpus.validator
    def _check_gpus(self, _attribute: object, gpus: str) -> None:
        if gpus and gpus != "all" and not (gpus.isascii() and gpus.isdecimal() and int(gpus)):
            raise ConfigurationError(f'gpus: expected "all" or a number such as "1", found "{gpus:.40}"')

    def __attrs_post_init__(self) -> None:
        if self.allow_privileged:
            return
        if self.privileged:
            _policy.refuse("privileged", "it has all rights over the host")
        if self.devices:
            _policy.refuse("devices", "they are the host's")
        for option, mode in (("pid_mode", self.pid_mode), ("ipc_mode", self.ipc_mode)):
            if mode:
                _policy.refuse(option, "it shares the host's name space")
        _policy.refuse_network(self.network)
        _policy.refuse_capabilities(self.cap_add)

    def attach(self, name: str, journal: JournalReader) -> None:
        """Take the name in the pipeline, and the journal that tells when an attempt's container may go."""
        self._name, self._journal = name, journal

    async def __aenter__(self) -> Self:
        self._service = await self._make_service().__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        service, self._service = self._service, None
        if service is not None:
            await service.__aexit__(*exc_info)

    async def check(self) -> None:
        """Raise if no engine answers, a mount may not be had, or the image is neither there nor to be pulled."""
        if self._service is not None:
            await self._service.check()
            return
        service = self._make_service()
        try:
            await service.check()
        finally:
            service.close()

    async def run(self, event: Event, context: AttemptContext) -> ProcessStatus | None:
        """Run the container."""
        owner = Owner(
            delivery_id=context.delivery_id,
            attempt=context.attempt,
            process=context.process,
            deadline=context.deadline,
            keep=self.keep,
        )
        return self._status(await self._ready().run(event.to_json().encode(), owner, context))

    async def reconcile(self, event: Event, context: AttemptContext) -> Reconciliation | ProcessStatus:  # noqa: ARG002
        """Adopt the container of an attempt that was cut off: wait for it, or take its result if it has ended."""
        found = await self._ready().adopt(context)
        return Reconciliation.UNKNOWN if found is None else self._status(found[0]) or Reconciliation.SUCCEEDED

    def _status(self, output: JSON) -> ProcessStatus | None:
        return None if self.output == "none" else ProcessStatus(output=output)

    def _make_service(self) -> Service:
        from orchestrator_docker._service import Service  # noqa: PLC0415 (brings the SDK)

        return Service(self, self._clock, self._name, self._journal)

    def _ready(self) -> Service:
        if self._service is None:
            raise RuntimeError("enter the process before it runs: async with process")
        return self._service
