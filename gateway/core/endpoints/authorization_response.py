"""The authorization response that a callback brings (RFC 6749 section 4.1.2, RFC 9207), by query or by form.

A form that another site's page posts (OAuth 2.0 Form Post Response Mode) comes without the cookies that are
SameSite=Lax: nothing is known of the browser's session. So what it brings is sealed into the cookie of its
pending login, the one cookie that does come, and the browser goes on by GET, with all of them.
"""

from dataclasses import dataclass, replace

from gateway.core.headers import cookies as jar
from gateway.core.headers.cookies import CookieChange, Seal, Site
from gateway.core.sessions.pending import PendingLogin, encode_pending
from gateway.core.sessions.seal import sealed_length
from gateway.syntax import forms

MOST_FORM = 65_536
_NAMES = ("state", "code", "iss", "error")


@dataclass(frozen=True, slots=True)
class AuthorizationResponse:
    """An authorization response, checked for form; ``code`` is empty where there is an ``error``."""

    state: str
    code: str
    issuer: str | None
    error: str | None


def process_response(data: bytes, *, needs_code: bool = True) -> AuthorizationResponse | None:
    """Return the authorization response of a callback's query or form, or None where its form is wrong.

    Args:
        data: as sent, without the question mark.
        needs_code: whether there must be a code or an error; False where those have come before, by a form.
    """
    fields = forms.read_parameters(data, _NAMES)
    if fields is None or "state" not in fields or not fields["state"].isascii():
        return None
    code, error = fields.get("code", ""), fields.get("error")
    # RFC 6749 appendix A.11
    if (needs_code and error is None and not code) or not (code.isascii() and code.isprintable()):
        return None
    return AuthorizationResponse(fields["state"], code, fields.get("iss"), error)


def keep(
    site: Site, name: str, begun: PendingLogin, response: AuthorizationResponse, max_age: int
) -> CookieChange | None:
    """Return the change that keeps a response in the cookie of its login, None where there is no room.

    A login of a version that took no forms has none.

    Args:
        site: where.
        name: the cookie's.
        begun: the login.
        response: what has come for it.
        max_age: for how many seconds more the login may take.
    """
    if not begun.secret:
        return None
    answered = replace(begun, answer=(response.code, response.issuer or "", (response.error or "")[:100]))
    payload = encode_pending(answered)
    if sealed_length(len(payload)) + len("4~") > jar.capacity(name):
        return None
    return CookieChange(name, Seal(site.purpose("login"), payload), max_age)


def kept(begun: PendingLogin, state: str) -> AuthorizationResponse | None:
    """Return the response that came for a login before, None where none has."""
    if begun.answer is None:
        return None
    code, issuer, error = begun.answer
    return AuthorizationResponse(state, code, issuer or None, error or None)
