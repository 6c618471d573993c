"""What a text consists of, and texts that have much in common."""

from dataclasses import dataclass
from typing import Final, Literal

Tone = Literal["ask", "wait", "stop", "good"]
Action = Literal["login", "retry", "home", "account", "logout"]


@dataclass(frozen=True, slots=True)
class Text:
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


CONTACT: Final = "If it goes on, tell whoever runs this site the request ID below."
WAIT: Final = "Wait {{moment}} and try again. If you were logged in, you still are."
PROXY: Final = (
    "For whoever runs a proxy in front: it has to send the Host that the browser asked for (in nginx: "
    "proxy_set_header Host $host), or forwarding.host names the field in which it does."
)
AGAIN: Final = "Log in again. Nothing that you saved is lost."


def fine(sentence: str) -> Text:
    """Return the text of what is no refusal."""
    return Text(sentence, "All is well", sentence, tone="good")


def log_in(sentence: str) -> Text:
    """Return the text that asks for a login."""
    return Text(
        sentence,
        "Please log in",
        "This page is for people who have logged in.",
        actions=("login",),
        tone="ask",
    )


def bad_request(sentence: str, message: str, *advice: str) -> Text:
    """Return the text of a request that cannot be understood; that may have been one for a login."""
    return Text(
        sentence,
        "This request cannot be understood",
        message,
        ("Check the address for typing errors, or begin at the start page.", *advice, CONTACT),
        ("login", "home"),
    )


def over(sentence: str, message: str, *advice: str) -> Text:
    """Return the text of a session that is over."""
    return Text(sentence, "Your session has ended", message, advice or (AGAIN,), ("login",), "ask")


def bad_token(sentence: str) -> Text:
    """Return the text of a token that does not hold."""
    return Text(
        sentence,
        "The login could not be verified",
        "The proof of who you are did not pass every check, so nobody was logged in. Most often the cause is "
        "a setting of this site or of the login service, not something that you did.",
        ("Log in again: a fresh login often helps.", CONTACT),
        ("login",),
    )


def bad_key(sentence: str) -> Text:
    """Return the text of an API key that does not hold."""
    return Text(
        sentence,
        "The key of this program does not hold",
        "The program that asks identified itself with a key that is not, or no longer, valid for this page.",
        ("If you run the program, ask whoever runs this site for a new key.", CONTACT),
        ("login",),
    )


def bad_time(sentence: str) -> Text:
    """Return the text of a token whose times do not hold."""
    return Text(
        sentence,
        "The login could not be verified",
        "The proof of who you are is dated in the past or in the future. Most often the clock of this site "
        "or of the login service is wrong.",
        ("Log in again.", "For whoever runs this site: compare the clocks of both servers.", CONTACT),
        ("login",),
    )


def forbidden(sentence: str, message: str) -> Text:
    """Return the text for somebody who may not."""
    return Text(
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


def step_up(sentence: str, message: str) -> Text:
    """Return the text that asks for another authentication."""
    return Text(
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


def failed_login(sentence: str, title: str, message: str, *advice: str) -> Text:
    """Return the text of a login that came to nothing."""
    return Text(sentence, title, message, advice, ("login",))


def busy(sentence: str, title: str, message: str) -> Text:
    """Return the text of what may work in a moment."""
    return Text(
        sentence,
        title,
        message,
        (WAIT, CONTACT),
        ("retry",),
        "wait",
    )


def no_provider(sentence: str) -> Text:
    """Return the text of a provider that is no use at the moment."""
    return Text(
        sentence,
        "The login service is not available",
        "The service that checks who you are does not answer at the moment, or not as it should.",
        (
            WAIT,
            "If waiting does not help and you are offered to log in, do: it replaces your session.",
            CONTACT,
        ),
        ("retry", "login"),
        "wait",
    )


def too_large(sentence: str, message: str) -> Text:
    """Return the text of what is larger than allowed."""
    return Text(sentence, "That was too much at once", message, (CONTACT,))
