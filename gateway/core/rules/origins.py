"""Whose pages may use a session cookie to change something (CSRF, R81), and which may read answers (CORS).

Browsers say with Sec-Fetch-Site where a request comes from, and no script can set it (Fetch Metadata). Those
that do not, and every browser on a site without TLS, send Origin with each unsafe request (Fetch standard
section 3.1). Who sends neither is no browser, and no page can make it ask.
"""

from collections.abc import Iterable
from typing import Final

from gateway.config.settings.routes import CorsSettings
from gateway.core.headers.cookies import Site
from gateway.core.headers.request import Header, Request
from gateway.core.rules.policies import named_methods
from gateway.core.rules.routes import Route

SAFE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS"})
"""Methods that change nothing (RFC 9110 section 9.2.1) and that pages of other sites may use at will."""

_HERE: Final = frozenset({b"same-origin", b"none"})
_MOST_ORIGIN: Final = 1024


def values_of(request: Request, name: bytes) -> list[bytes]:
    """Return the values of every field of a name, which is in lower case."""
    return [value for each, value in request.headers if each.lower() == name]


def is_foreign(request: Request, route: Route, own_sites: Iterable[Site], here: Site | None = None) -> bool:
    """Tell whether another site's page uses this browser's session to change something (R81).

    Judged by Sec-Fetch-Site where it is sent, else by Origin, which is that of one of our ``own_sites`` or an
    allowed one; of the sites that a wildcard stands for, that of this one (``here``). A method that a field
    names counts as well.
    """
    if route.unsafe_from == "anywhere" or (
        request.method in SAFE and SAFE.issuperset(named_methods(request))
    ):
        return False
    sites, origins = values_of(request, b"sec-fetch-site"), values_of(request, b"origin")
    if sites:
        if len(sites) != 1:
            return True
        if sites[0] in _HERE or (sites[0] == b"same-site" and route.unsafe_from == "same-site"):
            return False
        return not (len(origins) == 1 and _may_use_sessions(origins[0], route))
    if not origins:
        return False
    own = {site.origin.encode() for site in own_sites}
    own |= set() if here is None else {here.origin.encode()}
    return len(origins) != 1 or not (origins[0] in own or _may_use_sessions(origins[0], route))


def comes_from_own_page(request: Request, site: Site) -> bool:
    """Tell whether one of this very site's pages asks, or nobody's page at all: for our own endpoints (R47).

    Sec-Fetch-Site decides where it is sent: a page that tells no referrer sends ``Origin: null``.
    """
    sites, origins = values_of(request, b"sec-fetch-site"), values_of(request, b"origin")
    if sites:
        return len(sites) == 1 and sites[0] in _HERE
    return not origins or origins == [site.origin.encode()]


def cors_fields(route: Route, request: Request) -> tuple[Header, ...]:
    """Return the fields that let a page of an allowed origin read an answer (Fetch standard section 3.3).

    Empty where the route answers no preflights: then nobody is allowed.
    """
    rules = route.preflight
    if not isinstance(rules, CorsSettings):
        return ()
    vary = (b"Vary", b"Origin")
    origins = values_of(request, b"origin")
    if len(origins) != 1 or not _is_allowed(origins[0], route):
        return (vary,)
    fields = [(b"Access-Control-Allow-Origin", origins[0]), vary]
    if rules.credentials:
        fields.append((b"Access-Control-Allow-Credentials", b"true"))
    if exposed := _exposed(rules.expose):
        fields.append((b"Access-Control-Expose-Headers", exposed))
    return tuple(fields)


def without_cors(lines: Iterable[bytes]) -> list[bytes]:
    """Return a response's lines without what an upstream says of other origins."""
    return [line for line in lines if not line[:15].lower().startswith(b"access-control-")]


def _exposed(names: tuple[str, ...]) -> bytes:
    return ", ".join(names).encode()


def _may_use_sessions(origin: bytes, route: Route) -> bool:
    """Tell whether an origin is allowed, and its requests may bring cookies: a form asks no preflight."""
    rules = route.preflight
    return isinstance(rules, CorsSettings) and rules.credentials and _is_allowed(origin, route)


def _is_allowed(origin: bytes, route: Route) -> bool:
    rules = route.preflight
    return (
        isinstance(rules, CorsSettings)
        and len(origin) <= _MOST_ORIGIN
        and origin.decode("latin-1") in rules.origins
    )
