"""What a container is made of: from the options and the event to the arguments of the SDK. No I/O here."""

from __future__ import annotations

import base64
import posixpath
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from orchestrator_docker._archives import archive_of
from orchestrator_docker._naming import Owner, name_of
from orchestrator_docker._options import Mount, parse_size

if TYPE_CHECKING:
    from orchestrator_docker._process import DockerProcess

FOLDER = "/pipeline"
"""Where a container finds an event that is too large for a variable, and writes the file that is its output."""

LONGEST_VARIABLE = 64 * 1024

_EVENT = "event.json"
_OUT = "out"

OUTPUT_FILE = f"{FOLDER}/{_OUT}/output.json"

_LOG = {"type": "json-file", "config": {"max-size": "10m", "max-file": "2"}}


@attrs.frozen(kw_only=True)
class Assignment:
    """What a program in a container is told of its event.

    Attributes:
        variables: its environment.
        output_file: where it writes its output, if that is to be a file.
        files: a tar archive to be unpacked before it starts; empty for none.
        files_in: the folder to unpack it in.
    """

    variables: Mapping[str, str]
    output_file: str
    files: bytes
    files_in: str


@attrs.frozen(kw_only=True)
class ContainerSpec:
    """A container to be made.

    Attributes:
        name: its name.
        image: what it is made of.
        config: arguments of the SDK's ``create_container_config``.
        host: arguments of the SDK's ``create_host_config``.
        files: a tar archive to be unpacked before it starts; empty for none.
        files_in: the folder to unpack it in.
    """

    name: str
    image: str
    config: Mapping[str, Any]
    host: Mapping[str, Any]
    files: bytes = b""
    files_in: str = "/"


def assign(options: DockerProcess, payload: bytes, owner: Owner, folder: str = FOLDER) -> Assignment:
    """Say what a program is told.

    Args:
        options: the process.
        payload: the event's JSON.
        owner: whose attempt it is.
        folder: where its files are, `FOLDER` or inside of it.
    """
    event = base64.b64encode(payload).decode()
    event_file, output_file = f"{folder}/{_EVENT}", f"{folder}/{_OUT}/output.json"
    is_small, has_output = len(event) <= LONGEST_VARIABLE, options.output == "file"
    # A file can be put into a read-only container only where a volume is.
    files_in = FOLDER if options.read_only else "/"
    inside = posixpath.relpath(folder, files_in)
    folders = [posixpath.normpath(each) for each in (inside, f"{inside}/{_OUT}")]
    files = {} if is_small else {posixpath.normpath(f"{inside}/{_EVENT}"): payload}
    return Assignment(
        variables={
            **({"PIPELINE_EVENT": event} if is_small else {"PIPELINE_EVENT_FILE": event_file}),
            **({"PIPELINE_OUTPUT_FILE": output_file} if has_output else {}),
            "PIPELINE_DELIVERY_ID": owner.delivery_id,
            "PIPELINE_ATTEMPT": str(owner.attempt),
        },
        output_file=output_file,
        files=archive_of([each for each in folders if each != "."], files) if files or has_output else b"",
        files_in=files_in,
    )


def spec_of(
    options: DockerProcess, task: Assignment, owner: Owner, mounts: Sequence[Mapping[str, Any]]
) -> ContainerSpec:
    """Say how the container of one attempt is to be made.

    Args:
        options: the process.
        task: what it is told.
        owner: whose container it is.
        mounts: what it sees from outside, checked.
    """
    volume = [volume_of()] if task.files and options.read_only else []
    return ContainerSpec(
        name=name_of(owner.delivery_id),
        image=options.image,
        config=config_of(options, task.variables, {**options.labels, **owner.labels()}),
        host=host_of(options, [*mounts, *volume]),
        files=task.files,
        files_in=task.files_in,
    )


def volume_of() -> Mapping[str, Any]:
    """Return a volume at `FOLDER` that goes with its container."""
    return {"Type": "volume", "Target": FOLDER, "Source": ""}


def config_of(options: DockerProcess, variables: Mapping[str, str], labels: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what a container runs."""
    return {
        "command": list(options.command) or None,
        "entrypoint": list(options.entrypoint) or None,
        "environment": [f"{name}={value}" for name, value in {**options.env, **variables}.items()],
        "labels": dict(labels),
        "user": options.user or None,
        "working_dir": options.workdir or None,
    }


def host_of(options: DockerProcess, mounts: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return what a container may do on its host."""
    memory = parse_size("memory", options.memory)
    return {
        "init": True,
        "network_mode": options.network,
        "security_opt": [] if options.privileged else ["no-new-privileges"],
        "cap_drop": list(options.cap_drop),
        "cap_add": list(options.cap_add),
        "pids_limit": options.pids,
        "mem_limit": memory,
        "memswap_limit": memory,  # the same: no swap on top, which would only make it slow before it ends
        "nano_cpus": round(options.cpus * 1e9) or None,
        "read_only": options.read_only,
        "mounts": list(mounts),
        "log_config": _LOG,
        "device_requests": _gpus(options.gpus),
        "devices": list(options.devices),
        "privileged": options.privileged,
        "pid_mode": options.pid_mode or None,
        "ipc_mode": options.ipc_mode or None,
        "restart_policy": {"Name": "no"},
        "auto_remove": False,
    }


def mount_of(mount: Mount, source: str) -> Mapping[str, Any]:
    """Return a mount as the API writes it.

    Args:
        mount: the option.
        source: the path of the host or the volume's name.
    """
    plain: dict[str, Any] = {
        "Type": mount.type, "Target": mount.target, "Source": source, "ReadOnly": mount.read_only
    }  # fmt: skip
    if mount.type == "tmpfs":
        plain["TmpfsOptions"] = {"SizeBytes": parse_size("size", mount.size)}
    if mount.type == "bind":
        plain["BindOptions"] = {"Propagation": "rprivate"}
    return plain


def _gpus(wanted: str) -> Sequence[Mapping[str, Any]] | None:
    if not wanted:
        return None
    count = -1 if wanted == "all" else int(wanted)
    return [{"Driver": "", "Count": count, "DeviceIDs": [], "Capabilities": [["gpu"]], "Options": {}}]
