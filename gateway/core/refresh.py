"""When a session's tokens are due for renewal, and what a token response makes of it.

The claim protocol that lets exactly one worker call the provider is in ``edge.claims``; here are the names it
works on and the values it moves.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from gateway.core import session as codec
from gateway.core.compiled import Compiled, Provider
from gateway.core.model import Claims, Grant, Json, RefreshOutcome, Renewed, Session, SessionOver, TokenSet
from gateway.core.reasons import Reason
from gateway.core.seal import sealed_length
from gateway.core.session_record import MOST_RECORD, record_name
from gateway.core.strict import encode_base64url
from gateway.core.token_claims import read_time

RESULT_PURPOSE = "refresh result"
DEFAULT_ACCESS_LIFETIME = 300.0

_PROTOCOL_CLAIMS = frozenset(
    {"nonce", "at_hash", "c_hash", "s_hash", "iat", "exp", "nbf", "jti", "azp", "aud"}
)


def claim_id(provider: Provider, grant: Grant, resource: str = "") -> str:
    """Name a rotation: SHA-256 over issuer, client, scope, resource, generation and old refresh token.

    The generation tells apart the refreshes of a provider that does not rotate, where one refresh
    token serves for many. The fields are framed as a JSON array, so no two different tuples share a name.
    Where the store keeps the session, what rotates is the handle: the rotation has its record's name.
    """
    if grant.handle:
        return record_name(grant.handle)
    scopes = " ".join(sorted(provider.settings.scopes))
    fields = [
        provider.issuer,
        provider.client_id,
        scopes,
        resource,
        str(grant.generation),
        grant.refresh_token,
    ]
    return encode_base64url(hashlib.sha256(json.dumps(fields).encode()).digest())


def phase(session: Session, has_grant: bool, before: float, now: float) -> Literal["fresh", "due", "expired"]:
    """Tell whether the access token is fresh, due for renewal behind the request's back, or expired.

    ``before`` (seconds) is cut to a quarter of the token's life, or a short-lived token would always be due.
    """
    if now >= session.access_expires_at:
        return "expired"
    window = min(before, (session.access_expires_at - session.renewed_at) / 4)
    return "due" if has_grant and now >= session.access_expires_at - window else "fresh"


def kept_claims(compiled: Compiled, *sources: Claims | None) -> dict[str, Json]:
    """Merge claims, later sources over earlier ones, keeping only what the configuration uses."""
    merged: dict[str, Json] = {}
    for source in sources:
        merged.update(
            (name, value)
            for name, value in (source or {}).items()
            if name in compiled.kept_claims and name not in _PROTOCOL_CLAIMS
        )
    return merged


def access_expiry(tokens: TokenSet, id_claims: Claims | None, now: float) -> float:
    """Return when the access token expires, epoch seconds.

    Where the response does not tell, the ID token's ``exp`` stands in, or else 300 s.
    """
    if tokens.expires_in is not None:
        return now + tokens.expires_in
    told = read_time(id_claims, "exp") if id_claims is not None else None
    return told if isinstance(told, float) and told > now else now + DEFAULT_ACCESS_LIFETIME


def renew(
    compiled: Compiled,
    session: Session,
    grant: Grant,
    claim: str,
    tokens: TokenSet,
    id_claims: Claims | None,
    userinfo: Claims | None,
    now: float,
    handle: str = "",
) -> RefreshOutcome:
    """Build the renewed session from a token response whose ID token, if any, has been verified.

    ``handle`` is a new random one where the store keeps the session: it rotates whatever the provider does.

    A new ID token must name the same issuer and subject (R35, OIDC Core section 12.2). Claims that the
    response omits are kept; a missing new refresh token keeps the old one (R36, RFC 6749 section 6).
    """
    provider = compiled.providers[session.provider]
    if id_claims is not None and (
        id_claims.get("iss") != session.issuer or id_claims.get("sub") != session.subject
    ):
        return SessionOver(Reason.TOKEN_CLAIMS)
    if userinfo is not None and userinfo.get("sub") != session.subject:
        userinfo = None
    rotated = tokens.refresh_token is not None and tokens.refresh_token != grant.refresh_token
    generation = max(session.generation, grant.generation) + 1
    sid = id_claims.get("sid") if id_claims else None
    renewed = replace(
        session,
        sid=sid if isinstance(sid, str) else session.sid,
        claims=kept_claims(compiled, session.claims, id_claims, userinfo),
        scopes=tokens.scopes if tokens.scopes is not None else session.scopes,
        renewed_at=now,
        access_expires_at=access_expiry(tokens, id_claims, now),
        generation=generation,
        access_token=tokens.access_token if provider.settings.access_token == "jwt" else None,  # noqa: S105
    )
    if not (record_fits(renewed, grant) if handle else fits(renewed)):
        renewed = replace(renewed, claims=session.claims)
    is_new = rotated or bool(handle)
    unconfirmed = (claim, *grant.unconfirmed)[: codec.MOST_UNCONFIRMED] if is_new else grant.unconfirmed
    token = tokens.refresh_token or grant.refresh_token
    return Renewed(renewed, Grant(session.session_id, generation, token, unconfirmed, handle))


def seal_secret(grant: Grant) -> str:
    """Return what a rotation's result is sealed under, beside the ring: what only the cookie leads to."""
    return grant.handle or grant.refresh_token


MOST_SEALED = 15_000
"""Characters that four cookies of 4096 bytes hold beside their names and attributes, with a margin."""


def fits(session: Session) -> bool:
    """Tell whether a session's cookie stays within its chunks (R40)."""
    return sealed_length(len(codec.encode_session(session))) <= MOST_SEALED


def grant_fits(grant: Grant) -> bool:
    """Tell whether a refresh cookie stays within its chunks, with room for its unconfirmed rotations."""
    room = 50 * (codec.MOST_UNCONFIRMED - len(grant.unconfirmed))
    return sealed_length(len(codec.encode_grant(grant)) + room) <= MOST_SEALED


def record_fits(session: Session, grant: Grant | None) -> bool:
    """Tell whether a session with its grant stays within a record, with room for its rotations."""
    size = len(codec.encode_session(session)) + (len(codec.encode_grant(grant)) if grant is not None else 0)
    return size + 50 * codec.MOST_UNCONFIRMED <= MOST_RECORD


def cookie_size(session: Session, grant: Grant | None) -> int:
    """Return how many characters the larger of the two cookies has."""
    sizes = [len(codec.encode_session(session))]
    if grant is not None:
        sizes.append(len(codec.encode_grant(grant)))
    return max(sealed_length(size) for size in sizes)


def encode_outcome(outcome: RefreshOutcome) -> bytes:
    """Return what the store keeps, sealed, as the result of a rotation."""
    if isinstance(outcome, SessionOver):
        fields: dict[str, Json] = {"over": outcome.reason.value}
    else:
        fields = {"s": codec.session_fields(outcome.session)}
        if outcome.grant is not None:
            fields["r"] = codec.grant_fields(outcome.grant)
    return json.dumps(fields, separators=(",", ":")).encode()


def decode_outcome(data: bytes) -> RefreshOutcome | None:
    """Return the outcome of such bytes, or None for garbage."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    if "over" in fields:
        over = fields["over"]
        return SessionOver(Reason(over)) if isinstance(over, str) and over in _REASONS else None
    inner, grant = fields.get("s"), fields.get("r")
    session = codec.session_from(inner) if isinstance(inner, Mapping) else None
    if session is None:
        return None
    return Renewed(session, codec.grant_from(grant) if isinstance(grant, Mapping) else None)


_REASONS = frozenset(reason.value for reason in Reason)
