"""JWK Sets as a provider publishes them (RFC 7517 section 5)."""

from gateway.core.tokens.keys import MOST_KEYS, KeySet, build_key_set
from gateway.oauth.answers import read_object
from gateway.oauth.errors import MessageError

MOST_JWKS = 1 << 20


def process_response(body: bytes, now: float, max_age: float) -> KeySet:
    """Turn a JWK Set into the table of keys that may verify signatures (R31).

    A well-formed set without one usable key is an answer too: the provider has withdrawn its keys.

    Args:
        body: of a 200 response.
        now: when it was asked for, in epoch seconds.
        max_age: how long the keys may be used, in seconds (R28).

    Raises:
        MessageError: no JSON object with a list ``keys`` of at most 100.
    """
    document = read_object(body, MOST_JWKS)
    keys = None if document is None else document.get("keys")
    if not isinstance(keys, list):
        raise MessageError(
            "jwks_malformed", "the key set is no JSON object with a list of keys; check jwks_uri"
        )
    if len(keys) > MOST_KEYS:
        raise MessageError("jwks_too_large", f"the key set has {len(keys)} keys, {MOST_KEYS} are the most")
    return build_key_set(keys, now, now + max_age)
