"""What probably happened to a login that failed, and who can mend it: told on its page, decided by nobody."""

from enum import StrEnum
from typing import Final, Literal

from gateway.core.reasons import Reason

Mender = Literal["you", "operator", "provider"]


class Cause(StrEnum):
    """The most likely cause, as far as the gateway can tell."""

    # the browser came back without the login that it had begun
    NO_COOKIES = "no_cookies"
    OTHER_LOGIN = "other_login"
    TOO_LATE = "too_late"
    UNREADABLE_COOKIE = "unreadable_cookie"
    PROVIDER_GONE = "provider_gone"
    USED_TWICE = "used_twice"
    SHORTENED = "shortened"
    MIXED_UP = "mixed_up"
    FOREIGN_LINK = "foreign_link"
    # the provider answered with an error (RFC 6749 section 4.1.2.1, OpenID Connect Core section 3.1.2.6)
    CANCELLED = "cancelled"
    MORE_AT_PROVIDER = "more_at_provider"
    PROVIDER_TROUBLE = "provider_trouble"
    CLIENT_SETUP = "client_setup"
    SCOPE_SETUP = "scope_setup"
    # the token endpoint did (RFC 6749 section 5.2), or nobody could ask it
    SETUP = "setup"
    CODE_REFUSED = "code_refused"
    # what came did not pass
    CLOCKS = "clocks"
    CLAIMS_MISSING = "claims_missing"
    WRONG_CLIENT = "wrong_client"
    WRONG_ISSUER = "wrong_issuer"
    SIGNATURE_SETUP = "signature_setup"
    # the session did not hold
    COOKIES_LOST = "cookies_lost"
    TOO_MANY_GROUPS = "too_many_groups"
    NO_TLS = "no_tls"
    ENDED_MEANWHILE = "ended_meanwhile"


MENDERS: Final[dict[Cause, Mender]] = {
    Cause.NO_COOKIES: "you",
    Cause.OTHER_LOGIN: "you",
    Cause.TOO_LATE: "you",
    Cause.UNREADABLE_COOKIE: "operator",
    Cause.PROVIDER_GONE: "you",
    Cause.USED_TWICE: "you",
    Cause.SHORTENED: "you",
    Cause.MIXED_UP: "operator",
    Cause.FOREIGN_LINK: "you",
    Cause.CANCELLED: "you",
    Cause.MORE_AT_PROVIDER: "you",
    Cause.PROVIDER_TROUBLE: "provider",
    Cause.CLIENT_SETUP: "operator",
    Cause.SCOPE_SETUP: "operator",
    Cause.SETUP: "operator",
    Cause.CODE_REFUSED: "you",
    Cause.CLOCKS: "operator",
    Cause.CLAIMS_MISSING: "operator",
    Cause.WRONG_CLIENT: "operator",
    Cause.WRONG_ISSUER: "operator",
    Cause.SIGNATURE_SETUP: "operator",
    Cause.COOKIES_LOST: "you",
    Cause.TOO_MANY_GROUPS: "operator",
    Cause.NO_TLS: "operator",
    Cause.ENDED_MEANWHILE: "you",
}
"""Who can do something about it first."""

_DENIED: Final[dict[str, Cause]] = {
    "access_denied": Cause.CANCELLED,
    "login_required": Cause.MORE_AT_PROVIDER,
    "consent_required": Cause.MORE_AT_PROVIDER,
    "interaction_required": Cause.MORE_AT_PROVIDER,
    "account_selection_required": Cause.MORE_AT_PROVIDER,
    "unmet_authentication_requirements": Cause.MORE_AT_PROVIDER,
    "server_error": Cause.PROVIDER_TROUBLE,
    "temporarily_unavailable": Cause.PROVIDER_TROUBLE,
    "invalid_scope": Cause.SCOPE_SETUP,
    "invalid_target": Cause.SCOPE_SETUP,
    **dict.fromkeys(
        (
            "invalid_client",
            "invalid_request",
            "invalid_request_object",
            "invalid_request_uri",
            "redirect_uri_mismatch",
            "registration_not_supported",
            "request_not_supported",
            "request_uri_not_supported",
            "unauthorized_client",
            "unsupported_response_mode",
            "unsupported_response_type",
        ),
        Cause.CLIENT_SETUP,
    ),
}
_REFUSED: Final[dict[str, Cause]] = {
    "invalid_grant": Cause.CODE_REFUSED,
    "invalid_scope": Cause.SCOPE_SETUP,
    "invalid_target": Cause.SCOPE_SETUP,
    "invalid_request": Cause.CLIENT_SETUP,
    "interaction_required": Cause.MORE_AT_PROVIDER,
    "login_required": Cause.MORE_AT_PROVIDER,
    "consent_required": Cause.MORE_AT_PROVIDER,
}
_BY_REASON: Final[dict[Reason, Cause]] = {
    Reason.ISSUER_MISCONFIGURED: Cause.SETUP,
    Reason.LOGIN_STATE_REPLAYED: Cause.USED_TWICE,
    Reason.LOGIN_RESPONSE_MALFORMED: Cause.SHORTENED,
    Reason.LOGIN_ISSUER_MISMATCH: Cause.MIXED_UP,
    Reason.LOGIN_LOOP: Cause.COOKIES_LOST,
    Reason.LOGIN_INSECURE: Cause.NO_TLS,
    Reason.LOGIN_COOKIE_TOO_LARGE: Cause.TOO_MANY_GROUPS,
    Reason.TICKET_REFUSED: Cause.FOREIGN_LINK,
    Reason.REVOKED: Cause.ENDED_MEANWHILE,
    Reason.TOKEN_EXPIRED: Cause.CLOCKS,
    Reason.TOKEN_NOT_YET_VALID: Cause.CLOCKS,
    Reason.TOKEN_CLAIMS: Cause.CLAIMS_MISSING,
    Reason.TOKEN_MALFORMED: Cause.CLAIMS_MISSING,
    Reason.TOKEN_AUDIENCE: Cause.WRONG_CLIENT,
    Reason.TOKEN_ISSUER: Cause.WRONG_ISSUER,
    Reason.TOKEN_ALGORITHM: Cause.SIGNATURE_SETUP,
    Reason.TOKEN_SIGNATURE: Cause.SIGNATURE_SETUP,
    Reason.TOKEN_KEY_UNKNOWN: Cause.SIGNATURE_SETUP,
    Reason.TOKEN_TYPE: Cause.SIGNATURE_SETUP,
    Reason.TOKEN_NONCE: Cause.MIXED_UP,
    Reason.TOKEN_HASH: Cause.MIXED_UP,
}


def cause_of(reason: Reason, code: str | None = None) -> Cause | None:
    """Return what probably happened to a login that was refused so, None where nothing can be said.

    ``code`` is the provider's error code, where it has answered with one.
    """
    if reason is Reason.LOGIN_DENIED:
        return _DENIED.get(code or "", Cause.PROVIDER_TROUBLE)
    if reason is Reason.LOGIN_REFUSED:
        return _REFUSED.get(code or "", Cause.PROVIDER_TROUBLE)
    return _BY_REASON.get(reason)
