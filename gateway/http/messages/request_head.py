"""Request heads: bytes to a validated value (RFC 9112), or a Fault that says what is wrong with them.

A head is read line by line, strictly: what another server may read otherwise is refused here, and every doubt
about where a message ends or whom it is for closes the connection (R57). What each line is comes from one
table (``core.headers.lines``); nobody classifies it again.
"""

import re
from typing import Final

from gateway.core.fault import Fault
from gateway.core.headers.kinds import (
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    HOST,
    TRANSFER_ENCODING,
    UPGRADE,
    Kind,
)
from gateway.core.headers.lines import Line, LineTable, Malformed
from gateway.core.headers.request import Request
from gateway.core.reasons import Reason
from gateway.http.messages.fields import read_length, tokens
from gateway.syntax.authority import undotted
from gateway.syntax.methods import METHODS
from gateway.syntax.tokens import is_token

REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP/1\.([01])")
"""A method is a token, and upper and lower case are different ones (RFC 9110 section 9.1)."""

# RFC 3986 with what browsers leave as it is: brackets, and in queries, which nobody decides by, much more
_ORIGIN_FORM: Final = re.compile(
    rb"/[A-Za-z0-9\-._~!$&'()*+,;=:@/%\[\]]*(?:\?[A-Za-z0-9\-._~!$&'()*+,;=:@/?%\[\]{}|\\^`]*)?"
)
# nearly all request lines: nothing in the target can be read in two ways, but for empty and dot segments
_PLAIN_LINE: Final = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) "
    rb"(((/[A-Za-z0-9\-._~!$&'()*+,=:@\[\]]+/|/)[A-Za-z0-9\-._~!$&'()*+,=:@/\[\]]*)"
    rb"(\?[\x21\x24-\x3b\x3d\x3f-\x7e]*)?) HTTP/1\.([01])"
).fullmatch
_ABSOLUTE_FORM: Final = re.compile(rb"(?i:https?)://([A-Za-z0-9\-._~!$&'()*+,;=:@%\[\]]*)([/?].*)?")

# what is called so would carry HTTP again, past every check made here (h2c smuggling; a draft was ``h2c-14``)
_HTTP_INSIDE: Final = (b"h2", b"h3", b"http", b"tls")
_MOST_USUAL: Final = 256


class Framing:
    """What a request head says of its message, whatever else it says. Never changed once made.

    Attributes:
        method: as sent.
        minor: the minor version of HTTP/1.
        length: the Content-Length, None when chunked; 0 when there is no body.
        keep_alive: whether the client keeps the connection.
        expects_continue: whether it waits for 100 before its body.
        upgrade: the protocol asked for, where a tunnel would be possible.
    """

    __slots__ = ("expects_continue", "keep_alive", "length", "method", "minor", "upgrade")

    def __init__(
        self,
        method: bytes,
        minor: int,
        length: int | None,
        keep_alive: bool,
        expects_continue: bool = False,
        upgrade: bytes | None = None,
    ) -> None:
        self.method = method
        self.minor = minor
        self.length = length
        self.keep_alive = keep_alive
        self.expects_continue = expects_continue
        self.upgrade = upgrade


# by what tells it: the framing of requests that have no body and ask for nothing
_usual: dict[tuple[bytes, bytes, bytes | None], Framing] = {}


def read_request_head(
    data: bytes,
    table: LineTable,
    peer: str = "",
    tls: bool = False,
    hostless: frozenset[bytes] = frozenset(),
    methods: frozenset[bytes] = frozenset(),
    most_fields: int = 1 << 30,
) -> tuple[Request, Framing]:
    """Read exactly one request head, up to and including its blank line.

    Args:
        data: the head.
        table: what each of its lines is.
        peer: from whom it came.
        tls: whether it came over TLS.
        hostless: paths that balancers may ask for in HTTP/1.0 without a Host; ``host`` is empty then.
        methods: what is taken beside ``METHODS``.
        most_fields: of these there may be.

    Raises:
        Fault: ``request_malformed``, ``head_too_large``, ``host_invalid``, ``expectation_failed``,
            ``method_unsupported`` or ``method_unknown``.
    """
    try:
        lines = data.split(b"\r\n")
        if len(lines) < 3 or lines.pop() or lines.pop():
            raise Malformed("no blank line at the end")  # noqa: TRY301
        line = lines.pop(0)
        match = _PLAIN_LINE(line)
        if match is not None:
            method, target, path, first, query, version = match.groups(b"")
            request = Request(method, target, b"", None, peer, tls, lines)
            # ("in" would take a byte for a number first)
            if len(first) > 1 and path.find(b"//") < 0 and path.find(b"/.") < 0:
                request.plain = (path, first, query)
        else:
            method, target, version = _read_line(line)
            request = Request(method, target, b"", None, peer, tls, lines)
        request.sort(table)
        if len(lines) > most_fields:
            raise Fault("client", Reason.HEAD_TOO_LARGE, "too many fields")
        framing = _read_framing(request, version, hostless)
    except Malformed as error:
        raise Fault("client", Reason.REQUEST_MALFORMED, str(error)) from None
    if method not in METHODS and method not in methods:
        raise Fault("client", Reason.METHOD_UNKNOWN, "see extra_methods")
    return request, framing


def _read_line(line: bytes) -> tuple[bytes, bytes, bytes]:
    """Return method, target and minor version of a request line that is not plain. Raises Malformed."""
    match = REQUEST_LINE.fullmatch(line)
    if match is None or (match[2][:1] == b"/" and _ORIGIN_FORM.fullmatch(match[2]) is None):
        raise Malformed("request line")
    return match[1], match[2], match[3]


def _read_framing(request: Request, version: bytes, hostless: frozenset[bytes]) -> Framing:
    """Return what the lines say of the message; the request learns its host and its target."""
    host, connection, more = request.host_line, request.connection, request.framing
    method, target = request.method, request.target
    if host is None or host.found is None or (more and any(line.kind == HOST for line in more)):
        may_lack = version == b"0" and method in (b"GET", b"HEAD") and target.partition(b"?")[0] in hostless
        _check_host(host, more, may_lack=may_lack)
    else:
        request.host = host.found
    key = (method, version, None if connection is None else connection.value)
    framing = None if more else _usual.get(key)
    if framing is None:
        if method in (b"CONNECT", b"TRACE"):
            raise Fault("client", Reason.METHOD_UNSUPPORTED)
        framing = _read_more(method, version, connection, more) if more else _learn_usual(key)
        if not request.host and framing.length != 0:
            raise Fault("client", Reason.HOST_INVALID, "no Host with a body")
    if request.plain is None and target[:1] != b"/":
        request.target = _read_target(method, target, request.host)
    return framing


def _learn_usual(key: tuple[bytes, bytes, bytes | None]) -> Framing:
    method, version, value = key
    minor = 1 if version == b"1" else 0
    options = [] if value is None else tokens(value)
    framing = Framing(method, minor, 0, b"close" not in options and (minor == 1 or b"keep-alive" in options))
    if len(_usual) < _MOST_USUAL and method in METHODS:
        _usual[key] = framing
    return framing


def _read_more(method: bytes, version: bytes, connection: Line | None, more: tuple[Line, ...]) -> Framing:
    special: dict[Kind, list[bytes]] = {}
    for line in more:
        # a tab beside a coding has hidden it from some; nobody writes one
        value = line.raw.partition(b":")[2].strip(b" ") if line.kind == TRANSFER_ENCODING else line.value
        special.setdefault(line.kind, []).append(value)
    values = (
        special.get(CONNECTION, [])
        if connection is None
        else [connection.value, *special.get(CONNECTION, ())]
    )
    options = [token for value in values for token in tokens(value)]
    minor = 1 if version == b"1" else 0
    length = _read_length(special, minor)
    return Framing(
        method,
        minor,
        length,
        b"close" not in options and (minor == 1 or b"keep-alive" in options),
        _read_expectation(special.get(EXPECT, ()), minor) and length != 0,
        _read_upgrade(special.get(UPGRADE, ()), options, minor),
    )


def _check_host(host: Line | None, more: tuple[Line, ...], *, may_lack: bool) -> None:
    """Say why there is not the one Host (RFC 9112 section 3.2; R57), unless it may be lacking."""
    if host is None and may_lack:
        return
    if host is None or any(line.kind == HOST for line in more):
        raise Fault("client", Reason.HOST_INVALID, "not exactly one Host")
    raise Fault("client", Reason.HOST_INVALID, "no host and port")


def _read_target(method: bytes, target: bytes, host: bytes) -> bytes:
    """Return origin-form or ``*`` (RFC 9112 section 3.2); R55: an absolute-form cannot name another host."""
    if target == b"*" and method == b"OPTIONS":
        return target
    match = _ABSOLUTE_FORM.fullmatch(target)
    if match is None:
        raise Malformed("request target")
    if undotted(match[1].lower()) != host:
        raise Fault("client", Reason.HOST_INVALID, "the target names another host")
    target = match[2] or b""
    if not target:
        return b"*" if method == b"OPTIONS" else b"/"
    if target[:1] == b"?":
        target = b"/" + target
    if _ORIGIN_FORM.fullmatch(target) is None:
        raise Malformed("request target")
    return target


def _read_length(special: dict[Kind, list[bytes]], minor: int) -> int | None:
    """Return the body's length, None when chunked (RFC 9112 section 6.3); R57."""
    codings, lengths = special.get(TRANSFER_ENCODING), special.get(CONTENT_LENGTH)
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
