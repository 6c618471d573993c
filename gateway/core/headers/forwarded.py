"""Who called, under which name and scheme: what forwarding fields are worth (RFC 7239, X-Forwarded-*).

They are believed from trusted proxies alone, and there are none by default. A proxy that sets one kind of
field often passes on the other kinds as its client sent them, so the configuration names the one source each
of address, scheme and host, and nothing else is read. Where a named field cannot be read nobody knows who
called: such a request is refused, since any other answer would be that of somebody who is trusted more (R64).
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, TypeAlias

from gateway.core.headers.forwarding_fields import (
    AUTHORITY,
    MOST_HOPS,
    UNKNOWN,
    Sources,
    Unreadable,
    elements_of,
    host_of,
    last_of,
    number_of,
    parse_address,
    port_of,
    scheme_of,
)
from gateway.core.headers.lines import Budgets
from gateway.core.headers.request import Request
from gateway.core.memo import Generations
from gateway.syntax.urls import DEFAULT_PORTS

_MOST_HOST: Final = 261
_MOST_PEER: Final = 64
_MOST_TOLD: Final = 256
_DEFAULT_PORTS: Final = {scheme: b"%d" % port for scheme, port in DEFAULT_PORTS.items()}

Network: TypeAlias = IPv4Network | IPv6Network
Told: TypeAlias = "dict[bytes, list[str]]"


@dataclass(frozen=True, slots=True)
class Forwarded:
    """How the request came. ``host`` is the effective authority, lower case; ``proto`` is http or https.

    ``client`` is the address of the first hop that no trusted proxy vouches for, ``unknown`` where a trusted
    proxy tells none, and ``chain`` every hop from there to the peer. ``block`` are the lines that tell the
    upstream, Host first, joined by CRLF. ``unreadable`` is the name of the named field that cannot be read,
    empty where all can: nothing else here is then worth anything.
    """

    host: bytes
    proto: str
    client: str
    chain: tuple[str, ...]
    block: bytes = field(repr=False)
    unreadable: str = ""

    @property
    def is_vouched(self) -> bool:
        """Whether a trusted proxy sent it: its own hop is then beside the client's."""
        return len(self.chain) > 1


def _node(address: str) -> str:
    return f'for="[{address}]"' if ":" in address else f"for={address}"


def _block(host: bytes, proto: str, chain: tuple[str, ...]) -> bytes:
    name = host.decode("latin-1")
    authority = AUTHORITY.fullmatch(host)
    first, *others = map(_node, chain)
    if authority is not None:
        first += f";host={name}" if authority["plain"] else f';host="{name}"'
    return (
        f"Host: {name}\r\n"
        f"X-Forwarded-For: {', '.join(chain)}\r\n"
        f"X-Forwarded-Proto: {proto}\r\n"
        f"X-Forwarded-Host: {name}\r\n"
        f"Forwarded: {', '.join((f'{first};proto={proto}', *others))}"
    ).encode("latin-1")


class Proxies:
    """The trusted proxies, what they tell, and how public authorities are known to be served.

    Args:
        networks: CIDRs of proxies whose forwarding fields are believed.
        secure: authorities whose public URL is https: they are served so, whoever terminates TLS.
        sources: the fields that those proxies write.
        budgets: how much is remembered; the usual where None.
    """

    __slots__ = ("_hops", "_masks", "_networks", "_peers", "_remembered", "_secure", "_sources")

    def __init__(
        self,
        networks: Iterable[str],
        secure: Container[bytes],
        sources: Sources,
        budgets: Budgets | None = None,
    ) -> None:
        most = (budgets or Budgets()).forwarded
        self._networks: tuple[Network, ...] = tuple(ip_network(each, strict=False) for each in networks)
        # as masks and what these leave of an address
        self._masks = tuple(
            (int(each.netmask), int(each.network_address)) for each in self._networks if each.version == 4
        )
        self._secure = secure
        self._sources = sources
        self._peers: Generations[str, tuple[str, bool]] = Generations(most)
        # by the text of a hop: how it is written by us, and whether it is a trusted proxy
        self._hops: Generations[str, tuple[str, bool]] = Generations(most)
        self._remembered: Generations[tuple[str, bool, bytes, tuple[bytes, ...]], Forwarded] = Generations(
            most
        )

    def forwarded_of(self, request: Request) -> Forwarded:
        """Return how this request came; its fields are sorted."""
        peer = request.peer
        known = self._peers.young.get(peer) or self._peers.get(peer) or self._learn(peer)
        told = request.told if known[1] else ()
        key = (peer, request.tls, request.host, told)
        found = self._remembered.young.get(key) or self._remembered.get(key)
        if found is not None:
            return found
        if known[1]:
            found = self._through_proxy(request, known[0])
        else:
            found = self._forwarded(request.host, self._proto(request, request.host), (known[0],))
        if len(peer) <= _MOST_PEER and len(request.host) <= _MOST_HOST and sum(map(len, told)) <= _MOST_TOLD:
            self._remembered.put(key, found)
        return found

    def is_trusted(self, peer: str) -> bool:
        """Tell whether forwarding fields are believed that come from this address."""
        return (self._peers.get(peer) or self._learn(peer))[1]

    def sender(self, peer: str) -> str:
        """Return who sent what cannot be read at all: behind a trusted proxy it was not the proxy."""
        address, trusted = self._peers.get(peer) or self._learn(peer)
        return UNKNOWN if trusted else address

    def _proto(self, request: Request, host: bytes) -> str:
        return "https" if request.tls or host in self._secure else "http"

    def _learn(self, peer: str) -> tuple[str, bool]:
        known = self._look(peer.partition("%")[0]) or (UNKNOWN, False)
        if len(peer) <= _MOST_PEER:
            self._peers.put(peer, known)
        return known

    def _look(self, text: str) -> tuple[str, bool] | None:
        """Return how an address is written, and whether it is a trusted proxy's; None for what is none."""
        number = number_of(text)
        if number is not None:
            for mask, network in self._masks:
                if number & mask == network:
                    return text, True
            return text, False
        address = parse_address(text)
        return None if address is None else (str(address), any(address in each for each in self._networks))

    def _forwarded(self, host: bytes, proto: str, chain: tuple[str, ...]) -> Forwarded:
        return Forwarded(host, proto, chain[0], chain, _block(host, proto, chain))

    def _through_proxy(self, request: Request, peer: str) -> Forwarded:
        told: Told = {}
        for line in request.told:
            name, _, value = line.partition(b":")
            told.setdefault(name.lower(), []).append(value.strip(b" \t").decode("latin-1"))
        try:
            chain, element = self._chain(told, peer)
            host, proto = self._site(request, told, element)
        except Unreadable as error:
            proto, chain = self._proto(request, request.host), (UNKNOWN, peer)
            block = _block(request.host, proto, chain)
            return Forwarded(request.host, proto, UNKNOWN, chain, block, str(error))
        return self._forwarded(host, proto, chain)

    def _chain(self, told: Told, peer: str) -> tuple[tuple[str, ...], dict[str, str]]:
        """Return the hops, and the element of Forwarded that tells of the client, where that is a source.

        It was written by the first proxy that is trusted. Raises Unreadable.
        """
        source = self._sources.address
        values = told.get(source)
        if values is None:
            # nobody says who called, and the proxy itself did not
            return (UNKNOWN, peer), {}
        if source == b"forwarded":
            hops, element = [peer], dict[str, str]()
            for element in elements_of(values):
                if self._ends(hops, element.get("for", ""), source):
                    break
            return tuple(reversed(hops)), element
        if source != b"x-forwarded-for":
            hops = [peer]
            self._ends(hops, values[0] if len(values) == 1 else "", source)
            return tuple(reversed(hops)), {}
        hops = [peer]
        for node in reversed(",".join(values).rsplit(",", MOST_HOPS)):
            if self._ends(hops, node, source):
                break
        return tuple(reversed(hops)), {}

    def _ends(self, hops: list[str], node: str, source: bytes) -> bool:
        """Add a hop; tell whether no trusted proxy vouches for what is beyond it. Raises Unreadable."""
        node = node.strip(" \t")
        known = self._hops.young.get(node) or self._hops.get(node)
        if known is None:
            known = self._look(node)
            if known is None:
                raise Unreadable(source)
            if len(node) <= _MOST_PEER:
                self._hops.put(node, known)
        if len(hops) > MOST_HOPS:
            raise Unreadable(source)
        hops.append(known[0])
        return not known[1]

    def _site(self, request: Request, told: Told, element: dict[str, str]) -> tuple[bytes, str]:
        """Return under which authority and scheme it came. Raises Unreadable."""
        sources = self._sources
        if sources.host == b"host":
            host = request.host
        else:
            host = host_of(_value(told, sources.host, element, "host"), sources.host)
        scheme = _value(told, sources.scheme, element, "proto")
        proto = self._proto(request, host) if scheme is None else scheme_of(scheme, sources.scheme)
        port = _value(told, sources.port, {}, "")
        if port is not None:
            number = port_of(port, sources.port)
            has_port = b":" in host.rpartition(b"]")[2]
            if not has_port and number != _DEFAULT_PORTS[proto]:
                host = b"%b:%b" % (host, number)
                if scheme is None:
                    proto = self._proto(request, host)
        return host, proto


def _value(told: Told, source: bytes, element: dict[str, str], member: str) -> str | None:
    """Return what a source says, None where it is absent; of a list the nearest proxy's."""
    if source == b"forwarded":
        return element.get(member)
    values = told.get(source)
    return None if values is None else last_of(values)
