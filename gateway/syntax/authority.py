"""The authority that a request names (RFC 9110 section 7.2)."""

import re
from collections.abc import Container, Iterable
from typing import Final

_LABEL: Final = re.compile(rb"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
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


def wildcard_of(host: bytes) -> bytes | None:
    """Return the wildcard that stands for an authority in lower case, None where none can.

    It stands for exactly one label, as in certificates (RFC 9525 section 6.3).
    """
    label, dot, rest = host.partition(b".")
    return b"*." + rest if dot and rest and _LABEL.fullmatch(label) else None


class Authorities(Container[bytes]):
    """Authorities, of which some are wildcards."""

    __slots__ = ("_exact", "_wild")

    def __init__(self, names: Iterable[bytes]) -> None:
        found = frozenset(names)
        self._wild = frozenset(name for name in found if name.startswith(b"*."))
        self._exact = found - self._wild

    def __contains__(self, host: object) -> bool:
        """Tell whether an authority in lower case is one of them, itself or by a wildcard."""
        return isinstance(host, bytes) and (host in self._exact or wildcard_of(host) in self._wild)


def authorities(names: Iterable[bytes]) -> Container[bytes]:
    """Return what holds these authorities; nothing is to be paid for wildcards where there are none."""
    found = frozenset(names)
    return Authorities(found) if any(name.startswith(b"*.") for name in found) else found
