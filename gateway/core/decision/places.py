"""Where a request target leads: to an endpoint of our own, to a route, or nowhere."""

from gateway.core.rules.routes import Route
from gateway.core.runtime import RuntimeConfig
from gateway.syntax.raw_paths import begins_with, raw_target
from gateway.syntax.targets import Target, canonicalise, loose_reading


def locate(
    runtime: RuntimeConfig, host: bytes, target: bytes, method: bytes
) -> tuple[Target, Route | None] | None:
    """Return a target in the reading that is decided on, and its route; None where it has several readings.

    The route is None for our own endpoints and where there is none. On a route with ``raw_path`` the reading
    is the target as it came (R79).
    """
    found = canonicalise(target)
    if found is None:
        raw = raw_target(target)
        if raw is None or begins_with(raw, runtime.prefix):
            return None
        literal = runtime.routes.match_literal(host, raw.path, method)
        return None if literal is None else (raw, literal)
    if found.path.startswith(runtime.prefix):
        return found, None
    route = runtime.routes.match(host, found.path, method)
    if route is not None and route.raw_path and target.startswith(route.path + b"/"):
        raw = raw_target(target)
        return None if raw is None or _may_be_own(runtime, found.path) else (raw, route)
    return found, route


def _may_be_own(runtime: RuntimeConfig, path: bytes) -> bool:
    """Tell whether a canonical path that is spelt in more than letters may be read as that of an endpoint.

    Of plain paths, which remembered decisions know, the very prefix alone is our own.
    """
    is_plain = b"%" not in path and b";" not in path
    return not is_plain and loose_reading(path).startswith(runtime.prefix.lower())


def may_be_raw(runtime: RuntimeConfig, target: bytes) -> bool:
    """Tell whether ``raw_path`` on a route could let such a target pass."""
    raw = raw_target(target)
    return raw is not None and not begins_with(raw, runtime.prefix)
