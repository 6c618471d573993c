"""Heads as we send them: one framing field, Connection by us, and nothing that splits a message."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from gateway.core.headers.kinds import FRAMING
from gateway.core.headers.request import Header

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_PHRASES: Final = {status.value: status.phrase.encode() for status in HTTPStatus}
STATUS_LINES: Final = tuple(b"HTTP/1.1 %d %b" % (status, _PHRASES.get(status, b"")) for status in range(1000))
"""The status line of each response, without CRLF (RFC 9112 section 4)."""
_OURS_IN_RESPONSES: Final = frozenset(FRAMING) - {b"host", b"expect"} | {
    b"te",
    b"trailer",
    b"proxy-connection",
}


class Unsafe(ValueError):  # noqa: N818 - says what it is
    """A header that would split the message."""


def response_lines(headers: Iterable[Header]) -> list[bytes]:
    """Return the lines of a client's response, without CRLF; what is the data plane's to write is left out.

    Raises:
        Unsafe: a CR, LF or NUL hides in a name or value.
    """
    lines = [b": ".join(header) for header in headers if header[0].lower() not in _OURS_IN_RESPONSES]
    block = b"".join(lines)
    if b"\r" in block or b"\n" in block or b"\0" in block:
        raise Unsafe("a line break in a header")
    return lines


def build_response_head(
    status: int, headers: Iterable[Header], framing: Iterable[bytes], date: bytes | None
) -> bytes:
    """Return a client's response head.

    Args:
        status: of the response.
        headers: what is told; ``date`` is added where they have no Date.
        framing: lines that say how the message is framed.
        date: for Date.

    Raises:
        Unsafe: it would be read as something else than is meant here.
    """
    lines = [STATUS_LINES[status], *response_lines(headers), *framing]
    if date is not None and not any(line[:5].lower() == b"date:" for line in lines):
        lines.append(b"Date: " + date)
    return b"\r\n".join((*lines, b"", b""))
