"""Which addresses may be connected to: the table of the egress guard."""

from __future__ import annotations

import pytest

from orchestrator_webhook import EgressRefusedError, WebhookConfigurationError
from orchestrator_webhook._networks import Guard, networks

CLOSED = {
    "0.0.0.0": "an address of this host",
    "0.1.2.3": "an address of this host",
    "10.0.0.1": "a private address",
    "100.64.0.1": "an address behind a carrier's NAT",
    "127.0.0.1": "a loopback address",
    "127.255.255.254": "a loopback address",
    "169.254.1.1": "a link-local address",
    "172.16.0.1": "a private address",
    "172.31.255.255": "a private address",
    "192.0.0.8": "an address for protocols",
    "192.0.2.1": "an address for documentation",
    "192.168.1.1": "a private address",
    "198.18.0.1": "an address for benchmarks",
    "203.0.113.9": "an address for documentation",
    "224.0.0.1": "a multicast address",
    "240.0.0.1": "a reserved address",
    "255.255.255.255": "a reserved address",
    "::": "an address of this host",
    "::1": "a loopback address",
    "::7f00:1": "a reserved address",
    "::ffff:10.0.0.1": "a private address",
    "::ffff:127.0.0.1": "a loopback address",
    "64:ff9b::a00:1": "a private address",
    "64:ff9b:1::1": "an address of a translator",
    "100::1": "an address that discards",
    "2001::1": "an address for protocols",
    "2001:db8::1": "an address for documentation",
    "2002:7f00:1::": "an address of 6to4",
    "3fff::1": "an address for documentation",
    "4000::1": "a reserved address",
    "5f00::1": "a reserved address",
    "fc00::1": "a private address",
    "fdff::1": "a private address",
    "fe80::1": "a link-local address",
    "fe80::1%eth0": "a link-local address",
    "fec0::1": "a reserved address",
    "ff02::1": "a multicast address",
}
OPEN = ("1.1.1.1", "9.255.255.255", "11.0.0.0", "93.184.215.14", "172.15.255.255", "172.32.0.0", "223.255.255.255")
OPEN_6 = ("2606:4700:4700::1111", "2a00:1450::1", "2000::1", "64:ff9b::101:101", "::ffff:1.1.1.1")
METADATA = ("169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254")


@pytest.mark.parametrize("address", CLOSED)
def test_what_is_not_public_is_closed(address: str) -> None:
    """The message says what the address is and prints the line that opens it."""
    with pytest.raises(EgressRefusedError, match=CLOSED[address]) as caught:
        Guard().check("hooks.example", address)
    line = f'allow_networks = ["{caught.value.network}"]'
    assert str(caught.value).endswith(line)
    Guard(networks([caught.value.network])).check("hooks.example", address)


@pytest.mark.parametrize("address", [*OPEN, *OPEN_6])
def test_what_is_public_is_open(address: str) -> None:
    """The neighbours of closed networks among them."""
    Guard().check("hooks.example", address)


@pytest.mark.parametrize("address", METADATA)
def test_metadata_stays_closed_unless_named_exactly(address: str) -> None:
    """Whoever opens everything has not meant the machine's credentials."""
    with pytest.raises(EgressRefusedError, match="a cloud's metadata") as caught:
        Guard(networks(["0.0.0.0/0", "::/0"])).check("hooks.example", address)
    Guard(networks([caught.value.network])).check("hooks.example", address)


def test_metadata_in_disguise_stays_closed() -> None:
    """An IPv6 address that the system turns into it is the same address."""
    for address in ("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"):
        with pytest.raises(EgressRefusedError, match="a cloud's metadata"):
            Guard(networks(["0.0.0.0/0", "::/0"])).check("hooks.example", address)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "hooks.example", ""])
def test_a_network_that_is_none_is_refused(text: str) -> None:
    """With an example of one."""
    with pytest.raises(WebhookConfigurationError, match=r'^allow_networks: .*such as "10\.0\.0\.0/8"$'):
        networks([text])
