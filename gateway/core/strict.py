"""Strict decoding of what comes from outside: JSON objects and base64url, both bounded.

The standard decoders are lenient where an attacker profits: the last of two equal members wins, ``NaN``
passes, base64 skips foreign characters, deep nesting exhausts the stack. Nothing here raises on bad input.
"""

import base64
import json
from math import isfinite

from gateway.core.model import Json

_MOST_DEPTH = 32
_MOST_DIGITS = 40


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


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_real, parse_constant=_constant
)


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
        value = _DECODER.decode(data.decode("utf-8"))
        if not isinstance(value, dict) or _is_deep(data, value):
            return None
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        return None
    return value


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
    try:
        encoded = text if isinstance(text, str) else text.decode("ascii")
        decoded = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except ValueError:
        return None
    # also refuses what the decoder skips: foreign characters, and trailing bits that a flip could hide in
    return decoded if encode_base64url(decoded) == encoded else None


def encode_base64url(data: bytes) -> str:
    """Encode as unpadded base64url (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
