"""Request heads: bytes to a validated value (RFC 9112), or a Fault that says what is wrong with them.

llhttp, strict, gives the first verdict. What it lets through and another server may read otherwise is refused
here: every doubt about where a message ends or whom it is for closes the connection (R57).
"""

import re

import httptools

from gateway.core.fault import Fault
from gateway.core.headers.request import Field, Header, Request
from gateway.core.pattern import Pattern
from gateway.core.reasons import Reason
from gateway.http.messages.fields import Kind, Malformed, read_field, read_length, tokens
from gateway.syntax.tokens import is_token

# the methods of the IANA registry that llhttp knows; PRI, ICE, RTSP and UPnP are other protocols
METHODS = frozenset(
    b"ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MOVE "
    b"OPTIONS PATCH POST PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH TRACE UNBIND UNLINK "
    b"UNLOCK".split()
)

# a method is a token, and upper and lower case are different ones (RFC 9110 section 9.1)
REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP/1\.([01])")

# RFC 3986 with what browsers leave as it is: brackets, and in queries, which nobody decides by, much more
_ORIGIN_FORM = re.compile(
    rb"/[A-Za-z0-9\-._~!$&'()*+,;=:@/%\[\]]*(?:\?[A-Za-z0-9\-._~!$&'()*+,;=:@/?%\[\]{}|\\^`]*)?"
)
_ABSOLUTE_FORM = re.compile(rb"(?i:https?)://([^/?]*)(.*)")
_HOST = re.compile(rb"(?:[A-Za-z0-9\-._]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")

# what is called so would carry HTTP again, past every check made here (h2c smuggling; a draft was ``h2c-14``)
_HTTP_INSIDE = (b"h2", b"h3", b"http", b"tls")


class Framing:
    """What a request head says of its message, whatever else it says.

    Attributes:
        method: as sent.
        host: the one Host, lower case.
        minor: the minor version of HTTP/1.
        length: the Content-Length, None when chunked; 0 when there is no body.
        keep_alive: whether the client keeps the connection.
        expects_continue: whether it waits for 100 before its body.
        upgrade: the protocol asked for, where a tunnel would be possible.
        count: how many fields there are.
        binds: whether it holds what authenticates a connection instead of the request (R77).
    """

    __slots__ = (
        "binds",
        "count",
        "expects_continue",
        "host",
        "keep_alive",
        "length",
        "method",
        "minor",
        "upgrade",
    )

    method: bytes
    host: bytes
    minor: int
    length: int | None
    keep_alive: bool
    expects_continue: bool
    upgrade: bytes | None
    count: int
    binds: bool

    def copy(self) -> "Framing":
        """Return the same without what a subclass adds."""
        other = Framing()
        for name in Framing.__slots__:
            setattr(other, name, getattr(self, name))
        return other


class RequestHead(Framing):
    """A head without its sender; attributes are as in ``core.headers.request.Request`` and ``Framing``."""

    __slots__ = ("fields", "target")

    def __init__(self, target: bytes, fields: tuple[Field, ...]) -> None:
        self.target = target
        self.fields = fields

    def of(self, peer: str, *, tls: bool) -> Request:
        """Return the request that this head makes when it comes from ``peer``."""
        return Request(self.method, self.target, self.host, None, peer, tls, self.fields)

    @property
    def headers(self) -> tuple[Header, ...]:
        """The fields as (name, value) pairs."""
        return tuple((field.name, field.value) for field in self.fields)


def read_request_head(
    data: bytes, hostless: frozenset[bytes] = frozenset(), methods: frozenset[bytes] = frozenset()
) -> RequestHead:
    """Read exactly one request head, up to and including its blank line.

    Args:
        data: the head.
        hostless: paths that balancers may ask for in HTTP/1.0 without a Host; ``host`` is empty then.
        methods: what is taken beside ``METHODS``.

    Raises:
        Fault: ``request_malformed``, ``host_invalid``, ``expectation_failed``, ``method_unsupported`` or
            ``method_unknown``.
    """
    try:
        method = data.partition(b" ")[0]
        is_known = method in METHODS
        # what llhttp does not know it reads as a method that may have a body, as any other may
        _ask_llhttp(data if is_known else b"POST" + data[len(method) :])
        head = _read(data, hostless)
        if not is_known and method not in methods:
            raise Fault("client", Reason.METHOD_UNKNOWN, "see extra_methods")
        return head
    except Malformed as error:
        raise Fault("client", Reason.REQUEST_MALFORMED, str(error)) from None


def read_match(pattern: Pattern, match: "re.Match[bytes]", peer: str, *, tls: bool) -> Request:
    """Return the request of a head that a pattern recognised."""
    return Request(pattern.method, match[1], pattern.host, None, peer, tls, None, pattern, match)


def framing_of(pattern: Pattern, match: "re.Match[bytes]") -> Framing:
    """Return the framing of a head that a pattern recognised."""
    framing: Framing = pattern.framing
    if pattern.length:
        length = int(match[pattern.length])
        if length != framing.length:
            framing = framing.copy()
            framing.length = length
    return framing


def attach(pattern: Pattern, framing: Framing) -> None:
    """Give a new pattern the data plane's part: the framing of a head that it was made of."""
    pattern.framing = framing.copy()
    pattern.read = read_lines


def read_lines(data: bytes) -> tuple[Field, ...]:
    """Return the fields of a head that has been judged."""
    return tuple(map(read_field, data.split(b"\r\n")[1:-2]))


def _ask_llhttp(data: bytes) -> None:
    # without callbacks the whole verdict is given in C
    try:
        httptools.HttpRequestParser(None).feed_data(data)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise Malformed(type(error).__name__) from None


def _read(data: bytes, hostless: frozenset[bytes]) -> RequestHead:
    lines = data.split(b"\r\n")
    if len(lines) < 3 or lines[-1] or lines[-2]:
        raise Malformed("no blank line at the end")
    match = REQUEST_LINE.fullmatch(lines[0])
    if match is None:
        raise Malformed("request line")
    method, target, version = match.groups()
    fields = tuple(map(read_field, lines[1:-2]))
    head = RequestHead(target, fields)
    _read_message(head, method, version, hostless)
    head.target = _read_target(method, target, head.host)
    return head


def _read_message(head: RequestHead, method: bytes, version: bytes, hostless: frozenset[bytes]) -> None:
    """Fill in the framing that the fields of a head tell of."""
    special: dict[int, list[bytes]] = {}
    for field in head.fields:
        if field.kind:
            special.setdefault(field.kind, []).append(field.value)
    head.method = method
    head.count = len(head.fields)
    head.binds = Kind.BINDING in special
    may_lack = version == b"0" and method in (b"GET", b"HEAD") and head.target.partition(b"?")[0] in hostless
    head.host = _read_host(special.get(Kind.HOST, ()), may_lack=may_lack)
    if method in (b"CONNECT", b"TRACE"):
        raise Fault("client", Reason.METHOD_UNSUPPORTED)
    minor = head.minor = 1 if version == b"1" else 0
    length = head.length = _read_framing(special, minor)
    if not head.host and length != 0:
        raise Fault("client", Reason.HOST_INVALID, "no Host with a body")
    options = [token for value in special.get(Kind.CONNECTION, ()) for token in tokens(value)]
    head.keep_alive = b"close" not in options and (minor == 1 or b"keep-alive" in options)
    head.expects_continue = _read_expectation(special.get(Kind.EXPECT, ()), minor) and length != 0
    head.upgrade = _read_upgrade(special.get(Kind.UPGRADE, ()), options, minor)


def _read_host(values: "list[bytes] | tuple[()]", *, may_lack: bool) -> bytes:
    """Return the one Host (RFC 9112 section 3.2), lower case, or none where it may be lacking; R57."""
    if may_lack and not values:
        return b""
    if len(values) != 1:
        raise Fault("client", Reason.HOST_INVALID, "not exactly one Host")
    match = _HOST.fullmatch(values[0])
    if match is None or (match[1] is not None and int(match[1]) > 65535):
        raise Fault("client", Reason.HOST_INVALID, "no host and port")
    return _undotted(values[0].lower())


def _undotted(host: bytes) -> bytes:
    """Return a host as it is configured: a dot at the end of a name is the root's (RFC 1034 section 3.1)."""
    name, colon, port = host.partition(b":") if host[:1] != b"[" else (host, b"", b"")
    bare = name.removesuffix(b".")
    return host if bare == name or not bare or bare[-1:] == b"." else bare + colon + port


def _read_target(method: bytes, target: bytes, host: bytes) -> bytes:
    """Return origin-form or ``*`` (RFC 9112 section 3.2); R55: an absolute-form cannot name another host."""
    if target == b"*" and method == b"OPTIONS":
        return target
    if target[:1] != b"/":
        match = _ABSOLUTE_FORM.fullmatch(target)
        if match is None:
            raise Malformed("request target")
        if _undotted(match[1].lower()) != host:
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


def _read_upgrade(values: "list[bytes] | tuple[()]", options: list[bytes], minor: int) -> bytes | None:
    """Return the protocol asked for (RFC 9110 section 7.8), or None where the field is to be ignored.

    Any method may ask, and with a body: the tunnel begins behind it.
    """
    if not values or minor == 0 or b"upgrade" not in options:
        return None
    name, _, version = values[0].partition(b"/")
    if len(values) != 1 or not is_token(name) or (version and not is_token(version)):
        return None
    if name.lower().startswith(_HTTP_INSIDE):
        return None
    return values[0]
