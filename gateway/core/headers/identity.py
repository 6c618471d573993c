"""Claims as header fields that cannot be misread.

A value is printable ASCII. Everything else, and ``%`` itself, is percent-encoded UTF-8, so decoding is always
right. Where an upstream cannot decode, printable characters beyond ASCII may go as UTF-8 as they are;
decoding is then right too. Members of a list are joined by commas, and a comma inside one is encoded: no
member can pose as two.
"""

from dataclasses import dataclass
from math import isfinite
from typing import Final
from urllib.parse import quote

from gateway.config.reserved_names import has_meaning
from gateway.core.email import is_doubtful
from gateway.core.identity import Identity, find_claim
from gateway.syntax.encoding import Json
from gateway.syntax.tokens import fold, is_token

_SAFE: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in "%,")
_IN_TEXT: Final = _SAFE + ", "
_IN_MEMBER: Final = _SAFE + " "


@dataclass(frozen=True, slots=True)
class IdentityHeader:
    """One header and the claim that it tells. ``is_list``: a single text counts as a list of one.

    ``raw``: printable characters beyond ASCII are not encoded.
    """

    name: bytes
    claim: str
    is_list: bool
    raw: bool = False


def encode_text(text: str, safe: str = _IN_TEXT, *, raw: bool = False) -> str | None:
    """Return a text as a field value, None where there is none: empty, or lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    if raw:
        value = "".join(
            sign if sign > "~" and sign.isprintable() else quote(sign, safe=safe) for sign in text
        )
    else:
        value = quote(text, safe=safe)
    # white space at the ends of a field value is not part of it
    start, end = len(value) - len(value.lstrip(" ")), len(value.rstrip(" "))
    if start or end < len(value):
        value = "%20" * start + value[start:end] + "%20" * (len(value) - max(end, start))
    return value or None


def _scalar(value: Json, safe: str, *, raw: bool) -> str | None:
    if isinstance(value, str):
        plain = value.isascii() and value.isprintable() and "%" not in value and value == value.strip(" ")
        if plain and (safe is _IN_TEXT or "," not in value):
            return value or None
        return encode_text(value, safe, raw=raw)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if abs(value) < 1 << 64 else None
    if isinstance(value, float) and isfinite(value):
        return str(int(value)) if value.is_integer() and abs(value) < 1 << 53 else repr(value)
    return None


def encode_claim(value: Json, *, is_list: bool = False, raw: bool = False) -> str | None:
    """Return a claim as a field value, None where it has none: absent, empty, an object."""
    if isinstance(value, list):
        members = [_scalar(member, _IN_MEMBER, raw=raw) for member in value]
        return ",".join([member for member in members if member is not None]) or None
    return _scalar(value, _IN_MEMBER if is_list else _IN_TEXT, raw=raw)


def identity_lines(
    headers: tuple[IdentityHeader, ...], identity: Identity, *, tells_unverified: bool = False
) -> bytes:
    """Return the lines that tell an upstream who is calling, joined by CRLF; no claim without a value.

    An e-mail address of which the provider says that it is not verified could be anybody's; it has none
    either, unless ``tells_unverified`` (R80).
    """
    lines: list[bytes] = []
    for header in headers:
        name = header.claim
        # issuer and subject were verified as such; claims of other sources cannot replace them (R26)
        if name == "sub":
            claim: Json = identity.subject
        elif name == "iss":
            claim = identity.issuer
        else:
            claim = find_claim(identity.claims, name)
            if not tells_unverified and is_doubtful(identity.claims, name):
                continue
        value = None if claim is None else encode_claim(claim, is_list=header.is_list, raw=header.raw)
        if value is not None:
            lines.append(b"%b: %b" % (header.name, value.encode()))
    return b"\r\n".join(lines)


def compile_identity_headers(
    names: dict[str, str], groups_claim: str, *, raw: bool = False
) -> tuple[IdentityHeader, ...]:
    """Compile header names and their claims.

    Raises:
        ValueError: a name that is no token, that has another meaning, or that upstreams cannot tell from
            another one.
    """
    headers: list[IdentityHeader] = []
    seen: set[bytes] = set()
    for name, claim in names.items():
        field = name.encode()
        folded = fold(field)
        if not is_token(field) or has_meaning(folded) or folded in seen:
            raise ValueError(f"identity_headers: {name!r} cannot be used")
        seen.add(folded)
        headers.append(IdentityHeader(field, claim, claim == groups_claim, raw))
    return tuple(headers)
