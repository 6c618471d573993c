"""Why a request is on its route and on no other: what each of the others lacks."""

from gateway.core.rules.routes import Route, RouteTable, covers_host
from gateway.syntax.targets import canonicalise, loose_reading


def tell_routes(
    table: RouteTable, chosen: Route | None, host: bytes, target: bytes, method: bytes
) -> list[str]:
    """Return a line for each route that a request did not match, in the order of the configuration."""
    found = canonicalise(target)
    path = found.path if found is not None else target.partition(b"?")[0]
    others = [each for each in table.routes if each is not chosen]
    width = max((len(each.name) for each in others), default=0)
    return [f"  {each.name:<{width}}  {_why_not(each, chosen, host, path, method)}" for each in others]


def _why_not(route: Route, chosen: Route | None, host: bytes, path: bytes, method: bytes) -> str:
    if not covers_host(route, host):
        return "is for other hosts"
    if route.exact is not None and path != route.exact:
        return f"is for {route.exact.decode()} alone"
    if not (path + b"/").startswith(route.path + b"/"):
        if (loose_reading(path) + b"/").startswith(loose_reading(route.path) + b"/"):
            return "has this path in another spelling: as an upstream may take both for one, it is refused"
        return "is for other paths"
    if route.methods is not None and method not in route.methods:
        return "is for other methods"
    if chosen is None:
        return "has this path, but an upstream may read another route's in it"
    if len(chosen.path) > len(route.path):
        return f"has a shorter path than {chosen.name}"
    return f"is less specific in host or method than {chosen.name}"
