"""Names of header fields that no setting can give another meaning."""

from typing import Final

METHOD_OVERRIDES: Final = frozenset({b"x-http-method-override", b"x-http-method", b"x-method-override"})
"""Folded names of the fields that name another method than the request line."""

TAKEN: Final = METHOD_OVERRIDES.union(
    b"accept sec-fetch-mode sec-fetch-site origin sec-purpose purpose x-purpose x-moz x-requested-with"
    b" upgrade access-control-request-headers access-control-request-method cdn-loop".split()
)
"""Folded names that nobody can give another meaning: what clients send there is read, and mostly goes on."""

HOP_BY_HOP: Final = frozenset(
    b"connection content-length expect http2-settings keep-alive te trailer trailers transfer-encoding"
    b" upgrade".split()
)
"""Folded names of what is for one connection alone (RFC 9110 section 7.6.1, RFC 9112)."""

_MEANT: Final = (
    HOP_BY_HOP
    | TAKEN
    | frozenset(
        b"authorization content-encoding content-range content-type cookie date forwarded host proxy range"
        b" set-cookie traceparent tracestate via www-authenticate x-forwarded-for x-forwarded-host"
        b" x-forwarded-port x-forwarded-prefix x-forwarded-proto x-real-ip x-request-id".split()
    )
)


def has_meaning(folded: bytes) -> bool:
    """Tell whether a folded name is of a message's own fields, a credential, or what the gateway says itself.

    No setting can make it say who is calling, or where a client is.
    """
    return folded in _MEANT or folded.startswith((b"sec-", b"proxy-"))
