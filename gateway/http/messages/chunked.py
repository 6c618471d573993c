"""The chunked transfer coding (RFC 9112 section 7.1), decoded strictly and piece by piece."""

import re
from typing import Final

from gateway.core.headers.lines import Malformed, check_line

LAST_CHUNK: Final = b"0\r\n\r\n"

_SIZE: Final = 0
_END: Final = 1
_TRAILER: Final = 2

_MOST_LINE: Final = 512
_MOST_EXTENSIONS: Final = 16_384
_MOST_TRAILERS: Final = 8192

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
# RFC 9112 section 7.1.1: white space stands before and after ";" and "=" and nowhere else
_VALUE: Final = _TOKEN + rb'+|"(?:[\t !#-\[\]-~]|\\[\t -~])*"'
_SIZE_LINE: Final = re.compile(
    rb"0*([0-9A-Fa-f]{1,15})((?:[ \t]*;[ \t]*" + _TOKEN + rb"+(?:[ \t]*=[ \t]*(?:" + _VALUE + rb"))?)*)"
)


def encode_chunk(data: bytes) -> bytes:
    """Return data, which must not be empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class ChunkedReader:
    """Takes a chunked body in pieces of any size and gives back its content.

    Extensions are checked, bounded (512 bytes a line, 16 KiB a message) and dropped; trailers too (8 KiB), so
    that none can ever become a header. A line that does not end in CRLF is refused.

    Args:
        is_response: whether it comes from an upstream; some pad the line of a size with spaces.

    Attributes:
        done: whether the body has ended, trailers included.
        rest: the bytes after its end, once done.
    """

    __slots__ = ("_extensions", "_line", "_padded", "_remaining", "_step", "_trailers", "done", "rest")

    def __init__(self, *, is_response: bool = False) -> None:
        self._padded = is_response
        self.done = False
        self.rest = b""
        self._step = _SIZE
        self._remaining = 0
        self._line = b""
        self._extensions = 0
        self._trailers = 0

    def feed(self, data: bytes) -> bytes:
        """Return the content that became known with this piece.

        Raises:
            Malformed: not the chunked coding, or beyond its bounds.
        """
        found: list[bytes] = []
        # a place in the piece, not the rest of it: many small chunks must not be copied again for each
        at, size = 0, len(data)
        while at < size and not self.done:
            if self._remaining:
                piece = data[at : at + self._remaining]
                found.append(piece)
                self._remaining -= len(piece)
                at += len(piece)
                if not self._remaining:
                    self._step = _END
            else:
                at = self._take_line(data, at)
        if self.done:
            self.rest = data[at:]
        return found[0] if len(found) == 1 else b"".join(found)

    def _take_line(self, data: bytes, at: int) -> int:
        """Take a line, or as much of it as there is, from a place on; return the place after it."""
        most = _MOST_TRAILERS if self._step == _TRAILER else _MOST_LINE
        end = data.find(b"\n", at, at + most + 1) + 1
        line = self._line + data[at : end or at + most + 1]
        if len(line) > most:
            raise Malformed("line of the chunked coding too long")
        if not end:
            # a CR may be only the last byte so far
            if b"\r" in line[:-1]:
                raise Malformed("bare CR in the chunked coding")
            self._line = line
            return len(data)
        if line[-2:] != b"\r\n" or line.find(b"\r") != len(line) - 2:
            raise Malformed("line of the chunked coding without CRLF")
        self._line = b""
        self._read_line(line[:-2])
        return end

    def _read_line(self, line: bytes) -> None:
        if self._step == _SIZE:
            self._read_size(line)
        elif self._step == _TRAILER:
            self._read_trailer(line)
        elif line:
            raise Malformed("chunk longer than its size")
        else:
            self._step = _SIZE

    def _read_size(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line.rstrip(b" \t") if self._padded else line)
        if match is None:
            raise Malformed("chunk size")
        self._extensions += len(match[2])
        if self._extensions > _MOST_EXTENSIONS:
            raise Malformed("chunk extensions too long")
        self._remaining = int(match[1], 16)
        if not self._remaining:
            self._step = _TRAILER

    def _read_trailer(self, line: bytes) -> None:
        if not line:
            self.done = True
            return
        self._trailers += len(line)
        if self._trailers > _MOST_TRAILERS:
            raise Malformed("trailers too long")
        check_line(line)


class LengthReader:
    """Takes a body of known length in pieces; the interface of ``ChunkedReader``. Length is at least 1."""

    __slots__ = ("done", "remaining", "rest")

    def __init__(self, length: int) -> None:
        self.remaining = length
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return the content of this piece."""
        size = len(data)
        if size < self.remaining:
            self.remaining -= size
            return data
        self.done = True
        if size > self.remaining:
            self.rest = data[self.remaining :]
            data = data[: self.remaining]
        self.remaining = 0
        return data


class UntilCloseReader:
    """Takes a body that ends with its connection; the interface of ``ChunkedReader``."""

    __slots__ = ("done", "rest")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return the piece: all of it is content."""
        return data


BodyReader = ChunkedReader | LengthReader | UntilCloseReader
