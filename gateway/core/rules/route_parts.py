"""What single settings of a route come to."""

from gateway.config.settings.rate_limits import RateLimitSettings
from gateway.config.settings.root import Settings
from gateway.config.settings.routes import RouteSettings
from gateway.core.rules.rate_limit import RateLimit, compile_rate_limit


def methods_of(settings: RouteSettings) -> frozenset[bytes] | None:
    """Return the methods that a route holds for, None for every one."""
    if settings.methods is None:
        return None
    methods = frozenset(method.upper().encode() for method in settings.methods)
    # HEAD is GET without its content (RFC 9110 section 9.3.2)
    return methods | {b"HEAD"} if b"GET" in methods else methods


def rate_limit_of(route: RouteSettings, settings: Settings) -> RateLimit | None:
    """Return the limit of a route, None without one."""
    limit = route.rate_limit
    if limit is None:
        return None
    if isinstance(limit, RateLimitSettings):
        return compile_rate_limit(limit, route.name or route.path)
    return compile_rate_limit(settings.rate_limits[limit], limit)


def replacement_of(route: RouteSettings) -> bytes | None:
    """Return what the upstream sees in place of a route's path, None where it sees that."""
    if route.strip_prefix:
        return b""
    return None if route.replace_prefix is None else route.replace_prefix.encode().rstrip(b"/")


def prefix_line(route: RouteSettings) -> bytes:
    """Return the line that tells the upstream of a path that it does not see, empty where it does."""
    path = route.path.encode().rstrip(b"/")
    return b"X-Forwarded-Prefix: %b" % path if path and replacement_of(route) is not None else b""
