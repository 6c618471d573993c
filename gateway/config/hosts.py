"""Hosts of routes: which may be of both of two."""

from collections.abc import Sequence

from gateway.config.settings.routes import RouteSettings
from gateway.syntax.targets import loose_reading


def rival(routes: Sequence[RouteSettings], index: int) -> int | None:
    """Return which other route a path below this one might be read under, None where there is none."""
    path = routes[index].path.rstrip("/")
    start = loose_reading(path.encode())
    for place, other in enumerate(routes):
        theirs = other.path.rstrip("/")
        reading = loose_reading(theirs.encode())
        is_elsewhere = reading.startswith(start + b"/") or (
            reading == start and (theirs != path or other.exact)
        )
        if place != index and is_elsewhere and may_meet(routes[index].hosts, other.hosts):
            return place
    return None


def may_meet(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> bool:
    """Tell whether a host may be of both; a route without hosts is for every host that is known."""
    return one is None or other is None or any(_have_common(each, their) for each in one for their in other)


def _have_common(one: str, other: str) -> bool:
    (name, port), (theirs, their_port) = _host_and_port(one), _host_and_port(other)
    if port and their_port and port != their_port:
        return False
    wild, their_wild = name.startswith("*."), theirs.startswith("*.")
    if wild == their_wild:
        return name == theirs
    wildcard, plain = (name, theirs) if wild else (theirs, name)
    return plain.partition(".")[2] == wildcard[2:]


def _host_and_port(host: str) -> tuple[str, str]:
    name, colon, port = host.rpartition(":")
    return (name, port) if colon and "]" not in port else (host, "")
