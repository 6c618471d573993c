"""Requests as an upstream's server gets them: one Host, one framing field, Connection by us (RFC 9112)."""

from typing import Final

from gateway.http.messages.chunked import LAST_CHUNK, encode_chunk
from gateway.http.roles import Served

_USUALLY_WITH_BODY: Final = frozenset({b"POST", b"PUT", b"PATCH"})


def request_of(exchange: Served, host_line: bytes | None) -> bytes:
    """Return the head of an exchange's request, with as much of its body as there is.

    Args:
        exchange: what is asked; its first line is Host.
        host_line: what takes the place of that, if anything.
    """
    method, body = exchange.request.method, exchange.body
    parts = [b" ".join((method, exchange.target, b"HTTP/1.1")), *exchange.lines]
    if host_line is not None:
        # the first of the lines begins with Host
        _, mark, more = parts[1].partition(b"\r\n")
        parts[1] = host_line + mark + more
    content = b""
    if body is not None:
        content = exchange.start_body()
        if body.length is None:
            parts.append(b"Transfer-Encoding: chunked")
            content = chunk_of(content, done=body.done)
        else:
            parts.append(b"Content-Length: %d" % body.length)
        if body.continue_due:
            parts.append(b"Expect: 100-continue")
    elif method in _USUALLY_WITH_BODY:
        parts.append(b"Content-Length: 0")
    if exchange.upgrade is not None:
        parts.append(b"Connection: upgrade")
        parts.append(b"Upgrade: " + exchange.upgrade)
    parts += (b"", content)
    return b"\r\n".join(parts)


def chunk_of(content: bytes, *, done: bool) -> bytes:
    """Return content as a chunk, if there is any, and the last chunk where that is all."""
    data = encode_chunk(content) if content else b""
    return data + LAST_CHUNK if done else data
