"""Field lines (RFC 9112 section 5), read strictly; what was learned of a line is kept under its bytes."""

import re

from gateway.core.headers.names import BINDING_SCHEME
from gateway.core.headers.request import Field, Header
from gateway.http.memo import HeadMemo, by_key

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
HEAD_END = b"\r\n\r\n"

_FIELD = re.compile(rb"(" + TOKEN + rb"{1,256}):([\t\x20-\x7e\x80-\xff]*)")
_NOT_ALPHANUMERIC = re.compile(rb"[^0-9a-z]")


class Kind:
    """What a field means to the framing of its message, as plain numbers; PLAIN means nothing."""

    PLAIN = 0
    HOST = 1
    CONTENT_LENGTH = 2
    TRANSFER_ENCODING = 3
    CONNECTION = 4
    UPGRADE = 5
    EXPECT = 6
    HOP = 7
    DATE = 8
    SET_COOKIE = 9
    CONTENT_TYPE = 10
    # a credential or challenge of a scheme that authenticates the connection: by its value, not its name
    BINDING = 11
    KEEP_ALIVE = 12


_KINDS = {
    b"host": Kind.HOST,
    b"content-length": Kind.CONTENT_LENGTH,
    b"transfer-encoding": Kind.TRANSFER_ENCODING,
    b"connection": Kind.CONNECTION,
    b"upgrade": Kind.UPGRADE,
    b"expect": Kind.EXPECT,
    b"keep-alive": Kind.KEEP_ALIVE,
    b"proxy-connection": Kind.HOP,
    b"te": Kind.HOP,
    b"trailer": Kind.HOP,
    b"date": Kind.DATE,
    b"set-cookie": Kind.SET_COOKIE,
    b"content-type": Kind.CONTENT_TYPE,
}

# where such schemes are named, as a list or not; IIS tells with Persistent-Auth that it keeps one
_AUTHENTICATING = frozenset(
    {b"authorization", b"proxy-authorization", b"www-authenticate", b"proxy-authenticate", b"persistent-auth"}
)
_BINDING = re.compile(rb"(?:\A|[\s,])" + BINDING_SCHEME + rb"|\A(?i:true)\b")
_BY_VALUE = -1

# others fold "_", "." and the like into "-": such a spelling of these names is an attempt at smuggling
_FRAMING = frozenset(
    name for name, kind in _KINDS.items() if kind not in (Kind.DATE, Kind.SET_COOKIE, Kind.CONTENT_TYPE)
)

HOP_BY_HOP = frozenset(
    {
        Kind.CONTENT_LENGTH,
        Kind.TRANSFER_ENCODING,
        Kind.CONNECTION,
        Kind.UPGRADE,
        Kind.HOP,
        Kind.KEEP_ALIVE,
    }
)

lines: HeadMemo[bytes, Field] = HeadMemo(by_key, most_entries=8192, most_bytes=2 << 20, most_size=4096)


def _size_of(header: Header, _written: object) -> int:
    return len(header[0]) + len(header[1])


# a line for one person alone, as one that sets a cookie, is not written again
_written: HeadMemo[Header, tuple[int, bytes]] = HeadMemo(
    _size_of, most_entries=1024, most_bytes=256 << 10, most_size=1024
)
_kinds: dict[bytes, int] = {}
_VALUE = bytes({0x09, *range(0x20, 0x7F), *range(0x80, 0x100)})
_SPACE = 0x20
_MOST_NAMES = 4096
_LONGEST_NAME = 128


class Malformed(ValueError):  # noqa: N818 - the word of the vocabulary
    """Bytes that are no such thing; the text says which, and holds none of them."""


def write_field(header: Header) -> tuple[int, bytes]:
    """Return what a header means to framing, and its line with CRLF."""
    found = _written.get(header)
    if found is None:
        line = b"%b: %b\r\n" % header
        found = _KINDS.get(header[0].lower(), Kind.PLAIN), line
        _written.put(header, found)
    return found


def read_field(line: bytes) -> Field:
    """Return the field of one line, which is without its CRLF; the value is without surrounding white space.

    Raises:
        Malformed: no field line, obsolete folding, or a disguised spelling of a framing field.
    """
    found = lines.get(line)
    return read_new_field(line) if found is None else found


def read_new_field(line: bytes) -> Field:
    """Return the field of a line that is not known yet; as ``read_field``."""
    name, colon, value = line.partition(b":")
    kind = _kinds.get(name)
    if kind is None or not colon or value.translate(None, _VALUE):
        # with a known name and nothing else than these bytes in its value the line is well-formed
        match = _FIELD.fullmatch(line)
        if match is None:
            raise Malformed("field line")
        name, value = match.groups()
        kind = _learn(name)
    plain = value.strip(b" \t")
    if kind == _BY_VALUE:
        kind = Kind.PLAIN if _BINDING.search(plain) is None else Kind.BINDING
    # nearly all are written with one space, as we write them
    is_ours = len(value) == len(plain) + 1 and value[0] == _SPACE
    field = Field(name, plain, kind, line + b"\r\n" if is_ours else None)
    lines.put(line, field)
    return field


def _learn(name: bytes) -> int:
    lower = name.lower()
    kind = _KINDS.get(lower, Kind.PLAIN)
    if kind == Kind.PLAIN and _NOT_ALPHANUMERIC.sub(b"-", lower) in _FRAMING:
        raise Malformed("disguised framing field")
    if lower in _AUTHENTICATING:
        kind = _BY_VALUE
    if len(_kinds) >= _MOST_NAMES:
        _kinds.clear()
    if len(name) <= _LONGEST_NAME:
        _kinds[name] = kind
    return kind


def tokens(value: bytes) -> list[bytes]:
    """Return the members of a comma-separated list, lower case, without the empty ones."""
    members = [member.strip(b" \t") for member in value.lower().split(b",")]
    return [member for member in members if member]


def read_length(value: bytes) -> int:
    """Return a Content-Length (RFC 9110 section 8.6).

    Raises:
        Malformed: not 1 to 18 digits.
    """
    if not value.isdigit() or len(value) > 18:
        raise Malformed("Content-Length")
    return int(value)
