"""Texts of logins and logouts."""

from typing import Final

from gateway.core.reasons import Reason
from gateway.edge.rendering.pages.texts.text import CONTACT, Text, failed_login, fine

LOGGED_OUT_EVERYWHERE: Final = Text(
    "The session has ended, and the login at the provider.",
    "You are logged out",
    "Your session here has ended, in every tab of this browser, and so has the login of the account that "
    "you logged in with.",
    actions=("login",),
    tone="good",
)
"""The page of ``logged_out`` when the provider has confirmed its part."""

PAGE_LOST: Final = Text(
    "The login is complete, but the page that was wanted could not be remembered.",
    "You are logged in",
    "The address of the page that you wanted was too long to be remembered during the login.",
    ("Open that page again: go back in this browser, or follow the link once more.",),
    tone="good",
)
"""The page after a login whose way back was lost."""

LOGINS: Final[dict[Reason, Text]] = {
    Reason.LOGIN_STARTED: fine("A login has begun."),
    Reason.PROVIDER_CHOICE: Text(
        "A person chooses the provider to log in at.",
        "Where do you want to log in?",
        "Choose the service that you have an account at.",
        actions=(),
        tone="ask",
    ),
    Reason.LOGIN_COMPLETED: fine("You are logged in."),
    Reason.LOGIN_RETURNED: fine("The login service has answered by a form; the login goes on."),
    Reason.LOGIN_EVICTED: fine(
        "So many logins were begun in this browser that this one was forgotten; it begins again."
    ),
    Reason.ALREADY_LOGGED_IN: fine("You are logged in already."),
    Reason.TICKET_GIVEN: Text(
        "The session goes on to the site that asked for it.",
        "You are logged in",
        "You go on to the site that you came from.",
        actions=(),
        tone="good",
    ),
    Reason.SITE_JOINED: fine("You are logged in at this site as well."),
    Reason.LOGGED_OUT: Text(
        "The session has ended.",
        "You are logged out",
        "Your session here has ended, in every tab of this browser. The account that you logged in with may "
        "still be open: on a shared computer, log out of it as well, or close the browser.",
        actions=("login",),
        tone="good",
    ),
    Reason.LOGOUT_CONFIRM: Text(
        "A logout is confirmed by a POST.",
        "Log out?",
        "This ends your session here, in every tab of this browser.",
        tone="ask",
    ),
    Reason.LOGIN_STATE_UNKNOWN: failed_login(
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
    Reason.LOGIN_STATE_REPLAYED: failed_login(
        "The authorization response has been used before.",
        "This login has been used already",
        "A login can be finished only once, and this one was. It happens after the back button, or when the "
        "page was opened twice.",
        "Log in again.",
        "If you did not do this yourself, tell whoever runs this site the request ID below.",
    ),
    Reason.LOGIN_RESPONSE_MALFORMED: failed_login(
        "The authorization response lacks its code or state, or repeats a parameter.",
        "This login cannot be finished",
        "The answer of the login service is incomplete. It happens when the address was shortened or edited "
        "on its way, or was opened by hand.",
        "Log in again.",
        CONTACT,
    ),
    Reason.LOGIN_ISSUER_MISMATCH: failed_login(
        "The authorization response names another issuer, or lacks the one that was promised (RFC 9207).",
        "This login came from somewhere else",
        "The answer did not come from the login service that was asked, so it was refused for safety.",
        "Log in again from the start page, not from a link that somebody sent you.",
        CONTACT,
    ),
    Reason.LOGIN_DENIED: Text(
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
    Reason.LOGIN_REFUSED: failed_login(
        "The token endpoint refused the authorization code.",
        "The login could not be finished",
        "The login service did not accept the last step of the login. It happens when too much time passed.",
        "Log in again.",
        CONTACT,
    ),
    Reason.LOGIN_LOOP: failed_login(
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
    Reason.LOGIN_INSECURE: failed_login(
        "A trusted proxy says that this came over http, and the site's cookies are for https alone.",
        "You can log in over https only",
        "This request seems to have come without encryption, and without it your browser would not keep the "
        "login.",
        "Put https:// in front of the address instead of http://.",
        "For whoever runs this site: the proxy in front has to send X-Forwarded-Proto: https for what came "
        "to it over TLS (in nginx: proxy_set_header X-Forwarded-Proto $scheme), or forwarding.scheme names "
        "the field in which it does.",
    ),
    Reason.TICKET_REFUSED: failed_login(
        "The ticket for a session at this site is not for this browser, was used before, or is too old.",
        "This login cannot be finished",
        "You came here with a login that began somewhere else, was used already, or took too long on its "
        "way.",
        "Open the page that you want again: you are logged in by yourself, or asked to.",
        "Do not use a link to a login that somebody sent you.",
        "If it happens again, allow cookies for this site in your browser.",
    ),
    Reason.LOGIN_COOKIE_TOO_LARGE: Text(
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
}
