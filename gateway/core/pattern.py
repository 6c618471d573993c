"""Heads that no decision to forward can tell apart, recognised by one regular expression.

A client's requests differ in little: a path, an id, a token. Heads of one pattern have the same method, the
same field names in the same order, and the same values wherever the framing of a message or a decision reads
one. They may differ in a plain target, in what is presented (Authorization, Cookie), in the length of their
bodies, and in values that only pass or are only dropped. Whatever an expression matches has been judged with
it: it lets through no byte that the strict reading of a head (``http.messages.request_head``) would refuse.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, NamedTuple, TypeAlias

from gateway.config.reserved_names import METHOD_OVERRIDES
from gateway.core.headers import names as fields
from gateway.core.headers.names import NameKinds
from gateway.core.headers.request import Field, Header, Request
from gateway.core.sketch import Sketch, draw
from gateway.syntax.tokens import fold

MOST_FIELDS: Final = 48
MOST_LITERAL: Final = 1024
"""Bytes of names and of values that have to be the same."""

# a path in which only an empty segment or a dot segment could be read in two ways, and any query (RFC 3986)
_QUERY: Final = rb"(?:\?[A-Za-z0-9\-._~!$&'()*+,;=:@/?%\[\]]*+)?+"
_TARGET: Final = rb"((/[A-Za-z0-9\-._~!$&'()*+,=:@/]*+)" + _QUERY + rb")"
match_leaf: Final = re.compile(rb"((?!\.)[A-Za-z0-9\-._~!$&'()*+,=:@]*+)" + _QUERY).match
"""Matches what may follow the last slash in the path of such a target: a segment that could be read in one
way only, and any query. The segment is the group."""

# a field's value without white space around it (RFC 9110 section 5.5), which may not be empty
_VALUE: Final = rb"[\x21-\x7e\x80-\xff][\t\x20-\x7e\x80-\xff]*+(?<![\t ])"
# such a value by its words: a head in which one of them authenticates its connection is a case of its own
_WORD: Final = rb"(?!" + fields.BINDING_SCHEME + rb")[\x21-\x2b\x2d-\x7e\x80-\xff]++"
_WORDS: Final = _WORD + rb"(?:[\t ,]++" + _WORD + rb")*+"
_METHOD: Final = re.compile(rb"[A-Z\-]+")

_ANY_VALUE: Final = frozenset({fields.PASS, fields.DROP, fields.FORWARDING})
_TELLING: Final = frozenset({fields.AUTHORIZATION, fields.COOKIE})
# what does not go on as it is
_STAYING: Final = _TELLING | {fields.DROP, fields.CONNECTION, fields.FORWARDING, fields.VOUCHED, fields.LOOP}
# RFC 9110 section 8.6; as many digits as ``http.messages.fields.read_length`` takes
_LENGTH: Final = b"content-length"
_DIGITS: Final = rb"[0-9]{1,18}+"
# what waits for an answer before the body, or asks for another protocol
_NEVER: Final = frozenset({b"expect", b"upgrade"})

_MOST_GAPS: Final = 2
_MOST_GAP_LINES: Final = 8

PatternKey: TypeAlias = tuple[bytes, ...]


def _never(_data: bytes) -> None:
    return None


class Pattern:
    """What heads have in common, and where they may differ.

    Attributes:
        match: of the expression, at the start of some bytes; it ends with the head.
        method: the method of all of them.
        host: their Host, lower case.
        names: the kinds of field names that it was made with: under others it says nothing.
        count: how many fields they have.
        sent: the groups of the target and of the lines that go on as they are.
        telling: the groups of the values of Authorization and Cookie; an empty group where there are none.
        forwarding: the groups of the values of forwarding fields, of which a trusted proxy is believed.
        length: the group of the Content-Length, 0 where there is none.
        template: of a template of the upstream's head up to the value of X-Request-ID. It has holes for what
            the gateway says of the connection and of the caller; what it gives has holes for ``sent``.
        framing: what the data plane read of the first such head, which holds for all of them but for
            ``length``.
        read: parses the bytes of a head that matched into fields; the data plane's.
        runs: the lines of each of ``sent`` but the target, as the first and the one after the last.
        telling_lines: the lines of ``telling`` and ``forwarding``.
    """

    __slots__ = (
        "_gaps",
        "_known",
        "_lines",
        "_presented",
        "count",
        "forwarding",
        "framing",
        "host",
        "length",
        "match",
        "method",
        "names",
        "read",
        "runs",
        "sent",
        "telling",
        "telling_lines",
        "template",
    )

    match: Callable[[bytes], "re.Match[bytes] | None"]
    framing: Any
    read: Callable[[bytes], tuple[Field, ...]]

    def __init__(self, method: bytes, host: bytes, names: NameKinds, known: Sketch, parts: "_Parts") -> None:
        self.method = method
        self.host = host
        self.names = names
        self.count = parts.count
        # an empty group at the end, so that a look-up always has one to name
        empty = parts.groups + 1
        line = method + b" " + _TARGET + rb" HTTP/1\.1\r\n"
        self.match = re.compile(line + parts.expression + rb"\r\n()").match
        self.length = parts.length
        self.sent = (1, *(parts.passing or (empty,)))
        self.telling = tuple(group for _, _, group in parts.presented) or (empty,)
        holes = b"%%b" * (len(self.sent) - 1)
        self.template = method + b" %%b HTTP/1.1\r\n%b" + holes + b"%bX-Request-ID: "
        self.framing = None
        self._known = replace(known, kept=[], cookies=[], authorization=[])
        self._presented = parts.presented
        self.forwarding = tuple(parts.forwarding)
        self.runs = tuple(parts.runs)
        self.telling_lines = frozenset(parts.telling)
        self._lines = tuple(parts.lines)
        self._gaps: list[Gap] = []

    def retire(self) -> None:
        """Recognise nothing any more, whoever still tries it, and take no room."""
        self.match = _never
        self._gaps.clear()
        self._lines = ()

    def gap(self, first: int, last: int) -> "Gap | None":
        """Return an expression of the lines from ``first`` to before ``last``, or of some more around them.

        None where too many others have been made: each takes time to compile, and room.
        """
        for known in self._gaps:
            if known.first <= first and last <= known.last:
                return known
        if len(self._gaps) >= _MOST_GAPS or last - first > _MOST_GAP_LINES:
            return None
        cut = [
            (max(begin, first), min(end, last)) for begin, end in self.runs if begin < last and end > first
        ]
        begins, ends = {begin for begin, _ in cut}, {end - 1 for _, end in cut}
        expression = b"".join(
            b"(" * (number in begins) + self._lines[number] + b")" * (number in ends)
            for number in range(first, last)
        )
        gap = Gap(first, last, re.compile(expression).match)
        self._gaps.append(gap)
        return gap

    def sketch(self, match: "re.Match[bytes]") -> Sketch:
        """Return the sketch of a head that matched, as ``core.sketch.draw`` would draw it."""
        known, kept = self._known, match.group(*self.sent)
        cookies: list[Header] = []
        authorization: list[bytes] = []
        for name, kind, group in self._presented:
            if kind == fields.COOKIE:
                cookies.append((name, match[group]))
            else:
                authorization.append(match[group])
        return Sketch(
            list(kept[1:]),
            cookies,
            authorization,
            known.dropped,
            known.accept,
            known.mode,
            known.xhr,
            known.websocket,
            known.speculative,
            known.vouched,
            known.loop,
        )


class Gap(NamedTuple):
    """Some lines of a pattern: from ``first`` to before ``last``, matched where ``match`` is told to begin.

    The groups are the lines among them that go on as they are, run by run.
    """

    first: int
    last: int
    match: Callable[[bytes, int], "re.Match[bytes] | None"]


class _Parts:
    """An expression under construction; groups 1 and 2 are the target and its path."""

    def __init__(self) -> None:
        self.count = 0
        self.groups = 2
        self.length = 0
        self.expression = b""
        self.passing: list[int] = []
        self.presented: list[tuple[bytes, fields.Kind, int]] = []
        self.lines: list[bytes] = []
        self.forwarding: list[int] = []
        self.telling: list[int] = []
        self.runs: list[tuple[int, int]] = []
        self._is_open = False

    def add(self, field: Field, kind: fields.Kind) -> None:
        """Add one field's line."""
        if (kind not in _STAYING) != self._is_open:
            self._turn()
        value = re.escape(field.value)
        if kind in _TELLING:
            self.groups += 1
            self.presented.append((field.name, kind, self.groups))
            self.telling.append(self.count)
            value = b"(" + _value_of(field) + b")"
        elif kind == fields.FORWARDING:
            self.groups += 1
            self.forwarding.append(self.groups)
            self.telling.append(self.count)
            value = b"(" + _VALUE + b")"
        elif field.name.lower() == _LENGTH:
            self.groups += 1
            self.length = self.groups
            value = b"(" + _DIGITS + b")"
        elif _may_differ(field, kind):
            value = _value_of(field)
        line = re.escape(field.name) + b": " + value + rb"\r\n"
        self.expression += line
        self.lines.append(line)
        self.count += 1

    def finish(self) -> "_Parts":
        """Close what is open."""
        if self._is_open:
            self._turn()
        return self

    def _turn(self) -> None:
        """Begin a span of lines that go on as they are, or end it."""
        if self._is_open:
            self.expression += b")"
            self.runs[-1] = (self.runs[-1][0], self.count)
        else:
            self.runs.append((self.count, self.count))
            self.groups += 1
            self.passing.append(self.groups)
            self.expression += b"("
        self._is_open = not self._is_open


def _value_of(field: Field) -> bytes:
    """Return the expression of a value that may differ."""
    return _WORDS if field.name.lower().endswith(b"authorization") else _VALUE


def _may_differ(field: Field, kind: fields.Kind) -> bool:
    """Tell whether heads of one pattern may have different values in this field."""
    if field.kind:
        return field.name.lower() == _LENGTH
    return kind in _ANY_VALUE or kind in _TELLING


def key_of(request: Request, names: NameKinds) -> PatternKey | None:
    """Return what heads of one pattern have in common, None where a head is of no pattern.

    The members are the method, the name of each field whose value may differ, and the whole line of each
    other field.
    """
    found = request.fields
    if found is None or len(found) > MOST_FIELDS:
        return None
    kinds = names.kinds
    key, literal = [request.method], 0
    for field in found:
        kind = kinds.get(field.name)
        if kind is None:
            kind = names.learn(field.name)
        if _may_differ(field, kind):
            key.append(field.name)
        else:
            literal += len(field.line)
            if literal > MOST_LITERAL:
                return None
            key.append(field.line)
    return tuple(key)


def compile_pattern(request: Request, names: NameKinds) -> Pattern | None:
    """Return the pattern of a request's head; None where each such head is a case of its own.

    That is one that waits for 100 (Continue), that asks for another protocol, whose Connection field names
    other fields, that names another method in a field, or that is a CORS preflight.
    """
    found = request.fields
    if not found or len(found) > MOST_FIELDS or request.method == b"OPTIONS":
        return None
    known = draw(request, names)
    if known.dropped or known.websocket or _METHOD.fullmatch(request.method) is None:
        return None
    parts, literal = _Parts(), 0
    for field in found:
        folded = fold(field.name)
        if folded in _NEVER or folded in METHOD_OVERRIDES:
            return None
        kind = names.kinds.get(field.name)
        if kind is None:
            kind = names.learn(field.name)
        if field.kind and kind in _TELLING:
            return None
        literal += len(field.name)
        if not _may_differ(field, kind):
            literal += len(field.value)
        parts.add(field, kind)
    if literal > MOST_LITERAL:
        return None
    return Pattern(request.method, request.host, names, known, parts.finish())
