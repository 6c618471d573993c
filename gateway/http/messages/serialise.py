"""Heads as we send them: one Host, one framing field, Connection by us, and nothing that splits a message."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import NewType

from gateway.core.headers.request import Header
from gateway.http.messages.fields import Kind, write_field

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
        Kind.KEEP_ALIVE,
    }
)
_OURS_IN_RESPONSES = frozenset(
    {
        Kind.CONTENT_LENGTH,
        Kind.TRANSFER_ENCODING,
        Kind.CONNECTION,
        Kind.UPGRADE,
        Kind.HOP,
        Kind.KEEP_ALIVE,
    }
)


Start = NewType("Start", bytes)
"""The start of a request head, in which nothing ends it: see ``check_start``."""


class Unsafe(ValueError):  # noqa: N818 - says what it is
    """A header or target that would split the message, or a head without its Host."""


def _joined(lines: list[bytes]) -> bytes:
    """Join lines, sure that there are no others in them.

    Raises:
        Unsafe: a CR, LF or NUL hides in a name or value.
    """
    block = b"".join(lines)
    count = len(lines)
    if (
        block.count(b"\r\n") != count
        or block.count(b"\n") != count
        or block.count(b"\r") != count
        or b"\0" in block
    ):
        raise Unsafe("a line break in a header")
    return block


def request_fields(headers: Iterable[Header]) -> bytes:
    """Return the lines of an upstream's request; what is ours to write is left out.

    Raises:
        Unsafe: they would be read as something else than is meant here, or there is no Host.
    """
    lines: list[bytes] = []
    has_host = False
    for header in headers:
        kind, line = write_field(header)
        if kind and kind in _OURS_IN_REQUESTS:
            if kind != Kind.HOST or has_host:
                continue
            has_host = True
        lines.append(line)
    if not has_host:
        raise Unsafe("no Host")
    return _joined(lines)


def response_fields(headers: Iterable[Header]) -> bytes:
    """Return the lines of a client's response; what is ours to write is left out.

    Raises:
        Unsafe: they would be read as something else than is meant here.
    """
    lines: list[bytes] = []
    for header in headers:
        kind, line = write_field(header)
        if not kind or kind not in _OURS_IN_RESPONSES:
            lines.append(line)
    return _joined(lines)


def check_start(start: bytes) -> Start:
    """Return the start of an upstream's request head, sure that nothing ends the head in it.

    Raises:
        Unsafe: there is a blank line in it, so that a second request would follow.
    """
    if b"\r\n\r\n" in start:
        raise Unsafe("a blank line in a head")
    return Start(start)


def status_line(status: int) -> bytes:
    """Return the status line of a response (RFC 9112 section 4)."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def build_response_head(status: int, headers: Iterable[Header], framing: bytes, date: bytes | None) -> bytes:
    """Return a client's response head; ``date`` is added where ``headers`` have no Date.

    Raises:
        Unsafe: it would be read as something else than is meant here.
    """
    fields = response_fields(headers)
    if date is not None and not any(name.lower() == b"date" for name, _ in headers):
        fields += b"Date: %b\r\n" % date
    return b"%b%b%b\r\n" % (status_line(status), fields, framing)
