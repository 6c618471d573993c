"""Request heads: bytes to a validated value (RFC 9112), or a Fault that says what is wrong with them.

llhttp, strict, gives the first verdict. What it lets through and another server may read otherwise is refused
here: every doubt about where a message ends or whom it is for closes the connection (R57).
"""

import re
from typing import TypeAlias, cast

import httptools

from gateway.core.model import Fault, Field, Header, Request, Shape
from gateway.core.reasons import Reason
from gateway.http import fields
from gateway.http.fields import Kind, Malformed, is_token, read_field, read_length, read_new_field, tokens
from gateway.http.memo import HeadMemo

# the methods of the IANA registry that llhttp knows; PRI, ICE, RTSP and UPnP are other protocols
METHODS = frozenset(
    b"ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MOVE "
    b"OPTIONS PATCH POST PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH TRACE UNBIND UNLINK "
    b"UNLOCK".split()
)

REQUEST_LINE = re.compile(rb"([A-Z][A-Z\-]*) ([\x21-\x7e]+) HTTP/1\.([01])")

# RFC 3986 with the brackets that browsers leave as they are in queries
_ORIGIN_FORM = re.compile(rb"/[A-Za-z0-9\-._~!$&'()*+,;=:@/?%\[\]]*")
_ABSOLUTE_FORM = re.compile(rb"(?i:https?)://([^/?]*)(.*)")
_HOST = re.compile(rb"(?:[A-Za-z0-9\-._]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")

# each of these would carry HTTP again, past every check made here (h2c smuggling)
_HTTP_INSIDE = (b"h2c", b"h2", b"http", b"tls")


class HeadShape(Shape):
    """What the fields of a head say about its framing.

    Attributes:
        host: the one Host, lower case.
        minor: the minor version of HTTP/1.
        length: the Content-Length, None when chunked; 0 when there is no body.
        keep_alive: whether the client keeps the connection.
        expects_continue: whether it waits for 100 before its body.
        upgrade: the protocol asked for, where a tunnel would be possible.
    """

    __slots__ = ("expects_continue", "host", "keep_alive", "length", "minor", "upgrade")

    host: bytes
    minor: int
    length: int | None
    keep_alive: bool
    expects_continue: bool
    upgrade: bytes | None


class RequestHead:
    """A request head without its sender; attributes are those of ``HeadShape`` and ``core.model.Request``.

    ``kept`` tells whether this very head will be found again.
    """

    __slots__ = (
        "_request",
        "_shape",
        "expects_continue",
        "fields",
        "host",
        "keep_alive",
        "kept",
        "length",
        "method",
        "minor",
        "target",
        "upgrade",
    )

    def __init__(
        self, method: bytes, target: bytes, fields: tuple[Field, ...], shape: HeadShape, *, is_shared: bool
    ) -> None:
        self.method = method
        self.target = target
        self.fields = fields
        self.host = shape.host
        self.minor = shape.minor
        self.length = shape.length
        self.keep_alive = shape.keep_alive
        self.expects_continue = shape.expects_continue
        self.upgrade = shape.upgrade
        self.kept = False
        self._shape = shape if is_shared else None
        self._request: Request | None = None

    def of(self, peer: str, *, tls: bool) -> Request:
        """Return the request that this head makes when it comes from ``peer``."""
        request = self._request
        if request is None or request.peer != peer or request.tls is not tls:
            request = self._request = Request(
                self.method, self.target, self.host, None, peer, tls, self.fields, self._shape, self.kept
            )
        return request

    @property
    def headers(self) -> tuple[Header, ...]:
        """The fields as (name, value) pairs."""
        return tuple((field.name, field.value) for field in self.fields)

    @property
    def has_body(self) -> bool:
        """Whether a body follows."""
        return self.length != 0


known_heads: HeadMemo[RequestHead] = HeadMemo()

ShapeKey: TypeAlias = "tuple[bytes, bytes, tuple[Field | None, ...]]"

_shapes: dict[ShapeKey, HeadShape] = {}
_MOST_SHAPES = 2048
_MOST_HOLES = 8
# what is remembered of heads weighs a multiple of their bytes, and more so the more fields they have: those
# that no browser sends are read anew each time (R60)
_MOST_REMEMBERED_FIELDS = 64
_MOST_SHAPED_BYTES = 8192


def read_request_head(data: bytes) -> RequestHead:
    """Read exactly one request head, up to and including its blank line.

    Raises:
        Fault: ``request_malformed``, ``host_invalid``, ``expectation_failed`` or ``method_unsupported``.
    """
    head = known_heads.get(data)
    if head is None:
        try:
            head = _read_alike(data)
            if head is None:
                _ask_llhttp(data)
                head = _read(data)
        except Malformed as error:
            raise Fault("client", Reason.REQUEST_MALFORMED, str(error)) from None
        if len(head.fields) <= _MOST_REMEMBERED_FIELDS:
            head.kept = known_heads.put(data, head)
    return head


def _ask_llhttp(data: bytes) -> None:
    # without callbacks the whole verdict is given in C
    try:
        httptools.HttpRequestParser(None).feed_data(data)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise Malformed(type(error).__name__) from None


def _read(data: bytes) -> RequestHead:
    lines = data.split(b"\r\n")
    if len(lines) < 3 or lines[-1] or lines[-2]:
        raise Malformed("no blank line at the end")
    match = REQUEST_LINE.fullmatch(lines[0])
    if match is None:
        raise Malformed("request line")
    method, target, version = match.groups()
    if method not in METHODS:
        raise Malformed("method")
    found = tuple(map(fields.lines.young.get, lines[1:-2]))
    filled = tuple(each or read_field(line) for each, line in zip(found, lines[1:-2], strict=True))
    shape = _read_shape(method, version, filled)
    head = RequestHead(method, _read_target(method, target, shape.host), filled, shape, is_shared=False)
    if len(filled) <= _MOST_REMEMBERED_FIELDS and len(data) <= _MOST_SHAPED_BYTES:
        _remember_shape((method, version, found), filled, shape)
    return head


def _read_shape(method: bytes, version: bytes, filled: tuple[Field, ...]) -> HeadShape:
    special: dict[int, list[bytes]] = {}
    for field in filled:
        if field.kind:
            special.setdefault(field.kind, []).append(field.value)
    shape = HeadShape(())
    shape.host = _read_host(special.get(Kind.HOST, ()))
    if method in (b"CONNECT", b"TRACE"):
        raise Fault("client", Reason.METHOD_UNSUPPORTED)
    minor = shape.minor = 1 if version == b"1" else 0
    length = shape.length = _read_framing(special, minor)
    options = [token for value in special.get(Kind.CONNECTION, ()) for token in tokens(value)]
    shape.keep_alive = b"close" not in options and (minor == 1 or b"keep-alive" in options)
    shape.expects_continue = _read_expectation(special.get(Kind.EXPECT, ()), minor) and length != 0
    shape.upgrade = _read_upgrade(special.get(Kind.UPGRADE, ()), options, method, minor, length)
    return shape


def _remember_shape(key: ShapeKey, filled: tuple[Field, ...], shape: HeadShape) -> None:
    """Keep a shape where all that may differ are a few fields which say nothing about framing."""
    holes = tuple(index for index, each in enumerate(key[2]) if each is None)
    if len(holes) > _MOST_HOLES or any(filled[index].kind for index in holes):
        return
    shape.holes = holes
    if len(_shapes) >= _MOST_SHAPES:
        _shapes.clear()
    _shapes[key] = shape


def _read_alike(data: bytes) -> RequestHead | None:
    """Read a head that differs from one read before by its target and by some new plain fields; None else.

    llhttp has judged one of the same shape; the target and the new lines are judged here, and more strictly.

    Raises:
        Malformed: the target, or a new line.
        Fault: the target names another host.
    """
    lines = data.split(b"\r\n")
    match = REQUEST_LINE.fullmatch(lines[0])
    if match is None or len(lines) < 3 or lines[-1] or lines[-2]:
        return None
    method, target, version = match.groups()
    found = tuple(map(fields.lines.young.get, lines[1:-2]))
    shape = _shapes.get((method, version, found))
    if shape is None:
        return None
    if shape.holes:
        filled = list(found)
        for index in shape.holes:
            field = filled[index] = read_new_field(lines[index + 1])
            if field.kind:
                return None
        found = tuple(filled)
    target = _read_target(method, target, shape.host)
    return RequestHead(method, target, cast("tuple[Field, ...]", found), shape, is_shared=True)


def _read_host(values: "list[bytes] | tuple[()]") -> bytes:
    """Return the one Host (RFC 9112 section 3.2), lower case; R57."""
    if len(values) != 1:
        raise Fault("client", Reason.HOST_INVALID, "not exactly one Host")
    match = _HOST.fullmatch(values[0])
    if match is None or (match[1] is not None and int(match[1]) > 65535):
        raise Fault("client", Reason.HOST_INVALID, "no host and port")
    return values[0].lower()


def _read_target(method: bytes, target: bytes, host: bytes) -> bytes:
    """Return origin-form or ``*`` (RFC 9112 section 3.2); R55: an absolute-form cannot name another host."""
    if target == b"*" and method == b"OPTIONS":
        return target
    if target[:1] != b"/":
        match = _ABSOLUTE_FORM.fullmatch(target)
        if match is None:
            raise Malformed("request target")
        if match[1].lower() != host:
            raise Fault("client", Reason.HOST_INVALID, "the target names another host")
        target = match[2]
        if not target:
            return b"*" if method == b"OPTIONS" else b"/"
        if target[:1] == b"?":
            target = b"/" + target
    if _ORIGIN_FORM.fullmatch(target) is None:
        raise Malformed("request target")
    return target


def _read_framing(special: dict[int, list[bytes]], minor: int) -> int | None:
    """Return the body's length, None when chunked (RFC 9112 section 6.3); R57."""
    codings, lengths = special.get(Kind.TRANSFER_ENCODING), special.get(Kind.CONTENT_LENGTH)
    if codings is not None:
        if lengths is not None or minor == 0 or len(codings) != 1 or codings[0].lower() != b"chunked":
            raise Malformed("Transfer-Encoding")
        return None
    if lengths is None:
        return 0
    if len(lengths) != 1:
        raise Malformed("Content-Length")
    return read_length(lengths[0])


def _read_expectation(values: "list[bytes] | tuple[()]", minor: int) -> bool:
    """Tell whether 100-continue is expected (RFC 9110 section 10.1.1); HTTP/1.0 cannot expect it."""
    if not values or minor == 0:
        return False
    if len(values) != 1 or values[0].lower() != b"100-continue":
        raise Fault("client", Reason.EXPECTATION_FAILED)
    return True


def _read_upgrade(
    values: "list[bytes] | tuple[()]", options: list[bytes], method: bytes, minor: int, length: int | None
) -> bytes | None:
    """Return the protocol asked for (RFC 9110 section 7.8), or None where the field is to be ignored."""
    if not values or minor == 0 or b"upgrade" not in options:
        return None
    name, _, version = values[0].partition(b"/")
    if len(values) != 1 or not is_token(name) or (version and not is_token(version)):
        return None
    if name.lower() in _HTTP_INSIDE:
        return None
    if method != b"GET" or length != 0:
        raise Malformed("Upgrade with a method or body that no tunnel has")
    return values[0]
