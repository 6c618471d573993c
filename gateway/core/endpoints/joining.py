"""One login for many sites: people log in at one host, and each site gets its session by a ``ticket``.

A site sends the browser to the host with a sealed request, and keeps a secret in a cookie of its own. The
host logs the person in, or finds that done, and sends the browser back with a ticket. The ticket can be used
once, for half a minute, at that site, and by the browser that has the secret: so nobody is logged in as
somebody else by a link, and whoever sees a ticket has nothing.
"""

import hmac
from dataclasses import replace
from typing import TypeAlias
from urllib.parse import quote

from gateway.core.access import pending
from gateway.core.access.choosing import choices_of
from gateway.core.access.credentials import SessionCookie, session_cookie
from gateway.core.access.session import identity_of, judge_session, why_over
from gateway.core.access.to_login import asked_in, begin_for
from gateway.core.decision.answers import Live, Login, Refuse, Respond
from gateway.core.decision.causes import Cause
from gateway.core.decision.context import Context
from gateway.core.decision.needs import (
    KeepTicket,
    Need,
    Random,
    SessionRecord,
)
from gateway.core.decision.refusals import login_link, plain, refuse
from gateway.core.endpoints.going_on import going_on
from gateway.core.endpoints.login_failure import Attempt, spent
from gateway.core.endpoints.session_start import (
    is_login_site,
    is_same_person,
    presented_session,
)
from gateway.core.headers import cookies as jar
from gateway.core.headers.cookies import Site
from gateway.core.reasons import Reason
from gateway.core.sessions.joining import (
    SECRET_BYTES,
    TICKET,
    Granted,
    JoinRequest,
    Ticket,
    encode_ticket,
    mark_of,
    ticket_purpose,
)
from gateway.core.sessions.model import OpenedSession, Session
from gateway.core.sessions.record import decode_handle
from gateway.core.sessions.seal import NONCE_BYTES
from gateway.core.tokens.claims import read_time

Step: TypeAlias = Respond | Refuse | Login | Need

_AFTER = "&after=login"


def join(context: Context) -> Step:
    """Log a person in for a site that asks, or find that done, and send the browser back with a ticket."""
    if not is_login_site(context):
        return plain(context, Reason.ROUTE_UNKNOWN)
    if context.request.method != b"GET":
        return plain(context, Reason.METHOD_UNSUPPORTED, allow=("GET",))
    if context.request.is_speculative:
        # a link that is loaded ahead of anybody's wish
        return refuse(context, Reason.CREDENTIALS_MISSING)
    page = (context.target.path + context.target.query).decode("latin-1")
    asked = asked_in(context, page)
    home = None if asked is None else _site_of(context, asked)
    if asked is None or home is None:
        return plain(context, Reason.REQUEST_MALFORMED)
    if context.now - asked.at > context.knowledge.runtime.settings.session.login_lifetime:
        return _too_late(context, home, asked)
    cookie = session_cookie(context)
    if isinstance(cookie, SessionRecord):
        return cookie
    has_logged_in = page.endswith(_AFTER)
    verdict = judge_session(context, cookie) if isinstance(cookie, SessionCookie) else None
    if isinstance(verdict, Live):
        if _will_do(context, verdict, asked, has_logged_in=has_logged_in):
            return _give(context, verdict, home, asked, has_logged_in=has_logged_in)
    elif verdict is not None and not isinstance(verdict, Reason):
        return verdict
    return _log_in(context, page if has_logged_in else page + _AFTER)


def _site_of(context: Context, asked: JoinRequest) -> Site | None:
    """Return the site that asks, None where it is none of ours any more, or this very host."""
    authority = asked.site.partition("://")[2].encode("latin-1", "replace")
    site = context.knowledge.runtime.sites.get(authority)
    return site if site is not None and site.origin == asked.site and site != context.site else None


def _too_late(context: Context, home: Site, asked: JoinRequest) -> Refuse:
    """Refuse a request of long ago: its site has forgotten it. A bookmark, or the browser's history."""
    sealed = asked.state.partition(".")[2]
    payload = context.knowledge.runtime.ring.open(pending.page_purpose(home.origin), sealed)
    page = "/" if payload is None else payload.decode("utf-8", "replace")
    link = f"{home.origin}{context.knowledge.runtime.settings.prefix}login?return_to={quote(page, safe='/')}"
    return Refuse(Reason.LOGIN_STATE_UNKNOWN, html=context.wants_html, login_url=link, cause=Cause.TOO_LATE)


def _will_do(context: Context, live: Live, asked: JoinRequest, *, has_logged_in: bool) -> bool:
    """Tell whether the session of this host is what a site asks for; else somebody has to log in."""
    current = live.current
    if current is None or not current.session.is_shared:
        return False
    session = current.session
    # the site has it, and it will not do there
    if asked.had and hmac.compare_digest(asked.had.encode(), mark_of(session.session_id).encode()):
        return False
    if asked.provider and asked.provider != session.provider:
        return False
    if asked.admits and session.provider not in asked.admits:
        return False
    if has_logged_in:
        # the site's own policy says what more it lacks: to log in over and over would not help
        return True
    if asked.login_hint or asked.other_account:
        return False
    return _is_strong(session, asked, context.now)


def _is_strong(session: Session, asked: JoinRequest, now: float) -> bool:
    if asked.acr_values and session.claims.get("acr") not in asked.acr_values:
        return False
    if asked.max_age is None:
        return True
    at = read_time(session.claims, "auth_time")
    return isinstance(at, float) and now - at < asked.max_age


def logged_in_meanwhile(context: Context, attempt: Attempt, session: Session) -> Respond | None:
    """Answer a login that came to its end after another one of the same person, in another tab.

    Its site gets the session that there is, as if it had come a moment later: with a new one for each of many
    tabs all but the last would end, though people go on at their sites.
    """
    asked, presented = asked_in(context, attempt.page), presented_session(context)
    if asked is None or not isinstance(presented, OpenedSession) or context.site is None:
        return None
    before = presented.session
    if (
        not before.is_shared
        or not is_same_person(before, session)
        or before.login_at < attempt.begun.started_at
        or why_over(context, before) is not None
        or not _is_strong(before, asked, context.now)
        or asked.had == mark_of(before.session_id)
    ):
        return None
    return Respond(
        Reason.ALREADY_LOGGED_IN,
        303,
        location=context.site.origin + attempt.page,
        cookies=(spent(context, attempt),),
        identity=identity_of(before, before.claims, before.scopes),
        audit="login",
        details={"provider": session.provider, "outcome": "repeated"},
    )


def _log_in(context: Context, page: str) -> Respond | Login:
    """Let the person log in here; then the request is judged again."""
    if choices_of(context, page):
        return Respond(Reason.LOGIN_REQUIRED, 303, location=login_link(context, page, None))
    return begin_for(context, Reason.LOGIN_REQUIRED, page)


def _give(
    context: Context, live: Live, home: Site, asked: JoinRequest, *, has_logged_in: bool
) -> Respond | Need:
    """Keep the session for that site and that browser, and send it there with the ticket."""
    runtime, current = context.knowledge.runtime, live.current
    assert current is not None
    drawn = context.knowledge.fact(random := Random(SECRET_BYTES + NONCE_BYTES), bytes)
    if drawn is None:
        return random
    secret, nonce = drawn[:SECRET_BYTES], drawn[SECRET_BYTES:]
    handle = _handle(context) if current.grant is None else current.grant.handle
    keep = KeepTicket(secret, Granted(home.origin, asked.challenge, current, handle))
    if keep not in context.knowledge.facts:
        return keep
    shown = Ticket(secret, asked.challenge, context.now)
    sealed = runtime.ring.seal(ticket_purpose(home.origin), encode_ticket(shown), nonce)
    state = quote(asked.state, safe="")
    url = f"{home.origin}{runtime.settings.prefix}{TICKET}?ticket={sealed}&state={state}"
    given = Respond(Reason.TICKET_GIVEN, 303, location=url)
    if has_logged_in:
        given = going_on(context, Reason.TICKET_GIVEN, url)
    return replace(given, cookies=live.cookies, identity=live.identity, background=live.background)


def _handle(context: Context) -> str:
    """Return the secret that leads to the record of a session that nothing renews, empty without records."""
    site, runtime = context.site, context.knowledge.runtime
    if site is None or not runtime.keeps_records:
        return ""
    sealed = jar.joined(context.cookies, site.session_cookie) or ""
    payload = runtime.ring.open(site.purpose("handle"), sealed)
    handle = None if payload is None else decode_handle(payload)
    return "" if handle is None else handle.secret
