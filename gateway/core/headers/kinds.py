"""What a header field is to the gateway: one numbering for requests and responses, and what names mean.

The numbers are ordered, so that one comparison tells what has to be done with a line: see ``READ``.
"""

from typing import Final, TypeAlias

from gateway.config.reserved_names import HOP_BY_HOP

Kind: TypeAlias = int
"""One of the words below: what happens to a field."""

PASS: Final = 0
"""It goes on as it came, and nothing reads it."""
DROP: Final = 1
"""It does not go on, and nothing reads it."""

# the framing of the message; none of them goes on, since every connection has its own
HOST: Final = 2
CONTENT_LENGTH: Final = 3
TRANSFER_ENCODING: Final = 4
CONNECTION: Final = 5
EXPECT: Final = 6
UPGRADE: Final = 7
KEEP_ALIVE: Final = 8

LAST_FRAMING: Final = KEEP_ALIVE

# credentials, and what proxies say
AUTHORIZATION: Final = 9
COOKIE: Final = 10
FORWARDING: Final = 11
"""What a trusted proxy tells in it is read, and told anew."""
VOUCHED: Final = 12
"""An identity of another product, which passes where a trusted proxy says it."""
LOOP: Final = 13
"""Told with this pass added (RFC 8586)."""

# responses
SET_COOKIE: Final = 14
PROXY_CHALLENGE: Final = 15
"""By its value it may authenticate the connection (RFC 4559), and it does not go on."""

PROOF: Final = 16
"""It proves possession of a key (RFC 9449), and goes on where credentials do."""
CERTIFICATE: Final = 17
"""A trusted proxy tells its client's certificate in it, which does not go on."""
TRACE: Final = 18
"""It says which trace the request belongs to (W3C Trace Context), and is told anew."""

READ: Final = 19
"""From here on fields go on as they came, and are read as well."""
ACCEPT: Final = 19
FETCH_MODE: Final = 20
FETCH_SITE: Final = 21
ORIGIN: Final = 22
PURPOSE: Final = 23
REQUESTED_WITH: Final = 24
OVERRIDE: Final = 25
"""It names another method than the request line."""
DATE: Final = 26
CONTENT_TYPE: Final = 27
CACHE_CONTROL: Final = 28
CHALLENGE: Final = 29
"""By its value a challenge may authenticate the connection (RFC 4559)."""
SHARED_CACHE: Final = 30
"""It tells caches in between, unlike browsers, what they may keep."""

FRAMING: Final = {
    b"host": HOST,
    b"content-length": CONTENT_LENGTH,
    b"transfer-encoding": TRANSFER_ENCODING,
    b"connection": CONNECTION,
    b"upgrade": UPGRADE,
    b"expect": EXPECT,
    b"keep-alive": KEEP_ALIVE,
}
"""Fields, by their lower-case names, that say where a message ends and what its connection does."""

DISGUISES: Final = HOP_BY_HOP - {b"http2-settings", b"trailers"} | {b"host", b"proxy-connection"}
"""Names that nothing else may look like: upstreams that fold ``_`` to ``-`` would take it for framing."""

TRACE_NAMES: Final = frozenset({b"traceparent", b"tracestate"})
"""The request's fields, by their lower-case names, that tell the trace where there are traces."""

READ_NAMES: Final = {
    b"accept": ACCEPT,
    b"sec-fetch-mode": FETCH_MODE,
    b"sec-fetch-site": FETCH_SITE,
    b"origin": ORIGIN,
    b"sec-purpose": PURPOSE,
    b"purpose": PURPOSE,
    b"x-purpose": PURPOSE,
    b"x-moz": PURPOSE,
    b"x-requested-with": REQUESTED_WITH,
}
"""The request's fields, by their lower-case names, that go on as clients send them, and are read."""

BINDING_SCHEME: Final = rb"(?i:ntlm|nego|kerberos|credssp)"
"""What the names of schemes begin with that authenticate a connection instead of a request (RFC 4559)."""
