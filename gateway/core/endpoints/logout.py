"""The end of a session that its own person asks for, and what a session may tell its own browser.

The session ends here first, whatever becomes of the rest; then the browser goes on to the provider (OpenID
Connect RP-Initiated Logout 1.0), and the refresh token is revoked there (RFC 7009) behind the answer's back.
"""

import hmac
import json
from dataclasses import dataclass
from urllib.parse import quote

from gateway.core.access.credentials import session_cookie
from gateway.core.access.forgetting import forget_session
from gateway.core.access.session import identity_of, why_over
from gateway.core.decision.answers import Refuse, Respond
from gateway.core.decision.context import Context
from gateway.core.decision.needs import Body, EndSession, Need, Random, Revoke, RevokeToken, SessionRecord
from gateway.core.decision.refusals import plain, refuse
from gateway.core.endpoints import id_token_hint
from gateway.core.endpoints.going_on import going_on
from gateway.core.endpoints.session_start import FORGET_PAGES, is_login_site
from gateway.core.fault import Fault
from gateway.core.headers.cookies import CookieChange, Seal
from gateway.core.reasons import Reason
from gateway.core.rules.entries import AS_WRITTEN, DenyEntry, end_of, entry_expiry, everything_of
from gateway.core.rules.origins import comes_from_own_page
from gateway.core.sessions import renewal
from gateway.core.sessions.cookies import cleared_cookies
from gateway.core.sessions.model import OpenedSession, Renewed, Session
from gateway.core.sessions.seal import NONCE_BYTES
from gateway.syntax import forms
from gateway.syntax.encoding import encode_base64url

MOST_FORM = 4096
_STATE_BYTES = 32
_BACK_PURPOSE = "logged out at"
_MOST_NEWS = 8


@dataclass(frozen=True, slots=True)
class _Onwards:
    """Where the browser goes after its session has ended here; ``provider_logout`` is for the audit log."""

    location: str
    provider_logout: str
    cookies: tuple[CookieChange, ...] = ()


def logout(context: Context) -> Respond | Refuse | Need:
    """GET asks, POST ends the session: here in the browser, and at every worker by the denylist (R43).

    The form field ``everywhere=1`` ends every session and token of this person.
    """
    if context.request.method == b"GET":
        settings = context.knowledge.runtime.settings
        values = {"action": f"{settings.prefix}logout"}
        if settings.session.lists_sessions:
            values["sessions"] = f"{settings.prefix}sessions"
        return Respond(Reason.LOGOUT_CONFIRM, 200, page="logout_confirm", values=values)
    if context.request.method != b"POST":
        return plain(context, Reason.METHOD_UNSUPPORTED, allow=("GET", "POST"))
    assert context.site is not None
    if not comes_from_own_page(context.request, context.site):
        return plain(context, Reason.ORIGIN_FORBIDDEN)
    body = context.knowledge.fact(need := Body(MOST_FORM), bytes)
    if body is None:
        return need
    everywhere = _wants_everywhere(context, body)
    if everywhere is None:
        return plain(context, Reason.REQUEST_MALFORMED)
    cookie = session_cookie(context)
    if isinstance(cookie, SessionRecord):
        return cookie
    opened = cookie.opened if cookie is not None else None
    written = written_entries(context)
    if written is None:
        if everywhere and (reason := _no_proof(context, opened)) is not None:
            return refuse(context, reason, clear=True)
        if opened is not None:
            return Revoke(_entries(context, opened.session, everywhere=everywhere))
    return _ended(context, opened, written or ())


def _wants_everywhere(context: Context, body: bytes) -> bool | None:
    if not body:
        return False
    fields = forms.read_form(body) if forms.is_form(context.request.headers) else None
    # what cannot be read might have asked for more than would be done
    if fields is None or fields.get("everywhere", "1") != "1":
        return None
    return "everywhere" in fields


def written_entries(context: Context) -> tuple[DenyEntry, ...] | None:
    """Return the entries that this request has written, None before: ``now`` was another when it asked."""
    asked = (need.entries for need in context.knowledge.facts if isinstance(need, Revoke))
    return next(asked, None)


def _no_proof(context: Context, opened: OpenedSession | None) -> Reason | None:
    # a copy of a session that has ended must not end those that came after it
    if opened is None:
        return Reason.CREDENTIALS_MISSING
    return why_over(context, opened.session)


def _entries(context: Context, session: Session, *, everywhere: bool) -> tuple[DenyEntry, ...]:
    settings = context.knowledge.runtime.settings
    one = end_of(session, context.now, settings.copies_last)
    lifetime = settings.session.absolute_lifetime
    is_alive = why_over(context, session) is None
    if not everywhere and session.is_shared and session.sid is not None and is_alive:
        # tabs that logged in at the very same moment have sessions of their own, of one login at the provider
        expiry = entry_expiry(context.now, lifetime)
        return (one, DenyEntry("sid", session.issuer, session.sid, context.now, expiry, AS_WRITTEN))
    if not everywhere:
        return (one,)
    return (one, everything_of(session.issuer, session.subject, context.now, lifetime))


def _ended(context: Context, opened: OpenedSession | None, written: tuple[DenyEntry, ...]) -> Respond | Need:
    """Answer once the session is dead here: the cookies go, the browser goes on."""
    site = context.site
    assert site is not None
    session = opened.session if opened is not None else None
    onwards = _onwards(context, session)
    if not isinstance(onwards, _Onwards):
        return onwards
    forget_session(context)
    own = [name for name in context.cookies if name.startswith(site.login_prefix)]
    is_page = context.wants_html
    return Respond(
        Reason.LOGGED_OUT,
        303 if is_page else 200,
        location=onwards.location if is_page else None,
        # a script cannot follow a redirect to another origin: it navigates there itself
        json=None if is_page else {"logout_url": onwards.location},
        headers=(FORGET_PAGES,),
        cookies=(
            *cleared_cookies(site, context.cookies),
            *(CookieChange(name, None, 0, (name,)) for name in own),
            *id_token_hint.cleared(context),
            *onwards.cookies,
        ),
        identity=identity_of(session, session.claims, session.scopes) if session else None,
        audit="logout",
        details={
            "how": "everywhere" if any(entry.kind == "sub" for entry in written) else "local",
            "provider_logout": onwards.provider_logout,
        },
        revoked=written,
        background=_revocation(context, opened),
    )


def _onwards(context: Context, session: Session | None) -> _Onwards | Need:
    """Find the way over the provider, where the configuration wants it and the provider has one (R50)."""
    site, settings = context.site, context.knowledge.runtime.settings
    assert site is not None
    here = f"{site.origin}{settings.prefix}logged-out"
    if session is None or settings.providers[session.provider].logout != "provider":
        return _Onwards(here, "none", _forgotten(context))
    drawn = context.knowledge.fact(random := Random(_STATE_BYTES + NONCE_BYTES), bytes)
    if drawn is None:
        return random
    back, state = _way_back(context, here, drawn)
    hint = id_token_hint.find(context, session)
    need = EndSession(session.provider, back, state, hint, session.session_id)
    found: str | Fault | None = context.knowledge.fact(need, (str, Fault))
    if found is None:
        return need
    if isinstance(found, Fault) or not found:
        return _Onwards(here, "unavailable" if isinstance(found, Fault) else "none", _forgotten(context))
    payload = json.dumps([state, round(context.now, 3)]).encode()
    remembered = CookieChange(
        site.logout_cookie,
        Seal(site.purpose("logout"), payload),
        int(settings.session.login_lifetime),
        path=settings.prefix,
    )
    return _Onwards(found, "started", (remembered,))


def _way_back(context: Context, here: str, drawn: bytes) -> tuple[str, str]:
    """Return where the provider sends the browser to, and with which state: that leads on to this site.

    Where people log in at one host for every site, that host's address alone is registered.
    """
    site, runtime = context.site, context.knowledge.runtime
    assert site is not None
    state, host = encode_base64url(drawn[:_STATE_BYTES]), runtime.login_site
    if host is None or host.origin == site.origin:
        return here, state
    sealed = runtime.ring.seal(_BACK_PURPOSE, site.origin.encode(), drawn[_STATE_BYTES:])
    return f"{host.origin}{runtime.settings.prefix}logged-out", f"{state}.{sealed}"


def _leads_on(context: Context) -> Respond | None:
    """Send a browser on that comes back to this host from a logout of another site; None for any other."""
    runtime, here = context.knowledge.runtime, context.site
    state = (forms.read_parameters(context.target.query[1:], ("state",)) or {}).get("state", "")
    payload = runtime.ring.open(_BACK_PURPOSE, state.partition(".")[2])
    if payload is None or not is_login_site(context):
        return None
    site = runtime.sites.get(payload.partition(b"://")[2])
    if site is None or site == here or site.origin.encode() != payload:
        return None
    url = f"{site.origin}{runtime.settings.prefix}logged-out?state={quote(state, safe='')}"
    return going_on(context, Reason.LOGGED_OUT, url)


def _forgotten(context: Context) -> tuple[CookieChange, ...]:
    site = context.site
    assert site is not None
    if site.logout_cookie not in id_token_hint.scoped_cookies(context):
        return ()
    return (CookieChange(site.logout_cookie, None, path=context.knowledge.runtime.settings.prefix),)


def _revocation(context: Context, opened: OpenedSession | None) -> tuple[RevokeToken, ...]:
    """Return the need that revokes the newest refresh token that is known of this session."""
    if opened is None or opened.grant is None:
        return ()
    session, grant, rotation_id = opened.session, opened.grant, opened.rotation_id
    provider = context.knowledge.runtime.providers[session.provider]
    for _ in range(_MOST_NEWS):
        renewed = context.knowledge.recent_outcome(rotation_id)
        if not isinstance(renewed, Renewed) or renewed.grant is None:
            break
        grant = renewed.grant
        rotation_id = renewal.rotation_id(provider, grant)
    need = RevokeToken(
        provider.name, grant.refresh_token, session.issuer, session.subject, session.session_id
    )
    return (need,)


def logged_out(context: Context) -> Respond | Refuse:
    """Say that the session has ended here, and at the provider where its answer proves it (R50)."""
    site = context.site
    assert site is not None
    if context.request.method not in (b"GET", b"HEAD"):
        return plain(context, Reason.METHOD_UNSUPPORTED, allow=("GET",))
    if (onwards := _leads_on(context)) is not None:
        return onwards
    prefix = context.knowledge.runtime.settings.prefix
    return Respond(
        Reason.LOGGED_OUT,
        200,
        page="logged_out",
        values={
            "login_url": f"{site.origin}{prefix}login",
            "provider_session": "ended" if _comes_from_provider(context) else "open",
        },
        cookies=_forgotten(context),
    )


def _comes_from_provider(context: Context) -> bool:
    site, runtime = context.site, context.knowledge.runtime
    assert site is not None
    presented = (forms.read_parameters(context.target.query[1:], ("state",)) or {}).get("state", "")
    sealed = id_token_hint.scoped_cookies(context).get(site.logout_cookie, "")
    payload = runtime.ring.open(site.purpose("logout"), sealed)
    if payload is None or not presented:
        return False
    # what was sealed for this purpose was written above
    state, at = json.loads(payload)
    is_in_time = context.now - at <= runtime.settings.session.login_lifetime
    return hmac.compare_digest(str(state).encode(), presented.encode()) and is_in_time
