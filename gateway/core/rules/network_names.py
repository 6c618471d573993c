"""What the network of an address is called: by the configuration, and else no closer than anybody needs.

People are shown where they logged in from. An address says more than that of them, and is not shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from typing import Final, Literal, TypeAlias

from gateway.core.headers.forwarding_fields import parse_address

Kind: TypeAlias = Literal["named", "here", "private", "other", "unknown"]
Network: TypeAlias = IPv4Network | IPv6Network

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_MAPPED_BITS: Final = 96
_MOST_ADDRESS: Final = 64


@dataclass(frozen=True, slots=True)
class Place:
    """What is told of an address.

    ``named``: its network has the ``name``; ``here``: it is the very address that asks; ``private``: of a
    network that is not the internet's; ``other``: somewhere; ``unknown``: nobody knows it.
    """

    kind: Kind
    name: str = ""


@dataclass(frozen=True, slots=True)
class NetworkNames:
    """The named networks, those that hold the fewest addresses first."""

    networks: tuple[tuple[Network, str], ...] = ()

    def place_of(self, address: str, here: str) -> Place:
        """Return what to tell of an address to whoever asks from ``here``."""
        found = parse_address(address) if len(address) <= _MOST_ADDRESS else None
        if found is None:
            return Place("unknown")
        for network, name in self.networks:
            if found.version == network.version and found in network:
                return Place("named", name)
        if parse_address(here) == found:
            return Place("here")
        return Place("private" if found.is_private or found.is_loopback else "other")


def compile_networks(named: Mapping[str, tuple[str, ...]]) -> NetworkNames:
    """Compile networks that ``config.checks`` found good.

    Raises:
        ValueError: one is no network.
    """
    found = [(_plain(ip_network(text)), name) for name, texts in named.items() for text in texts]
    found.sort(key=lambda each: -each[0].prefixlen)
    return NetworkNames(tuple(found))


def _plain(network: Network) -> Network:
    """Return an IPv4 network for one in IPv6 that holds it (RFC 4291 section 2.5.5.2)."""
    if not isinstance(network, IPv6Network) or not network.subnet_of(_MAPPED):
        return network
    address = IPv4Address(int(network.network_address) & 0xFFFFFFFF)
    return IPv4Network((address, network.prefixlen - _MAPPED_BITS))
