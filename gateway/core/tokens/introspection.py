"""Opaque access tokens: what an introspection endpoint says of one, judged (RFC 7662, RFC 9701)."""

from dataclasses import dataclass, field
from typing import Final

from gateway.core.identity import Binding, Claims, Identity
from gateway.core.provider import Provider
from gateway.core.reasons import Reason
from gateway.core.tokens.access_token import identify, judge_audience
from gateway.core.tokens.binding import TokenRules, read_binding
from gateway.core.tokens.claims import judge_times, read_audience, read_time, short_type
from gateway.core.tokens.jws import UnknownKey, Verified, authenticate
from gateway.core.tokens.keys import KeySet
from gateway.syntax.api_keys import PREFIX
from gateway.syntax.encoding import decode_base64url

MOST_ANSWER: Final = 65_536
"""Bytes of an answer."""
_SIGNED_TYPE: Final = "token-introspection+jwt"
_OLDEST: Final = 60.0
_MOST_HEADER: Final = 4096
# what providers call an access token; refresh tokens and ID tokens can be introspected as well
_KINDS: Final = frozenset(("bearer", "dpop", "access", "access_token", "access-token", "at+jwt", "jwt"))
_PROTOCOL: Final = frozenset(
    ("iss", "sub", "aud", "exp", "iat", "nbf", "jti", "sid", "scope", "scp", "client_id")
)


@dataclass(frozen=True, slots=True)
class Introspection:
    """What an introspection endpoint said of one token at ``asked_at``, and how long that counts.

    ``claims`` are None where the token is not active. Times are epoch seconds.
    """

    claims: Claims | None = field(repr=False)
    asked_at: float
    until: float


def is_opaque(token: str) -> bool:
    """Tell whether a bearer token is one to ask about: no JWT, not even a broken one, and none of our keys.

    A token that is a JWT is judged as one. Whoever spoils its signature gets no second opinion. One that is
    encrypted (RFC 7516) has five parts, and says nothing to us.
    """
    if token.startswith(PREFIX):
        return False
    if token.count(".") != 2:
        return True
    header = decode_base64url(token.partition(".")[0], _MOST_HEADER)
    return header is None or not header.lstrip().startswith(b"{")


def lasts_until(claims: Claims | None, provider: Provider, asked_at: float) -> float:
    """Return until when an answer of ``asked_at`` counts: never beyond ``exp``, and shortly if not active."""
    settings = provider.settings
    if claims is None:
        return asked_at + settings.introspection_refused_for
    longest = asked_at + settings.introspection_max_age
    expires = read_time(claims, "exp")
    if not isinstance(expires, float):
        return longest
    if expires > asked_at:
        return min(longest, expires)
    # one that is active though it has expired is so within the skew of the clocks, or not at all
    within = expires + provider.clock_skew
    return min(longest, within) if within > asked_at else asked_at + settings.introspection_refused_for


def check(
    answer: Introspection, provider: Provider, now: float, rules: TokenRules | None = None
) -> Identity | Reason:
    """Decide whether an opaque token is a valid access token for us (R21-R24, R26).

    Args:
        answer: what the provider said of it.
        provider: that said so; whom the route has named.
        now: epoch seconds.
        rules: what the route asks of it besides.

    Returns:
        Who is calling, ``TOKEN_INACTIVE``, or the reason of another refusal.
    """
    claims = answer.claims
    if claims is None:
        return Reason.TOKEN_INACTIVE
    issuer = claims.get("iss")
    if issuer is not None and issuer != provider.issuer:
        return Reason.TOKEN_ISSUER
    refusal = (
        _judge_kind(claims)
        or judge_audience(claims, provider, rules)
        or judge_times(claims, now, provider.clock_skew, needs_iat=False, needs_exp=False)
    )
    if refusal is not None:
        return refusal
    kept = provider.kept_claims | _PROTOCOL
    told = {name: value for name, value in claims.items() if name in kept}
    binding = read_binding(claims)
    if _is_dpop(claims.get("token_type")) and (not isinstance(binding, Binding) or binding.key is None):
        return Reason.TOKEN_TYPE
    return identify(told, provider, answer.until, binding=binding, rules=rules)


def _judge_kind(claims: Claims) -> Reason | None:
    """Refuse refresh tokens and the like."""
    if claims.get("events") is not None:
        return Reason.TOKEN_TYPE
    for name in ("token_type", "token_use", "typ"):
        kind = claims.get(name)
        if kind is not None and (not isinstance(kind, str) or kind.lower() not in _KINDS):
            return Reason.TOKEN_TYPE
    return None


def _is_dpop(kind: object) -> bool:
    """Tell whether a token is said to need proofs of a key; to which key has to be said as well."""
    return isinstance(kind, str) and kind.lower() == "dpop"


def check_signed(token: bytes, provider: Provider, keys: KeySet, now: float) -> Claims | UnknownKey | Reason:
    """Decide whether a JWT is this provider's answer to us (RFC 9701 section 5).

    Args:
        token: the body of the answer.
        provider: that should have signed it.
        keys: the provider's keys.
        now: epoch seconds.

    Returns:
        The members of ``token_introspection``; ``UnknownKey`` when usable keys that hold the answer's key are
        lacking; or the reason of the refusal. An encrypted answer is ``TOKEN_MALFORMED``.
    """
    verified = authenticate(token.strip(), provider.algorithms, keys, now, MOST_ANSWER)
    if not isinstance(verified, Verified):
        return verified
    claims = verified.claims
    if short_type(verified.header) != _SIGNED_TYPE:
        return Reason.TOKEN_TYPE
    if claims.get("iss") != provider.issuer:
        return Reason.TOKEN_ISSUER
    if provider.client_id not in read_audience(claims):
        return Reason.TOKEN_AUDIENCE
    if (
        refusal := judge_times(claims, now, provider.clock_skew, needs_iat=True, needs_exp=False)
    ) is not None:
        return refusal
    issued, found = read_time(claims, "iat"), claims.get("token_introspection")
    # it names no token, so that one of an earlier question must not answer this one
    if not isinstance(issued, float) or issued < now - provider.clock_skew - _OLDEST:
        return Reason.TOKEN_EXPIRED
    return found if isinstance(found, dict) else Reason.TOKEN_CLAIMS
