"""Access tokens that are JWTs, presented by API clients or kept in sessions (RFC 9068, RFC 6750)."""

from functools import lru_cache
from sys import intern
from typing import Final

from gateway.core.identity import Binding, Claims, Identity
from gateway.core.provider import Provider, claims_of
from gateway.core.reasons import Reason
from gateway.core.tokens.binding import TokenRules, read_binding
from gateway.core.tokens.claims import (
    judge_times,
    named_kind,
    read_audience,
    read_identifier,
    read_subject,
    read_time,
    short_type,
)
from gateway.core.tokens.jws import Parsed, UnknownKey, Verified, authenticate, read
from gateway.core.tokens.keys import KeySet

# an explicit type of another kind ("logout+jwt", "dpop+jwt"...) says that this is no access token
_OWN_TYPES: Final = frozenset(("at+jwt", "okta-internal-at+jwt"))
_HEADER_TYPES: Final = _OWN_TYPES | {None, "jwt", "bearer", "access_token"}
# what ID tokens carry (OIDC Core section 3.3.2.11); some providers' access tokens carry them, too
_ID_CLAIMS: Final = ("nonce", "at_hash", "c_hash", "s_hash")

_MOST_SHARED: Final = 256
_LONGEST_SHARED: Final = 512


def issuer_of(token: str | Parsed) -> str | Reason:
    """Return the issuer that a token claims, unverified: good for choosing the provider, nothing else.

    Args:
        token: as presented, or as read already.

    Returns:
        The ``iss`` claim, ``TOKEN_MALFORMED``, or ``TOKEN_ISSUER`` when it has none.
    """
    parsed = read(token) if isinstance(token, str) else token
    if not isinstance(parsed, Parsed):
        return parsed
    issuer = parsed.claims.get("iss")
    return issuer if isinstance(issuer, str) and issuer else Reason.TOKEN_ISSUER


def check(
    token: str | Parsed,
    provider: Provider,
    keys: KeySet | None,
    now: float,
    *,
    is_own: bool = False,
    at: float | None = None,
    rules: TokenRules | None = None,
) -> Identity | UnknownKey | Reason:
    """Decide whether a bearer JWT is a valid access token for us (R18-R24, R26-R29).

    Args:
        token: as presented, or as read already.
        provider: whose token it claims to be.
        keys: the provider's keys; None when none were fetched yet.
        now: epoch seconds.
        is_own: whether the token endpoint itself gave it to us as an access token, so that nobody needs to
            tell it from an ID token.
        at: when its times have to hold, in epoch seconds; None: now.
        rules: what the route asks of it besides.

    Returns:
        Who is calling; ``UnknownKey`` when usable keys that hold the token's key are lacking; or the reason
        of the refusal.
    """
    verified = authenticate(token, provider.algorithms, keys, now)
    if not isinstance(verified, Verified):
        return verified
    claims, kind = verified.claims, short_type(verified.header)
    if claims.get("iss") != provider.issuer:
        return Reason.TOKEN_ISSUER
    refusal = (
        _judge_kind(claims, kind, provider, is_own=is_own)
        or judge_audience(claims, provider, rules)
        or _judge_client(claims, kind, provider, is_own=is_own)
        or judge_times(claims, now if at is None else at, provider.clock_skew, needs_iat=False)
    )
    # one that was given to us is bound to our own certificate, and nobody presents it
    binding = None if is_own else read_binding(claims)
    return refusal or identify(claims, provider, binding=binding, rules=rules)


def _judge_kind(claims: Claims, kind: str | None, provider: Provider, *, is_own: bool) -> Reason | None:
    """Refuse ID tokens, logout tokens and the like (R23).

    docs/tokens.md says what makes which kind of token.
    """
    if kind not in _HEADER_TYPES:
        return Reason.TOKEN_TYPE
    if kind in _OWN_TYPES:
        return None
    if provider.settings.access_token_type == "at+jwt":  # noqa: S105 - a kind of token
        return Reason.TOKEN_TYPE
    named = named_kind(claims)
    # only a logout token has events (Back-Channel Logout section 2.4)
    if named not in {None, "bearer"} or claims.get("events") is not None:
        return Reason.TOKEN_TYPE
    if named is not None or is_own:
        return None
    return Reason.TOKEN_TYPE if any(claims.get(name) is not None for name in _ID_CLAIMS) else None


def judge_audience(claims: Claims, provider: Provider, rules: TokenRules | None = None) -> Reason | None:
    """Ask that the token is meant for us (R24), or for the very resource of a route (RFC 8707)."""
    if rules is not None and rules.resource is not None:
        return None if rules.resource in read_audience(claims) else Reason.TOKEN_AUDIENCE
    if "aud" not in claims and provider.settings.clients_without_aud:
        # whoever names a client here has been told what that means (docs/providers.md)
        is_known = claims.get("client_id") in provider.settings.clients_without_aud
        return None if is_known else Reason.TOKEN_AUDIENCE
    return None if read_audience(claims) & provider.audiences else Reason.TOKEN_AUDIENCE


def _judge_client(claims: Claims, kind: str | None, provider: Provider, *, is_own: bool) -> Reason | None:
    """Ask that the token is meant for us not only because every ID token is (R23)."""
    shared = read_audience(claims) & provider.audiences
    if shared != {provider.client_id} or kind in _OWN_TYPES or is_own or named_kind(claims) is not None:
        return None
    # an ID token that came with a refresh may lack nonce and hashes; only an access token speaks of scope
    is_access_token = any(claims.get(name) is not None for name in ("scope", "scp", "client_id"))
    return None if is_access_token else Reason.TOKEN_TYPE


@lru_cache(_MOST_SHARED)
def _split(value: str) -> frozenset[str]:
    """Return the scopes of a text; most tokens of a provider have the same, and share one set."""
    return frozenset(value.split())


def _scopes(claims: Claims) -> frozenset[str] | None:
    value = claims.get("scope")
    if value is None:
        value = claims.get("scp")
    if value is None:
        return frozenset()
    if isinstance(value, str):
        return _split(value) if len(value) <= _LONGEST_SHARED else frozenset(value.split())
    if isinstance(value, list):
        names = [name for name in value if isinstance(name, str)]
        return frozenset(names) if len(names) == len(value) else None
    return None


def identify(
    claims: Claims,
    provider: Provider,
    ends: float | None = None,
    *,
    binding: Binding | Reason | None = None,
    rules: TokenRules | None = None,
) -> Identity | Reason:
    """Return whom the claims of a token that holds name.

    ``ends`` (epoch seconds) is when that counts no more where they have no ``exp``; None: they must have one.
    ``binding`` is to what it is bound, by its ``cnf``; ``rules`` are what a route asked of it.
    """
    if isinstance(binding, Reason):
        return binding
    subject, scopes = read_subject(claims), _scopes(claims)
    jti, sid = read_identifier(claims, "jti"), read_identifier(claims, "sid")
    issued, expires = read_time(claims, "iat"), read_time(claims, "exp")
    if isinstance(jti, Reason) or isinstance(sid, Reason) or isinstance(issued, Reason):
        return Reason.TOKEN_CLAIMS
    expires = ends if expires is None else expires
    if subject is None or scopes is None or not isinstance(expires, float):
        return Reason.TOKEN_CLAIMS
    # by position: keywords take twice as long, and each new token makes one
    identity = Identity(
        "bearer",
        provider.name,
        provider.issuer,
        subject,
        # what claims are called is the same for everybody, and kept once
        {intern(name): value for name, value in claims_of(provider, subject, claims).items()},
        scopes,
        # a provider's clock that is ahead must save no token from a revocation (R66)
        (issued or 0.0) - provider.clock_skew,
        expires,
        jti,
        sid,
    )
    identity.binding, identity.judged_by = binding, rules
    return identity
