"""Kinds of pages: those that may have a template of their own."""

from typing import Final

from gateway.core.reasons import Reason, status_of

_BY_NAME: Final[dict[str, str]] = {
    Reason.PROVIDER_CHOICE.value: "choose",
    Reason.LOGGED_OUT.value: "signed-out",
    "logged_out_everywhere": "signed-out",
    Reason.LOGOUT_CONFIRM.value: "sign-out",
    Reason.ISSUER_UNAVAILABLE.value: "provider-unavailable",
    Reason.ISSUER_MISCONFIGURED.value: "provider-unavailable",
    Reason.KEYS_UNAVAILABLE.value: "provider-unavailable",
    Reason.TICKET_REFUSED.value: "login-failed",
}

KINDS: Final = (
    "choose",
    "forbidden",
    "login-failed",
    "provider-unavailable",
    "sign-out",
    "signed-out",
    "upstream-unavailable",
)
"""Every kind, by the name of its template without ``.html``; whatever is of none has ``page.html``."""


def kind_of(name: str) -> str:
    """Return the kind of a page by the name of its text, empty where it is of none."""
    if name in _BY_NAME:
        return _BY_NAME[name]
    try:
        reason = Reason(name)
    except ValueError:
        return ""
    if name.startswith("login_") and status_of(reason) == 400:
        return "login-failed"
    if name.startswith("upstream_"):
        return "upstream-unavailable"
    return "forbidden" if status_of(reason) == 403 else ""
