"""Whose pages may open a WebSocket that rests on a session cookie (RFC 6455 sections 4.2.2 and 10.2, R49)."""

from collections.abc import Iterable

from gateway.core.headers.request import Header


def may_connect(headers: Iterable[Header], own: bytes, allowed: frozenset[bytes]) -> bool:
    """Tell whether the Origin of a handshake is the site's own or an allowed one.

    Origins are compared as bytes, as browsers write them. None at all, or several, is nobody's: every
    browser sends one with each handshake, and whoever is no browser can present a bearer token.

    Args:
        headers: the fields of the request.
        own: the origin of the site.
        allowed: more origins.
    """
    origins = [value for name, value in headers if name.lower() == b"origin"]
    return len(origins) == 1 and (origins[0] == own or origins[0] in allowed)
