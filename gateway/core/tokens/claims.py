"""Checks of registered claims that every kind of JWT shares (RFC 7519 section 4.1)."""

from typing import Final

from gateway.core.identity import Claims
from gateway.core.reasons import Reason

MOST_SUBJECT: Final = 255
MOST_IDENTIFIER: Final = 1024
_KINDS: Final = {kind: kind for kind in ("bearer", "id", "refresh", "offline", "logout")} | {
    "access": "bearer"
}
_NEVER_NULL: Final = frozenset({"exp", "iat"})
_LAST_SECOND: Final = 253402300799  # the end of the year 9999: beyond it, timers and calendars overflow


def read_time(claims: Claims, name: str) -> float | Reason | None:
    """Return a NumericDate in epoch seconds, None when absent, ``TOKEN_CLAIMS`` when it is no such thing.

    null means absent, but for ``exp`` and ``iat``: what bounds a token's life is told or it is not.
    """
    value = claims.get(name)
    if value is None:
        return Reason.TOKEN_CLAIMS if name in claims and name in _NEVER_NULL else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return Reason.TOKEN_CLAIMS
    # neither holds of what is no number
    return float(value) if 0 <= value <= _LAST_SECOND else Reason.TOKEN_CLAIMS


def read_identifier(claims: Claims, name: str, limit: int = MOST_IDENTIFIER) -> str | Reason | None:
    """Return a non-empty string of printable characters, None when absent or null, else ``TOKEN_CLAIMS``."""
    value = claims.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= limit or not value.isprintable():
        return Reason.TOKEN_CLAIMS
    return value


def read_audience(claims: Claims) -> frozenset[str]:
    """Return whom the token is for (RFC 7519 section 4.1.3); empty, so nobody, when absent or malformed."""
    value = claims.get("aud")
    if isinstance(value, str):
        return frozenset((value,))
    if isinstance(value, list):
        names = [name for name in value if isinstance(name, str)]
        return frozenset(names) if len(names) == len(value) else frozenset()
    return frozenset()


def judge_times(
    claims: Claims, now: float, skew: float, *, needs_iat: bool, needs_exp: bool = True
) -> Reason | None:
    """Judge ``exp``, ``nbf`` and ``iat`` (R21).

    Args:
        claims: of a verified token.
        now: epoch seconds.
        skew: how far the provider's clock may be off, in seconds.
        needs_iat: whether ``iat`` must be there.
        needs_exp: whether ``exp`` must be there.

    Returns:
        None when the token is valid now, else ``TOKEN_CLAIMS``, ``TOKEN_EXPIRED`` or
        ``TOKEN_NOT_YET_VALID``.
    """
    expires, begins, issued = read_time(claims, "exp"), read_time(claims, "nbf"), read_time(claims, "iat")
    if isinstance(expires, Reason) or isinstance(begins, Reason) or isinstance(issued, Reason):
        return Reason.TOKEN_CLAIMS
    if (needs_exp and expires is None) or (needs_iat and issued is None):
        return Reason.TOKEN_CLAIMS
    if expires is not None and now >= expires + skew:
        return Reason.TOKEN_EXPIRED
    if max(begins or 0.0, issued or 0.0) > now + skew:
        return Reason.TOKEN_NOT_YET_VALID
    return None


def read_subject(claims: Claims) -> str | None:
    """Return ``sub`` (1 to 255 printable characters, OIDC Core section 2), None when absent or malformed."""
    subject = read_identifier(claims, "sub", MOST_SUBJECT)
    return None if isinstance(subject, Reason) else subject


def short_type(header: Claims) -> str | Reason | None:
    """Return the header's ``typ`` in lower case without ``application/`` (RFC 7515 section 4.1.9).

    Returns:
        The type, None when absent, ``TOKEN_TYPE`` when it is no string; null is none.
    """
    if "typ" not in header:
        return None
    value = header["typ"]
    if not isinstance(value, str):
        return Reason.TOKEN_TYPE
    return value.lower().removeprefix("application/")


def named_kind(claims: Claims) -> str | None:
    """Return the kind of token that a provider names in a claim of its own, None where it names none known.

    Keycloak writes ``typ`` (``Bearer``, ``ID``, ``Refresh``, ``Offline``, ``Logout``), Cognito ``token_use``
    (``access``, ``id``). An access token is ``bearer`` here, whoever names it.
    """
    for name in ("typ", "token_use"):
        value = claims.get(name)
        if isinstance(value, str) and (kind := _KINDS.get(value.lower())) is not None:
            return kind
    return None
