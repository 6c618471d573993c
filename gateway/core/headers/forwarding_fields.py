"""Forwarding fields: which of them count, and how each is read (RFC 7239, X-Forwarded-*)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, TypeAlias

from gateway.config.settings.listener import ForwardingSettings
from gateway.syntax.tokens import split_quoted, unquote

MOST_HOPS: Final = 32
UNKNOWN: Final = "unknown"
"""What stands for the address of a client that nobody tells (RFC 7239 section 6.2)."""

AUTHORITY: Final = re.compile(
    rb"(?:(?P<plain>[a-z0-9_.-]+\Z)|[a-z0-9_-][a-z0-9_.-]{0,252}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?"
)
_NAMED: Final = re.compile(
    r"(?P<name>[A-Za-z0-9_-][A-Za-z0-9_.-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?"
)
# WebSockets are told of as ws and wss by some (Traefik)
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
_PAIR: Final = re.compile(r'([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=("(?:[^"\\]|\\.)*"|[^\s"\\;,]+)')

Address: TypeAlias = IPv4Address | IPv6Address


class Unreadable(Exception):  # noqa: N818 - says what the field is
    """A named field that cannot be read; its text is the field's name, lower case."""

    def __init__(self, source: bytes) -> None:
        super().__init__(source.decode("latin-1"))


@dataclass(frozen=True, slots=True)
class Sources:
    """The fields that trusted proxies write, in lower case, empty where there is none.

    ``names`` are those that are read; Host is none of them.
    """

    address: bytes
    scheme: bytes
    host: bytes
    port: bytes
    names: frozenset[bytes] = field(init=False)

    def __post_init__(self) -> None:
        found = {self.address, self.scheme, self.host, self.port} - {b"", b"host"}
        object.__setattr__(self, "names", frozenset(found))


def sources_of(settings: ForwardingSettings) -> Sources:
    """Return the sources that settings name."""
    named = (settings.address, settings.scheme, settings.host, settings.port)
    return Sources(*(b"" if each == "none" else each.lower().encode() for each in named))


def number_of(text: str) -> int | None:
    """Return the number of an IPv4 address that is written as we write it; None for anything else."""
    if len(text) > 15:
        return None
    try:
        octets = bytes(map(int, text.split(".")))
    except ValueError:
        return None
    if len(octets) != 4 or ".".join(map(str, octets)) != text:
        return None
    return int.from_bytes(octets, "big")


def parse_address(text: str) -> Address | None:
    """Return an IP address, with or without a port; an IPv4-mapped one as IPv4. None for anything else."""
    if text.startswith("["):
        text, bracket, port = text[1:].partition("]")
        if not bracket or not _is_port(port):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _is_port(":" + port):
            return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or (None if address.scope_id else address)
    return address


def _is_port(text: str) -> bool:
    return not text or (text[0] == ":" and text[1:].isascii() and text[1:].isdigit() and len(text) <= 6)


def last_of(values: list[str]) -> str:
    """Return the last member of a list in one or several lines: what the nearest proxy wrote."""
    return values[-1].rpartition(",")[2].strip(" \t")


def scheme_of(text: str, source: bytes) -> str:
    """Return http or https. Raises Unreadable."""
    found = _SCHEMES.get(text.lower())
    if found is None:
        raise Unreadable(source)
    return found


def host_of(text: str | None, source: bytes) -> bytes:
    """Return an authority, lower case. Raises Unreadable: it is none, or absent.

    A proxy that writes it does so each time: where it is absent the request came in another way, and no site
    is to be chosen by a Host that nobody vouches for.
    """
    found = _NAMED.fullmatch(text or "")
    if found is None or (found["port"] is not None and int(found["port"]) > 65535):
        raise Unreadable(source)
    # a name with its last dot is the same name (RFC 1034 section 3.1)
    name = found["name"].removesuffix(".").lower()
    if not name:
        raise Unreadable(source)
    return (name if found["port"] is None else f"{name}:{found['port']}").encode("ascii")


def port_of(text: str, source: bytes) -> bytes:
    """Return a port. Raises Unreadable."""
    if _PORT.fullmatch(text) is None or int(text) > 65535:
        raise Unreadable(source)
    return text.encode("ascii")


def elements_of(lines: list[str]) -> Iterator[dict[str, str]]:
    """Yield the elements of Forwarded (RFC 7239 section 4), nearest first, for as long as they are asked for.

    Each line is a list of its own: what a client left open in one closes in no other. Raises Unreadable.
    """
    for line in reversed(lines):
        parts = split_quoted(line, ",")
        if not parts:
            raise Unreadable(b"forwarded")
        for part in reversed(parts):
            yield _element(part)


def _element(part: str) -> dict[str, str]:
    element: dict[str, str] = {}
    for pair in split_quoted(part, ";") or ():
        found = _PAIR.fullmatch(pair)
        if found is None or (name := found[1].lower()) in element:
            raise Unreadable(b"forwarded")
        element[name] = unquote(found[2])
    return element
