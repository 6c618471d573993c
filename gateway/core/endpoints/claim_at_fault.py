"""Which claim or header parameter a refused ID token failed by: for the operator, decided on by nobody."""

from gateway.core.identity import Claims
from gateway.core.phrases import Phrase
from gateway.core.provider import Provider
from gateway.core.reasons import Reason
from gateway.core.tokens.claims import read_audience, read_identifier, read_subject, read_time
from gateway.core.tokens.id_token import MOST_ID_TOKEN
from gateway.core.tokens.jws import read

_NAMED = {
    Reason.TOKEN_ALGORITHM: "alg",
    Reason.TOKEN_KEY_UNKNOWN: "kid",
    Reason.TOKEN_TYPE: "typ",
    Reason.TOKEN_ISSUER: "iss",
    Reason.TOKEN_EXPIRED: "exp",
    Reason.TOKEN_NONCE: "nonce",
    Reason.TOKEN_HASH: "at_hash",
}


def claim_at_fault(token: str, reason: Reason, provider: Provider, now: float) -> str | None:
    """Return the name of what a token failed by, None where it is no single one; never a value.

    Args:
        token: the ID token as the provider sent it.
        reason: why it was refused.
        provider: whose it is.
        now: epoch seconds.
    """
    if reason in _NAMED:
        return _NAMED[reason]
    parsed = read(token, MOST_ID_TOKEN)
    if isinstance(parsed, Reason):
        return None
    claims = parsed.claims
    if reason is Reason.TOKEN_AUDIENCE:
        return "azp" if provider.client_id in read_audience(claims) else "aud"
    if reason is Reason.TOKEN_NOT_YET_VALID:
        begins = read_time(claims, "nbf")
        return "nbf" if isinstance(begins, float) and begins > now + provider.clock_skew else "iat"
    return _malformed(claims) if reason is Reason.TOKEN_CLAIMS else None


def tell_clock(token: str, reason: Reason, now: float) -> str | None:
    """Return by how many seconds two clocks must differ, where a token was refused for its times.

    A token comes within moments of its making, so one that begins later or has expired already tells of
    clocks and not of itself. ``now`` is epoch seconds.
    """
    if reason not in (Reason.TOKEN_NOT_YET_VALID, Reason.TOKEN_EXPIRED):
        return None
    parsed = read(token, MOST_ID_TOKEN)
    if isinstance(parsed, Reason):
        return None
    if reason is Reason.TOKEN_EXPIRED:
        expires = read_time(parsed.claims, "exp")
        if not isinstance(expires, float):
            return None
        return Phrase.of("clock_expired", seconds=f"{now - expires:.0f}")
    begins = [read_time(parsed.claims, name) for name in ("iat", "nbf")]
    latest = max((each for each in begins if isinstance(each, float)), default=now)
    return Phrase.of("clock_ahead", seconds=f"{latest - now:.0f}")


def _malformed(claims: Claims) -> str | None:
    for name in ("exp", "iat"):
        if not isinstance(read_time(claims, name), float):
            return name
    for name in ("nbf", "auth_time"):
        if isinstance(read_time(claims, name), Reason):
            return name
    if read_subject(claims) is None:
        return "sub"
    return "sid" if isinstance(read_identifier(claims, "sid"), Reason) else None
