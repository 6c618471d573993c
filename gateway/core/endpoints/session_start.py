"""The session that a login begins: what it holds, which one it replaces, and the cookies that give it."""

from dataclasses import dataclass, field
from typing import Final

from gateway.core.access.credentials import SessionCookie, session_cookie
from gateway.core.access.session import why_over
from gateway.core.decision.context import Context
from gateway.core.decision.needs import (
    EndLater,
    ListSession,
    Need,
    Replaced,
    Revoke,
    SaveSession,
    SessionRecord,
)
from gateway.core.headers import cookies as jar
from gateway.core.headers.cookies import CookieChange, Site
from gateway.core.headers.request import Header
from gateway.core.identity import Claims
from gateway.core.provider import Provider, TokenSet
from gateway.core.reasons import Reason
from gateway.core.rules.entries import end_of
from gateway.core.sessions import claim_sources, renewal
from gateway.core.sessions.cookies import handle_cookie, session_cookies
from gateway.core.sessions.model import Grant, OpenedSession, Renewed, Session
from gateway.core.sessions.record import MOST_AGENT, record_name
from gateway.syntax.encoding import Json

FORGET_PAGES: Final[Header] = (b"Clear-Site-Data", b'"cache"')
"""Has a browser forget what it keeps of a site's pages (W3C Clear Site Data): or "back" shows them still."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A session about to be given to the browser; ``handle`` is empty where its cookies hold all of it."""

    session: Session
    grant: Grant | None
    handle: str = field(repr=False)
    id_token: str | None = field(repr=False)

    def fits(self) -> bool:
        """Tell whether the cookies (R40), or a record of the store, have room for it."""
        if self.handle:
            return renewal.record_fits(self.session, self.grant)
        return renewal.fits(self.session) and (self.grant is None or renewal.grant_fits(self.grant))


def presented_session(context: Context) -> OpenedSession | SessionRecord | None:
    """Return the session that this browser has by now, None where it has none, or the need that tells."""
    cookie = session_cookie(context)
    return cookie.opened if isinstance(cookie, SessionCookie) else cookie


def former_session(context: Context) -> str:
    """Return the id of the session that this browser's handle led to, and that other sites may still have."""
    cookie = session_cookie(context)
    return cookie.former if isinstance(cookie, SessionCookie) and is_login_site(context) else ""


def new_session(
    context: Context,
    provider: Provider,
    tokens: TokenSet,
    claims: dict[str, Json],
    userinfo: Claims | None,
    session_id: str,
) -> Session:
    """Return the session of tokens that have been verified.

    Args:
        context: of the callback.
        provider: whose they are.
        tokens: of the token endpoint.
        claims: of the ID token; of the user API where there is none.
        userinfo: what UserInfo told, None where it was not asked.
        session_id: random.
    """
    now, settings = context.now, context.knowledge.runtime.settings.session
    told = claims if provider.has_id_tokens else None
    sid = told.get("sid") if told is not None else None
    granted = tokens.scopes if tokens.scopes is not None else provider.assumed_scopes
    heard = claim_sources.listen(provider, tokens, told, userinfo)
    kept = claim_sources.begin(provider, heard, now)
    lifetime = settings.absolute_lifetime if tokens.refresh_token else settings.lasts_without_refresh
    return Session(
        session_id=session_id,
        provider=provider.name,
        issuer=provider.issuer,
        subject=str(claims["sub"]),
        sid=sid if isinstance(sid, str) else None,
        claims=kept.claims,
        scopes=granted,
        login_at=now,
        ends_at=now + lifetime,
        seen_at=now,
        renewed_at=now,
        access_expires_at=renewal.access_expiry(tokens, told, now, heard.get("access_token")),
        access_token=tokens.access_token if provider.keeps_access_token else None,
        told=kept.told,
        claims_at=kept.claims_at,
        position=context.knowledge.denylist.position,
        is_unrenewable=not tokens.refresh_token,
        is_shared=is_login_site(context),
    )


def is_login_site(context: Context) -> bool:
    """Tell whether this is where people log in for every site."""
    login_site = context.knowledge.runtime.login_site
    return login_site is not None and context.site is not None and context.site.origin == login_site.origin


def put_off(context: Context, begun: Begun) -> tuple[EndLater, ...]:
    """Return what ends the same person's session before: her other tabs still show it for a while (R41)."""
    previous = presented_session(context)
    # the store's records are replaced as the new one is saved
    if begun.handle or not isinstance(previous, OpenedSession):
        return ()
    before = previous.session
    if not is_same_person(before, begun.session) or not _may_be_shown(context, before):
        return ()
    return (EndLater(before.session_id, before.ends_at, before.is_shared),)


def _may_be_shown(context: Context, before: Session) -> bool:
    """Tell whether a session can be in use, here or at another of its sites, where it may not have idled."""
    over = why_over(context, before)
    return over is None or (
        over is Reason.SESSION_EXPIRED and before.is_shared and context.now < before.ends_at
    )


def is_same_person(one: Session, other: Session) -> bool:
    """Tell whether two sessions are of one subject at one provider (R26)."""
    return (one.issuer, one.subject) == (other.issuer, other.subject)


def replaced(context: Context, begun: Begun) -> Need | None:
    """Return what is still to be done before the browser gets this session: end the one before, keep this."""
    session, facts, site = begun.session, context.knowledge.facts, context.site
    assert site is not None
    previous = presented_session(context)
    if isinstance(previous, SessionRecord):
        return previous
    is_another = previous is not None and not is_same_person(previous.session, session)
    # before the browser has the new cookies: a late answer must not bring back the old ones (R75)
    if previous is not None and (need := Replaced(previous.session.session_id)) not in facts:
        return need
    if previous is not None and is_another and not any(isinstance(need, Revoke) for need in facts):
        # B logs in after A in this browser: A's session dies (CVE-2026-34454, R41)
        idle = context.knowledge.runtime.settings.copies_last
        return Revoke((end_of(previous.session, context.now, idle),))
    if not begun.handle:
        return None
    save = SaveSession(
        record_name(begun.handle),
        begun.handle,
        Renewed(session, begun.grant),
        context.forwarded.client,
        agent_of(context),
        previous.session.session_id if previous is not None else former_session(context),
        site.origin,
    )
    return save if save not in facts else None


def forgets(context: Context, session: Session) -> tuple[Header, ...]:
    """Return what has a browser forget the pages of whoever had a session here before, if that is not she.

    Where the cookie leads nowhere any more, nobody can tell whose it was.
    """
    cookie = session_cookie(context)
    if not isinstance(cookie, SessionCookie):
        return ()
    if cookie.opened is not None and is_same_person(cookie.opened.session, session):
        return ()
    return (FORGET_PAGES,)


def agent_of(context: Context) -> str:
    """Return what a browser says of itself, empty where it says nothing."""
    agents = (value for name, value in context.request.headers if name.lower() == b"user-agent")
    return next(agents, b"").decode("latin-1")


def listed(context: Context, session: Session) -> tuple[ListSession, ...]:
    """Return what puts a session that browsers keep on the list, where the configuration wants one.

    Behind the answer's back: nobody waits for it, and no login fails for want of it.
    """
    runtime, site = context.knowledge.runtime, context.site
    assert site is not None
    if runtime.keeps_records or not runtime.settings.session.index:
        return ()
    agent = agent_of(context)[:MOST_AGENT]
    return (ListSession(session, context.forwarded.client, agent, site.origin),)


def given(context: Context, site: Site, begun: Begun) -> tuple[CookieChange, ...]:
    """Return the changes that give the browser this session, and take away what is left of another mode's."""
    sent, name = context.cookies, site.refresh_cookie
    if begun.handle:
        handle = (handle_cookie(site, begun.session, begun.handle, sent, context.now),)
        # what the other mode left behind
        return (
            (*handle, CookieChange(name, None, 0, jar.presented(sent, name), domain=site.domain))
            if name in sent
            else handle
        )
    changes = session_cookies(site, Renewed(begun.session, begun.grant), sent, context.now)
    return (
        changes
        if begun.grant is not None
        else (*changes, CookieChange(name, None, 0, (), domain=site.domain))
    )
