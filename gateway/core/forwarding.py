"""Who called, under which name and scheme: what forwarding fields are worth (RFC 7239, X-Forwarded-*).

They are believed from trusted proxies alone, and there are none by default. A proxy that sets one kind of
field often passes on the other kind as its client sent it, so two fields that disagree count as none, and so
does anything malformed: then the connection's own peer, scheme and Host hold.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias, TypeVar

from gateway.core.fields import split_quoted, unquote
from gateway.core.model import Request
from gateway.core.sketch import line_of

MOST_HOPS = 32
_MOST_REMEMBERED = 4096
_MOST_HOST = 261
_AUTHORITY = re.compile(rb"(?:[a-z0-9_-][a-z0-9_.-]{0,252}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?")
_TOKEN_HOST = re.compile(rb"[a-z0-9_.-]+")
FIELDS = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded"})
"""The fields, lower case, of which a trusted proxy is believed; nothing else of a head tells who called."""


Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Observed:
    """How the request came. ``host`` is the effective authority, lower case; ``proto`` is http or https.

    ``client`` is the address of the first hop that no trusted proxy vouches for, and ``chain`` every hop from
    there to the peer. ``block`` are the lines that tell the upstream, Host first.
    """

    host: bytes
    proto: str
    client: str
    chain: tuple[str, ...]
    block: bytes = field(repr=False)


def parse_address(text: str) -> Address | None:
    """Return an IP address, with or without a port; an IPv4-mapped one as IPv4. None for anything else."""
    if text.startswith("["):
        text, bracket, port = text[1:].partition("]")
        if not bracket or not _is_port(port):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _is_port(":" + port):
            return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or (None if address.scope_id else address)
    return address


def _is_port(text: str) -> bool:
    return not text or (text[0] == ":" and text[1:].isascii() and text[1:].isdigit() and len(text) <= 6)


def _agreed(values: list[Value | None]) -> Value | None:
    """Return the value that all sources give, None when they disagree or there is none."""
    return values[0] if values and all(value == values[0] for value in values) else None


def _node(address: str) -> str:
    return f'for="[{address}]"' if ":" in address else f"for={address}"


def _block(host: bytes, proto: str, chain: tuple[str, ...]) -> bytes:
    first = _node(chain[0])
    if _TOKEN_HOST.fullmatch(host):
        first += f";host={host.decode()}"
    elif _AUTHORITY.fullmatch(host):
        first += f';host="{host.decode()}"'
    first += f";proto={proto}"
    headers = (
        (b"Host", host),
        (b"X-Forwarded-For", ", ".join(chain).encode()),
        (b"X-Forwarded-Proto", proto.encode()),
        (b"X-Forwarded-Host", host),
        (b"Forwarded", ", ".join((first, *map(_node, chain[1:]))).encode()),
    )
    return b"".join(map(line_of, headers))


class Proxies:
    """The trusted proxies, and the scheme that each public authority is known to be served with.

    Args:
        networks: CIDRs of proxies whose forwarding fields are believed.
        secure: authorities whose public URL is https: they are served so, whoever terminates TLS.
    """

    __slots__ = ("_networks", "_peers", "_remembered", "_secure")

    def __init__(self, networks: Iterable[str], secure: frozenset[bytes]) -> None:
        self._networks: tuple[Network, ...] = tuple(ip_network(each, strict=False) for each in networks)
        self._secure = secure
        self._peers: dict[str, tuple[str, bool]] = {}
        self._remembered: dict[tuple[bytes, str, tuple[str, ...]], Observed] = {}

    def observe(self, request: Request) -> Observed:
        """Return how this request came."""
        peer = request.peer
        address, trusted = self._peers.get(peer) or self._learn(peer)
        if trusted:
            return self._through_proxy(request, address)
        return self._observed(request.host, self._proto(request, request.host), (address,))

    def is_trusted(self, peer: str) -> bool:
        """Tell whether forwarding fields are believed that come from this address."""
        return (self._peers.get(peer) or self._learn(peer))[1]

    def _proto(self, request: Request, host: bytes) -> str:
        return "https" if request.tls or host in self._secure else "http"

    def _learn(self, peer: str) -> tuple[str, bool]:
        address = parse_address(peer.partition("%")[0])
        known = (
            "unknown" if address is None else str(address),
            address is not None and self._trusts(address),
        )
        if len(self._peers) >= _MOST_REMEMBERED:
            self._peers.clear()
        if len(peer) <= 64:
            self._peers[peer] = known
        return known

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)

    def _observed(self, host: bytes, proto: str, chain: tuple[str, ...]) -> Observed:
        key = (host, proto, chain)
        observed = self._remembered.get(key)
        if observed is None:
            observed = Observed(host, proto, chain[0], chain, _block(host, proto, chain))
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            if len(host) <= _MOST_HOST and len(chain) <= 4:
                self._remembered[key] = observed
        return observed

    def _through_proxy(self, request: Request, peer: str) -> Observed:
        fields: dict[bytes, list[str]] = {}
        for name, value in request.headers:
            lower = name.lower()
            if lower in FIELDS:
                fields.setdefault(lower, []).append(value.decode("latin-1"))
        chains: list[tuple[str, ...] | None] = []
        protos: list[str | None] = []
        hosts: list[bytes | None] = []
        if b"x-forwarded-for" in fields:
            nodes = ",".join(fields[b"x-forwarded-for"]).rsplit(",", MOST_HOPS)[-MOST_HOPS:]
            chains.append(self._walk([node.strip(" \t") for node in nodes], peer))
        if b"x-forwarded-proto" in fields:
            protos.append(_proto(_last(fields[b"x-forwarded-proto"])))
        if b"x-forwarded-host" in fields:
            hosts.append(_authority(_last(fields[b"x-forwarded-host"])))
        if b"forwarded" in fields:
            elements = _elements(",".join(fields[b"forwarded"]))
            walked = self._walk([each.get("for", "") for each in elements], peer) if elements else None
            chains.append(walked)
            # the element that tells of the client was written by the first proxy that we trust
            told: Mapping[str, str] = elements[1 - len(walked)] if walked and elements else {}
            if "proto" in told:
                protos.append(_proto(told["proto"]))
            if "host" in told:
                hosts.append(_authority(told["host"]))
        host = _agreed(hosts) or request.host
        return self._observed(host, _agreed(protos) or self._proto(request, host), _agreed(chains) or (peer,))

    def _walk(self, nodes: list[str], peer: str) -> tuple[str, ...] | None:
        """Follow the hops from the peer to the first that is not trusted; None where one is no address."""
        chain = [peer]
        for node in reversed(nodes):
            address = parse_address(node)
            if address is None:
                return None
            chain.append(str(address))
            if not self._trusts(address):
                break
        return tuple(reversed(chain)) if len(chain) > 1 else None


def _last(values: list[str]) -> str:
    return values[-1].rpartition(",")[2].strip(" \t")


def _proto(text: str) -> str | None:
    lower = text.lower()
    return lower if lower in ("http", "https") else None


def _authority(text: str) -> bytes | None:
    value = text.lower().encode("latin-1", "replace")
    return value if _AUTHORITY.fullmatch(value) else None


def _elements(text: str) -> list[dict[str, str]] | None:
    """Return the elements of Forwarded (RFC 7239 section 4), nearest last; None where one is malformed."""
    parts = split_quoted(text, ",")
    if parts is None:
        return None
    elements: list[dict[str, str]] = []
    for part in parts[-MOST_HOPS:]:
        element: dict[str, str] = {}
        for pair in split_quoted(part, ";") or ():
            name, equals, value = pair.partition("=")
            name = name.lower()
            if not equals or name in element:
                return None
            element[name] = unquote(value)
        elements.append(element)
    return elements
