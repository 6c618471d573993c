"""Policies that read the request: its method, and where it comes from."""

from collections.abc import Callable, Iterable
from ipaddress import IPv6Network, ip_network
from typing import Final

from gateway.config.settings.policies import RequireSettings
from gateway.core.headers.forwarding_fields import number_of, parse_address
from gateway.core.headers.kinds import OVERRIDE
from gateway.core.headers.request import Request
from gateway.core.identity import Identity
from gateway.core.memo import Generations
from gateway.core.reasons import Reason
from gateway.core.rules.claim_policies import ClaimNames
from gateway.core.rules.verdict import Check, Verdict, denied

_MOST_CLIENTS: Final = 4096
_MOST_CLIENT: Final = 64
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_FOURTH: Final = (1 << 32) - 1


def named_methods(request: Request) -> list[bytes]:
    """Return the methods that fields name, on which many frameworks act instead of the request line's."""
    return [line.value.strip().upper() for line in request.read if line.kind == OVERRIDE]


def methods(settings: RequireSettings, _names: ClaimNames) -> Check | None:
    """Ask for one of these methods; GET covers HEAD."""
    if settings.methods is None:
        return None
    allowed = frozenset(method.upper().encode() for method in settings.methods)
    if b"GET" in allowed:
        allowed |= {b"HEAD"}

    def check(_identity: Identity, request: Request, _now: float) -> Verdict:
        named = named_methods(request)
        if request.method in allowed and allowed.issuperset(named):
            return None
        named.append(request.method)
        # where the request line and a field disagree nobody knows on which an upstream acts
        return denied(Reason.METHOD_FORBIDDEN, known=allowed.isdisjoint(named) and bool(allowed))

    return check


def networks(settings: RequireSettings, _names: ClaimNames) -> Check | None:
    """Ask for a client in one of these networks; where nobody tells its address, nobody knows."""
    if settings.networks is None:
        return None
    holds = _within(settings.networks)
    known: Generations[str, bool] = Generations(_MOST_CLIENTS)

    def check(_identity: Identity, request: Request, _now: float) -> Verdict:
        client = request.client
        found = known.young.get(client)
        if found is None:
            found = known.get(client)
        if found is None:
            found = holds(client)
            if found is not None and len(client) <= _MOST_CLIENT:
                known.put(client, found)
        return None if found else denied(Reason.NETWORK_FORBIDDEN, known=found is False)

    return check


def _within(texts: Iterable[str]) -> Callable[[str], bool | None]:
    """Return what tells whether an address is in one of these networks; None of what is no address."""
    fourth: list[tuple[int, int]] = []
    sixth: list[IPv6Network] = []
    for network in map(ip_network, texts):
        if isinstance(network, IPv6Network) and not network.subnet_of(_MAPPED):
            sixth.append(network)
        else:
            # a client in IPv6 that holds IPv4 (RFC 4291 section 2.5.5.2) is known by its IPv4 address
            fourth.append((int(network.netmask) & _FOURTH, int(network.network_address) & _FOURTH))
    is_empty = not (fourth or sixth)

    def holds(text: str) -> bool | None:
        number = number_of(text)
        address = parse_address(text) if number is None else None
        if is_empty or (number is None and address is None):
            return None
        if address is not None and address.version == 6:
            return any(address in each for each in sixth)
        number = int(address) if address is not None else number
        assert number is not None
        return any(number & mask == network for mask, network in fourth)

    return holds
