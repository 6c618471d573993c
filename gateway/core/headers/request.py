"""A request's head, framed and validated, before any decision; its lines are sorted by what they are."""

import re
from typing import Final, TypeAlias

from gateway.core.headers.kinds import (
    ACCEPT,
    AUTHORIZATION,
    BINDING_SCHEME,
    CERTIFICATE,
    CONNECTION,
    COOKIE,
    DROP,
    FETCH_MODE,
    FORWARDING,
    HOST,
    LAST_FRAMING,
    LOOP,
    PROOF,
    PURPOSE,
    READ,
    REQUESTED_WITH,
    TRACE,
    UPGRADE,
    VOUCHED,
    Kind,
)
from gateway.core.headers.lines import UNREAD, Line, LineTable, Malformed, check_line, without

Header: TypeAlias = tuple[bytes, bytes]

# what Sec-Purpose and the fields before it say of a page that is loaded before anybody asked for it
_SPECULATIVE: Final = (b"prefetch", b"prerender", b"preview")
_BINDING: Final = re.compile(rb"(?:\A|[\s,])" + BINDING_SCHEME)
_NONE: Final[frozenset[bytes]] = frozenset()


class Request:
    """One framed and validated request head (RFC 9112), before any decision.

    Args:
        method: as sent.
        target: origin-form (an absolute-form whose authority equals Host has been reduced) or ``*``.
        host: the Host field, lower case, with its port when one was sent.
        headers: (name, value) pairs in order and spelling, values without surrounding white space.
        peer: the socket's address.
        tls: whether it came over TLS.

    Attributes:
        client: the client's address as forwarding tells it; there is none before policies are asked.
        plain: path, first segment (with both its slashes) and query of a target that has one reading alone;
            None where that is not known.
        passed: the lines that go on whoever asks, in order.
        read: those among them that decisions read, and what of proofs, certificates and traces goes no
            further.
        certificate: the thumbprint of the one that the client itself showed; there is none where it has not.
        authorization, cookies, vouched, loops: the lines of these kinds.
        told: the lines of named forwarding fields, as they came.
        host_line, connection: the first line of these kinds, None without one.
        framing: the other lines that say how the message is framed.
        about: the request that it asks about, once that is known; there is none of any other.
        dropped: the lower-case names that the client's Connection fields list (R58).
    """

    __slots__ = (
        "_headers",
        "_lines",
        "_table",
        "about",
        "authorization",
        "certificate",
        "client",
        "connection",
        "cookies",
        "dropped",
        "framing",
        "host",
        "host_line",
        "loops",
        "method",
        "passed",
        "peer",
        "plain",
        "read",
        "target",
        "tls",
        "told",
        "vouched",
    )
    about: "Request"

    client: str
    certificate: str

    def __init__(
        self,
        method: bytes,
        target: bytes,
        host: bytes,
        headers: tuple[Header, ...] | None,
        peer: str,
        tls: bool = False,
        lines: list[bytes] | None = None,
    ) -> None:
        self.method = method
        self.target = target
        self.host = host
        self.peer = peer
        self.tls = tls
        self._headers = headers
        self._lines = lines
        self._table: LineTable | None = None
        self.plain: tuple[bytes, bytes, bytes] | None = None

    @property
    def headers(self) -> tuple[Header, ...]:
        """The fields as (name, value) pairs."""
        if self._headers is None:
            split = [line.partition(b":") for line in self._lines or ()]
            self._headers = tuple((name, value.strip(b" \t")) for name, _, value in split)
        return self._headers

    @property
    def lines(self) -> list[bytes]:
        """The fields as lines. Not to be changed."""
        if self._lines is None:
            self._lines = [line for line in map(b": ".join, self._headers or ()) if _is_line(line)]
        return self._lines

    def sort(self, table: LineTable) -> None:
        """Sort the fields by what they are to this configuration; what it has sorted already stays.

        A line break or NUL in a value, which no parsed head has, drops its field.

        Raises:
            Malformed: a line that came as bytes is no field line.
        """
        if self._table is table:
            return
        lines = self._lines
        if lines is None:
            lines = self.lines
        self._table = table
        self._sort(lines, table)

    def _sort(self, lines: list[bytes], table: LineTable) -> None:
        passed: list[bytes] = []
        read: list[Line] = []
        authorization: tuple[Line, ...] = ()
        cookies: tuple[Line, ...] = ()
        told: tuple[bytes, ...] = ()
        host: Line | None = None
        connection: Line | None = None
        self.passed, self.read = passed, read
        self.framing: tuple[Line, ...] = ()
        self.vouched: tuple[Line, ...] = ()
        self.loops: tuple[Line, ...] = ()
        self.dropped = _NONE
        known, unread = table.known, UNREAD
        for line in lines:
            found = known.get(line, unread)
            if found is unread:
                found = table.learn(line)
            if found is None:
                passed.append(line)
                continue
            kind = found.kind
            if kind >= READ:
                passed.append(found.line)
                read.append(found)
            elif kind == HOST and host is None:
                host = found
            elif kind == CONNECTION and connection is None:
                connection = found
            elif kind == COOKIE:
                cookies += (found,)
            elif kind == AUTHORIZATION:
                authorization += (found,)
            elif kind == FORWARDING:
                told += (line,)
            elif kind != DROP:
                self._note(kind, found)
        self.host_line, self.connection = host, connection
        self.authorization, self.cookies, self.told = authorization, cookies, told
        if connection is not None and (connection.found.named or self.dropped):
            # the usual heads name nothing that goes on
            self.dropped |= connection.found.named
            self.passed = without(passed, self.dropped)

    def _note(self, kind: Kind, found: Line) -> None:
        if not kind:
            self.passed.append(found.line)
        elif kind <= LAST_FRAMING:
            self.framing += (found,)
            if kind == CONNECTION:
                self.dropped |= found.found.named
        elif kind == VOUCHED:
            self.vouched = (*self.vouched, found)
        elif kind == LOOP:
            self.loops = (*self.loops, found)
        elif kind in (PROOF, CERTIFICATE, TRACE):
            self.read.append(found)

    def values(self, kind: Kind) -> list[bytes]:
        """Return the values of the fields of a kind that decisions read, in their order."""
        return [line.value for line in self.read if line.kind == kind]

    @property
    def binds(self) -> bool:
        """Whether a credential authenticates the connection instead of the request (RFC 4559, R77)."""
        for line in self.authorization:
            # what was found of a line is a bearer token
            if line.found is None and _BINDING.search(line.value) is not None:
                return True
        return False

    @property
    def is_websocket(self) -> bool:
        """Whether a WebSocket is asked for.

        Whatever else it offers, and however it is listed: the data plane decides whether it becomes one.
        """
        asked = b",".join([line.value for line in self.framing if line.kind == UPGRADE])
        return b"websocket" in asked.lower()

    @property
    def is_speculative(self) -> bool:
        """Whether nobody may ever look at the answer (a prefetch)."""
        return any(word in value.lower() for value in self.values(PURPOSE) for word in _SPECULATIVE)

    @property
    def is_scripted(self) -> bool:
        """Whether a script says that it calls."""
        # where Sec-Fetch-Mode comes several times, whichever is not navigate counts
        modes = self.values(FETCH_MODE)
        if modes:
            return any(mode.lower() != b"navigate" for mode in modes)
        # WebViews of Android send the name of their application with each navigation
        return any(value.lower() == b"xmlhttprequest" for value in self.values(REQUESTED_WITH))

    @property
    def wants_html(self) -> bool:
        """Whether a person's browser navigates here, rather than a script or an API client calling."""
        accepts = self.values(ACCEPT)
        return bool(accepts) and b"text/html" in accepts[-1].lower() and not self.is_scripted


def _is_line(line: bytes) -> bool:
    try:
        check_line(line)
    except Malformed:
        return False
    return True


def asks_for_page(data: bytes, table: LineTable) -> tuple[bool, bytes]:
    """Tell whether a person's browser navigates by such a head, which need not be a whole or a good one.

    The second is its Accept-Language.
    """
    pairs: list[Header] = []
    for line in data.split(b"\n")[1:]:
        name, _, value = line.partition(b":")
        pairs.append((name.strip(), value.strip()))
    request = Request(b"GET", b"/", b"", tuple(pairs), "")
    request.sort(table)
    return request.wants_html, accept_language(request)


def accept_language(request: Request) -> bytes:
    """Return the value of Accept-Language, of several fields joined; empty without one."""
    return b",".join([value for name, value in request.headers if name.lower() == b"accept-language"])
