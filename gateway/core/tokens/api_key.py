"""API keys: who presents one, and what the store keeps of it.

What is kept is the SHA-256 of the whole text. It needs no salt and no slow hash: nobody guesses 256 random
bits, however fast.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Final

from gateway.config.settings.api_keys import ApiKeySettings
from gateway.core.identity import Identity
from gateway.core.reasons import Reason
from gateway.syntax.api_keys import is_key_id, is_owner, read_digest
from gateway.syntax.dates import read_date
from gateway.syntax.urls import is_scope

ISSUER: Final = "urn:token-gateway:api-keys"
"""Who vouches for API keys: the gateway itself. No provider can have this name, since it is no URL."""
PURPOSE: Final = "api key"
"""For which a key's record is sealed in the store: whoever can write there can make no key."""
MOST_SCOPES: Final = 100
MOST_RECORD: Final = 65_536


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key. ``digest`` is the SHA-256 of its text; times are epoch seconds."""

    key_id: str
    digest: bytes = field(repr=False)
    owner: str
    scopes: tuple[str, ...]
    created: float
    expires: float


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What the store has of a key.

    ``sealed`` is its record, empty where there is none. ``is_revoked`` tells that it was revoked, ``is_away``
    that the store could not be asked, about a key that is known otherwise.
    """

    sealed: str = field(default="", repr=False)
    is_revoked: bool = False
    is_away: bool = False


def digest_of(text: str) -> bytes:
    """Return what is kept of a key."""
    return hashlib.sha256(text.encode()).digest()


def configured(key_id: str, settings: ApiKeySettings) -> ApiKey:
    """Compile a key of the configuration.

    Raises:
        ValueError: it is not as ``config.checks.api_keys`` wants it.
    """
    digest, expires = read_digest(settings.sha256), read_date(settings.expires)
    created = 0.0 if settings.created is None else read_date(settings.created)
    if digest is None or expires is None or created is None or not is_key_id(key_id):
        raise ValueError("api_keys: a key cannot be used as it is")
    return ApiKey(key_id, digest, settings.owner, settings.scopes, created, expires)


def check(text: str, key: ApiKey, now: float) -> Identity | Reason:
    """Decide whether a text is this key, and good at ``now`` (epoch seconds).

    Returns:
        Who is calling, ``KEY_UNKNOWN`` for any other text, or ``KEY_EXPIRED``.
    """
    # in a time that tells nothing about the digest
    if not hmac.compare_digest(digest_of(text), key.digest):
        return Reason.KEY_UNKNOWN
    if now >= key.expires:
        return Reason.KEY_EXPIRED
    return Identity(
        kind="key",
        provider="",
        issuer=ISSUER,
        subject=key.owner,
        claims={"sub": key.owner, "key_id": key.key_id, "scope": " ".join(key.scopes)},
        scopes=frozenset(key.scopes),
        issued_at=key.created,
        expires_at=key.expires,
        jti=key.key_id,
    )


def encode(key: ApiKey) -> bytes:
    """Return a key's record, to be sealed."""
    fields = [key.key_id, key.digest.hex(), key.owner, list(key.scopes), key.created, key.expires]
    return json.dumps(fields, separators=(",", ":")).encode()


def decode(data: bytes) -> ApiKey | None:
    """Return the key of a record, None for garbage."""
    try:
        key_id, digest, owner, scopes, created, expires = json.loads(data)
    except (ValueError, TypeError, RecursionError):
        return None
    if not (isinstance(key_id, str) and isinstance(digest, str) and isinstance(owner, str)):
        return None
    found = read_digest(digest)
    if found is None or not is_key_id(key_id) or not is_owner(owner) or not isinstance(scopes, list):
        return None
    if not all(isinstance(each, str) and is_scope(each) for each in scopes):
        return None
    if any(isinstance(each, bool) or not isinstance(each, int | float) for each in (created, expires)):
        return None
    return ApiKey(key_id, found, owner, tuple(scopes), float(created), float(expires))
