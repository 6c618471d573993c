"""What a proxy that asks for a decision tells of the request that it holds.

It asks with the fields of its client, and tells method, scheme, host and target in fields of its own. What it
asks by (its Host, its framing) is not the client's. What names somebody in another spelling than ours it
would pass on, since it knows our names alone.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

from gateway.config.foreign_identity import is_foreign
from gateway.config.reserved_names import HOP_BY_HOP
from gateway.core.headers.forwarding_fields import Sources, Unreadable, scheme_of
from gateway.core.headers.request import Request
from gateway.syntax.authority import read_host
from gateway.syntax.targets import plain_parts
from gateway.syntax.tokens import fold

_URL: Final = re.compile(rb"(https?|wss?)://([^/?#@\\]+)(/.*)", re.DOTALL)
_MOST_NAMES: Final = 4096
_LONGEST_NAME: Final = 128

Kind: TypeAlias = int
_KEPT: Final = 0
_DROPPED: Final = 1
_TOLD: Final = 2
_FORGED: Final = 3
_WEBSOCKET: Final = 4

_TELLING: Final = frozenset(
    b"x-original-method x-original-url x-forwarded-method x-forwarded-proto x-forwarded-host"
    b" x-forwarded-uri".split()
)
# ingress-nginx asks with the last two, which tell of nobody, though the one is called as if it did
_OF_PROXIES: Final = HOP_BY_HOP.union(
    b"host proxy-connection forwarded x-forwarded-port x-auth-request-redirect x-sent-from".split()
)
# what identities are told in by default, here and elsewhere: these begin as what proxies themselves say
_USUAL: Final = frozenset(
    b"x-forwarded-access-token x-forwarded-email x-forwarded-groups x-forwarded-preferred-username"
    b" x-forwarded-roles x-forwarded-user".split()
)

_FORWARDED: Final = b"x-forwarded-"

Told: TypeAlias = "dict[bytes, bytes | None]"
"""What telling fields say, by lower-case names; None for one that comes several times."""


class Original(NamedTuple):
    """The request that a proxy holds, as it tells of it; nothing of it is judged yet."""

    method: bytes
    scheme: str
    host: bytes
    target: bytes


class Sifted(NamedTuple):
    """The lines of an asking request, sorted: those of its client, and what the proxy tells.

    ``forged`` is the name of a field that the proxy would pass on, and upstreams may take for an identity.
    """

    lines: list[bytes]
    told: Told
    forged: bytes | None
    is_websocket: bool


class Sieve:
    """Tells apart what asking proxies say and what their clients do.

    ``names`` are what proxies replace, in lower case and as written.

    Args:
        identity: the names under which upstreams are told who is calling, as they are written.
        keys: those that bring what proves somebody here alone, and which no upstream sees.
        own: the folded names under which they are told anything.
        sources: the fields that trusted proxies write.
        kept: lower-case names of other products that pass.
    """

    __slots__ = ("_identity", "_kept", "_keys", "_kinds", "_own", "_sources", "names")

    def __init__(
        self,
        identity: Iterable[str],
        keys: Iterable[str],
        own: frozenset[bytes],
        sources: Sources,
        kept: frozenset[bytes],
    ) -> None:
        told = {name.lower().encode(): name.encode() for name in identity}
        read = {name.lower().encode(): name.encode() for name in keys}
        self.names = (*told.items(), *read.items())
        self._identity = frozenset(told)
        self._keys = frozenset(read)
        self._own = own | frozenset(map(fold, read))
        self._sources = sources
        self._kept = kept
        self._kinds: dict[bytes, Kind] = {}

    def sift(self, request: Request) -> Sifted:
        """Sort the lines of an asking request."""
        lines: list[bytes] = []
        told: Told = {}
        forged: bytes | None = None
        is_websocket = False
        known = self._kinds.get
        for line in request.lines:
            name = line[: line.index(b":")]
            kind = known(name)
            if kind is None:
                kind = self._learn(name)
            if kind == _KEPT:
                lines.append(line)
            elif kind == _TOLD:
                lower = name.lower()
                told[lower] = None if lower in told else line[len(name) + 1 :].strip(b" \t")
            elif kind == _FORGED:
                forged = name
            elif kind == _WEBSOCKET:
                lines.append(line)
                is_websocket = True
        return Sifted(lines, told, forged, is_websocket)

    def restored(self, request: Request, original: Original, sifted: Sifted) -> Request:
        """Return the request that the proxy holds, as if it had come here by that proxy."""
        lines, sources = sifted.lines, self._sources
        if sources.scheme:
            lines.append(b"%b: %b" % (sources.scheme, original.scheme.encode()))
        if sources.host != b"host":
            lines.append(b"%b: %b" % (sources.host, original.host))
        if sifted.is_websocket:
            lines += (b"Connection: Upgrade", b"Upgrade: websocket")
        restored = Request(original.method, original.target, original.host, None, request.peer, False, lines)
        restored.plain = plain_parts(original.target)
        return restored

    def _learn(self, name: bytes) -> Kind:
        kind = self._kind_of(name)
        if len(name) <= _LONGEST_NAME:
            if len(self._kinds) >= _MOST_NAMES:
                self._kinds.clear()
            self._kinds[name] = kind
        return kind

    def _kind_of(self, name: bytes) -> Kind:
        lower, folded = name.lower(), fold(name)
        if lower in _TELLING:
            return _TOLD
        if lower == self._sources.address or lower in self._keys:
            return _KEPT
        if lower in _OF_PROXIES:
            return _DROPPED
        if folded in self._own:
            # the proxy overwrites the very names that it is told of
            return _DROPPED if lower in self._identity else _FORGED
        if (is_foreign(folded) or folded in _USUAL) and lower not in self._kept:
            return _FORGED
        if folded.startswith(_FORWARDED) and not lower.startswith(_FORWARDED):
            # what it writes itself, it writes in one spelling
            return _FORGED
        # browsers send these with each handshake; the field that asks for it ends at the proxy
        return _WEBSOCKET if lower.startswith(b"sec-websocket-") else _KEPT


def by_url(_: Request, told: Told, __: bytes) -> Original | None:
    """Read X-Original-Method and X-Original-URL, as nginx is configured to send them; None: unreadable."""
    found = _URL.fullmatch(told.get(b"x-original-url") or b"")
    if found is None:
        return None
    return _original(told.get(b"x-original-method"), found[1], found[2], found[3])


def by_forwarded(_: Request, told: Told, __: bytes) -> Original | None:
    """Read X-Forwarded-Method, -Proto, -Host and -Uri; None where they cannot be read."""
    names = (b"x-forwarded-method", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-uri")
    return _original(*(told.get(name) for name in names))


def by_itself(request: Request, told: Told, rest: bytes) -> Original | None:
    """Read a request that is the original, with something before its target; None where it is unreadable."""
    return _original(request.method, told.get(b"x-forwarded-proto"), request.host, rest)


def _original(
    method: bytes | None, scheme: bytes | None, host: bytes | None, target: bytes | None
) -> Original | None:
    if not method or scheme is None or host is None or target is None or target[:1] != b"/":
        return None
    authority = read_host(host)
    if authority is None:
        return None
    try:
        found = scheme_of(scheme.decode("latin-1"), b"")
    except Unreadable:
        return None
    return Original(method, found, authority, target)
