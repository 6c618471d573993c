"""What a person reads for each reason, and the one sentence that a developer reads."""

from dataclasses import dataclass
from typing import Final, Literal

from gateway.core.reasons import Reason

Tone = Literal["ask", "wait", "stop", "good"]
Action = Literal["login", "retry", "home", "account", "logout"]


@dataclass(frozen=True, slots=True)
class Words:
    """The text of one reason.

    ``sentence`` is for developers: the ``detail`` of the problem document. The rest is the page:
    ``title``, ``message`` in plain words, ``advice`` on what a person can do (``{{moment}}`` stands for how
    long to wait), and the buttons offered.
    """

    sentence: str
    title: str
    message: str
    advice: tuple[str, ...] = ()
    actions: tuple[Action, ...] = ("home",)
    tone: Tone = "stop"


_CONTACT: Final = "If it goes on, tell whoever runs this site the request ID below."
_WAIT: Final = "Wait{{moment}} and try again. If you were logged in, you still are."
_PROXY: Final = (
    "For whoever runs a proxy in front: it has to send the Host that the browser asked for (in nginx: "
    "proxy_set_header Host $host), or forwarding.host names the field in which it does."
)
_AGAIN: Final = "Log in again. Nothing that you saved is lost."


def _good(sentence: str) -> Words:
    return Words(sentence, "All is well", sentence, tone="good")


def _log_in(sentence: str) -> Words:
    return Words(
        sentence,
        "Please log in",
        "This page is for people who have logged in.",
        actions=("login",),
        tone="ask",
    )


def _bad_request(sentence: str, message: str, *advice: str) -> Words:
    return Words(
        sentence,
        "This request cannot be understood",
        message,
        ("Check the address for typing errors, or begin at the start page.", *advice, _CONTACT),
    )


def _over(sentence: str, message: str, *advice: str) -> Words:
    return Words(sentence, "Your session has ended", message, advice or (_AGAIN,), ("login",), "ask")


def _bad_token(sentence: str) -> Words:
    return Words(
        sentence,
        "The login could not be verified",
        "The proof of who you are did not pass every check, so nobody was logged in. Most often the cause is "
        "a setting of this site or of the login service, not something that you did.",
        ("Log in again: a fresh login often helps.", _CONTACT),
        ("login",),
    )


def _clock(sentence: str) -> Words:
    return Words(
        sentence,
        "The login could not be verified",
        "The proof of who you are is dated in the past or in the future. Most often the clock of this site "
        "or of the login service is wrong.",
        ("Log in again.", "For whoever runs this site: compare the clocks of both servers.", _CONTACT),
        ("login",),
    )


def _forbidden(sentence: str, message: str) -> Words:
    return Words(
        sentence,
        "You may not open this page",
        message,
        (
            (
                "If you have another account that may, log in with that one; log out first if nothing asks "
                "you which one."
            ),
            "Otherwise ask whoever runs this site for access, and tell them the request ID below.",
        ),
        ("account", "logout", "home"),
    )


def _step_up(sentence: str, message: str) -> Words:
    return Words(
        sentence,
        "Please confirm that it is you",
        message,
        (
            "Log in once more.",
            (
                "If you just did, your account cannot do what is asked for here: use another one, or tell "
                "whoever runs this site the request ID below."
            ),
        ),
        ("login", "account", "logout"),
        "ask",
    )


def _failed_login(sentence: str, title: str, message: str, *advice: str) -> Words:
    return Words(sentence, title, message, advice, ("login",))


def _busy(sentence: str, title: str, message: str) -> Words:
    return Words(
        sentence,
        title,
        message,
        (_WAIT, _CONTACT),
        ("retry",),
        "wait",
    )


def _no_issuer(sentence: str) -> Words:
    return Words(
        sentence,
        "The login service is not available",
        "The service that checks who you are does not answer at the moment, or not as it should.",
        (
            _WAIT,
            "If waiting does not help and you are offered to log in, do: it replaces your session.",
            _CONTACT,
        ),
        ("retry", "login"),
        "wait",
    )


def _too_large(sentence: str, message: str) -> Words:
    return Words(sentence, "That was too much at once", message, (_CONTACT,))


LOGGED_OUT_EVERYWHERE: Final = Words(
    "The session has ended, and the login at the provider.",
    "You are logged out",
    "Your session here has ended, in every tab of this browser, and so has the login of the account that "
    "you logged in with.",
    actions=("login",),
    tone="good",
)
"""The page of ``logged_out`` when the provider has confirmed its part."""

PAGE_LOST: Final = Words(
    "The login is complete, but the page that was wanted could not be remembered.",
    "You are logged in",
    "The address of the page that you wanted was too long to be remembered during the login.",
    ("Open that page again: go back in this browser, or follow the link once more.",),
    tone="good",
)
"""The page after a login whose way back was lost."""

WORDS: Final[dict[Reason, Words]] = {
    Reason.PUBLIC: _good("This page is open to everybody."),
    Reason.AUTHENTICATED: _good("You are logged in."),
    Reason.ANONYMOUS: _good("This page is open to people who have not logged in."),
    Reason.PREFLIGHT: _good("The browser may send this request."),
    Reason.SERVER_OPTIONS: _good("These methods are known here."),
    Reason.USERINFO: _good("This is who you are logged in as."),
    Reason.LOGIN_REQUIRED: _log_in("A login is required."),
    Reason.LOGIN_STARTED: _good("A login has begun."),
    Reason.LOGIN_COMPLETED: _good("You are logged in."),
    Reason.LOGIN_RETURNED: _good("The login service has answered by a form; the login goes on."),
    Reason.LOGIN_EVICTED: _good(
        "So many logins were begun in this browser that this one was forgotten; it begins again."
    ),
    Reason.ALREADY_LOGGED_IN: _good("You are logged in already."),
    Reason.LOGGED_OUT: Words(
        "The session has ended.",
        "You are logged out",
        "Your session here has ended, in every tab of this browser. The account that you logged in with may "
        "still be open: on a shared computer, log out of it as well, or close the browser.",
        actions=("login",),
        tone="good",
    ),
    Reason.LOGOUT_CONFIRM: Words(
        "A logout is confirmed by a POST.",
        "Log out?",
        "This ends your session here, in every tab of this browser.",
        tone="ask",
    ),
    Reason.REQUEST_MALFORMED: _bad_request(
        "The request is not well-formed.", "What your browser sent is not a complete request."
    ),
    Reason.PATH_AMBIGUOUS: _bad_request(
        "The path can be read in more than one way, so no rule can judge it.",
        "The address of this page can be read in more than one way, so it was refused for safety.",
    ),
    Reason.HOST_INVALID: _bad_request(
        "The Host field is missing, repeated or not valid.",
        "The name of the site in the request is not valid.",
    ),
    Reason.TLS_EXPECTED: Words(
        "This port speaks https, and the request came without TLS.",
        "This site is reached by https",
        "Your browser asked without encryption at an address that is encrypted.",
        ("Put https:// in front of the address instead of http://.", _CONTACT),
        tone="ask",
    ),
    Reason.FORWARDING_UNREADABLE: _bad_request(
        "The field in which the proxy in front tells of the client cannot be read.",
        "What the proxy in front of this site tells of this request cannot be read.",
        "For whoever runs this site: the section forwarding has to name the fields that the proxy writes.",
    ),
    Reason.CREDENTIALS_CONFLICT: _bad_request(
        "The bearer token and the session name different people.",
        "The request says in two ways who you are, and they disagree.",
    ),
    Reason.CREDENTIALS_MISSING: _log_in("No credentials were presented."),
    Reason.TOKEN_MALFORMED: _bad_token("The token is no well-formed signed JWT."),
    Reason.TOKEN_ALGORITHM: _bad_token("The token is signed with an algorithm that is not allowed."),
    Reason.TOKEN_SIGNATURE: _bad_token("The token's signature does not verify."),
    Reason.TOKEN_KEY_UNKNOWN: _bad_token("The token names a key that its issuer does not publish."),
    Reason.TOKEN_ISSUER: _bad_token("The token's issuer is not one that this gateway trusts."),
    Reason.TOKEN_AUDIENCE: _bad_token("The token was issued for another audience."),
    Reason.TOKEN_TYPE: _bad_token("The token is of another type than the one expected."),
    Reason.TOKEN_CLAIMS: _bad_token("A required claim of the token is missing or of the wrong form."),
    Reason.TOKEN_EXPIRED: _clock("The token has expired."),
    Reason.TOKEN_NOT_YET_VALID: _clock("The token is not valid yet."),
    Reason.TOKEN_NONCE: _bad_token("The ID token's nonce is not the one of this login."),
    Reason.TOKEN_HASH: _bad_token("The ID token's at_hash does not fit the access token."),
    Reason.SESSION_INVALID: _over(
        "The session cookie does not open.",
        "The session that your browser remembers is not valid here any more.",
    ),
    Reason.SESSION_EXPIRED: _over(
        "The session has expired.",
        "You were away for a while, or your session has reached its longest permitted time.",
    ),
    Reason.SESSION_ENDED: _over(
        "The identity provider has ended the session.",
        "The login service has ended your session, for instance because you logged out elsewhere or changed "
        "your password.",
    ),
    Reason.SESSION_REUSED: _over(
        "A refresh token that had been replaced was presented again; the session was ended.",
        "An old copy of your session was used again. That can mean that somebody else has a copy of it, so "
        "the session was ended everywhere to protect you.",
        "Log in again.",
        "If you did not restore an old backup of this browser, change your password and tell whoever runs "
        "this site.",
    ),
    Reason.SESSION_TOO_LARGE: _over(
        "What the identity provider now tells of the session is more than can be kept, so it was ended.",
        "Your account has more details or groups than this site can keep in a session, so it had to end.",
        "Log in again. If that fails too, tell whoever runs this site the request ID below.",
    ),
    Reason.CLAIMS_TOO_OLD: _over(
        "What the identity provider told of the session is too old to count.",
        "It is a while since the login service confirmed your rights here, and it has to do so again.",
    ),
    Reason.REFRESH_LOST: _over(
        "The outcome of a token refresh was lost, so the session cannot be renewed.",
        "Your session could not be renewed because an answer of the login service was lost on its way.",
    ),
    Reason.REVOKED: _over(
        "Access has been revoked.",
        "Your access was withdrawn: you logged out, or an administrator ended your session.",
        "If you may still use this site, log in again.",
        "If you did not expect this, tell whoever runs this site the request ID below.",
    ),
    Reason.SCOPE_MISSING: _forbidden(
        "The token lacks a required scope.", "Your login does not include the right that this page asks for."
    ),
    Reason.GROUP_MISSING: _forbidden(
        "The identity is in none of the required groups.",
        "This page is for members of a group that your account is not in.",
    ),
    Reason.CLAIM_MISMATCH: _forbidden(
        "A claim of the identity is not as required.",
        "Your account does not meet a condition of this page.",
    ),
    Reason.METHOD_FORBIDDEN: _forbidden(
        "The identity may not use this method here.",
        "Your account may not change anything here.",
    ),
    Reason.AUTHENTICATION_TOO_WEAK: _step_up(
        "A stronger authentication is required.",
        "This page asks for a stronger login than the one you have, for instance with a second factor.",
    ),
    Reason.AUTHENTICATION_TOO_OLD: _step_up(
        "A more recent authentication is required.",
        "This page asks for a recent login, and yours was some time ago.",
    ),
    Reason.ORIGIN_FORBIDDEN: Words(
        "A request from this origin is not allowed.",
        "This was asked from another site",
        "The request came from a page of another site, so it was refused for safety.",
        ("If you meant to do this, go to the start page and do it from there.",),
    ),
    Reason.ROUTE_UNKNOWN: Words(
        "No route matches this path and method.",
        "There is no such page",
        "Nothing is published at this address.",
        ("Check the address for typing errors, or begin at the start page.", _PROXY),
        tone="ask",
    ),
    Reason.METHOD_UNSUPPORTED: _bad_request(
        "The method is not supported here.", "This address does not take this kind of request."
    ),
    Reason.METHOD_UNKNOWN: _bad_request(
        "The method is not known here.", "This server does not know this kind of request."
    ),
    Reason.HOST_UNKNOWN: Words(
        "No site of this name is served here.",
        "There is no such site",
        "No site of this name is served here.",
        (
            "Check the address for typing errors.",
            "For whoever runs this site: the name must be one of public_url, or of a route's hosts.",
            _PROXY,
        ),
        (),
    ),
    Reason.LOOP_DETECTED: Words(
        "The request came back to this gateway again and again (CDN-Loop, RFC 8586).",
        "This page leads back to itself",
        "The address was asked for in a circle, and was stopped here.",
        ("For whoever runs this site: an upstream leads back to the gateway itself.", _CONTACT),
    ),
    Reason.LOGIN_STATE_UNKNOWN: _failed_login(
        "The authorization response belongs to no login that this browser has begun.",
        "This login cannot be finished",
        "You came back from the login service, but this browser does not remember having begun that login. "
        "It took longer than it may, it began somewhere else, or the browser did not keep its cookie.",
        "Log in again. Do not use a bookmark, or a page of the browser's history, of the login itself.",
        "Finish a login in the browser, profile or private window in which it began.",
        "If it happens again, allow cookies for this site in your browser.",
        "Use the address of this site that you normally use: http instead of https, or another name, is "
        "another site to your browser.",
    ),
    Reason.LOGIN_STATE_REPLAYED: _failed_login(
        "The authorization response has been used before.",
        "This login has been used already",
        "A login can be finished only once, and this one was. It happens after the back button, or when the "
        "page was opened twice.",
        "Log in again.",
        "If you did not do this yourself, tell whoever runs this site the request ID below.",
    ),
    Reason.LOGIN_RESPONSE_MALFORMED: _failed_login(
        "The authorization response lacks its code or state, or repeats a parameter.",
        "This login cannot be finished",
        "The answer of the login service is incomplete. It happens when the address was shortened or edited "
        "on its way, or was opened by hand.",
        "Log in again.",
        _CONTACT,
    ),
    Reason.LOGIN_ISSUER_MISMATCH: _failed_login(
        "The authorization response names another issuer, or lacks the one that was promised (RFC 9207).",
        "This login came from somewhere else",
        "The answer did not come from the login service that was asked, so it was refused for safety.",
        "Log in again from the start page, not from a link that somebody sent you.",
        _CONTACT,
    ),
    Reason.LOGIN_DENIED: Words(
        "The identity provider answered the login with an error.",
        "The login service refused the login",
        "You were not logged in: the login was cancelled, or the login service refused it. Its own word for "
        "the reason stands below.",
        (
            "If you cancelled by mistake, log in again.",
            "If the login service refuses you, use another account, or ask whoever runs it for access.",
        ),
        ("login", "account"),
    ),
    Reason.LOGIN_REFUSED: _failed_login(
        "The token endpoint refused the authorization code.",
        "The login could not be finished",
        "The login service did not accept the last step of the login. It happens when too much time passed.",
        "Log in again.",
        _CONTACT,
    ),
    Reason.LOGIN_LOOP: _failed_login(
        "The same page was logged in for several times in a row, and the session cookie never came back.",
        "The login keeps starting over",
        "You logged in several times in a row, and each time your browser came back without the session. It "
        "was stopped here instead of being sent round for ever.",
        "Allow cookies for this site, and switch off extensions that remove them.",
        "Check the clock of your device: when it is wrong, cookies expire at once.",
        "Use the address of this site that you normally use: http instead of https, or another name, is "
        "another site to your browser.",
        "For whoever runs this site: public_url must be what the browser shows, the clock must be right, and "
        "no proxy in front may remove Set-Cookie.",
    ),
    Reason.LOGIN_INSECURE: _failed_login(
        "A trusted proxy says that this came over http, and the site's cookies are for https alone.",
        "You can log in over https only",
        "This request seems to have come without encryption, and without it your browser would not keep the "
        "login.",
        "Put https:// in front of the address instead of http://.",
        "For whoever runs this site: the proxy in front has to send X-Forwarded-Proto: https for what came "
        "to it over TLS (in nginx: proxy_set_header X-Forwarded-Proto $scheme), or forwarding.scheme names "
        "the field in which it does.",
    ),
    Reason.LOGIN_COOKIE_TOO_LARGE: Words(
        "The session does not fit into the cookies that a browser keeps.",
        "Your account does not fit into a session",
        "You were recognised, but what the login service tells about you (often a long list of groups) does "
        "not fit into what a browser can keep. The size stands below. Logging in again will not help.",
        (
            "If you have an account with fewer groups, use that one.",
            "Tell whoever runs this site: fewer groups in the ID token solve it, or sessions in the store.",
        ),
        ("account", "home"),
    ),
    Reason.REQUEST_TIMEOUT: _busy(
        "The request did not arrive in time.",
        "That took too long",
        "Your browser began a request but did not finish it in time.",
    ),
    Reason.HEAD_TOO_LARGE: _too_large(
        "The request's head is larger than allowed.",
        "The address or the cookies that your browser sent are too large. Deleting the cookies of this site "
        "often helps.",
    ),
    Reason.BODY_TOO_LARGE: _too_large(
        "The request's body is larger than allowed.", "What you sent is larger than this site accepts."
    ),
    Reason.EXPECTATION_FAILED: _bad_request(
        "The Expect field asks for something unknown.", "Your browser expects something that this site lacks."
    ),
    Reason.RATE_LIMITED: _busy(
        "Too many requests in too short a time.",
        "That was a little too fast",
        "More was asked of this page in a short time than one visitor may ask.",
    ),
    Reason.CLIENT_ABORTED: _bad_request(
        "The client left before its request was complete.",
        "The connection was closed before the request ended.",
    ),
    Reason.OVERLOADED: _busy(
        "Too many requests are under way.",
        "It is very busy right now",
        "More people than this site can serve at once are asking at the moment.",
    ),
    Reason.UPSTREAM_UNREACHABLE: _busy(
        "The application behind this gateway cannot be reached.",
        "The application is not available",
        "The application behind this address does not answer.",
    ),
    Reason.UPSTREAM_UNAVAILABLE: _busy(
        "The application behind this gateway is not available at the moment.",
        "The application is not available",
        "The application behind this address does not answer at the moment.",
    ),
    Reason.UPSTREAM_TIMEOUT: _busy(
        "The application behind this gateway did not answer in time.",
        "The application takes too long",
        "The application behind this address did not answer in time.",
    ),
    Reason.UPSTREAM_MALFORMED: _busy(
        "The application behind this gateway answered something that is no valid response.",
        "The application gave no proper answer",
        "The application behind this address answered something that cannot be passed on.",
    ),
    Reason.UPSTREAM_ABORTED: _busy(
        "The application behind this gateway broke off.",
        "The application broke off",
        "The application behind this address closed the connection before its answer was complete.",
    ),
    Reason.ISSUER_UNAVAILABLE: _no_issuer(
        "The identity provider cannot be reached or does not answer properly."
    ),
    Reason.ISSUER_MISCONFIGURED: Words(
        "The identity provider and this gateway are not set up for one another.",
        "The login is not set up properly",
        "This site and its login service do not fit together. Only whoever runs this site can change that.",
        ("Tell whoever runs this site the request ID below. Their log says what does not fit.",),
        ("retry", "login"),
        "wait",
    ),
    Reason.KEYS_UNAVAILABLE: _no_issuer(
        "The identity provider's keys cannot be fetched, so no token can be verified."
    ),
    Reason.STORE_UNAVAILABLE: _busy(
        "The store of sessions and revocations does not answer.",
        "Please try again in a moment",
        "A part of this site that checks sessions does not answer at the moment.",
    ),
    Reason.DENYLIST_STALE: _busy(
        "The denylist is not known to be current, so nobody is let in for now.",
        "Please try again in a moment",
        "This site cannot check at the moment whether your access was withdrawn, and lets nobody in until it "
        "can.",
    ),
    Reason.INTERNAL_ERROR: Words(
        "Something failed inside the gateway.",
        "Something went wrong",
        "This is a fault of the gateway in front of this site, not yours.",
        (_WAIT, _CONTACT),
        ("retry",),
    ),
}
