"""Request targets in one canonical reading (R56).

What could be read in two ways is refused, never resolved. Escapes of unreserved characters are decoded and
hexadecimal digits become upper case (RFC 3986 section 6.2.2), and that form is both decided on and forwarded.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

_ALPHANUMERIC: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_UNRESERVED: Final = _ALPHANUMERIC + b"-._~"
# pchar (RFC 3986 section 3.3) and the brackets, which browsers send as they are
_PATH: Final = _UNRESERVED + b"!$&'()*+,;=:@[]%/"
# No decision reads the query of a proxied request, so it may hold what browsers send unescaped: a lone "%"
# and {}|\^` too. They always escape "<>, which only serve injection.
_QUERY: Final = bytes(set(range(0x21, 0x7F)) - set(b'#"<>'))

_PLAIN_TARGET: Final = re.compile(rb"(/[A-Za-z0-9\-._~!$&'()*+,=:@/\[\]]*)(\?[\x21\x24-\x3b\x3d\x3f-\x7e]*)?")
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})?")
_REFUSED_ESCAPES: Final = frozenset({*range(0x20), 0x7F, *b"./\\"})
# "%25" before two digits is an escape to whoever decodes twice; the others are ASCII in overlong UTF-8
_TWICE: Final = re.compile(
    rb"%25[0-9A-Fa-f]{2}|%C[01]%[89AB][0-9A-F]|%E0%8[01]|%F0%80%8[01]|%F8%80%80|%FC%80%80%80"
)
# Unicode's Default_Ignorable_Code_Point
_INVISIBLE: Final = re.compile(
    "[\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u206f\\u3164"
    "\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufff8\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0000-\\U000e0fff]+"
)
_BEYOND_ASCII: Final = re.compile(rb"%[89A-F]")
# a segment that is empty or a dot segment by itself, or for those who cut it at ";", "?" or "#", or drop
# spaces at a name's end
_DOT_SEGMENT: Final = re.compile(rb"/(?:\.{0,2}(?:%20)*(?:;|%3B)|\.{1,2}(?:%20)*(?:/|%3F|%23|\Z))")


_PLAIN_PARTS: Final = re.compile(
    rb"((/[A-Za-z0-9\-._~!$&'()*+,=:@\[\]]+/|/)[A-Za-z0-9\-._~!$&'()*+,=:@/\[\]]*)(\?[\x21\x24-\x3b\x3d\x3f-\x7e]*)?"
)


@dataclass(slots=True)
class Target:
    """A canonical request target. ``path`` begins with ``/``; ``query`` includes its ``?`` or is empty."""

    path: bytes
    query: bytes


def plain_parts(target: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Return path, first segment with both its slashes and query of a target that has one reading alone.

    None where it may have several, or has no such segment; see ``canonicalise`` then.
    """
    match = _PLAIN_PARTS.fullmatch(target)
    if match is None:
        return None
    path, first, query = match.groups(b"")
    return (path, first, query) if len(first) > 1 and b"//" not in path and b"/." not in path else None


def canonicalise(target: bytes) -> Target | None:
    """Return the one reading of an origin-form target (RFC 9112 section 3.2.1), None where there are several.

    Asterisk-form has no path and so no route; it is None as well.
    """
    plain = _PLAIN_TARGET.fullmatch(target)
    if plain is not None:
        # nothing in it can be read in two ways, but for empty segments and dot segments
        path, query = plain.groups(b"")
        if b"//" in path or (b"/." in path and _DOT_SEGMENT.search(path)):
            return None
        return Target(path, query)
    parts = split_target(target)
    if parts is None:
        return None
    path = parts.path
    if b"%" in path:
        normal = _normalise(path)
        if normal is None:
            return None
        path = normal
    if b"//" in path or ((b"/." in path or b"/;" in path or b"/%3B" in path) and _DOT_SEGMENT.search(path)):
        return None
    return Target(path, parts.query)


def split_target(target: bytes) -> Target | None:
    """Return the parts of an origin-form target as they came, None where a byte is in none of them."""
    path, mark, query = target.partition(b"?")
    if path[:1] != b"/" or path.translate(None, _PATH) or query.translate(None, _QUERY):
        return None
    return Target(path, mark + query)


def _unescape(match: re.Match[bytes]) -> bytes:
    digits = match[1]
    if digits is None:
        raise ValueError("an incomplete escape")
    value = int(digits, 16)
    if value in _REFUSED_ESCAPES:
        raise ValueError("an escape that some decode too early")
    return bytes((value,)) if value in _UNRESERVED else b"%" + digits.upper()


def _normalise(path: bytes) -> bytes | None:
    try:
        normal = _ESCAPE.sub(_unescape, path)
    except ValueError:
        return None
    if _TWICE.search(normal) or (_BEYOND_ASCII.search(normal) and _has_dots(normal)):
        return None
    return normal


def _has_dots(path: bytes) -> bool:
    """Tell whether whoever normalises letters finds a dot segment."""
    segments = plain_letters(unquote_to_bytes(path)).replace("\\", "/").split("/")
    return any(segment in (".", "..") for segment in segments)


def plain_letters(decoded: bytes) -> str:
    """Return text as normalisation and file systems read it: one form of each letter, nothing invisible.

    So are full-width letters the plain ones, and a letter with its accent is one whether or not it was
    composed (UAX 15, NFKC); what is seen nowhere is dropped, as HFS+ does.
    """
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", decoded.decode(errors="surrogateescape")))


def loose_reading(path: bytes) -> bytes:
    """Return a canonical path as the laxest upstream might read it.

    Escapes decoded, cut at a decoded ``?`` or ``#``, without path parameters (``;v=1``), without the
    difference between upper and lower case, in other letters than ASCII's too: file systems know them. Nor
    does it matter how a letter is put together (see ``plain_letters``).
    """
    if b"%" in path:
        path = unquote_to_bytes(path)
        if not path.isascii():
            path = plain_letters(path).encode(errors="surrogateescape")
        path = path.partition(b"?")[0].partition(b"#")[0]
    if b";" in path:
        path = b"/".join(segment.partition(b";")[0] for segment in path.split(b"/"))
    if path.isascii():
        return path.lower()
    folded = path.decode(errors="surrogateescape").upper().casefold().encode(errors="surrogateescape")
    # folding may have taken letters apart
    return plain_letters(folded).encode(errors="surrogateescape")
