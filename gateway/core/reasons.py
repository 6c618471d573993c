"""The closed vocabulary of outcomes.

The same word is the log field, the metric label, the ``error_description`` key of the RFC 6750 challenge
and the page that a person reads.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why a request was let through, redirected or refused."""

    # let through
    PUBLIC = "public"
    AUTHENTICATED = "authenticated"
    ANONYMOUS = "anonymous"
    PREFLIGHT = "preflight"
    SERVER_OPTIONS = "server_options"
    # the gateway's own endpoints, and redirects to login
    LOGIN_REQUIRED = "login_required"
    PROVIDER_CHOICE = "provider_choice"
    LOGIN_STARTED = "login_started"
    LOGIN_COMPLETED = "login_completed"
    LOGIN_RETURNED = "login_returned"
    LOGIN_EVICTED = "login_evicted"
    ALREADY_LOGGED_IN = "already_logged_in"
    TICKET_GIVEN = "ticket_given"
    SITE_JOINED = "site_joined"
    LOGGED_OUT = "logged_out"
    LOGOUT_CONFIRM = "logout_confirm"
    USERINFO = "userinfo"
    SESSIONS_SHOWN = "sessions_shown"
    SESSIONS_ENDED = "sessions_ended"
    KEYS_PUBLISHED = "keys_published"
    METADATA_PUBLISHED = "metadata_published"
    LOGO_SHOWN = "logo_shown"
    # 400: the request cannot be judged
    REQUEST_MALFORMED = "request_malformed"
    PATH_AMBIGUOUS = "path_ambiguous"
    HOST_INVALID = "host_invalid"
    TLS_EXPECTED = "tls_expected"
    FORWARDING_UNREADABLE = "forwarding_unreadable"
    IDENTITY_FORGED = "identity_forged"
    CREDENTIALS_CONFLICT = "credentials_conflict"
    # 401: who is this?
    CREDENTIALS_MISSING = "credentials_missing"
    TOKEN_MALFORMED = "token_malformed"
    TOKEN_ALGORITHM = "token_algorithm"
    TOKEN_SIGNATURE = "token_signature"
    TOKEN_KEY_UNKNOWN = "token_key_unknown"
    TOKEN_ISSUER = "token_issuer"
    TOKEN_AUDIENCE = "token_audience"
    TOKEN_TYPE = "token_type"
    TOKEN_CLAIMS = "token_claims"
    TOKEN_EXPIRED = "token_expired"
    TOKEN_NOT_YET_VALID = "token_not_yet_valid"
    TOKEN_NONCE = "token_nonce"
    TOKEN_HASH = "token_hash"
    TOKEN_INACTIVE = "token_inactive"
    TOKEN_UNBOUND = "token_unbound"
    PROOF_MISSING = "proof_missing"
    PROOF_INVALID = "proof_invalid"
    PROOF_EXPIRED = "proof_expired"
    PROOF_NONCE = "proof_nonce"
    PROOF_REPLAYED = "proof_replayed"
    KEY_UNKNOWN = "key_unknown"
    KEY_EXPIRED = "key_expired"
    SESSION_INVALID = "session_invalid"
    SESSION_EXPIRED = "session_expired"
    SESSION_ENDED = "session_ended"
    SESSION_REUSED = "session_reused"
    SESSION_TOO_LARGE = "session_too_large"
    CLAIMS_TOO_OLD = "claims_too_old"
    ACCESS_TOKEN_MISSING = "access_token_missing"
    REFRESH_LOST = "refresh_lost"
    REVOKED = "revoked"
    # 403: known, and not allowed
    SCOPE_MISSING = "scope_missing"
    GROUP_MISSING = "group_missing"
    ROLE_MISSING = "role_missing"
    CLAIM_MISMATCH = "claim_mismatch"
    NETWORK_FORBIDDEN = "network_forbidden"
    POLICY_UNMET = "policy_unmet"
    EXCHANGE_REFUSED = "exchange_refused"
    METHOD_FORBIDDEN = "method_forbidden"
    AUTHENTICATION_TOO_WEAK = "authentication_too_weak"
    AUTHENTICATION_TOO_OLD = "authentication_too_old"
    ORIGIN_FORBIDDEN = "origin_forbidden"
    # 403: a proxy asks, or somebody who poses as one
    ASKER_UNTRUSTED = "asker_untrusted"
    ORIGINAL_UNREADABLE = "original_unreadable"
    # 404, 405, 421
    ROUTE_UNKNOWN = "route_unknown"
    NO_SUCH_SESSION = "no_such_session"
    METHOD_UNSUPPORTED = "method_unsupported"
    METHOD_UNKNOWN = "method_unknown"
    HOST_UNKNOWN = "host_unknown"
    # 508
    LOOP_DETECTED = "loop_detected"
    # login failures (400)
    LOGIN_STATE_UNKNOWN = "login_state_unknown"
    LOGIN_STATE_REPLAYED = "login_state_replayed"
    LOGIN_RESPONSE_MALFORMED = "login_response_malformed"
    LOGIN_ISSUER_MISMATCH = "login_issuer_mismatch"
    LOGIN_DENIED = "login_denied"
    LOGIN_REFUSED = "login_refused"
    LOGIN_LOOP = "login_loop"
    LOGIN_INSECURE = "login_insecure"
    LOGIN_COOKIE_TOO_LARGE = "login_cookie_too_large"
    TICKET_REFUSED = "ticket_refused"
    # data plane limits
    REQUEST_TIMEOUT = "request_timeout"
    HEAD_TOO_LARGE = "head_too_large"
    BODY_TOO_LARGE = "body_too_large"
    EXPECTATION_FAILED = "expectation_failed"
    CLIENT_ABORTED = "client_aborted"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    DECIDED_ANEW = "decided_anew"
    # faults of others
    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    UPSTREAM_UNAVAILABLE = "upstream_unavailable"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_MALFORMED = "upstream_malformed"
    UPSTREAM_ABORTED = "upstream_aborted"
    ISSUER_UNAVAILABLE = "issuer_unavailable"
    ISSUER_MISCONFIGURED = "issuer_misconfigured"
    KEYS_UNAVAILABLE = "keys_unavailable"
    STORE_UNAVAILABLE = "store_unavailable"
    DENYLIST_STALE = "denylist_stale"
    # ours
    INTERNAL_ERROR = "internal_error"


_STATUS: dict[Reason, int] = {
    **dict.fromkeys(
        (
            Reason.PUBLIC,
            Reason.AUTHENTICATED,
            Reason.ANONYMOUS,
            Reason.USERINFO,
            Reason.SESSIONS_SHOWN,
            Reason.KEYS_PUBLISHED,
            Reason.METADATA_PUBLISHED,
            Reason.LOGO_SHOWN,
        ),
        200,
    ),
    Reason.PREFLIGHT: 204,
    Reason.SERVER_OPTIONS: 204,
    Reason.LOGOUT_CONFIRM: 200,
    Reason.PROVIDER_CHOICE: 200,
    **dict.fromkeys(
        (
            Reason.LOGIN_REQUIRED,
            Reason.LOGIN_STARTED,
            Reason.LOGIN_COMPLETED,
            Reason.LOGIN_RETURNED,
            Reason.LOGIN_EVICTED,
            Reason.ALREADY_LOGGED_IN,
            Reason.TICKET_GIVEN,
            Reason.SITE_JOINED,
            Reason.LOGGED_OUT,
            Reason.SESSIONS_ENDED,
        ),
        303,
    ),
    **dict.fromkeys(
        (
            Reason.SCOPE_MISSING,
            Reason.GROUP_MISSING,
            Reason.ROLE_MISSING,
            Reason.CLAIM_MISMATCH,
            Reason.NETWORK_FORBIDDEN,
            Reason.POLICY_UNMET,
            Reason.EXCHANGE_REFUSED,
            Reason.METHOD_FORBIDDEN,
            Reason.ORIGIN_FORBIDDEN,
            Reason.ASKER_UNTRUSTED,
            Reason.ORIGINAL_UNREADABLE,
        ),
        403,
    ),
    # RFC 9470 section 3: a step-up challenge is a 401, since new authentication can satisfy it
    Reason.AUTHENTICATION_TOO_WEAK: 401,
    Reason.AUTHENTICATION_TOO_OLD: 401,
    Reason.ROUTE_UNKNOWN: 404,
    Reason.NO_SUCH_SESSION: 404,
    Reason.METHOD_UNSUPPORTED: 405,
    Reason.REQUEST_TIMEOUT: 408,
    Reason.BODY_TOO_LARGE: 413,
    Reason.EXPECTATION_FAILED: 417,
    Reason.HOST_UNKNOWN: 421,
    Reason.RATE_LIMITED: 429,
    Reason.HEAD_TOO_LARGE: 431,
    Reason.CLIENT_ABORTED: 499,
    Reason.INTERNAL_ERROR: 500,
    Reason.METHOD_UNKNOWN: 501,
    Reason.UPSTREAM_UNREACHABLE: 502,
    Reason.UPSTREAM_MALFORMED: 502,
    Reason.UPSTREAM_ABORTED: 502,
    Reason.UPSTREAM_TIMEOUT: 504,
    Reason.LOOP_DETECTED: 508,
    **dict.fromkeys(
        (
            Reason.OVERLOADED,
            Reason.DECIDED_ANEW,
            Reason.UPSTREAM_UNAVAILABLE,
            Reason.ISSUER_UNAVAILABLE,
            Reason.ISSUER_MISCONFIGURED,
            Reason.KEYS_UNAVAILABLE,
            Reason.STORE_UNAVAILABLE,
            Reason.DENYLIST_STALE,
        ),
        503,
    ),
    **{
        reason: 401
        for reason in Reason
        if reason.value.startswith(
            (
                "token_",
                "key_",
                "proof_",
                "session_",
                "refresh_lost",
                "claims_too_old",
                "access_token_missing",
                "revoked",
                "credentials_missing",
            )
        )
    },
}


def status_of(reason: Reason) -> int:
    """Return the HTTP status that a refusal for this reason carries; 400 unless listed."""
    return _STATUS.get(reason, 400)
