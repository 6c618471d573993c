"""The form of API keys: ``gwk_<id>_<secret>``.

The id is 80 random bits in base32 (RFC 4648 section 6, lower case) and is no secret; the secret is 256 random
bits in base64url. The prefix lets scanners of sources find a key that leaked.
"""

import re
from base64 import b32encode
from typing import Final

from gateway.syntax.encoding import encode_base64url

PREFIX: Final = "gwk_"
ID_BYTES: Final = 10
SECRET_BYTES: Final = 32
MOST_OWNER: Final = 255

_ID: Final = re.compile(r"[a-z2-7]{16}", re.ASCII)
_KEY: Final = re.compile(rf"{PREFIX}([a-z2-7]{{16}})_[A-Za-z0-9_-]{{43}}", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


def compose(identifier: bytes, secret: bytes) -> str:
    """Return the key of 10 and 32 random bytes.

    Raises:
        ValueError: they are too few or too many.
    """
    if len(identifier) != ID_BYTES or len(secret) != SECRET_BYTES:
        raise ValueError("a key is made of 10 and 32 random bytes")
    return f"{PREFIX}{b32encode(identifier).decode().lower()}_{encode_base64url(secret)}"


def is_key_id(text: str) -> bool:
    """Tell whether a text has the form of a key's id."""
    return _ID.fullmatch(text) is not None


def id_of(text: str) -> str | None:
    """Return the id that a key names; None where the text has not the form of a key."""
    match = _KEY.fullmatch(text)
    return None if match is None else match[1]


def read_digest(text: str) -> bytes | None:
    """Return a SHA-256 that was written in hex; None where it is none."""
    return bytes.fromhex(text) if _DIGEST.fullmatch(text) is not None else None


def is_owner(text: str) -> bool:
    """Tell whether a text can name an owner: 1 to 255 printable characters, no white space around them."""
    return 0 < len(text) <= MOST_OWNER and text.isprintable() and text.strip() == text
