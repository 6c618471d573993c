"""UserInfo answers that are signed (OpenID Connect Core 1.0 section 5.3.2)."""

from gateway.core.identity import Claims
from gateway.core.provider import Provider
from gateway.core.reasons import Reason
from gateway.core.tokens.claims import judge_times, named_kind, read_audience, read_subject, short_type
from gateway.core.tokens.jws import UnknownKey, Verified, authenticate
from gateway.core.tokens.keys import KeySet

_TYPES = frozenset((None, "jwt", "userinfo+jwt"))


def check(
    token: bytes, provider: Provider, keys: KeySet, now: float, most: int
) -> Claims | UnknownKey | Reason:
    """Decide whether a JWT is this provider's answer about somebody (R18-R21, R29, R30).

    The caller compares ``sub`` with the ID token's.

    Args:
        token: the body of the answer.
        provider: who should have signed it.
        keys: the provider's keys.
        now: epoch seconds.
        most: the most characters that it may have.

    Returns:
        The claims; ``UnknownKey`` when usable keys that hold the token's key are lacking; or the reason of
        the refusal. An encrypted answer is ``TOKEN_MALFORMED``.
    """
    verified = authenticate(token.strip(), provider.algorithms, keys, now, most)
    if not isinstance(verified, Verified):
        return verified
    claims = verified.claims
    # the specification recommends iss and aud; where they are, they name us
    issuer, audience = claims.get("iss"), claims.get("aud")
    refusal = (
        (Reason.TOKEN_TYPE if short_type(verified.header) not in _TYPES or named_kind(claims) else None)
        or (Reason.TOKEN_ISSUER if issuer is not None and issuer != provider.issuer else None)
        or (
            Reason.TOKEN_AUDIENCE
            if audience is not None and provider.client_id not in read_audience(claims)
            else None
        )
        or judge_times(claims, now, provider.clock_skew, needs_iat=False, needs_exp=False)
        or (Reason.TOKEN_CLAIMS if read_subject(claims) is None else None)
    )
    return refusal or claims
