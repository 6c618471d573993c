"""Logout tokens (OpenID Connect Back-Channel Logout 1.0 sections 2.4 and 2.6; R51)."""

import hashlib
import json
from dataclasses import dataclass

from gateway.core.identity import Claims
from gateway.core.provider import Provider
from gateway.core.reasons import Reason
from gateway.core.tokens.claims import (
    MOST_SUBJECT,
    judge_times,
    read_audience,
    read_identifier,
    read_time,
    short_type,
)
from gateway.core.tokens.jws import UnknownKey, Verified, authenticate
from gateway.core.tokens.keys import KeySet
from gateway.syntax.encoding import encode_base64url

EVENT = "http://schemas.openid.net/event/backchannel-logout"
MOST_AGE = 300.0
"""The most seconds since ``iat``, beside the provider's clock skew: however late ``exp`` is."""


@dataclass(frozen=True, slots=True)
class LogoutToken:
    """A logout token that holds: whom it logs out, by ``sid``, ``subject`` or both.

    ``replay_id`` names it, and no check accepts it at ``accepted_until`` (epoch seconds) or later.
    """

    issuer: str
    subject: str | None
    sid: str | None
    replay_id: str
    accepted_until: float


def check(
    token: str, provider: Provider, keys: KeySet | None, now: float
) -> LogoutToken | UnknownKey | Reason:
    """Decide whether this provider asks this client to log somebody out (R18-R21, R29, R51).

    A replay is not looked for here: the caller asks whether ``replay_id`` was used before.

    Args:
        token: as received.
        provider: whose token it claims to be.
        keys: the provider's keys; None when none were fetched yet.
        now: epoch seconds.

    Returns:
        What it says; ``UnknownKey`` when usable keys that hold the token's key are lacking; or the reason of
        the refusal.
    """
    verified = authenticate(token, provider.algorithms, keys, now)
    if not isinstance(verified, Verified):
        return verified
    claims = verified.claims
    refusal = (
        (Reason.TOKEN_ISSUER if claims.get("iss") != provider.issuer else None)
        # section 4.1: the type is recommended, so an ID token's is accepted; any other means another kind
        or (Reason.TOKEN_TYPE if short_type(verified.header) not in {None, "jwt", "logout+jwt"} else None)
        or (Reason.TOKEN_AUDIENCE if provider.client_id not in read_audience(claims) else None)
        or judge_times(claims, now, provider.clock_skew, needs_iat=True, needs_exp=False)
        or (Reason.TOKEN_EXPIRED if now >= _accepted_until(claims, provider.clock_skew) else None)
        # a nonce marks an ID token, which must never pass for this
        or (Reason.TOKEN_NONCE if "nonce" in claims else None)
        or (Reason.TOKEN_CLAIMS if not _is_logout(claims) else None)
    )
    return refusal or _read(claims, provider)


def _accepted_until(claims: Claims, skew: float) -> float:
    issued, expires = read_time(claims, "iat"), read_time(claims, "exp")
    assert isinstance(issued, float)
    # without one (drafts before the final version had none) its age alone is judged
    return min(expires, issued + MOST_AGE) + skew if isinstance(expires, float) else issued + MOST_AGE + skew


def _is_logout(claims: Claims) -> bool:
    events = claims.get("events")
    return isinstance(events, dict) and isinstance(events.get(EVENT), dict)


def _read(claims: Claims, provider: Provider) -> LogoutToken | Reason:
    subject, sid = read_identifier(claims, "sub", MOST_SUBJECT), read_identifier(claims, "sid")
    token_id = read_identifier(claims, "jti")
    if isinstance(subject, Reason) or isinstance(sid, Reason) or isinstance(token_id, Reason):
        return Reason.TOKEN_CLAIMS
    if token_id is None or (subject is None and sid is None):
        return Reason.TOKEN_CLAIMS
    digest = hashlib.sha256(json.dumps([provider.issuer, token_id]).encode()).digest()
    return LogoutToken(
        provider.issuer, subject, sid, encode_base64url(digest), _accepted_until(claims, provider.clock_skew)
    )
