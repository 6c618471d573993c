"""One login for many sites: people log in at one host, and each site gets its session by a ticket.

A site sends the browser to the host with a sealed request, and keeps a secret in a cookie of its own. The
host logs the person in, or finds that done, and sends the browser back with a ticket. The ticket can be used
once, for half a minute, at that site, and by the browser that has the secret: so nobody is logged in as
somebody else by a link, and whoever sees a ticket has nothing.
"""

import hmac
from dataclasses import dataclass, replace
from typing import TypeAlias
from urllib.parse import quote

from gateway.core.access import pending, rounds
from gateway.core.access.choosing import choices_of
from gateway.core.access.credentials import SessionCookie, session_cookie
from gateway.core.access.session import identity_of, judge_session, why_over
from gateway.core.access.to_login import asked_in, begin_for
from gateway.core.decision.answers import Live, Login, Refuse, Respond
from gateway.core.decision.context import Context
from gateway.core.decision.needs import (
    EndLater,
    JoinSite,
    KeepTicket,
    KeptPage,
    Need,
    Random,
    Replaced,
    Revoke,
    SessionRecord,
    TakeTicket,
)
from gateway.core.decision.refusals import login_link, plain, refuse
from gateway.core.endpoints.login_failure import Attempt, failed, spent
from gateway.core.endpoints.session_start import (
    Begun,
    given,
    is_login_site,
    is_same_person,
    presented_session,
)
from gateway.core.endpoints.way_back import begun_here, page_wanted
from gateway.core.headers import cookies as jar
from gateway.core.headers.cookies import Site
from gateway.core.identity import Identity
from gateway.core.reasons import Reason
from gateway.core.rules.entries import end_of
from gateway.core.sessions import renewal
from gateway.core.sessions.joining import (
    SECRET_BYTES,
    TICKET,
    TICKET_SECONDS,
    Granted,
    JoinRequest,
    NoTicket,
    Ticket,
    challenge_of,
    decode_ticket,
    encode_ticket,
    mark_of,
    ticket_purpose,
)
from gateway.core.sessions.model import OpenedSession, Session
from gateway.core.sessions.pending import PendingLogin
from gateway.core.sessions.record import decode_handle, record_name
from gateway.core.sessions.seal import NONCE_BYTES
from gateway.core.tokens.claims import read_time
from gateway.syntax import forms

Step: TypeAlias = Respond | Refuse | Login | Need

_AFTER = "&after=login"
_MOST_ROUNDS = 6


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
            return _give(context, verdict, home, asked)
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
    return Refuse(Reason.LOGIN_STATE_UNKNOWN, html=context.wants_html, login_url=link)


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


def _log_in(context: Context, page: str) -> Respond | Login:
    """Let the person log in here; then the request is judged again."""
    if choices_of(context, page):
        return Respond(Reason.LOGIN_REQUIRED, 303, location=login_link(context, page, None))
    return begin_for(context, Reason.LOGIN_REQUIRED, page)


def _give(context: Context, live: Live, home: Site, asked: JoinRequest) -> Respond | Need:
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
    return Respond(
        Reason.TICKET_GIVEN,
        303,
        location=f"{home.origin}{runtime.settings.prefix}{TICKET}?ticket={sealed}&state={state}",
        cookies=live.cookies,
        identity=live.identity,
        background=live.background,
    )


def _handle(context: Context) -> str:
    """Return the secret that leads to the record of a session that nothing renews, empty without records."""
    site, runtime = context.site, context.knowledge.runtime
    if site is None or not runtime.keeps_records:
        return ""
    sealed = jar.joined(context.cookies, site.session_cookie) or ""
    payload = runtime.ring.open(site.purpose("handle"), sealed)
    handle = None if payload is None else decode_handle(payload)
    return "" if handle is None else handle.secret


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a browser has shown at a site: the ticket's text, what that says, and the login that it began."""

    ticket: Ticket
    state: str
    cookie: str
    begun: PendingLogin | None


def ticket(context: Context) -> Step:
    """Begin the session at this site that a ticket grants this very browser."""
    site, runtime = context.site, context.knowledge.runtime
    assert site is not None
    if runtime.login_site is None:
        return plain(context, Reason.ROUTE_UNKNOWN)
    if context.request.method != b"GET":
        return plain(context, Reason.METHOD_UNSUPPORTED, allow=("GET",))
    fields = forms.read_parameters(context.target.query[1:], ("ticket", "state")) or {}
    text, state = fields.get("ticket", ""), fields.get("state", "")
    payload = runtime.ring.open(ticket_purpose(site.origin), text)
    shown = None if payload is None else decode_ticket(payload)
    if shown is None:
        return _refused(context, state, "it is no ticket for this site")
    granted: Granted | NoTicket | None = context.knowledge.fact(
        take := TakeTicket(shown.secret), (Granted, NoTicket)
    )
    if granted is None:
        # first of all: whoever shows it, it is of no use to anybody afterwards
        return take
    name = pending.state_cookie_name(site.login_prefix, state)
    browser = _Shown(shown, state, name, begun_here(context, site, name, state))
    if isinstance(granted, NoTicket) or abs(context.now - shown.at) > TICKET_SECONDS:
        return _refused(context, state, "it was used before, or is too old")
    if not _is_of_this_browser(context, browser, granted):
        return _refused(context, state, "it is not for this browser")
    assert browser.begun is not None
    page = page_wanted(context, browser.begun.return_to)
    if isinstance(page, KeptPage):
        return page
    return _joined(context, granted, Attempt(browser.begun, page, state, name))


def _is_of_this_browser(context: Context, browser: _Shown, granted: Granted) -> bool:
    site, runtime, begun = context.site, context.knowledge.runtime, browser.begun
    if site is None or begun is None or granted.site != site.origin:
        return False
    if (
        begun.callback != f"{runtime.settings.prefix}{TICKET}"
        or bool(granted.handle) != runtime.keeps_records
    ):
        return False
    challenge = challenge_of(begun.verifier).encode()
    return all(
        hmac.compare_digest(challenge, each.encode())
        for each in (browser.ticket.challenge, granted.challenge)
    )


def _refused(context: Context, state: str, detail: str) -> Step:
    """Refuse a ticket; whoever has a session here goes on to the page, as anybody who comes back twice."""
    site = context.site
    assert site is not None
    page = page_wanted(context, pending.page_of(context, state) or "/")
    if isinstance(page, KeptPage):
        return page
    presented = presented_session(context)
    if isinstance(presented, SessionRecord):
        return presented
    if presented is not None and why_over(context, presented.session) is None:
        return Respond(Reason.ALREADY_LOGGED_IN, 303, location=site.origin + (page or "/"))
    if pending.was_evicted(context, site, state):
        # the person did nothing wrong: so many tabs have begun that this one's cookie had to go
        return begin_for(context, Reason.LOGIN_EVICTED, page or "/", None, state)
    return _failed(context, Reason.TICKET_REFUSED, page or "/", None, detail)


def _failed(
    context: Context, reason: Reason, page: str, attempt: Attempt | None, detail: str | None = None
) -> Refuse:
    return replace(failed(context, reason, attempt, detail, page=page), audit="site_refused")


def _joined(context: Context, granted: Granted, attempt: Attempt) -> Step:
    """Begin the session at this site, if it holds still; one before it of another login ends."""
    site, runtime, session = context.site, context.knowledge.runtime, granted.current.session
    assert site is not None
    provider = runtime.login_provider(session.provider)
    if provider is None or provider.issuer != session.issuer:
        return _failed(context, Reason.LOGIN_STATE_UNKNOWN, attempt.page, attempt)
    if (over := why_over(context, session)) is not None:
        return _failed(context, over, attempt.page, attempt)
    before = presented_session(context)
    if isinstance(before, SessionRecord):
        return before
    most = rounds.LOOP_COUNT if before is None else _MOST_ROUNDS
    if rounds.loops(context, site, attempt.page, most):
        return _failed(context, Reason.LOGIN_LOOP, attempt.page, attempt)
    if (need := _ended_before(context, before, session)) is not None:
        return need
    grant, handle = granted.current.grant, granted.handle
    rotation_id = "" if grant is None else renewal.rotation_id(provider, grant)
    place = JoinSite(session, site.origin, rotation_id or (record_name(handle) if handle else ""))
    if place not in context.knowledge.facts:
        return place
    return Respond(
        Reason.SITE_JOINED,
        303 if attempt.page else 200,
        location=site.origin + attempt.page if attempt.page else None,
        page=None if attempt.page else "page_lost",
        cookies=(
            *given(context, site, Begun(session, grant, handle, None)),
            spent(context, attempt),
            rounds.note(context, site, attempt.page, came_back=False),
        ),
        identity=_identity(session),
        audit="site_join",
        details={"provider": session.provider, "site": site.origin},
        background=_put_off(before, session, is_over=before is None or _is_over(context, before)),
    )


def _identity(session: Session) -> Identity:
    return identity_of(session, session.claims, session.scopes)


def _is_over(context: Context, opened: OpenedSession) -> bool:
    return why_over(context, opened.session) is not None


def _ended_before(context: Context, before: OpenedSession | None, session: Session) -> Need | None:
    """Return what is to be done about another session that this browser has here, None where that is done."""
    facts = context.knowledge.facts
    if before is None or before.session.session_id == session.session_id:
        return None
    # before the browser has the new cookies: a late answer must not bring back the old ones (R75)
    if (need := Replaced(before.session.session_id)) not in facts:
        return need
    if is_same_person(before.session, session) or any(isinstance(each, Revoke) for each in facts):
        return None
    idle = context.knowledge.runtime.settings.copies_last
    return Revoke((end_of(before.session, context.now, idle),))


def _put_off(before: OpenedSession | None, session: Session, *, is_over: bool) -> tuple[EndLater, ...]:
    if before is None or is_over or before.session.session_id == session.session_id:
        return ()
    if not is_same_person(before.session, session):
        return ()
    return (EndLater(before.session.session_id, before.session.ends_at, before.session.is_shared),)
