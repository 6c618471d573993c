"""Sessions: who one is, whether it still holds, and when it is renewed."""

from dataclasses import replace

from gateway.config.settings.providers import EMAIL
from gateway.core.access import generations
from gateway.core.access.bearer import Verdict, verified
from gateway.core.access.credentials import SessionCookie
from gateway.core.decision.answers import Live
from gateway.core.decision.context import Context
from gateway.core.decision.kept import KeptSession
from gateway.core.decision.needs import Confirm, ExchangeToken, Need, Refresh, Touch, left_at
from gateway.core.email import VERIFIED
from gateway.core.headers.cookies import CookieChange
from gateway.core.identity import Claims, Identity
from gateway.core.provider import claims_of
from gateway.core.reasons import Reason
from gateway.core.sessions import claim_sources, renewal
from gateway.core.sessions.cookies import session_cookies
from gateway.core.sessions.model import OpenedSession, RefreshOutcome, Renewed, Session, SessionOver
from gateway.core.tokens.jws import Parsed, read


def why_over(context: Context, session: Session) -> Reason | None:
    """Return why a session no longer holds, or None. Says nothing of its access token."""
    lifetimes = context.knowledge.runtime.settings.session
    if (over := context.knowledge.denylist.why_over(session, context.now)) is not None:
        return over
    if context.now >= session.ends_at or context.now - session.seen_at >= lifetimes.idle_lifetime:
        return Reason.SESSION_EXPIRED
    return None


def judge_session(context: Context, cookie: SessionCookie) -> Live | Need | Reason:
    """Judge a presented session; renew it where its access token is due or has expired.

    A request that presents an older generation goes on as the newest one known (the two-phase rotation).
    """
    kept, live = cookie.kept, cookie.live
    if kept is not None and live is not None:
        if kept.holds(context.knowledge, context.now):
            return live if kept.outcome is None else _giving(context, cookie, kept, live)
        cookie.kept = cookie.live = None
    opened = cookie.opened
    if opened is None:
        return cookie.gone
    verdict = _judge(context, opened)
    if isinstance(verdict, Live):
        before = cookie.identity
        if before is not None and _is_same(verdict.identity, before):
            # nothing of it is worked out twice: block, assertion, what it passed
            verdict.identity = before
        else:
            cookie.identity = verdict.identity
    if isinstance(verdict, Live) and (kept := _keep(context, opened, verdict)) is not None:
        verdict.kept = cookie.kept = kept
        cookie.live = verdict
    return verdict


def _is_same(identity: Identity, before: Identity) -> bool:
    # to Python true is 1, and 1.0 as well; policies and upstreams tell them apart (R26)
    return identity == before and repr(identity.claims) == repr(before.claims)


def _giving(context: Context, cookie: SessionCookie, kept: KeptSession, live: Live) -> Live:
    """Return how a session was judged, with the cookies that this very second gives."""
    assert context.site is not None
    changes = kept.cookies(context.site, context.cookies, context.now)
    if changes is not live.cookies:
        live = cookie.live = replace(live, cookies=changes)
    return live


def _keep(context: Context, opened: OpenedSession, live: Live) -> KeptSession | None:
    """Return until when a session is judged the same; None where it is to be judged each time."""
    session, grant, knowledge = opened.session, opened.grant, context.knowledge
    runtime = knowledge.runtime
    if live.background or bool(live.cookies) is not live.is_renewed or not generations.fit(session, grant):
        return None
    if runtime.providers[session.provider].settings.access_token == "jwt":  # noqa: S105 - a kind of token
        return None
    settings = runtime.settings.session
    outcome: RefreshOutcome | None = None
    newest: Renewed | None = None
    next_id = ""
    # it is sealed anew from then on, to say that it was active
    end = session.seen_at + settings.idle_lifetime / 10
    if live.is_renewed:
        found = generations.latest(knowledge, opened.rotation_id)
        outcome, next_id = knowledge.recent_outcome(opened.rotation_id), found.rotation_id
        # one generation is followed here, and what was fetched for a single request is its own
        if knowledge.facts or outcome is not found.outcome or not isinstance(outcome, Renewed):
            return None
        end = session.seen_at + settings.idle_lifetime
        newest, session, grant = outcome, outcome.session, outcome.grant
    until = min(
        opened.session.ends_at,
        session.ends_at,
        end,
        renewal.due_at(session, grant is not None, settings),
        claim_sources.told_at(session) + settings.most_claims_age,
    )
    news = generations.replacement(session.session_id)
    return KeptSession(knowledge, context.now, until, opened.rotation_id, newest, next_id, news)


def _judge(context: Context, opened: OpenedSession) -> Live | Need | Reason:
    settings = context.knowledge.runtime.settings.session
    session, grant, rotation_id = opened.session, opened.grant, opened.rotation_id
    found = generations.beyond(context.knowledge, session, grant, rotation_id)
    renewed = found.outcome
    # before the denylist is asked: reuse puts the session there itself, and its own word says more
    if isinstance(renewed, SessionOver):
        return renewed.reason
    if (ended := why_over(context, session)) is not None:
        return ended
    phase = renewal.phase(session, grant is not None, settings, context.now)
    if renewed is not None and renewed.grant is not None:
        session, grant, rotation_id = renewed.session, renewed.grant, found.rotation_id
        phase = renewal.phase(session, has_grant=True, settings=settings, now=context.now)
    elif not generations.fit(session, grant):
        # what such a session says was true once: it is asked anew
        session, phase = generations.bare(session), "expired"
    if grant is not None and context.knowledge.superseded(rotation_id):
        # another worker has made a newer one: what this one says may have been taken away by it
        phase = "expired"
    if grant is not None and session.access_token is None and _keeps_token(context, session):
        # it began before any upstream was to get it
        phase = "expired"
    background: tuple[Need, ...] = ()
    if phase == "expired":
        if grant is None:
            return Reason.SESSION_EXPIRED
        outcome = _renewed_for_this(context, session)
        if outcome is None:
            return Refresh(rotation_id, session, grant, _shared_at(context, session))
        if isinstance(outcome, SessionOver):
            return outcome.reason
        # a renewal that has just succeeded counts, however soon its access token expires
        session, grant, renewed, rotation_id = outcome.session, outcome.grant, outcome, ""
    elif phase == "due" and grant is not None:
        background = (Refresh(rotation_id, session, grant, _shared_at(context, session)),)
    return _live(context, opened, Renewed(session, grant), rotation_id, renewed is not None, background)


def _shared_at(context: Context, session: Session) -> str:
    """Return where a session is presented that several sites have; empty for one that has its place here."""
    return context.site.origin if session.is_shared and context.site is not None else ""


def _keeps_token(context: Context, session: Session) -> bool:
    return context.knowledge.runtime.providers[session.provider].keeps_access_token


def _renewed_for_this(context: Context, session: Session) -> RefreshOutcome | None:
    """Return how the refresh ended that was made for this very request, whichever generation it led to.

    One is all that a request makes: tokens that are over at once would have it make one after the other.
    """
    for need in context.knowledge.facts:
        if isinstance(need, Refresh) and need.session.session_id == session.session_id:
            outcome: RefreshOutcome | None = context.knowledge.fact(need, (Renewed, SessionOver))
            return outcome
    return None


def _live(
    context: Context,
    opened: OpenedSession,
    current: Renewed,
    rotation_id: str,
    is_newer: bool,
    background: tuple[Need, ...],
) -> Live | Need | Reason:
    session, settings = current.session, context.knowledge.runtime.settings.session
    # a refresh may have brought another sid
    if (over := context.knowledge.denylist.why_over(session, context.now)) is not None:
        return over
    if context.now - claim_sources.told_at(session) >= settings.most_claims_age:
        return Reason.CLAIMS_TOO_OLD
    identity = session_identity(context, session)
    if not isinstance(identity, Identity):
        return identity
    assert context.site is not None
    changes: tuple[CookieChange, ...] = ()
    is_given = generations.may_be_given(context.knowledge, session, rotation_id)
    if is_newer and is_given:
        changes = session_cookies(context.site, current, context.cookies, context.now)
    elif is_newer or background or context.now - session.seen_at <= settings.idle_lifetime / 10:
        pass
    elif opened.record:
        background = (Touch(opened.record, context.now, session),)
    elif is_given:
        changes = session_cookies(context.site, Renewed(session, None), context.cookies, context.now)
    if opened.grant is not None and (claims := opened.grant.unconfirmed):
        site = _shared_at(context, session)
        waiting = tuple(each for each in claims if not context.knowledge.confirmed(left_at(each, site)))
        if waiting:
            background = (*background, Confirm(waiting, session.ends_at, site))
    return Live(
        identity,
        opened.session,
        opened.grant,
        changes,
        background,
        opened.rotation_id,
        is_newer,
        current=current,
    )


def session_identity(context: Context, session: Session) -> Verdict:
    """Return who a session is; where its access token is a JWT, that is verified first."""
    provider = context.knowledge.runtime.providers[session.provider]
    claims, scopes = session.claims, session.scopes
    if provider.settings.access_token == "jwt":  # noqa: S105 - a kind of token
        # as long as the provider gave it: it came from its token endpoint, and not in a field of the request
        parsed = read(session.access_token or "", claim_sources.MOST_ACCESS_TOKEN)
        if not isinstance(parsed, Parsed):
            return parsed
        # what nothing can renew is held to what it was when it came, under keys that still count
        at = session.renewed_at if session.is_unrenewable else None
        verdict = verified(context, provider, parsed, None, at)
        if not isinstance(verdict, Identity):
            return verdict
        if verdict.subject != session.subject:
            return Reason.TOKEN_CLAIMS
        # how somebody authenticated is the ID token's word alone; a renewal has left no other claim in the
        # session that this token had told or tells
        told = {n: v for n, v in verdict.claims.items() if n not in claim_sources.AUTHENTICATION}
        if session.claims.get(EMAIL, told.get(EMAIL)) != told.get(EMAIL):
            # what was said of one address says nothing of another
            told.pop(VERIFIED, None)
        claims, scopes = {**told, **session.claims}, verdict.scopes
    return identity_of(session, claims_of(provider, session.subject, claims), scopes)


def identity_of(session: Session, claims: Claims, scopes: frozenset[str]) -> Identity:
    """Return the identity of a session; the denylist judges it by when it began."""
    return Identity(
        kind="session",
        provider=session.provider,
        issuer=session.issuer,
        subject=session.subject,
        claims=claims,
        scopes=scopes,
        issued_at=session.login_at,
        expires_at=session.ends_at,
        sid=session.sid,
        session_id=session.session_id,
        position=session.position,
        access_token=None
        if session.access_token is None
        else (session.access_token, session.access_expires_at),
    )


def whose(need: Need) -> Identity | None:
    """Return whom a need is about, where it says so: for the record of a fault."""
    if isinstance(need, ExchangeToken):
        return need.identity
    session = need.session if isinstance(need, Refresh) else None
    return None if session is None else identity_of(session, session.claims, session.scopes)
