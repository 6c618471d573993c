"""Heads as we send them: one Host, one framing field, Connection by us, and nothing that splits a message."""

from collections.abc import Iterable
from http import HTTPStatus

from gateway.core.model import Header
from gateway.http.fields import Kind, write_field

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus
}
_OURS_IN_REQUESTS = frozenset(
    {
        Kind.HOST,
        Kind.CONTENT_LENGTH,
        Kind.TRANSFER_ENCODING,
        Kind.CONNECTION,
        Kind.UPGRADE,
        Kind.EXPECT,
        Kind.HOP,
    }
)
_OURS_IN_RESPONSES = frozenset(
    {Kind.CONTENT_LENGTH, Kind.TRANSFER_ENCODING, Kind.CONNECTION, Kind.UPGRADE, Kind.HOP}
)


class Unsafe(ValueError):  # noqa: N818 - says what it is
    """A header or target that would split the message, or a head without its Host."""


def _close(parts: list[bytes], framing: bytes) -> bytes:
    """Join the lines of a head, its framing and its blank line, sure that there are no others in it.

    Raises:
        Unsafe: a CR, LF or NUL hides in a name or value.
    """
    lines = len(parts) + framing.count(b"\n") + 1
    parts.append(framing)
    parts.append(b"\r\n")
    head = b"".join(parts)
    if (
        head.count(b"\r\n") != lines
        or head.count(b"\n") != lines
        or head.count(b"\r") != lines
        or b"\0" in head
    ):
        raise Unsafe("a line break in a header")
    return head


def build_request_head(method: bytes, target: bytes, headers: Iterable[Header], framing: bytes) -> bytes:
    """Return an upstream's request head. ``framing`` is one of ours, or empty: whole lines with CRLF.

    Fields of ours among ``headers`` are left out, Host beyond the first too.

    Raises:
        Unsafe: it would be read as something else than is meant here.
    """
    if not target or b" " in target or b"\t" in target:
        raise Unsafe("white space in the target")
    parts = [b"%b %b HTTP/1.1\r\n" % (method, target)]
    has_host = False
    for header in headers:
        kind, line = write_field(header)
        if kind and kind in _OURS_IN_REQUESTS:
            if kind != Kind.HOST or has_host:
                continue
            has_host = True
        parts.append(line)
    if not has_host:
        raise Unsafe("no Host")
    return _close(parts, framing)


def build_response_head(status: int, headers: Iterable[Header], framing: bytes, date: bytes | None) -> bytes:
    """Return a client's response head; ``date`` is added where ``headers`` have no Date.

    Raises:
        Unsafe: it would be read as something else than is meant here.
    """
    parts = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status]
    for header in headers:
        kind, line = write_field(header)
        if kind:
            if kind in _OURS_IN_RESPONSES:
                continue
            if kind == Kind.DATE:
                date = None
        parts.append(line)
    if date is not None:
        parts.append(b"Date: %b\r\n" % date)
    return _close(parts, framing)
