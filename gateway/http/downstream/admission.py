"""How many connections one address may have: nobody fills the listener alone."""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Final

from gateway.core.rules.rate_limit import network_of

_MOST_REMEMBERED: Final = 4096


class Admission:
    """Open connections by address; an IPv6 address counts with its whole /64.

    Args:
        exempt: networks that may have any number: proxies, behind each of which are many clients.

    Attributes:
        refused: how many connections were turned away.
    """

    __slots__ = ("_counts", "_exempt", "_known", "_names", "refused")

    def __init__(self, exempt: Iterable[str] = ()) -> None:
        self.refused = 0
        self._counts: dict[str, int] = {}
        self._names: dict[str, str] = {}
        self._known: dict[str, bool] = {}
        self._exempt = tuple(ip_network(each, strict=False) for each in exempt)

    def __len__(self) -> int:
        return len(self._counts)

    def exempt(self, networks: Iterable[str]) -> None:
        """Exempt these networks from now on, and no others."""
        self._exempt = tuple(ip_network(each, strict=False) for each in networks)
        self._known.clear()

    def enter(self, peer: str, most: int) -> int:
        """Count a connection of this peer; return by how many it is beyond ``most``, 0 if it is welcome.

        It is counted even if it is not welcome: each ``enter`` is followed by one ``leave``.
        """
        name = self.name_of(peer)
        count = self._counts[name] = self._counts.get(name, 0) + 1
        if not most or count <= most or self.is_exempt(peer):
            return 0
        self.refused += 1
        return count - most

    def leave(self, peer: str) -> None:
        """A connection of this peer has ended."""
        name = self.name_of(peer)
        count = self._counts.get(name, 0) - 1
        if count > 0:
            self._counts[name] = count
        else:
            self._counts.pop(name, None)

    def name_of(self, peer: str) -> str:
        """Return what a peer is counted under."""
        name = self._names.get(peer)
        if name is None:
            if len(self._names) >= _MOST_REMEMBERED:
                self._names.clear()
            name = self._names[peer] = network_of(peer)
        return name

    def is_exempt(self, peer: str) -> bool:
        """Tell whether this peer is a proxy, behind which are many clients."""
        known = self._known.get(peer)
        if known is None:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            known = self._known[peer] = self._judge(peer)
        return known

    def _judge(self, peer: str) -> bool:
        try:
            address = ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        return any(address in network for network in self._exempt)
