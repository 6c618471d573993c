"""Response heads of upstreams: bytes to a validated value (RFC 9112), or a Fault of the upstream.

What is no strict head is mended where RFC 9112 says how (``http.messages.mending``), and read strictly then.
"""

import re
from dataclasses import dataclass, field

import httptools

from gateway.core.fault import Fault
from gateway.core.headers.request import Header
from gateway.core.reasons import Reason
from gateway.http.memo import HeadMemo, by_key
from gateway.http.messages.fields import HOP_BY_HOP, Kind, Malformed, read_field, read_length, tokens
from gateway.http.messages.mending import check_bytes, mend

MOST_HEAD = 65536
_PATIENCE = re.compile(rb"(?:\A|[,;\s])(?i:timeout)\s*=\s*\"?([0-9]{1,9})\b")
_MOST_FIELDS = 256
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")


@dataclass(slots=True)
class ResponseHead:
    """A response head. ``headers`` are end-to-end: hop-by-hop and Connection-named fields are gone (R58).

    ``length`` is the Content-Length, None without one. ``reusable`` tells whether the connection may serve
    another request; ``upgrade`` is the protocol of a 101; ``is_stream`` marks server-sent events.
    ``is_whole`` tells that a body of a known length follows, unless it was asked for with HEAD, and nothing
    else is to be heeded. ``binds`` tells that the server authenticates the connection, or offers to (R77).
    ``idle_for`` is after how many idle seconds the server closes it, where it tells.
    ``rendered`` is the handler's: what it made of these very bytes, for the next response that has them;
    ``ready`` the same as it goes to a client, with the handler's part that it was made of.
    """

    status: int
    headers: tuple[Header, ...]
    length: int | None
    chunked: bool
    reusable: bool
    upgrade: bytes | None
    has_date: bool
    is_stream: bool
    is_whole: bool
    binds: bool = False
    idle_for: float | None = None
    rendered: tuple[object, bytes] | None = field(default=None, repr=False, compare=False)
    ready: tuple[bytes, bytes] | None = field(default=None, repr=False, compare=False)

    @property
    def interim(self) -> tuple[Header, ...]:
        """The fields that an interim response may carry on: cookies are for final ones."""
        return tuple(header for header in self.headers if header[0].lower() != b"set-cookie")


known_heads: HeadMemo[bytes, ResponseHead] = HeadMemo(by_key)


def read_response_head(data: bytes) -> ResponseHead:
    """Read exactly one response head, up to and including its blank line.

    Raises:
        Fault: ``upstream_malformed``.
    """
    head = known_heads.get(data)
    if head is None:
        try:
            head = _read_or_mend(data)
        except Malformed as error:
            raise _fault(error) from None
        known_heads.put(data, head)
    return head


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


def _read_or_mend(data: bytes) -> ResponseHead:
    try:
        return _read(data)
    except Malformed:
        mended, beyond_doubt = mend(data)
        if mended == data:
            raise
    head = _read(mended)
    head.reusable = head.reusable and beyond_doubt
    return head


def _ask_llhttp(data: bytes) -> None:
    try:
        httptools.HttpResponseParser(None).feed_data(data)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise Malformed(type(error).__name__) from None


def _read(data: bytes) -> ResponseHead:
    _ask_llhttp(data)
    lines = data.split(b"\r\n")
    if len(lines) < 3 or lines[-1] or lines[-2]:
        raise Malformed("no blank line at the end")
    match = _STATUS_LINE.fullmatch(lines[0])
    if match is None or len(lines) > _MOST_FIELDS:
        raise Malformed("status line, or too many fields")
    status, minor = int(match[2]), int(match[1])
    headers: list[Header] = []
    special: dict[int, list[bytes]] = {}
    for line in lines[1:-2]:
        field = read_field(line)
        if field.kind:
            special.setdefault(field.kind, []).append(field.value)
        if field.kind not in HOP_BY_HOP:
            headers.append((field.name, field.value))
    length, chunked = _read_framing(special, minor)
    options = {token for value in special.get(Kind.CONNECTION, ()) for token in tokens(value)}
    bodyless = status in (204, 304) or status < 200
    upgrade = special.get(Kind.UPGRADE, ())
    idle_for = _read_patience(special)
    is_stream = special.get(Kind.CONTENT_TYPE, [b""])[0].lower().startswith(b"text/event-stream")
    return ResponseHead(
        status=status,
        headers=tuple(header for header in headers if header[0].lower() not in options),
        length=length,
        chunked=chunked,
        # a body where none is allowed may follow all the same: then the next response would begin in it
        reusable=minor == 1
        and b"close" not in options
        and idle_for != 0
        # (a 304 may tell the length that its 200 would have, RFC 9110 section 8.6)
        and not (bodyless and (chunked or (length and status != 304))),
        upgrade=upgrade[0] if len(upgrade) == 1 else None,
        has_date=Kind.DATE in special and b"date" not in options,
        is_whole=length is not None and not bodyless and not is_stream and Kind.BINDING not in special,
        is_stream=is_stream,
        binds=Kind.BINDING in special,
        idle_for=idle_for,
    )


def _read_patience(special: dict[int, list[bytes]]) -> float | None:
    """Return the seconds of ``Keep-Alive: timeout=`` (RFC 2068 section 19.7.1), None without one."""
    for value in special.get(Kind.KEEP_ALIVE, ()):
        found = _PATIENCE.search(value)
        if found is not None:
            return float(found[1])
    return None


def _read_framing(special: dict[int, list[bytes]], minor: int) -> tuple[int | None, bool]:
    """Return the Content-Length and whether the body is chunked; RFC 9112 section 6.3."""
    codings, lengths = special.get(Kind.TRANSFER_ENCODING), special.get(Kind.CONTENT_LENGTH)
    if codings is not None:
        if lengths is not None or minor == 0 or len(codings) != 1 or codings[0].lower() != b"chunked":
            raise Malformed("Transfer-Encoding")
        return None, True
    if lengths is None:
        return None, False
    if len(lengths) != 1:
        raise Malformed("Content-Length")
    return read_length(lengths[0]), False
