"""When a session's tokens are due for renewal, and what a token response makes of it.

The refresh lease that lets exactly one worker call the provider is in ``edge.refresh.lease``; here are the
names it works on and the values it moves.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal

from gateway.config.settings.sessions import SessionSettings
from gateway.core.identity import Claims
from gateway.core.provider import Provider, TokenSet
from gateway.core.reasons import Reason
from gateway.core.sessions import claim_sources, codec
from gateway.core.sessions.model import Grant, RefreshOutcome, Renewed, Session, SessionOver
from gateway.core.sessions.record import MOST_RECORD, record_name
from gateway.core.sessions.seal import sealed_length
from gateway.core.tokens.claims import read_time
from gateway.syntax.encoding import Json, encode_base64url

RESULT_PURPOSE: Final = "refresh result"
DEFAULT_ACCESS_LIFETIME: Final = 300.0
ROTATION: Final = 72
"""Bytes that the name of a rotation fills in a payload, with a margin."""


def rotation_id(provider: Provider, grant: Grant) -> str:
    """Name a rotation: SHA-256 over issuer, client, scope, resource, generation and old refresh token.

    The generation tells apart the refreshes of a provider that does not rotate, where one refresh
    token serves for many; what stands after the dot tells apart sessions, since some providers give the same
    refresh token at each login. The fields are framed as a JSON array, so no two different tuples share a
    name. Where the store keeps the session, what rotates is the handle: the rotation has its record's name.
    """
    if grant.handle:
        return record_name(grant.handle)
    scopes = " ".join(sorted(provider.settings.scopes))
    fields = [
        provider.issuer,
        provider.client_id,
        scopes,
        " ".join(provider.settings.resources),
        str(grant.generation),
        grant.refresh_token,
    ]
    former = encode_base64url(hashlib.sha256(json.dumps(fields).encode()).digest())
    return codec.rotation_name(grant.session_id, former)


def renewal_at(session: Session, most_age: float) -> float:
    """Return when a session's tokens have to be renewed at the latest, in epoch seconds.

    That is when its access token expires; or when its claims are ``most_age`` (seconds) old, unless a renewal
    since then brought none of them, as another would not. One that nothing can renew lasts until its own end.
    """
    if session.is_unrenewable:
        return session.ends_at
    told = claim_sources.told_at(session)
    if told < session.renewed_at:
        return session.access_expires_at
    return min(session.access_expires_at, told + most_age)


def due_at(session: Session, has_grant: bool, settings: SessionSettings) -> float:
    """Return from when on a session is renewed behind a request's back, in epoch seconds.

    ``refresh_before_expiry`` is cut to a quarter of the token's life: a short-lived one would always be due.
    """
    end = renewal_at(session, settings.most_claims_age)
    window = min(settings.refresh_before_expiry, (end - session.renewed_at) / 4)
    return end - window if has_grant else end


def phase(
    session: Session, has_grant: bool, settings: SessionSettings, now: float
) -> Literal["fresh", "due", "expired"]:
    """Tell whether tokens and claims are fresh, due for renewal behind the request's back, or expired.

    Without a grant nothing can be renewed. Then the access token's end counts, but for a session that never
    had one: else its browser had only to lose the refresh cookie, and nobody would ask the provider again.
    """
    if not has_grant:
        end = session.ends_at if session.is_unrenewable else session.access_expires_at
        return "expired" if now >= end else "fresh"
    if now >= renewal_at(session, settings.most_claims_age):
        return "expired"
    return "due" if now >= due_at(session, has_grant, settings) else "fresh"


def access_expiry(
    tokens: TokenSet, id_claims: Claims | None, now: float, access_claims: Claims | None = None
) -> float:
    """Return when the access token expires, epoch seconds.

    Where the response does not tell, the ID token's ``exp`` stands in, or else 300 s. ``access_claims`` are
    those of an access token that is verified at each request: it must be renewed before its own ``exp``.
    """
    own = _later(access_claims, now)
    if tokens.expires_in is not None:
        expiry = now + tokens.expires_in
    else:
        expiry = own or _later(id_claims, now) or now + DEFAULT_ACCESS_LIFETIME
    return min(expiry, own) if own is not None else expiry


def _later(claims: Claims | None, now: float) -> float | None:
    told = read_time(claims, "exp") if claims is not None else None
    return told if isinstance(told, float) and told > now else None


def renew(
    provider: Provider,
    session: Session,
    grant: Grant,
    rotation_id: str,
    tokens: TokenSet,
    id_claims: Claims | None,
    userinfo: Claims | None,
    now: float,
    handle: str = "",
) -> RefreshOutcome:
    """Build the renewed session from a token response whose ID token, if any, has been verified.

    ``handle`` is a new random one where the store keeps the session: it rotates whatever the provider does.

    A new ID token must name the same issuer and subject (R35, OIDC Core section 12.2). Claims are replaced or
    kept by their sources (R68); a missing new refresh token keeps the old one (R36, RFC 6749 section 6).
    """
    if id_claims is not None and (
        id_claims.get("iss") != session.issuer or id_claims.get("sub") != session.subject
    ):
        return SessionOver(Reason.TOKEN_CLAIMS)
    if userinfo is not None and userinfo.get("sub") != session.subject:
        if not provider.has_id_tokens:
            # nothing else says whose the tokens are
            return SessionOver(Reason.TOKEN_CLAIMS)
        userinfo = None
    rotated = tokens.refresh_token is not None and tokens.refresh_token != grant.refresh_token
    generation = max(session.generation, grant.generation) + 1
    sid = id_claims.get("sid") if id_claims else None
    heard = claim_sources.listen(provider, tokens, id_claims, userinfo)
    kept = claim_sources.renew(provider, session, heard, now)
    renewed = replace(
        session,
        sid=sid if isinstance(sid, str) else session.sid,
        claims=kept.claims,
        told=kept.told,
        claims_at=kept.claims_at,
        scopes=tokens.scopes if tokens.scopes is not None else session.scopes,
        renewed_at=now,
        access_expires_at=access_expiry(tokens, id_claims, now, heard.get("access_token")),
        generation=generation,
        access_token=tokens.access_token if provider.keeps_access_token else None,
    )
    is_new = rotated or bool(handle)
    unconfirmed = (rotation_id, *grant.unconfirmed)[: codec.MOST_UNCONFIRMED] if is_new else grant.unconfirmed
    token = tokens.refresh_token or grant.refresh_token
    current = Grant(session.session_id, generation, token, unconfirmed, handle)
    return _fitting(renewed, current, is_kept=bool(handle))


def _fitting(session: Session, grant: Grant, *, is_kept: bool) -> RefreshOutcome:
    """Return what the cookies or a record have room for; else the session is over, as a login would fail.

    To go on with the claims of before could be more than the provider says now.
    """
    if is_kept:
        does_fit, size = record_fits(session, grant), record_size(session, grant)
    else:
        does_fit, size = fits(session) and grant_fits(grant), cookie_size(session, grant)
    return (
        Renewed(session, grant) if does_fit else SessionOver(Reason.SESSION_TOO_LARGE, f"{size} characters")
    )


def seal_secret(grant: Grant) -> str:
    """Return what a rotation's result is sealed under, beside the ring: what only the cookie leads to."""
    return grant.handle or grant.refresh_token


MOST_SEALED: Final = 15_000
"""Characters that four cookies of 4096 bytes hold beside their names and attributes, with a margin."""


def fits(session: Session) -> bool:
    """Tell whether a session's cookie stays within its chunks (R40)."""
    return sealed_length(len(codec.encode_session(session))) <= MOST_SEALED


def grant_fits(grant: Grant) -> bool:
    """Tell whether a refresh cookie stays within its chunks, with room for its unconfirmed rotations."""
    room = ROTATION * (codec.MOST_UNCONFIRMED - len(grant.unconfirmed))
    return sealed_length(len(codec.encode_grant(grant)) + room) <= MOST_SEALED


def record_size(session: Session, grant: Grant | None) -> int:
    """Return how many bytes a session with its grant has in a record."""
    return len(codec.encode_session(session)) + (len(codec.encode_grant(grant)) if grant is not None else 0)


def record_fits(session: Session, grant: Grant | None) -> bool:
    """Tell whether a session with its grant stays within a record, with room for its rotations."""
    return record_size(session, grant) + ROTATION * codec.MOST_UNCONFIRMED <= MOST_RECORD


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
        if outcome.reason in _LATER_WORDS:
            # a worker of the version before knows the first word alone
            fields = {"over": Reason.SESSION_ENDED.value, "why": outcome.reason.value}
        if outcome.detail:
            fields["detail"] = outcome.detail
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
        over, detail = fields.get("why", fields["over"]), fields.get("detail", "")
        if not isinstance(over, str) or over not in _REASONS or not isinstance(detail, str):
            return None
        return SessionOver(Reason(over), detail)
    inner, grant = fields.get("s"), fields.get("r")
    session = codec.session_from(inner) if isinstance(inner, Mapping) else None
    if session is None:
        return None
    return Renewed(session, codec.grant_from(grant) if isinstance(grant, Mapping) else None)


_REASONS: Final = frozenset(reason.value for reason in Reason)
_LATER_WORDS: Final = frozenset({Reason.SESSION_TOO_LARGE})
