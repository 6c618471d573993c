"""ID tokens (OpenID Connect Core 1.0 sections 2, 3.1.3.7 and 12.2)."""

import hashlib
import hmac

from gateway.core.identity import Claims
from gateway.core.provider import Provider
from gateway.core.reasons import Reason
from gateway.core.tokens.claims import (
    judge_times,
    named_kind,
    read_audience,
    read_identifier,
    read_subject,
    read_time,
    short_type,
)
from gateway.core.tokens.jws import UnknownKey, Verified, authenticate
from gateway.core.tokens.keys import KeySet
from gateway.syntax.encoding import encode_base64url

# some providers put hundreds of groups into it; it came straight from the provider, within a bounded response
MOST_ID_TOKEN = 131072


def check(
    token: str,
    provider: Provider,
    keys: KeySet | None,
    now: float,
    *,
    nonce: str | None,
    access_token: str | None,
) -> Claims | UnknownKey | Reason:
    """Decide whether an ID token is this provider's answer to our request (R9, R18-R22, R25, R29).

    Args:
        token: as the token endpoint returned it.
        provider: who should have issued it.
        keys: the provider's keys; None when none were fetched yet.
        now: epoch seconds.
        nonce: what the authorization request sent; None at a refresh, where there was none.
        access_token: what came with it, for ``at_hash``.

    Returns:
        The claims; ``UnknownKey`` when usable keys that hold the token's key are lacking; or the reason of
        the refusal.
    """
    verified = authenticate(token, provider.algorithms, keys, now, MOST_ID_TOKEN)
    if not isinstance(verified, Verified):
        return verified
    claims = verified.claims
    refusal = (
        (Reason.TOKEN_ISSUER if claims.get("iss") != provider.issuer else None)
        or _judge_kind(claims, verified.header)
        or _judge_audience(claims, provider)
        or judge_times(claims, now, provider.clock_skew, needs_iat=True)
        or _judge_nonce(claims, nonce)
        or _judge_at_hash(claims, verified.alg, len(verified.signature), access_token)
        or _judge_rest(claims)
    )
    return refusal or claims


def _judge_kind(claims: Claims, header: Claims) -> Reason | None:
    """Refuse what says that it is a token of another kind (R23): by its header or in a claim."""
    if short_type(header) not in {None, "jwt", "id_token+jwt"}:
        return Reason.TOKEN_TYPE
    return Reason.TOKEN_TYPE if named_kind(claims) not in {None, "id"} else None


def _judge_audience(claims: Claims, provider: Provider) -> Reason | None:
    """Judge ``aud`` and ``azp`` (OIDC Core errata 2 section 3.1.3.7, steps 3 to 5; R22).

    A token that others may use as well is fine where ``azp`` says that it was issued to us, or where each of
    them is trusted.
    """
    audience, client_id = read_audience(claims), provider.client_id
    if client_id not in audience:
        return Reason.TOKEN_AUDIENCE
    authorised = claims.get("azp")
    if authorised is not None:
        return None if authorised == client_id else Reason.TOKEN_AUDIENCE
    trusted = audience <= {client_id, *provider.settings.id_token_audiences}
    return None if trusted else Reason.TOKEN_AUDIENCE


def _judge_nonce(claims: Claims, nonce: str | None) -> Reason | None:
    if nonce is None:
        return None
    found = claims.get("nonce")
    if not isinstance(found, str) or not nonce:
        return Reason.TOKEN_NONCE
    return None if hmac.compare_digest(found.encode(), nonce.encode()) else Reason.TOKEN_NONCE


def _judge_at_hash(claims: Claims, alg: str, signature_size: int, access_token: str | None) -> Reason | None:
    if access_token is None or "at_hash" not in claims:
        return None
    found = claims["at_hash"]
    expected = hash_half(alg, signature_size, access_token)
    if not isinstance(found, str) or not hmac.compare_digest(found.encode(), expected):
        return Reason.TOKEN_HASH
    return None


def hash_half(alg: str, signature_size: int, value: str) -> bytes:
    """Return the left half of a value's hash, as ``at_hash`` holds it (OIDC Core section 3.1.3.6).

    Args:
        alg: the ID token's algorithm, which names the hash.
        signature_size: the ID token's signature in bytes: of EdDSA's two curves, Ed448 signs with 114.
        value: the access token, in ASCII.
    """
    octets = value.encode()
    if alg in {"EdDSA", "Ed25519"}:
        digest = hashlib.shake_256(octets).digest(114) if signature_size == 114 else _sha("512", octets)
    else:
        digest = _sha(alg[-3:], octets)
    return encode_base64url(digest[: len(digest) // 2]).encode()


def _sha(bits: str, octets: bytes) -> bytes:
    return hashlib.new(f"sha{bits}", octets).digest()


def _judge_rest(claims: Claims) -> Reason | None:
    if read_subject(claims) is None:
        return Reason.TOKEN_CLAIMS
    is_malformed = isinstance(read_time(claims, "auth_time"), Reason) or isinstance(
        read_identifier(claims, "sid"), Reason
    )
    return Reason.TOKEN_CLAIMS if is_malformed else None
