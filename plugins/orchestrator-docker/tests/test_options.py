"""What a container may be told and may ask of its host."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import attrs
import pytest

from orchestrator_core import ConfigurationError, Secret
from orchestrator_docker import ContainerImageMissingError, DockerProcess, Mount, RegistryAuth
from orchestrator_docker._naming import Owner
from orchestrator_docker._options import parse_size
from orchestrator_docker._policy import bind_source
from orchestrator_docker._spec import ContainerSpec, assign, spec_of

OWNER = Owner(delivery_id="k1-7.0", attempt=1, process="job", deadline=1_000.0)


def refused(**options: Any) -> str:
    """Return why options are refused."""
    with pytest.raises((ConfigurationError, ValueError)) as caught:
        DockerProcess(**{"image": "alpine:3", **options})
    return str(caught.value)


def spec(options: DockerProcess) -> ContainerSpec:
    """Return how a container of a process is made."""
    return spec_of(options, assign(options, b"{}", OWNER), OWNER, [])


def host_of(**options: Any) -> dict[str, Any]:
    """Return what the container of a process may do."""
    return dict(spec(DockerProcess(image="alpine:3", **options)).host)


def test_missing_image() -> None:
    """Without an image there is nothing to run, and the ancestor's error says so."""
    with pytest.raises(ContainerImageMissingError, match="image is missing"):
        DockerProcess()


@pytest.mark.parametrize("image", ["alpine", "alpine:3.20", "reg.example:5000/a/b:1", f"a/b@sha256:{'0' * 64}"])
def test_image_names(image: str) -> None:
    """Tags, registries and digests are taken."""
    assert image == DockerProcess(image=image).image


@pytest.mark.parametrize("image", ["Alpine", "a b", "-x", "a;rm", "a" * 300])
def test_image_that_is_no_name(image: str) -> None:
    """What Docker would refuse is refused at check time."""
    assert "is no name of an image" in refused(image=image)


def test_image_allow_list() -> None:
    """An image that matches no pattern is refused, whoever chose it."""
    assert "matches none of allow_images" in refused(image="evil/x:1", allow_images=["acme/*", "alpine:*"])
    DockerProcess(image="acme/x:1", allow_images=["acme/*"])


def test_b32_no_variables_of_ones_own() -> None:
    """B32: without `env` there is no empty entry."""
    config = spec(DockerProcess(image="alpine")).config
    assert ["PIPELINE_EVENT", "PIPELINE_DELIVERY_ID", "PIPELINE_ATTEMPT"] == [
        each.partition("=")[0] for each in config["environment"]
    ]


def test_b32_values_with_commas_and_newlines() -> None:
    """B32, D90: a value may hold commas, quotes, ``=`` and line breaks."""
    config = spec(DockerProcess(image="alpine", env={"A": 'x,y="1"\nz'})).config
    assert 'A=x,y="1"\nz' in config["environment"]


@pytest.mark.parametrize(
    ("env", "why"),
    [
        pytest.param({"A=B": "x"}, "without =", id="="),
        pytest.param({"": "x"}, "without =", id="no name"),
        pytest.param({"A": "\0"}, "NUL", id="NUL"),
        pytest.param({"A": "x" * 131_072}, "128 KiB", id="130 KiB"),
        pytest.param({f"A{n}": "x" * 200 for n in range(10_000)}, "1 MiB", id="2 MB in all"),
        pytest.param({"PIPELINE_EVENT": "x"}, "set by the engine", id="ours"),
    ],
)
def test_d90_variables_that_cannot_be(env: dict[str, str], why: str) -> None:
    """D90: what Linux would refuse with E2BIG, or nobody could read back, is refused at check time."""
    assert why in refused(env=env)


def test_d90_ten_thousand_variables() -> None:
    """D90: many small variables are fine."""
    DockerProcess(image="alpine", env={f"A{n}": "x" for n in range(10_000)})


def test_b33_safe_defaults() -> None:
    """B33: nothing of the host, few rights, bounded processes and logs; never removed by the engine itself."""
    host = host_of()
    expected = {
        "network_mode": "bridge",
        "security_opt": ["no-new-privileges"],
        "cap_drop": ["ALL"],
        "cap_add": [],
        "pids_limit": 512,
        "init": True,
        "privileged": False,
        "pid_mode": None,
        "ipc_mode": None,
        "auto_remove": False,
        "restart_policy": {"Name": "no"},
        "log_config": {"type": "json-file", "config": {"max-size": "10m", "max-file": "2"}},
    }
    assert expected == {key: host[key] for key in expected}


def test_limits() -> None:
    """Memory, processors and processes are limited as they are written."""
    host = host_of(memory="64m", cpus=1.5, pids=10, read_only=True, gpus="all")
    assert (64 << 20, 64 << 20, 1_500_000_000, 10, True) == (
        host["mem_limit"],
        host["memswap_limit"],
        host["nano_cpus"],
        host["pids_limit"],
        host["read_only"],
    )
    assert -1 == host["device_requests"][0]["Count"]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"privileged": True}, "privileged"),
        ({"network": "host"}, "network"),
        ({"network": "container:db"}, "network"),
        ({"devices": ["/dev/kvm"]}, "devices"),
        ({"pid_mode": "host"}, "pid_mode"),
        ({"ipc_mode": "host"}, "ipc_mode"),
        ({"cap_add": ["SYS_ADMIN"]}, "cap_add"),
        ({"cap_add": ["cap_net_admin"]}, "cap_add"),
    ],
)
def test_rights_over_the_host(options: dict[str, Any], why: str) -> None:
    """Rights over the host need ``allow_privileged``, and the error says where to write it."""
    message = refused(**options)
    assert why in message
    assert "allow_privileged = true under [pipeline]" in message
    DockerProcess(image="alpine", allow_privileged=True, **options)


def test_all_rights() -> None:
    """What is privileged may gain rights, so nothing is said of them."""
    host = host_of(allow_privileged=True, privileged=True)
    assert (True, []) == (host["privileged"], host["security_opt"])


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"memory": "5"}, "memory"),
        ({"memory": "1m"}, "no less than 6m"),
        ({"memory": "9" * 400 + "m"}, "memory"),
        ({"cpus": -1.0}, "cpus"),
        ({"cpus": float("nan")}, "cpus"),
        ({"pids": 0}, "pids"),
        ({"gpus": "some"}, "gpus"),
        ({"network": ""}, "network"),
        ({"command": "echo hi"}, "expected a list"),
        ({"command": ["a\0"]}, "command"),
        ({"labels": {"orchestrator-engine.delivery": "x"}}, "labels"),
        ({"output": "both"}, "output"),
        ({"pull": "sometimes"}, "pull"),
        ({"keep": "yes"}, "keep"),
    ],
)
def test_option_out_of_range(options: dict[str, Any], why: str) -> None:
    """Each option says what it wants."""
    assert why in refused(**options)


def test_every_option_is_documented() -> None:
    """The plugin's page tells of each option, and so does the docstring, of which the reference is made."""
    page = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    options = {each.name for each in attrs.fields(DockerProcess) if each.init and not each.name.startswith("_")}
    given_by_the_engine = {"allow_privileged", "directory"}
    listed = options - given_by_the_engine
    missing = {each for each in listed if not re.search(rf"^\| .*`{each}`.* \|", page, re.MULTILINE)}
    assert set() == missing
    assert set() == {each for each in options if f"        {each}: " not in (DockerProcess.__doc__ or "")}


def test_password_stays_hidden() -> None:
    """A registry's password and the variables are in no repr."""
    process = DockerProcess(image="a", env={"TOKEN": "hunter2"}, registry_auth=RegistryAuth("me", Secret("hunter3")))
    assert "hunter" not in repr(process)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        pytest.param("/", "shows /var/run/docker.sock", id="/"),
        pytest.param("/var/run/docker.sock", "docker.sock", id="socket"),
        pytest.param("/var/run", "docker.sock", id="its folder"),
        pytest.param("/run", "docker.sock", id="its folder, resolved"),
        pytest.param("data/../../etc", '".."', id=".."),
        pytest.param("/proc", "host's own system", id="/proc"),
        pytest.param("/proc/1/root", "source", id="/proc/1/root"),
        pytest.param("/sys/kernel", "host's own system", id="/sys"),
        pytest.param("/dev/sda", "host's own system", id="/dev"),
        pytest.param("/etc/shadow", "host's own system", id="/etc"),
        pytest.param("/var/lib/docker", "host's own system", id="engine's data"),
        pytest.param("a\0b", "NUL", id="NUL"),
    ],
)
def test_d94_mounts_that_are_refused(source: str, why: str, tmp_path: Path) -> None:
    """D94: the root, the kernel's folders, the engine's socket, and anything that would show them."""
    with pytest.raises(ConfigurationError, match="source") as caught:
        bind_source(source, tmp_path, "unix:///var/run/docker.sock", is_privileged=False)
    assert why in str(caught.value)


def test_d94_link_to_the_socket(tmp_path: Path) -> None:
    """D94: a symbolic link to the engine's socket, or to its folder, is followed before it is judged."""
    (tmp_path / "innocent").symlink_to("/var/run/docker.sock")
    (tmp_path / "folder").symlink_to("/var/run")
    for name in ("innocent", "folder"):
        with pytest.raises(ConfigurationError, match="hands out the whole host"):
            bind_source(name, tmp_path, "unix:///var/run/docker.sock", is_privileged=False)


def test_d94_socket_is_refused_even_when_privileged(tmp_path: Path) -> None:
    """D94: the engine's socket is never shown, wherever it is."""
    path = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as line:
        line.bind(str(path))
        with pytest.raises(ConfigurationError, match="hands out the whole host"):
            bind_source("engine.sock", tmp_path, f"unix://{path}", is_privileged=True)
        with pytest.raises(ConfigurationError, match="is a socket"):
            bind_source("engine.sock", tmp_path, "tcp://other:2375", is_privileged=True)


def test_relative_source(tmp_path: Path) -> None:
    """A relative source begins at the configuration file's folder."""
    assert str(tmp_path.resolve() / "data") == bind_source("data", tmp_path, "unix:///x", is_privileged=False)


@pytest.mark.parametrize(
    "table",
    [
        {"target": "data"},
        {"target": "/a/../b", "source": "x"},
        {"target": "/a"},
        {"target": "/a", "source": "x", "type": "tmpfs"},
        {"target": "/a", "type": "tmpfs", "size": "big"},
        {"target": "/a", "type": "nfs"},
        {"target": "/", "source": "x"},
        {"target": "//.", "source": "x"},
        {"target": "/a", "type": "volume", "source": "/"},
        {"target": "/a", "type": "volume", "source": "/var/run/docker.sock"},
        {"target": "/a", "type": "volume", "source": "../x"},
        {"target": "/a", "type": "volume", "source": "a\0"},
    ],
)
def test_d94_mount_that_is_none(table: dict[str, Any]) -> None:
    """D94: a mount says what is wrong with it, and no folder of the host's goes by as a volume."""
    with pytest.raises((ConfigurationError, ValueError)):
        Mount(**table)


@pytest.mark.parametrize(("text", "size"), [("", None), ("1k", 1024), ("2G", 2 << 30), ("3MiB", 3 << 20), ("7b", 7)])
def test_sizes(text: str, size: int | None) -> None:
    """Sizes are written as Docker's own command line takes them."""
    assert size == parse_size("memory", text)
