"""What the word ``cause`` of audit event ``login`` means to an operator: the likeliest of several causes."""

from collections.abc import Mapping
from typing import Final

from gateway.core.decision.causes import Cause

LIKELIEST: Final[Mapping[Cause, str]] = {
    Cause.NO_COOKIES: "no cookie of this site came: they are blocked, or it is another browser or address",
    Cause.OTHER_LOGIN: "cookies of this site came, and not of this login: a bookmark, or an old page",
    Cause.TOO_LATE: "the person took longer than session.login_lifetime",
    Cause.UNREADABLE_COOKIE: "no key of secret_keys opens the cookie: gateways differ, or the key is gone",
    Cause.PROVIDER_GONE: "a reload took the provider away meanwhile",
    Cause.USED_TWICE: "the same answer came twice: the back button, or a copied address",
    Cause.SHORTENED: "something on the way cut or rewrote the address",
    Cause.MIXED_UP: "what came is another login's, or another provider's",
    Cause.FOREIGN_LINK: "the link is another browser's, or too old",
    Cause.CANCELLED: "the person cancelled, or may not use this application at the provider",
    Cause.MORE_AT_PROVIDER: "the provider wants something more of the person: consent, a choice, a factor",
    Cause.PROVIDER_TROUBLE: "the provider has trouble of its own",
    Cause.CLIENT_SETUP: "what is registered at the provider differs from what is sent",
    Cause.SCOPE_SETUP: "providers.*.scopes or resources names something that the client may not have",
    Cause.SETUP: "client_id, client_secret, client_auth or a certificate is wrong",
    Cause.CODE_REFUSED: "the code was too old or used; each time: the redirect URI differs",
    Cause.CLOCKS: "the clocks of gateway and provider differ",
    Cause.CLAIMS_MISSING: "the ID token lacks a claim, or there is none",
    Cause.WRONG_CLIENT: "the ID token is another client's: compare client_id",
    Cause.WRONG_ISSUER: "compare issuer with the token's, to the last character",
    Cause.SIGNATURE_SETUP: "the algorithm or the keys do not fit: algorithms, jwks_uri",
    Cause.COOKIES_LOST: "the browser loses the session's cookie: gateway doctor --url looks why",
    Cause.TOO_MANY_GROUPS: "too many groups or claims for cookies: session.mode: redis",
    Cause.NO_TLS: "the proxy in front says http: X-Forwarded-Proto",
    Cause.ENDED_MEANWHILE: "the session, or the person's, was ended meanwhile",
}
"""By cause."""


def explained(word: str) -> str:
    """Return what a cause means, empty for a word that is none."""
    try:
        return LIKELIEST.get(Cause(word), "")
    except ValueError:
        return ""
