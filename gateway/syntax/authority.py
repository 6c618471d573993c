"""The authority that a request names (RFC 9110 section 7.2)."""

import re
from typing import Final

_HOST: Final = re.compile(rb"(?:[A-Za-z0-9\-._]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")


def read_host(value: bytes) -> bytes | None:
    """Return a Host field's authority in lower case, as it is configured; None where it is none."""
    match = _HOST.fullmatch(value)
    if match is None or (match[1] is not None and int(match[1]) > 65535):
        return None
    return undotted(value.lower())


def undotted(host: bytes) -> bytes:
    """Return a host as it is configured: a dot at the end of a name is the root's (RFC 1034 section 3.1)."""
    name, colon, port = host.partition(b":") if host[:1] != b"[" else (host, b"", b"")
    bare = name.removesuffix(b".")
    return host if bare == name or not bare or bare[-1:] == b"." else bare + colon + port
