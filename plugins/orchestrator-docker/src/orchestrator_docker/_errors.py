"""Every exception of the plugin; `orchestrator_docker._sdk` makes the errors of the SDK ones of them.

::

    OrchestratorError
    └── DockerError
        ├── EngineUnreachableError         no engine answers: nothing is known to be wrong with the job
        ├── EngineError                    the engine answers, but with an error of its own or to no use
        │   ├── NameTakenError             a container of that name is there
        │   └── NotThereError              no such container or image
        ├── ContainerImageMissingError     the process names no image (also a ConfigurationError)
        ├── ImagePullError                 the image can't be had
        │   └── RegistryBusyError          not now: the registry limits how often
        ├── ForeignContainerError          the container's name belongs to somebody else
        ├── ContainerStartError            the engine can't start the container
        ├── ContainerNonZeroExit           the container failed
        ├── ContainerTimeoutError          the container was ended at its deadline
        ├── ContainerLostError             the container was removed under our hands
        ├── EngineRestartedError           the engine took the container down with itself
        └── ContainerOutputError           the container did not return what it was to return
"""

from __future__ import annotations

from http import HTTPStatus

from orchestrator_core import ConfigurationError, OrchestratorError


class DockerError(OrchestratorError):
    """The root of what this plugin raises."""


class EngineUnreachableError(DockerError):
    """No engine answers.

    Attributes:
        where: its address.
        cause: what the connection came to.
    """

    def __init__(self, where: str, cause: str) -> None:
        self.where = where
        self.cause = cause
        super().__init__(f"no Docker Engine answers at {where}: {cause}; {_remedy(cause)}")


def _remedy(cause: str) -> str:
    if "ermission denied" in cause:
        return "let this user use it: usermod -aG docker USER, and log in again"
    if "No such file" in cause or "refused" in cause:
        return "start it (systemctl start docker), or set DOCKER_HOST or the option host to where it listens"
    return "see that it runs, and that DOCKER_HOST or the option host is where it listens"


class EngineError(DockerError):
    """The engine answers, but with an error of its own or with something that can't be read.

    Attributes:
        what: what was asked.
        status: the HTTP status; ``None`` if the answer was not understood.
        cause: the engine's words.
    """

    def __init__(self, what: str, status: int | None, cause: str) -> None:
        self.what = what
        self.status = status
        self.cause = cause
        said = f"the Docker Engine answers {status}" if status else "the Docker Engine's answer is of no use"
        super().__init__(f"{what}: {said}: {cause}")

    @property
    def is_its_own(self) -> bool:
        """Whether the engine is the one in trouble, and not what it was asked for."""
        return self.status is None or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR


def is_full(cause: str) -> bool:
    """Tell whether the engine says that its disk is full, in whatever words stand around it."""
    return "no space left on device" in cause


class NameTakenError(EngineError):
    """A container of that name is there, or is just being removed."""


class NotThereError(EngineError):
    """The engine has no such container or image."""


class ContainerImageMissingError(DockerError, ConfigurationError):
    """A process names no image."""

    def __init__(self) -> None:
        super().__init__('image is missing: name what to run, such as image = "alpine:3.20"')


class ImagePullError(DockerError):
    """An image can't be had.

    Attributes:
        image: its name.
        cause: the engine's or the registry's words.
    """

    def __init__(self, image: str, cause: str) -> None:
        self.image = image
        self.cause = cause
        super().__init__(f"can't pull {image}: {cause}{_pull_remedy(cause)}")


def _pull_remedy(cause: str) -> str:
    words = cause.casefold()
    if any(each in words for each in ("dial tcp", "i/o timeout", "deadline exceeded", "client.timeout")):
        return "; see that the engine reaches the registry, or bring the image by docker load"
    if any(each in words for each in ("unauthorized", "authentication", "auth credentials", "denied")):
        return "; run docker login for that registry, or give registry_auth"
    if "no matching manifest" in words or "does not match the specified platform" in words:
        return "; the image was not built for this machine's architecture"
    if "not found" in words or "manifest unknown" in words:
        return "; correct the image's name or tag"
    return ""


class RegistryBusyError(ImagePullError):
    """The registry limits how often one may ask; later it answers."""


class ForeignContainerError(DockerError):
    """A container of the name that a delivery needs was made by somebody else.

    Attributes:
        name: the name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"the container {name} is not this delivery's: remove or rename it, then redrive the delivery")


class ContainerStartError(DockerError):
    """The engine has made the container but can't start it.

    Attributes:
        image: its image.
        cause: the engine's words.
    """

    def __init__(self, image: str, cause: str) -> None:
        self.image = image
        self.cause = cause
        super().__init__(f"a container of {image} can't be started: {cause}")


class ContainerNonZeroExit(DockerError):  # noqa: N818 (the ancestor's name)
    """A container has failed.

    Attributes:
        code: its exit code.
        why: what is known besides, for example that it ran out of memory.
    """

    def __init__(self, code: int, why: str = "") -> None:
        self.code = code
        self.why = why
        super().__init__(f"the container exited with code {code}" + (f": {why:.300}" if why else ""))


class ContainerTimeoutError(DockerError):
    """A container was ended at its deadline.

    Attributes:
        code: its exit code.
    """

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"the container was ended at its deadline, with code {code}")


class ContainerLostError(DockerError):
    """A container was removed while its process waited for it, so its result is not known.

    Attributes:
        name: its name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"the container {name} was removed by somebody before its result was read")


class ContainerEndedError(DockerError):
    """A warm container does not run any more when it is to be given a command.

    Attributes:
        name: its name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"the warm container {name} ended before it was given a command: `hold` must name a program that goes on"
        )


class EngineRestartedError(DockerError):
    """The engine went away while a container ran, and took it down.

    Attributes:
        code: the container's exit code.
    """

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"the Docker Engine was restarted and took the container down (exit code {code})")


class ContainerOutputError(DockerError):
    """A container succeeded but did not return what it was to return."""
