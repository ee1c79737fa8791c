"""Docker for orchestrator-engine: the process `docker` runs one container for one event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator_core import ProcessType, hookimpl
from orchestrator_docker._errors import (
    ContainerImageMissingError,
    ContainerLostError,
    ContainerNonZeroExit,
    ContainerOutputError,
    ContainerStartError,
    ContainerTimeoutError,
    DockerError,
    EngineError,
    EngineRestartedError,
    EngineUnreachableError,
    ForeignContainerError,
    ImagePullError,
    NameTakenError,
    NotThereError,
    RegistryBusyError,
)
from orchestrator_docker._options import Mount, RegistryAuth
from orchestrator_docker._process import DockerProcess

if TYPE_CHECKING:
    import click

__all__ = [
    "ContainerImageMissingError",
    "ContainerLostError",
    "ContainerNonZeroExit",
    "ContainerOutputError",
    "ContainerStartError",
    "ContainerTimeoutError",
    "DockerError",
    "DockerProcess",
    "EngineError",
    "EngineRestartedError",
    "EngineUnreachableError",
    "ForeignContainerError",
    "ImagePullError",
    "Mount",
    "NameTakenError",
    "NotThereError",
    "RegistryAuth",
    "RegistryBusyError",
]


@hookimpl
def orchestrator_register_processes() -> list[ProcessType]:
    """Return the process ``docker``."""
    return [ProcessType("docker", DockerProcess, summary="a container for each event", reconciles=True)]


@hookimpl
def orchestrator_register_commands() -> list[click.Command]:
    """Return the group ``orchestrator docker``."""
    from orchestrator_docker._commands import docker  # noqa: PLC0415 (only the command line needs it)

    return [docker]
