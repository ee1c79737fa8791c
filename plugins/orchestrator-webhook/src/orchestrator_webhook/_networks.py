"""Which addresses a webhook may be sent to: our own table of networks that are not public.

The standard library's `is_global` is out of date on Python 3.11, so what IANA's special-purpose registries say stands
here, as of 2025.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

import attrs

from orchestrator_webhook._errors import EgressRefusedError, WebhookConfigurationError

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_V4 = {
    "0.0.0.0/8": "an address of this host",
    "10.0.0.0/8": "a private address",
    "100.64.0.0/10": "an address behind a carrier's NAT",
    "127.0.0.0/8": "a loopback address",
    "169.254.0.0/16": "a link-local address",
    "172.16.0.0/12": "a private address",
    "192.0.0.0/24": "an address for protocols",
    "192.0.2.0/24": "an address for documentation",
    "192.88.99.0/24": "an address of a 6to4 relay",
    "192.168.0.0/16": "a private address",
    "198.18.0.0/15": "an address for benchmarks",
    "198.51.100.0/24": "an address for documentation",
    "203.0.113.0/24": "an address for documentation",
    "224.0.0.0/4": "a multicast address",
    "240.0.0.0/4": "a reserved address",
}
_V6 = {
    "::/128": "an address of this host",
    "::1/128": "a loopback address",
    "64:ff9b:1::/48": "an address of a translator",
    "100::/64": "an address that discards",
    "2001::/23": "an address for protocols",
    "2001:db8::/32": "an address for documentation",
    "2002::/16": "an address of 6to4",
    "3fff::/20": "an address for documentation",
    "fc00::/7": "a private address",
    "fe80::/10": "a link-local address",
    "ff00::/8": "a multicast address",
    # Of IPv6, 2000::/3 alone is public.
    "::/3": "a reserved address",
    "4000::/2": "a reserved address",
    "8000::/1": "a reserved address",
}
_CLOSED: Sequence[tuple[Network, str]] = [(ip_network(text), kind) for text, kind in {**_V4, **_V6}.items()]

# They hand out the machine's own credentials to whoever asks.
_METADATA = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",  # AWS, Azure, Google Cloud, DigitalOcean, OpenStack
        "169.254.170.2",  # AWS ECS
        "169.254.170.23",  # AWS EKS
        "100.100.100.200",  # Alibaba Cloud
        "192.0.0.192",  # Oracle Cloud
        "168.63.129.16",  # Azure's own host, in public space
        "fd00:ec2::254",  # AWS
        "fd00:ec2::23",  # AWS EKS
        "fd20:ce::254",  # Google Cloud
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")


def networks(value: Iterable[str | Network]) -> tuple[Network, ...]:
    """Make networks of what the option ``allow_networks`` says."""
    try:
        return tuple(ip_network(each) for each in ([value] if isinstance(value, str) else value))
    except ValueError as error:
        raise WebhookConfigurationError(f'allow_networks: {error}; write networks such as "10.0.0.0/8"') from None


@attrs.frozen
class Guard:
    """Tells whether an address may be connected to.

    >>> Guard().check("hooks.example", "93.184.215.14")
    >>> Guard(networks(["10.0.0.0/8"])).check("build.example", "10.1.2.3")

    Attributes:
        opened: networks that are meant though they are not public.
    """

    opened: tuple[Network, ...] = ()

    def check(self, host: str, text: str) -> None:
        """Raise unless the address is public, or opened.

        Raises:
            EgressRefusedError: it is neither.
        """
        address = _effective(ip_address(text))
        if address in _METADATA:
            # A machine's credentials are not opened in passing, with the network around them.
            exact = f"{address}/{address.max_prefixlen}"
            if ip_network(exact) not in self.opened:
                raise EgressRefusedError(host, text, "the address of a cloud's metadata", exact)
            return
        for network, kind in _CLOSED:
            if address.version == network.version and address in network and not self._is_opened(address):
                raise EgressRefusedError(host, text, kind, str(network))

    def _is_opened(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self.opened)


def _effective(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address carries, where the system would go there."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        address = IPv6Address(int(address))  # without its zone
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
