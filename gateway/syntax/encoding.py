"""Strict decoding of what comes from outside: JSON objects and base64url, both bounded.

The standard decoders are lenient where an attacker profits: the last of two equal members wins, ``NaN``
passes, base64 skips foreign characters, deep nesting exhausts the stack. Nothing here raises on bad input.
"""

import base64
import binascii
import json
from json.scanner import make_scanner
from math import isfinite
from typing import Final, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


_MOST_DEPTH: Final = 32
_MOST_DIGITS: Final = 40


def _members(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _integer(digits: str) -> int:
    # Python's integers have no bound, but floats that they are compared with do
    if len(digits) > _MOST_DIGITS:
        raise ValueError("number too long")
    return int(digits)


def _real(digits: str) -> float:
    value = float(digits)
    if not isfinite(value):
        raise ValueError("number too large")
    return value


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


_WHITE: Final = " \t\r\n"
# what ``JSONDecoder.decode`` calls, without its two searches for white space
_SCAN: Final = make_scanner(
    json.JSONDecoder(  # type: ignore[arg-type] # what the scanner reads of its argument, a decoder has
        object_pairs_hook=_members, parse_int=_integer, parse_float=_real, parse_constant=_constant
    )
)

_BASE64URL: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# what is foreign here becomes what is foreign to the decoder
_STANDARD: Final = dict(zip(_BASE64URL, _BASE64URL.translate(bytes.maketrans(b"-_", b"+/")), strict=True))
_TO_BASE64: Final = bytes(_STANDARD.get(byte, ord("!")) for byte in range(256))
_PADDING: Final = (b"", b"", b"==", b"=")
# by what is left over of four: the characters that an encoder may end with, whose unused bits are zero
_LAST: Final = {2: _BASE64URL[::16], 3: _BASE64URL[::4]}


def parse_object(data: bytes, limit: int) -> dict[str, Json] | None:
    """Parse one JSON object (RFC 8259) in UTF-8.

    Args:
        data: the text.
        limit: the most bytes that ``data`` may have.

    Returns:
        The object; None for anything else: too long, not UTF-8, not JSON, no object, a duplicate member
        at any depth, a number that is not finite or has more than 40 digits, a lone surrogate, or more
        than 32 levels.
    """
    if len(data) > limit:
        return None
    try:
        text = data.decode("utf-8").strip(_WHITE)
        value, end = _SCAN(text, 0)
        if end != len(text) or not isinstance(value, dict) or _is_deep(data, value):
            return None
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError, StopIteration):
        return None
    return value


def parse_list(data: bytes, limit: int) -> "list[Json] | None":
    """Parse one JSON list as ``parse_object`` parses an object; None for anything else."""
    if len(data) > limit:
        return None
    found = parse_object(b'{"":%b}' % data, limit + 5)
    # what closes the list early brings other members, or the same one twice
    items = None if found is None or len(found) != 1 else found.get("")
    return items if isinstance(items, list) else None


def _is_deep(data: bytes, value: Json) -> bool:
    if data.count(b"{") + data.count(b"[") <= _MOST_DEPTH:
        return False
    level: list[Json] = [value]
    for _ in range(_MOST_DEPTH + 1):
        below: list[Json] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        if not below:
            return False
        level = below
    return True


def decode_base64url(text: str | bytes, limit: int) -> bytes | None:
    """Decode unpadded base64url (RFC 7515 section 2) in its one canonical spelling.

    Args:
        text: the encoded text.
        limit: the most characters that ``text`` may have.

    Returns:
        The bytes; None when ``text`` is too long, padded, holds a foreign character, or has trailing bits
        that are not zero.
    """
    if len(text) > limit:
        return None
    octets = text.encode("ascii", "replace") if isinstance(text, str) else text
    over = len(octets) & 3
    if over == 1 or (over and octets[-1] not in _LAST[over]):
        return None
    try:
        return binascii.a2b_base64(octets.translate(_TO_BASE64) + _PADDING[over], strict_mode=True)
    except binascii.Error:
        return None


def encode_base64url(data: bytes) -> str:
    """Encode as unpadded base64url (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_secret_key(text: str) -> bytes:
    """Return the 32 bytes of a secret key in base64 or base64url, padded or not.

    Raises:
        ValueError: anything else.
    """
    plain = text.strip().rstrip("=").replace("-", "+").replace("_", "/")
    key = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    if len(key) != 32:
        raise ValueError("a secret key is 32 random bytes in base64")
    return key
