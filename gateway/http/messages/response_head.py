"""Response heads of upstreams: bytes to a validated value (RFC 9112), or a Fault of the upstream.

What is no strict head is mended where RFC 9112 says how (``http.messages.mending``), and read strictly then.
"""

import re
from typing import Final

from gateway.core.fault import Fault
from gateway.core.headers.downstream import sort_response
from gateway.core.headers.kinds import (
    CACHE_CONTROL,
    CHALLENGE,
    CONNECTION,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    DATE,
    KEEP_ALIVE,
    PROXY_CHALLENGE,
    TRANSFER_ENCODING,
    UPGRADE,
)
from gateway.core.headers.lines import Line, LineTable, Malformed, without
from gateway.core.headers.request import Header
from gateway.core.reasons import Reason
from gateway.http.messages.mending import check_bytes, mend
from gateway.http.ports import Response

MOST_HEAD: Final = 65536
_MOST_FIELDS: Final = 256
_MOST_STATUSES: Final = 512
_PATIENCE: Final = re.compile(rb"(?:\A|[,;\s])(?i:timeout)\s*=\s*\"?([0-9]{1,9})\b")
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
# what status lines say: status and minor version
_statuses: dict[bytes, tuple[int, int]] = {}


class ResponseHead(Response):
    """A response head.

    Attributes:
        status: of the response.
        lines: what goes on to the client, without CRLF: hop-by-hop fields, those that Connection names, and
            forged cookies of ours are gone (R54, R58). Whoever sends it may change the list.
        read: the lines that say more than goes on by itself.
        length: the Content-Length, None without one; ``chunked`` whether it ends by itself.
        reusable: whether the connection may serve another request.
        upgrade: the protocol of a 101.
        has_date: whether ``lines`` have a Date.
        is_stream: whether these are server-sent events.
        binds: whether the server authenticates the connection, or offers to (R77).
        idle_for: after how many idle seconds the server closes the connection, where it tells.
    """

    __slots__ = (
        "binds",
        "chunked",
        "idle_for",
        "reusable",
        "upgrade",
    )

    def __init__(self, status: int, lines: list[bytes], read: list[Line]) -> None:
        self.status = status
        self.lines = lines
        self.read = read
        self.length = None
        self.chunked = False
        self.reusable = True
        self.upgrade: bytes | None = None
        self.has_date = False
        self.is_stream = False
        self.binds = False
        self.idle_for: float | None = None

    @property
    def headers(self) -> tuple[Header, ...]:
        """The lines as (name, value) pairs."""
        pairs = [line.partition(b": ") for line in self.lines]
        return tuple((name, value) for name, _, value in pairs)

    @property
    def interim(self) -> list[bytes]:
        """The lines that an interim response may carry on: cookies are for final ones."""
        return [line for line in self.lines if line[:11].lower() != b"set-cookie:"]


def read_response_head(data: bytes, table: LineTable) -> ResponseHead:
    """Read exactly one response head, up to and including its blank line.

    Raises:
        Fault: ``upstream_malformed``.
    """
    try:
        return _read(data, table)
    except Malformed:
        return _read_mended(data, table)


def check_partial_head(data: bytes, start: int) -> None:
    """Refuse what can never become a response head; the bytes before ``start`` were looked at before.

    Raises:
        Fault: ``upstream_malformed``.
    """
    try:
        check_bytes(data, start)
    except Malformed as error:
        raise _fault(error) from None


def _fault(error: Malformed) -> Fault:
    return Fault("upstream", Reason.UPSTREAM_MALFORMED, f"response: {error}")


def _read_mended(data: bytes, table: LineTable) -> ResponseHead:
    try:
        mended, beyond_doubt = mend(data)
        head = _read(mended, table)
    except Malformed as error:
        raise _fault(error) from None
    head.reusable = head.reusable and beyond_doubt
    return head


def _read(data: bytes, table: LineTable) -> ResponseHead:
    lines = data.split(b"\r\n")
    if not 3 <= len(lines) <= _MOST_FIELDS or lines.pop() or lines.pop():
        raise Malformed("no blank line at the end, or too many fields")
    line = lines.pop(0)
    status, minor = _statuses.get(line) or _read_status(line)
    passed, read = sort_response(lines, table)
    return _heed(ResponseHead(status, passed, read), read, minor)


def _read_status(line: bytes) -> tuple[int, int]:
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise Malformed("status line")
    found = int(match[2]), int(match[1])
    if len(_statuses) < _MOST_STATUSES and len(line) <= 64:
        _statuses[line] = found
    return found


def _heed(head: ResponseHead, read: list[Line], minor: int) -> ResponseHead:
    """Fill in what the lines of a head say of its message and of the connection."""
    closes = minor == 0
    named: frozenset[bytes] = frozenset()
    length: int | None = None
    for line in read:
        kind = line.kind
        if kind == DATE:
            head.has_date = True
        elif kind == CONTENT_LENGTH:
            if length is not None or line.found is None:
                raise Malformed("Content-Length")
            length = line.found
        elif kind == CONTENT_TYPE:
            head.is_stream = head.is_stream or line.found
        elif kind == CONNECTION:
            options = line.found
            closes = closes or options.closes
            if options.named:
                named |= options.named
        elif kind != CACHE_CONTROL:
            _heed_more(head, line, minor)
    if head.chunked and length is not None:
        raise Malformed("Transfer-Encoding")
    if named:
        head.lines = without(head.lines, named)
        head.has_date = head.has_date and b"date" not in named
    head.length = length
    head.reusable = not closes and head.idle_for != 0
    status = head.status
    if status < 200 or status in (204, 304):
        # a body where none is allowed may follow all the same: then the next response would begin in it
        # (a 304 may tell the length that its 200 would have, RFC 9110 section 8.6)
        head.reusable = head.reusable and not (head.chunked or (length and status != 304))
    return head


def _heed_more(head: ResponseHead, line: Line, minor: int) -> None:
    """Heed what few responses say."""
    kind = line.kind
    if kind == TRANSFER_ENCODING:
        if head.chunked or minor == 0 or line.value.lower() != b"chunked":
            raise Malformed("Transfer-Encoding")
        head.chunked = True
    elif kind == KEEP_ALIVE:
        if head.idle_for is None:
            head.idle_for = _read_patience(line.value)
    elif kind == UPGRADE:
        # several are none
        head.upgrade = line.value if head.upgrade is None else b""
    elif kind in (CHALLENGE, PROXY_CHALLENGE):
        head.binds = head.binds or line.found


def _read_patience(value: bytes) -> float | None:
    """Return the seconds of ``Keep-Alive: timeout=`` (RFC 2068 section 19.7.1), None without one."""
    found = _PATIENCE.search(value)
    return None if found is None else float(found[1])
