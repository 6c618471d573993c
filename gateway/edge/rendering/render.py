"""Answers of the gateway itself: pages for people, problem documents (RFC 9457) for everything else.

A 401 carries the challenge of RFC 6750 section 3, that of RFC 9470 section 3 where a new authentication is
asked for, or that of RFC 9449 section 7.1 where a proof of a key is. Nothing here shows a token, an address
behind the gateway or the detail of a fault.
"""

import json
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from json.encoder import encode_basestring_ascii as quote
from math import ceil
from typing import Final, TypeAlias
from urllib.parse import quote as percent

from gateway.core.decision.answers import Allow, Refuse, Respond
from gateway.core.decision.causes import cause_of
from gateway.core.endpoints.session_start import FORGET_PAGES
from gateway.core.fault import Fault
from gateway.core.headers.request import Header
from gateway.core.identity import Identity
from gateway.core.reasons import Reason, status_of
from gateway.edge.rendering import pages
from gateway.edge.rendering.pages.branding import LOGO, LOGO_DARK
from gateway.edge.rendering.pages.edition import PLAIN, Edition, policy
from gateway.edge.rendering.pages.own_sessions import own_sessions

Rendered: TypeAlias = "tuple[int, list[Header], bytes]"

_REALM: Final = b"gateway"
_RETRY_AFTER: Final = 5
_MOST_RETRY: Final = 3600
_MOST_DETAIL: Final = 300
_STEP_UP: Final = frozenset({Reason.AUTHENTICATION_TOO_WEAK, Reason.AUTHENTICATION_TOO_OLD})
# ends of a session that somebody wanted, or something serious: not those of time alone
_TAKEN_AWAY: Final = frozenset({Reason.REVOKED, Reason.SESSION_ENDED, Reason.SESSION_REUSED})
_PROOF_ERRORS: Final = {
    Reason.PROOF_INVALID: "invalid_dpop_proof",
    Reason.PROOF_EXPIRED: "invalid_dpop_proof",
    Reason.PROOF_REPLAYED: "invalid_dpop_proof",
    Reason.PROOF_NONCE: "use_dpop_nonce",
}
# an own method list where the answer names none: what a proxied route can take (RFC 9110 section 15.5.6)
_ALLOW: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

_PRIVATE: Final[Header] = (b"Cache-Control", b"private")
_BASE: Final[tuple[Header, ...]] = (
    (b"Cache-Control", b"no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
)
_NO_REFERRER: Final[Header] = (b"Referrer-Policy", b"no-referrer")
_PROBLEM: Final[tuple[Header, ...]] = (
    *_BASE,
    _NO_REFERRER,
    policy(),
    (b"Content-Type", b"application/problem+json"),
)
_JSON: Final[tuple[Header, ...]] = (*_BASE, _NO_REFERRER, policy(), (b"Content-Type", b"application/json"))
_REDIRECT: Final[tuple[Header, ...]] = (*_BASE, _NO_REFERRER)


def render_refuse(answer: Refuse, request_id: str, edition: Edition = PLAIN) -> Rendered:
    """Return the answer to a refused request, without its cookies.

    ``edition`` is what a page is of; a problem document is English, whoever asks.
    """
    reason = answer.reason
    status = status_of(reason)
    retry_after = _retry_after(status, answer.retry_after)
    if answer.html:
        headers = edition.headers()
        body = pages.refusal(
            reason,
            request_id,
            edition=edition,
            offers=_offers(answer),
            detail=answer.detail,
            retry_after=retry_after,
            lack=pages.Lack(answer.missing, answer.contact or ""),
            cause=answer.cause,
        )
    else:
        headers = list(_PROBLEM)
        body = _problem(reason, request_id, answer)
    headers.append((b"X-Request-ID", request_id.encode("ascii", "replace")))
    if (challenge := _challenge(answer, status)) is not None:
        headers.append((b"WWW-Authenticate", challenge))
    if answer.nonce:
        headers.append((b"DPoP-Nonce", answer.nonce.encode()))
    if status == 405:
        headers.append((b"Allow", ", ".join(answer.allow or _ALLOW).encode("ascii", "ignore")))
    if retry_after is not None:
        headers.append((b"Retry-After", b"%d" % retry_after))
    if reason in _TAKEN_AWAY and answer.cookies:
        headers.append(FORGET_PAGES)
    return status, headers, body


def render_fault(
    fault: Fault, html: bool, request_id: str, login_url: str | None = None, edition: Edition = PLAIN
) -> Rendered:
    """Return the answer to a request that met a fault; the fault's detail is for the log alone.

    ``login_url`` is where a person could log in anew, if that may help.
    """
    refusal = Refuse(
        reason=fault.reason,
        html=html,
        retry_after=fault.retry_after,
        login_url=login_url,
        cause=cause_of(fault.reason) or "" if html else "",
    )
    return render_refuse(refusal, request_id, edition)


def render_respond(answer: Respond, request_id: str, edition: Edition = PLAIN) -> Rendered:
    """Return an answer of the gateway's own endpoints, without its cookies.

    Raises:
        ValueError: the answer names a page that there is not.
    """
    if isinstance(answer, Allow):
        # what the proxy copies for its client: with a cookie, that no shared cache may keep the answer
        headers = [_PRIVATE] if answer.cookies else []
        headers.append((b"X-Request-ID", request_id.encode("ascii", "replace")))
        return answer.status, [*headers, *answer.headers], b""
    body = b""
    if answer.location is not None:
        headers = [*_REDIRECT, (b"Location", _location(answer.location))]
    elif answer.page is not None:
        headers, body = _named_page(answer, edition)
    elif answer.json is not None:
        headers = list(_JSON)
        body = json.dumps(answer.json, separators=(",", ":")).encode()
    else:
        headers = list(_REDIRECT)
    headers.append((b"X-Request-ID", request_id.encode("ascii", "replace")))
    named = {name for name, _ in answer.headers}
    headers = [*(header for header in headers if header[0] not in named), *answer.headers]
    return answer.status, headers, body


def _offers(answer: Refuse) -> pages.Offers:
    person = answer.identity if answer.identity is not None and answer.identity.kind == "session" else None
    return pages.Offers(
        login=answer.login_url,
        account=answer.account_url,
        retry=answer.retry_url,
        logout=answer.logout_url,
        person="" if person is None else _name_of(person),
    )


def _name_of(person: Identity) -> str:
    """Return under which name people know themselves."""
    named = (person.claims.get(name) for name in ("email", "preferred_username", "name"))
    return next((each for each in named if isinstance(each, str) and each), person.subject)


def _named_page(answer: Respond, edition: Edition) -> tuple[list[Header], bytes]:
    if answer.page in (LOGO, LOGO_DARK):
        logo = edition.brand.logos.get(answer.page)
        # a reload may have taken it away meanwhile
        return (list(_REDIRECT), b"") if logo is None else logo.answer(answer.values.get("version", ""))
    if answer.page == "logout_confirm":
        return edition.headers(form=True), pages.logout_confirm(
            answer.values["action"], edition, sessions=answer.values.get("sessions")
        )
    if answer.page == "sessions":
        assert answer.json is not None
        assert answer.identity is not None
        person = _name_of(answer.identity)[:_MOST_DETAIL]
        return _to_itself(edition), own_sessions(edition, answer.json, answer.values, person)
    headers = edition.headers()
    if answer.page == "logged_out":
        at_provider = answer.values.get("provider_session") == "ended"
        login_url = answer.values["login_url"]
        return headers, pages.logged_out(login_url, at_provider=at_provider, edition=edition)
    if answer.page == "choose":
        remembered = "remembered" in answer.values
        return headers, pages.choose(answer.choices, remembered=remembered, edition=edition)
    if answer.page == "going_on":
        return headers, pages.going_on(answer.reason, answer.values["url"], edition)
    if answer.page == "page_lost":
        return headers, pages.page_lost(edition)
    raise ValueError(f"no page named {answer.page}")


def _to_itself(edition: Edition) -> list[Header]:
    """Return the header fields of a page whose forms lead nowhere but to this site."""
    return [
        (name, value + b"; form-action 'self'" if name == b"Content-Security-Policy" else value)
        for name, value in edition.headers(form=True)
    ]


def _retry_after(status: int, wanted: float | None) -> int | None:
    if wanted is None:
        return _RETRY_AFTER if status == 503 else None
    return min(max(ceil(wanted), 1), _MOST_RETRY)


@lru_cache(maxsize=len(Reason))
def _problem_start(reason: Reason) -> bytes:
    """Return a reason's problem document up to its request id: the same for everybody."""
    status = status_of(reason)
    document = {
        # about:blank: the problem is its status, and ``reason`` says the rest (RFC 9457 section 4.2.1)
        "type": "about:blank",
        "title": _phrase(status),
        "status": status,
        "detail": pages.TEXTS[reason].sentence,
        "reason": reason.value,
    }
    return json.dumps(document, separators=(",", ":")).encode()[:-1]


def _problem(reason: Reason, request_id: str, answer: Refuse) -> bytes:
    more = f',"request_id":{quote(request_id)}'
    if answer.login_url is not None:
        more = f'{more},"login_url":{quote(answer.login_url)}'
    if answer.detail:
        more = f'{more},"explanation":{quote(answer.detail[:_MOST_DETAIL])}'
    if answer.missing:
        more = f'{more},"missing":{json.dumps(answer.missing)}'
    if answer.contact:
        more = f'{more},"contact":{quote(answer.contact)}'
    return b"%b%b}" % (_problem_start(reason), more.encode("ascii"))


def _phrase(status: int) -> str:
    # 499 is nginx's: a client that left reads no answer, the log does
    return "Client Closed Request" if status == 499 else HTTPStatus(status).phrase


def _challenge(answer: Refuse, status: int) -> bytes | None:
    """Return the WWW-Authenticate value, None where none is due.

    RFC 6750 section 3, RFC 9470 section 3, RFC 9449 section 7.1, RFC 9728 section 5.1.
    """
    resource = answer.route.resource if answer.route is not None and answer.challenge else None
    error = _error_of(answer, status)
    if error is None and status != 401 and (resource is None or status != 403):
        return None
    more: list[tuple[str, str]] = []
    if answer.reason in _STEP_UP:
        more += [("acr_values", " ".join(answer.acr_values))] if answer.acr_values else []
        more += [] if answer.max_age is None else [("max_age", str(int(answer.max_age)))]
    scopes = answer.required_scopes
    if resource is not None:
        more.append(("resource_metadata", resource.metadata_url))
        scopes = scopes or resource.scopes
    if scopes:
        more.append(("scope", " ".join(scopes)))
    if answer.proof_algorithms:
        more.append(("algs", " ".join(answer.proof_algorithms)))
    scheme = "DPoP" if answer.proof_algorithms else "Bearer"
    return _start(scheme, error, answer.reason) + _parameters(more)


def _error_of(answer: Refuse, status: int) -> str | None:
    """Return the error code of a challenge, None where there is none to name."""
    reason = answer.reason
    if reason in _STEP_UP:
        return "insufficient_user_authentication"
    if status == 401:
        # without a token there is no error to name: RFC 6750 section 3.1
        code = _PROOF_ERRORS.get(reason, "invalid_token") if answer.proof_algorithms else "invalid_token"
        return code if answer.bearer_presented else None
    if reason is Reason.SCOPE_MISSING:
        return "insufficient_scope"
    return "invalid_request" if status == 400 and answer.bearer_presented else None


@lru_cache(maxsize=256)
def _start(scheme: str, error: str | None, reason: Reason) -> bytes:
    start = b'%b realm="%b"' % (scheme.encode(), _REALM)
    if error is None:
        return start
    return start + _parameters([("error", error), ("error_description", reason.value)])


def _parameters(parameters: Iterable[tuple[str, str]]) -> bytes:
    return b"".join(b', %b="%b"' % (name.encode(), _quoted(value)) for name, value in parameters)


def _quoted(text: str) -> bytes:
    """Return the inside of a quoted-string (RFC 9110 section 5.6.4), printable ASCII only."""
    kept = "".join(letter for letter in text if " " <= letter <= "~")
    return kept.replace("\\", "\\\\").replace('"', '\\"').encode("ascii")


def _location(url: str) -> bytes:
    # what is no URI character is percent-encoded, a line break above all; what is encoded stays as it is
    return percent(url, safe="%:/?#[]@!$&'()*+,;=-._~").encode("ascii")
