"""Heads of one client that differ from one another in little more than the last segment of a path.

A browser says the same of itself in every request, and shows the same token or cookie. What two heads of one
pattern had in common byte for byte need not be matched with an expression again, only compared; the lines
that were not the same are matched with the pattern's own expressions. What a span recognises its pattern
would recognise too, with the same credentials presented, and with a path in the same directory.
"""

import re
from typing import Any

from gateway.core.headers.request import Field, Request
from gateway.core.pattern import Gap, Pattern, match_leaf


class Span:
    """What a client's heads of one pattern have in common, and what was decided on them.

    Attributes:
        pattern: their pattern, and its ``framing``.
        directory: their paths up to the last segment.
        pieces: of a template, for each run of lines that go on as they are: those that are always the same,
            with a hole for those that may differ.
        plan: what the pipeline keeps of them.
    """

    __slots__ = (
        "_after",
        "_end",
        "_gap",
        "_middle",
        "_start",
        "directory",
        "framing",
        "pattern",
        "pieces",
        "plan",
    )

    def __init__(self, pattern: Pattern, directory: bytes, lines: list[bytes], gap: Gap | None) -> None:
        first, last = (len(lines), len(lines)) if gap is None else (gap.first, gap.last)
        self.pattern = pattern
        self.directory = directory
        self.framing = pattern.framing
        self.plan: Any = None
        start = pattern.method + b" " + directory
        self._start: bytes | tuple[()] = start
        self._after = len(start)
        self._gap = None if gap is None else gap.match
        # the blank line ends whatever comes last
        self._middle = b" HTTP/1.1\r\n" + b"".join(lines[:first]) + (b"\r\n" if gap is None else b"")
        self._end = b"".join(lines[last:]) + b"\r\n"
        pieces = [
            _template(lines[begin : min(end, first)])
            + (b"%b" if begin < last and end > first else b"")
            + _template(lines[max(begin, last) : end])
            for begin, end in pattern.runs
        ]
        self.pieces = tuple(pieces or (b"",))

    def find(self, data: bytes, peer: str, tls: bool) -> "Spanned | None":
        """Return the request of a whole head with nothing after it, None where it is another's."""
        if not data.startswith(self._start):
            return None
        leaf = match_leaf(data, self._after)
        if leaf is None:
            return None
        end = leaf.end()
        if not data.startswith(self._middle, end):
            return None
        at = end + len(self._middle)
        if self._gap is None:
            return Spanned(self, data, peer, tls, end, ()) if at == len(data) else None
        found = self._gap(data, at)
        if found is None or data[found.end() :] != self._end:
            return None
        return Spanned(self, data, peer, tls, end, found.groups())

    def retire(self) -> None:
        """Recognise nothing any more."""
        # nothing starts with one of none
        self._start = ()


class Spanned(Request):
    """A request that a span recognised.

    Attributes:
        span: the span.
        filling: the target, and what goes on of the lines that may differ, run by run.
    """

    __slots__ = ("_data", "_match", "filling", "span")

    def __init__(
        self,
        span: Span,
        data: bytes,
        peer: str,
        tls: bool,
        end: int,
        passing: tuple[bytes, ...],
    ) -> None:
        pattern = span.pattern
        method = self.method = pattern.method
        target = self.target = data[len(method) + 1 : end]
        self.host = pattern.host
        self.peer = peer
        self.tls = tls
        self.pattern = pattern
        self.kept = False
        self.plan = span.plan
        self.span = span
        self.filling = (target, *passing)
        self._fields = None
        self._headers = None
        self._data = data
        self._match: re.Match[bytes] | None = None

    @property
    def path(self) -> bytes:
        """The target's path."""
        return self.target.partition(b"?")[0]

    @property
    def match(self) -> "re.Match[bytes] | None":  # type: ignore[override]
        """What the pattern makes of it; None where it recognises nothing any more."""
        if self._match is None:
            pattern: Pattern = self.span.pattern
            self._match = pattern.match(self._data)
        return self._match

    @property
    def fields(self) -> tuple[Field, ...] | None:
        """The fields as the data plane parsed them."""
        if self._fields is None:
            self._fields = self.span.pattern.read(self._data)
        return self._fields


def span_of(pattern: Pattern, earlier: bytes, later: bytes) -> Span | None:
    """Return the span of two whole heads of one pattern, without bodies.

    It is for the directory of the later one. None where they present different credentials, differ in too
    many lines, or say how long their body is: another such head may have one.
    """
    if pattern.length:
        return None
    (_, *old), (first_line, *new) = (data.split(b"\r\n")[:-2] for data in (earlier, later))
    target = first_line[len(pattern.method) + 1 : -len(b" HTTP/1.1")]
    directory = target.partition(b"?")[0].rpartition(b"/")[0] + b"/"
    differing = [number for number, line in enumerate(new) if line != old[number]]
    lines = [line + b"\r\n" for line in new]
    if not differing:
        return Span(pattern, directory, lines, None)
    first, last = differing[0], differing[-1] + 1
    if any(first <= line < last for line in pattern.telling_lines):
        return None
    gap = pattern.gap(first, last)
    return None if gap is None else Span(pattern, directory, lines, gap)


def _template(lines: list[bytes]) -> bytes:
    return b"".join(lines).replace(b"%", b"%%")
