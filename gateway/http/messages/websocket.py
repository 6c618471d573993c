"""As much of the WebSocket framing as ending somebody's socket politely takes (RFC 6455 section 5.2)."""

import struct


def close_frame(code: int, mask: bytes = b"") -> bytes:
    """Return a close frame with a status code (RFC 6455 section 5.5.1); a client's has a mask of 4 bytes."""
    payload = struct.pack("!H", code)
    if not mask:
        return b"\x88\x02" + payload
    return b"\x88\x82" + mask + bytes(one ^ other for one, other in zip(payload, mask, strict=False))


class FrameBoundary:
    """Follows the frames of one direction, to know where another frame may be put in between."""

    __slots__ = ("_header", "_remaining")

    def __init__(self) -> None:
        self._header = b""
        self._remaining = 0

    @property
    def at_boundary(self) -> bool:
        """Whether the last frame is complete."""
        return not self._header and not self._remaining

    def advance(self, data: bytes, *, stop: bool = False) -> int:
        """Follow these bytes, with ``stop`` only to the end of the present frame; return how many."""
        position, size = 0, len(data)
        while position < size and not (stop and self.at_boundary):
            if self._remaining:
                step = min(self._remaining, size - position)
                self._remaining -= step
            else:
                step = min(self._wanted() - len(self._header), size - position)
                self._header += data[position : position + step]
                self._read_header()
            position += step
        return position

    def _wanted(self) -> int:
        header = self._header
        if len(header) < 2:
            return 2
        length = header[1] & 0x7F
        return 2 + (2 if length == 126 else 8 if length == 127 else 0) + (4 if header[1] & 0x80 else 0)

    def _read_header(self) -> None:
        header = self._header
        if len(header) < self._wanted():
            return
        length = header[1] & 0x7F
        if length == 126:
            length = int.from_bytes(header[2:4], "big")
        elif length == 127:
            length = int.from_bytes(header[2:10], "big")
        self._remaining = length
        self._header = b""
