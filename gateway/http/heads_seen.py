"""What a connection remembers of the heads that came on it, to recognise the next one."""

from gateway.core.headers.request import Request
from gateway.core.pattern import Pattern
from gateway.core.span import Span, span_of
from gateway.http.messages.request_head import Framing, framing_of, read_match

# R60: what is remembered of a head weighs a multiple of it; no browser sends larger ones
_MOST_REMEMBERED = 4096
_MOST_REMEMBERED_FIELDS = 48
# a browser asks for documents, styles, images and data, each in its own way
_MOST_PATTERNS = 6
_MOST_SPANS = 2


class HeadsSeen:
    """The last head, the patterns of those before, and what of them came the same each time.

    All of them were within the limits, and it is forgotten when those change.

    Attributes:
        last: the last head without a body.
        again: the request that ``last`` made, and its framing, once it has come again.
        spans, patterns: what to try on the next one.
    """

    __slots__ = ("_missed", "again", "last", "patterns", "spans")

    def __init__(self) -> None:
        self.last = b""
        self.again: tuple[Request, Framing] | None = None
        self.patterns: tuple[Pattern, ...] = ()
        self.spans: tuple[Span, ...] = ()
        # how many heads no span recognised
        self._missed = 0

    def expect(self, pattern: Pattern) -> None:
        """Try a pattern on the heads to come."""
        if pattern not in self.patterns:
            self.patterns = (pattern, *self.patterns[: _MOST_PATTERNS - 1])
            # what these rest on may be out of date, as the configuration
            self.spans = ()

    def match(self, data: bytes, peer: str, *, tls: bool) -> tuple[Request, Framing, int] | None:
        """Return the request of the head that data begins with, its framing, and where it ends."""
        for pattern in self.patterns:
            match = pattern.match(data)
            if match is None:
                continue
            head = framing_of(pattern, match) if pattern.length else pattern.framing
            end = match.end()
            if not pattern.length:
                missed = self._missed = self._missed + 1
                # ever more seldom, where it does not pay
                if not missed & (missed - 1):
                    self._compare(pattern, data[:end])
            if len(data) > end + _MOST_REMEMBERED:
                # a match holds on to all that was searched
                match = pattern.match(data[:end]) or match
            return read_match(pattern, match, peer, tls=tls), head, end
        return None

    def remember(self, data: bytes, request: Request, head: Framing) -> None:
        """Keep a head, and when it comes once more the request that it makes."""
        if data == self.last:
            request.kept = True
            # the plan for this very head is to be found
            request.plan = None
            self.again = (request, head)
        elif len(data) <= _MOST_REMEMBERED and head.count <= _MOST_REMEMBERED_FIELDS:
            self.last = data
            self.again = None

    def _compare(self, pattern: Pattern, data: bytes) -> None:
        """Look for what a head that no span recognised has in common with the one before it."""
        last = self.last
        match = pattern.match(last)
        if match is None or match.end() < len(last) or len(data) > _MOST_REMEMBERED:
            return
        span = span_of(pattern, last, data)
        if span is not None:
            others = [
                each for each in self.spans if each.pattern is not pattern or each.directory != span.directory
            ]
            self.spans = (span, *others[: _MOST_SPANS - 1])
