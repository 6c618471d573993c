"""The sessions that a person has: shown to her alone, and ended by her, one or all others.

Whose they are is told by the session that asks, never by what is asked for: whoever names a session of
somebody else is answered as if there were none. A session that ends here is on the denylist, at every worker.
"""

import hmac
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from gateway.core.access.credentials import session_cookie
from gateway.core.access.forgetting import forget_session
from gateway.core.access.generations import replacement
from gateway.core.access.session import judge_session
from gateway.core.decision.allowance import allowance_of
from gateway.core.decision.answers import Live, Refuse, Respond
from gateway.core.decision.context import Context
from gateway.core.decision.needs import Admit, Body, Need, OwnSessions, Revoke, SessionRecord
from gateway.core.decision.refusals import login_link, plain, refuse
from gateway.core.endpoints.logout import written_entries
from gateway.core.endpoints.session_start import agent_of
from gateway.core.headers.cookies import Site
from gateway.core.headers.devices import device_of
from gateway.core.reasons import Reason
from gateway.core.rules.entries import session_end
from gateway.core.rules.origins import comes_from_own_page
from gateway.core.rules.rate_limit import MICROSECONDS, RateLimit
from gateway.core.sessions.listed import OwnedSessions, OwnSession
from gateway.core.sessions.model import Session
from gateway.core.sessions.record import begun
from gateway.core.sessions.seal import KeyRing
from gateway.syntax import forms
from gateway.syntax.encoding import Json

Step: TypeAlias = Respond | Refuse | Need

PATH: Final = "sessions"
LIMIT: Final = RateLimit(
    "sessions-page", 2 * MICROSECONDS, 30, "identity", False, b'"sessions-page";q=30;w=60'
)
"""How often one person may ask; each time the store is asked for all that she has."""
_MOST_FORM: Final = 1024
_MOST_AUDITED: Final = 50
_METHODS: Final = ("GET", "POST", "DELETE")


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is to end: the session of an id, or, where that is empty, all but the one that asks."""

    session_id: str


def sessions(context: Context) -> Step:
    """GET shows the sessions of whoever asks; POST, of the page's form, and DELETE end some of them."""
    if not context.knowledge.runtime.settings.session.lists_sessions:
        return plain(context, Reason.ROUTE_UNKNOWN)
    method, site = context.request.method, context.site
    assert site is not None
    if method not in (b"GET", b"HEAD", b"POST", b"DELETE"):
        return plain(context, Reason.METHOD_UNSUPPORTED, allow=_METHODS)
    is_change = method in (b"POST", b"DELETE")
    if is_change and not comes_from_own_page(context.request, site):
        return plain(context, Reason.ORIGIN_FORBIDDEN)
    live = _asker(context, site)
    if not isinstance(live, Live):
        return live
    wish = _wish(context, live.session) if is_change else None
    if is_change and not isinstance(wish, _Wish):
        return wish or plain(context, Reason.REQUEST_MALFORMED)
    owned = context.knowledge.fact(need := _need(live.session), OwnedSessions)
    if owned is None:
        return need
    if isinstance(wish, _Wish):
        return _ended(context, site, live, owned, wish)
    return _shown(context, site, live, owned)


def _need(session: Session) -> OwnSessions:
    return OwnSessions(session.issuer, session.subject)


def _asker(context: Context, site: Site) -> Live | Refuse | Need:
    """Return the session that asks, if it holds and has not asked too often."""
    cookie = session_cookie(context)
    if isinstance(cookie, SessionRecord):
        return cookie
    verdict = Reason.CREDENTIALS_MISSING if cookie is None else judge_session(context, cookie)
    if isinstance(verdict, Reason):
        forget_session(context)
        return _log_in(context, site, verdict)
    if not isinstance(verdict, Live):
        return verdict
    settings, denylist = context.knowledge.runtime.settings.denylist, context.knowledge.denylist
    # what has ended, unheard of here, must not end those that hold
    if settings.when_stale == "refuse" and not denylist.is_fresh(context.now, settings.max_staleness):
        return refuse(context, Reason.DENYLIST_STALE, identity=verdict.identity)
    allowance = allowance_of(context, LIMIT, verdict.identity)
    if isinstance(allowance, Admit):
        return allowance
    if allowance.wait is not None:
        refusal = plain(context, Reason.RATE_LIMITED)
        return replace(refusal, identity=verdict.identity, retry_after=allowance.wait)
    return verdict


def _log_in(context: Context, site: Site, reason: Reason) -> Refuse:
    """Refuse whoever is nobody here, with a login that leads back to this page."""
    refusal = refuse(context, reason)
    if refusal.login_url is None:
        return refusal
    page = _page(context)
    assert site is context.site
    return replace(refusal, login_url=login_link(context, page, None))


def _page(context: Context) -> str:
    return f"{context.knowledge.runtime.settings.prefix}{PATH}"


def _wish(context: Context, session: Session) -> _Wish | Body | None:
    """Return what is to end, None where that cannot be read, or the need for the form that says it."""
    if context.request.method == b"DELETE":
        return _read(forms.read_form(context.target.query[1:]))
    if not forms.is_form(context.request.headers):
        return None
    body = context.knowledge.fact(need := Body(_MOST_FORM), bytes)
    if body is None:
        return need
    fields = forms.read_form(body) or {}
    presented = fields.pop("token", "").encode()
    tokens = page_tokens(context.knowledge.runtime.ring, session.session_id)
    # beside the check of the origin: a form that this very page has not made ends nothing
    if not any(hmac.compare_digest(each.encode(), presented) for each in tokens):
        return None
    return _read(fields)


def _read(fields: dict[str, str] | None) -> _Wish | None:
    if fields is None or len(fields) != 1:
        return None
    if fields.get("others") == "1":
        return _Wish("")
    return _Wish(fields["session"]) if fields.get("session") else None


def page_tokens(ring: KeyRing, session_id: str) -> tuple[str, ...]:
    """Return what a form of this session's page has to hold: one of these, the first in new pages."""
    text = session_id.encode()
    return tuple(hmac.digest(seed, text, "sha256").hex() for seed in ring.seeds("sessions page"))


def _ended(context: Context, site: Site, live: Live, owned: OwnedSessions, wish: _Wish) -> Step:
    own, page = live.session.session_id, _page(context)
    if wish.session_id == own:
        return _own(context, site)
    wanted = [
        each.about
        for each in owned.sessions
        if each.about.session_id != own and wish.session_id in ("", each.about.session_id)
    ]
    if wish.session_id and not wanted:
        # somebody else's, or nobody's: who asks is told the same
        retry = f"{site.origin}{page}"
        return replace(
            plain(context, Reason.NO_SUCH_SESSION),
            identity=live.identity,
            retry_url=retry,
            cookies=live.cookies,
        )
    written = written_entries(context)
    if written is None and wanted:
        idle = context.knowledge.runtime.settings.copies_last
        return Revoke(tuple(session_end(each.session_id, each.ends_at, context.now, idle) for each in wanted))
    ended = [each.value for each in written or ()]
    is_page = context.wants_html
    return Respond(
        Reason.SESSIONS_ENDED,
        303 if is_page else 200,
        location=f"{site.origin}{page}?ended={len(ended)}" if is_page else None,
        json=None if is_page else {"ended": len(ended)},
        cookies=live.cookies,
        identity=live.identity,
        audit="logout",
        details={
            "how": "sessions_page",
            "count": str(len(ended)),
            "ended": " ".join(ended[:_MOST_AUDITED]),
        },
        revoked=written or (),
        background=live.background,
    )


def _own(context: Context, site: Site) -> Respond | Refuse:
    """Send whoever wants to end this very session to the logout, which takes the cookies as well."""
    path = f"{context.knowledge.runtime.settings.prefix}logout"
    if context.wants_html:
        return Respond(Reason.LOGOUT_CONFIRM, 303, location=f"{site.origin}{path}")
    told = f"This is the session that asks: POST {path} ends it."
    return replace(plain(context, Reason.REQUEST_MALFORMED), detail=told)


def _shown(context: Context, site: Site, live: Live, owned: OwnedSessions) -> Respond:
    runtime, own = context.knowledge.runtime, live.session.session_id
    replaced = context.knowledge.superseded
    found = [
        each
        for each in owned.sessions
        if each.about.session_id != own and not replaced(replacement(each.about.session_id))
    ]
    here = next((each for each in owned.sessions if each.about.session_id == own), None)
    if here is None:
        # it began before there was a list, or the store has lost it
        about = begun(live.session, context.forwarded.client, agent_of(context))
        here = OwnSession(about, context.now, (site.origin,))
    rows: list[Json] = [_row(context, replace(here, seen_at=context.now), is_own=True)]
    rows += [_row(context, each, is_own=False) for each in found]
    asked = (forms.read_parameters(context.target.query[1:], ("ended",)) or {}).get("ended", "")
    return Respond(
        Reason.SESSIONS_SHOWN,
        200,
        json={"sessions": rows, "more": owned.is_more},
        page="sessions" if context.wants_html else None,
        values={
            "action": _page(context),
            "token": page_tokens(runtime.ring, own)[0],
            "logout": f"{runtime.settings.prefix}logout",
            "ended": asked if asked.isascii() and asked.isdecimal() and len(asked) <= 4 else "",
            "now": f"{context.now:.0f}",
        },
        cookies=live.cookies,
        identity=live.identity,
        background=live.background,
    )


def _row(context: Context, one: OwnSession, *, is_own: bool) -> Json:
    """Return what is told of a session: nothing of its address or its User-Agent but our own words."""
    about, device = one.about, device_of(one.about.agent)
    place = context.knowledge.runtime.networks.place_of(about.address, context.forwarded.client)
    return {
        "id": about.session_id,
        "this": is_own,
        "browser": device.browser or None,
        "system": device.system or None,
        "network": place.name if place.kind == "named" else None,
        "network_kind": place.kind,
        "since": round(about.login_at),
        "last_seen": round(max(about.login_at, one.seen_at)),
        "ends": round(about.ends_at),
        "sites": list(one.sites),
    }
