"""The little of HTTP/1.1 and RFC 6455 that the generator and the echo server speak. Pure."""

import base64
import hashlib

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT = 0x81
_MASKED = 0x80
# a mask is the client's choice (RFC 6455 section 5.3): this one costs the generator nothing
ZERO_MASK = b"\0\0\0\0"


def accept_key(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept that answers a Sec-WebSocket-Key (RFC 6455 section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.strip() + _GUID).digest())  # noqa: S324 - the RFC's choice


def field(head: bytes, name: bytes) -> bytes | None:
    """Return the first value of a field of a message head, or None."""
    for line in head.split(b"\r\n")[1:]:
        found, colon, value = line.partition(b":")
        if colon and found.strip().lower() == name:
            return value.strip()
    return None


def frame(payload: bytes, *, masked: bool) -> bytes:
    """Return a text frame of at most 125 bytes of payload.

    Raises:
        ValueError: it is longer.
    """
    if len(payload) > 125:
        raise ValueError("a small message has at most 125 bytes")
    if masked:
        return bytes((_TEXT, _MASKED | len(payload))) + ZERO_MASK + payload
    return bytes((_TEXT, len(payload))) + payload


def unmask(payload: bytes, mask: bytes) -> bytes:
    """Return the payload with its mask taken off."""
    if mask == ZERO_MASK or not payload:
        return payload
    repeated = (mask * (len(payload) // 4 + 1))[: len(payload)]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return number.to_bytes(len(payload), "big")


def split_frames(buffer: bytearray) -> list[tuple[int, bytes]]:
    """Take the complete small frames from the front of a buffer: (opcode, payload) of each.

    Raises:
        ValueError: a frame longer than 125 bytes.
    """
    found: list[tuple[int, bytes]] = []
    at, end = 0, len(buffer)
    while end - at >= 2:
        size = buffer[at + 1] & 0x7F
        if size > 125:
            raise ValueError("a frame of more than 125 bytes")
        masked = buffer[at + 1] & _MASKED
        body = at + (6 if masked else 2)
        if end - body < size:
            break
        payload = bytes(buffer[body : body + size])
        if masked:
            payload = unmask(payload, bytes(buffer[at + 2 : at + 6]))
        found.append((buffer[at] & 0x0F, payload))
        at = body + size
    del buffer[:at]
    return found


def split_responses(buffer: bytearray) -> list[int]:
    """Take the complete responses from the front of a buffer: the status code of each.

    Raises:
        ValueError: one that is not framed by Content-Length.
    """
    statuses: list[int] = []
    while (found := buffer.find(b"\r\n\r\n")) >= 0:
        head = bytes(buffer[:found])
        length = field(head, b"content-length")
        if length is None or not length.isdigit():
            raise ValueError("a response without Content-Length")
        end = found + 4 + int(length)
        if len(buffer) < end:
            break
        statuses.append(int(head[9:12]))
        del buffer[:end]
    return statuses
