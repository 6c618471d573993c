"""Why a request is on its route and on no other: what each of the others lacks."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from gateway.core.rules.routes import Route, RouteTable, covers_host
from gateway.syntax.targets import canonicalise, loose_reading

Lacks: TypeAlias = Literal["host", "path", "case", "method", "reading", "shorter", "less specific"]
"""What keeps a route from being the one; ``case``: it has this path, but in another spelling."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A route that a request did not match, and why: a word for programs and words for people."""

    route: Route
    lacks: Lacks
    words: str


def candidates(
    table: RouteTable, chosen: Route | None, host: bytes, target: bytes, method: bytes
) -> list[Candidate]:
    """Return each route that a request did not match, in the order of the configuration."""
    found = canonicalise(target)
    path = found.path if found is not None else target.partition(b"?")[0]
    return [
        Candidate(each, *_why_not(each, chosen, host, path, method))
        for each in table.routes
        if each is not chosen
    ]


def _why_not(
    route: Route, chosen: Route | None, host: bytes, path: bytes, method: bytes
) -> tuple[Lacks, str]:
    if not covers_host(route, host):
        return "host", f"is for other hosts: {_listed(route.hosts or ())}"
    if route.exact is not None and path != route.exact:
        return "path", f"is for {route.exact.decode()} alone"
    if not (path + b"/").startswith(route.path + b"/"):
        if (loose_reading(path) + b"/").startswith(loose_reading(route.path) + b"/"):
            return (
                "case",
                "has this path in another spelling: as an upstream may take both for one, it is refused",
            )
        return "path", "is for other paths"
    if route.methods is not None and method not in route.methods:
        return "method", f"is for other methods: {_listed(sorted(route.methods))}"
    if chosen is None:
        return "reading", "has this path, but an upstream may read another route's in it"
    if len(chosen.path) > len(route.path):
        return "shorter", f"has a shorter path than {chosen.name}"
    return "less specific", f"is less specific in host or method than {chosen.name}"


def _listed(names: tuple[bytes, ...] | list[bytes]) -> str:
    shown = [name.decode("latin-1") for name in names[:4]]
    return ", ".join([*shown, "..."] if len(names) > 4 else shown)
