"""Tokens, quoted strings and lists of fields, and names as upstreams fold them (RFC 9110 section 5)."""

import re
from collections.abc import Iterable
from typing import Final

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What the configuration calls things by."""

_TOKEN: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


_FOLDED: Final = bytes(
    byte + 32 if 0x41 <= byte <= 0x5A else byte if chr(byte).isascii() and chr(byte).isalnum() else 0x2D
    for byte in range(256)
)


def fold(name: bytes) -> bytes:
    """Return a name as CGI-like upstreams fold it: lower case, ``-`` for all but letters and digits."""
    return name.translate(_FOLDED)


def is_token(text: str | bytes) -> bool:
    """Tell whether a text is one token (RFC 9110 section 5.6.2), as field names and methods are."""
    octets = text.encode(errors="replace") if isinstance(text, str) else text
    return bool(octets) and not octets.translate(None, _TOKEN)


def split_quoted(text: str, mark: str) -> list[str] | None:
    """Split at a mark outside quoted strings (RFC 9110 section 5.6.4), None where a quote stays open.

    Parts are without surrounding white space; empty ones are left out.
    """
    parts: list[str] = []
    start, quoted, escaped = 0, False, False
    for index, sign in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            escaped = sign == "\\"
            quoted = sign != '"'
        elif sign == '"':
            quoted = True
        elif sign == mark:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    if quoted:
        return None
    return [part.strip(" \t") for part in parts if part.strip(" \t")]


def unquote(text: str) -> str:
    """Return the value of a quoted string, or a token as it is."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    value, escaped = [], False
    for sign in text[1:-1]:
        if sign == "\\" and not escaped:
            escaped = True
            continue
        escaped = False
        value.append(sign)
    return "".join(value)


def named_in(values: Iterable[bytes]) -> frozenset[bytes]:
    """Return the lower-case field names that Connection values list (RFC 9110 section 7.6.1)."""
    return frozenset(
        option.strip(b" \t").lower()
        for value in values
        for option in value.split(b",")
        if option.strip(b" \t")
    )
