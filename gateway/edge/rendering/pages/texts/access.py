"""Texts of who may and who may not: credentials, tokens, sessions, policies."""

from typing import Final

from gateway.core.reasons import Reason
from gateway.edge.rendering.pages.texts.text import (
    Text,
    bad_key,
    bad_request,
    bad_time,
    bad_token,
    fine,
    forbidden,
    log_in,
    over,
    step_up,
)

ACCESS: Final[dict[Reason, Text]] = {
    Reason.PUBLIC: fine("This page is open to everybody."),
    Reason.AUTHENTICATED: fine("You are logged in."),
    Reason.ANONYMOUS: fine("This page is open to people who have not logged in."),
    Reason.PREFLIGHT: fine("The browser may send this request."),
    Reason.SERVER_OPTIONS: fine("These methods are known here."),
    Reason.KEYS_PUBLISHED: fine("These are the keys of what is signed here."),
    Reason.METADATA_PUBLISHED: fine("This is what clients need to know of this resource."),
    Reason.LOGO_SHOWN: fine("This is the logo of this site."),
    Reason.USERINFO: fine("This is who you are logged in as."),
    Reason.KEYS_PUBLISHED: fine("These are the keys that the gateway is known by."),
    Reason.SESSIONS_SHOWN: Text(
        "These are the sessions that you have.",
        "Where you are logged in",
        "These are the devices on which you are logged in with this account.",
        actions=(),
        tone="ask",
    ),
    Reason.SESSIONS_ENDED: fine("The sessions have ended."),
    Reason.NO_SUCH_SESSION: Text(
        "You have no session of this id.",
        "This session is not there",
        "It has ended by now, or it never was one of yours.",
        actions=("retry", "home"),
    ),
    Reason.LOGIN_REQUIRED: log_in("A login is required."),
    Reason.CREDENTIALS_CONFLICT: bad_request(
        "The bearer token and the session name different people.",
        "The request says in two ways who you are, and they disagree.",
    ),
    Reason.CREDENTIALS_MISSING: log_in("No credentials were presented."),
    Reason.TOKEN_MALFORMED: bad_token("The token is no well-formed signed JWT."),
    Reason.TOKEN_ALGORITHM: bad_token("The token is signed with an algorithm that is not allowed."),
    Reason.TOKEN_SIGNATURE: bad_token("The token's signature does not verify."),
    Reason.TOKEN_KEY_UNKNOWN: bad_token("The token names a key that its issuer does not publish."),
    Reason.TOKEN_ISSUER: bad_token("The token's issuer is not one that this gateway trusts."),
    Reason.TOKEN_AUDIENCE: bad_token("The token was issued for another audience."),
    Reason.TOKEN_TYPE: bad_token("The token is of another type than the one expected."),
    Reason.TOKEN_CLAIMS: bad_token("A required claim of the token is missing or of the wrong form."),
    Reason.TOKEN_EXPIRED: bad_time("The token has expired."),
    Reason.TOKEN_NOT_YET_VALID: bad_time("The token is not valid yet."),
    Reason.TOKEN_NONCE: bad_token("The ID token's nonce is not the one of this login."),
    Reason.TOKEN_HASH: bad_token("The ID token's at_hash does not fit the access token."),
    Reason.TOKEN_INACTIVE: bad_token("The token's issuer says that it is not active."),
    Reason.TOKEN_UNBOUND: bad_token("The token is not bound to its holder, as it has to be here."),
    Reason.PROOF_MISSING: bad_token("The token is bound to its holder, and came without the proof."),
    Reason.PROOF_INVALID: bad_token("The proof is none for this token and this request."),
    Reason.PROOF_EXPIRED: bad_token("The proof is too old, or from the future."),
    Reason.PROOF_NONCE: bad_token("The proof has to hold the nonce that comes with this answer."),
    Reason.PROOF_REPLAYED: bad_token("The proof has been used before."),
    Reason.KEY_UNKNOWN: bad_key("No API key like this one is taken here."),
    Reason.KEY_EXPIRED: bad_key("The API key has expired."),
    Reason.SESSION_INVALID: over(
        "The session cookie does not open.",
        "The session that your browser remembers is not valid here any more.",
    ),
    Reason.SESSION_EXPIRED: over(
        "The session has expired.",
        "You were away for a while, or your session has reached its longest permitted time.",
    ),
    Reason.SESSION_ENDED: over(
        "The identity provider has ended the session.",
        "The login service has ended your session, for instance because you logged out elsewhere or changed "
        "your password.",
    ),
    Reason.SESSION_REUSED: over(
        "A refresh token that had been replaced was presented again; the session was ended.",
        "An old copy of your session was used again. That can mean that somebody else has a copy of it, so "
        "the session was ended everywhere to protect you.",
        "Log in again.",
        "If you did not restore an old backup of this browser, change your password and tell whoever runs "
        "this site.",
    ),
    Reason.SESSION_TOO_LARGE: over(
        "What the identity provider now tells of the session is more than can be kept, so it was ended.",
        "Your account has more details or groups than this site can keep in a session, so it had to end.",
        "Log in again. If that fails too, tell whoever runs this site the request ID below.",
    ),
    Reason.CLAIMS_TOO_OLD: over(
        "What the identity provider told of the session is too old to count.",
        "It is a while since the login service confirmed your rights here, and it has to do so again.",
    ),
    Reason.ACCESS_TOKEN_MISSING: over(
        "The application is to get an access token, and there is none that still holds.",
        "This page works with what the login service gave at your login, and that has expired.",
    ),
    Reason.REFRESH_LOST: over(
        "The outcome of a token refresh was lost, so the session cannot be renewed.",
        "Your session could not be renewed because an answer of the login service was lost on its way.",
    ),
    Reason.REVOKED: over(
        "Access has been revoked.",
        "Your access was withdrawn: you logged out, or an administrator ended your session.",
        "If you may still use this site, log in again.",
        "If you did not expect this, tell whoever runs this site the request ID below.",
    ),
    Reason.SCOPE_MISSING: forbidden(
        "The token lacks a required scope.", "Your login does not include the right that this page asks for."
    ),
    Reason.GROUP_MISSING: forbidden(
        "The identity is in none of the required groups.",
        "This page is for members of a group that your account is not in.",
    ),
    Reason.ROLE_MISSING: forbidden(
        "The identity has none of the required roles.",
        "This page is for people with a role that your account does not have.",
    ),
    Reason.NETWORK_FORBIDDEN: forbidden(
        "Requests from this network are not let in here.",
        "This page can be opened from certain networks alone, and you are not in one of them.",
    ),
    Reason.POLICY_UNMET: forbidden(
        "The identity or the request does not satisfy the policy.",
        "Your account does not meet the conditions of this page.",
    ),
    Reason.CLAIM_MISMATCH: forbidden(
        "A claim of the identity is not as required.",
        "Your account does not meet a condition of this page.",
    ),
    Reason.EXCHANGE_REFUSED: forbidden(
        "The identity provider does not exchange this access token for one for the application.",
        "The login service does not let your account use the application behind this page.",
    ),
    Reason.METHOD_FORBIDDEN: forbidden(
        "The identity may not use this method here.",
        "Your account may not change anything here.",
    ),
    Reason.AUTHENTICATION_TOO_WEAK: step_up(
        "A stronger authentication is required.",
        "This page asks for a stronger login than the one you have, for instance with a second factor.",
    ),
    Reason.AUTHENTICATION_TOO_OLD: step_up(
        "A more recent authentication is required.",
        "This page asks for a recent login, and yours was some time ago.",
    ),
    Reason.ASKER_UNTRUSTED: forbidden(
        "Decisions are told to trusted proxies alone.",
        "This address is for the proxy in front of this site, and you are not known as one.",
    ),
    Reason.ORIGINAL_UNREADABLE: forbidden(
        "What the proxy tells of the original request is missing or cannot be read.",
        "What the proxy in front of this site tells of this request is missing or cannot be read.",
    ),
    Reason.IDENTITY_FORGED: bad_request(
        "A field tells an identity that nobody here vouches for.",
        "The request says in a way of its own who you are, so it was refused for safety.",
    ),
    Reason.ORIGIN_FORBIDDEN: Text(
        "A request from this origin is not allowed.",
        "This was asked from another site",
        "The request came from a page of another site, so it was refused for safety.",
        ("If you meant to do this, go to the start page and do it from there.",),
    ),
}
