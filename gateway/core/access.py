"""Who is calling, and may they? The way of a request that is meant for an upstream."""

from dataclasses import dataclass, replace
from typing import TypeAlias

from gateway.core import access_token, claim_sources, cookies, generations, policies, refresh, rounds
from gateway.core import session as codec
from gateway.core.answers import Forward, Login, Refuse
from gateway.core.compiled import Provider
from gateway.core.context import Context, OpenedSession
from gateway.core.cookies import Site
from gateway.core.credentials import BearerToken, SessionCookie, present
from gateway.core.email import EMAIL, VERIFIED, claims_of
from gateway.core.headers import upstream_fields
from gateway.core.jose import Parsed, UnknownKey, read
from gateway.core.keys import KeySet
from gateway.core.login import begin
from gateway.core.model import (
    Claims,
    CookieChange,
    Grant,
    Identity,
    RefreshOutcome,
    Renewed,
    Seal,
    Session,
    SessionOver,
)
from gateway.core.needs import Confirm, Need, Refresh, Touch
from gateway.core.origins import is_foreign
from gateway.core.reasons import Reason
from gateway.core.refusals import other_account, plain, refuse
from gateway.core.routes import Route
from gateway.core.session_record import Handle, handle_change
from gateway.core.verification import checked
from gateway.core.websocket import may_connect

# these sessions were ended against somebody's will: a page says so instead of a silent new login
_SAY_WHY = frozenset({Reason.REVOKED, Reason.SESSION_REUSED, Reason.SESSION_TOO_LARGE})

# these sessions hold: only what is known of them does not do now
_ALIVE = frozenset({Reason.TOKEN_KEY_UNKNOWN, Reason.CLAIMS_TOO_OLD})


@dataclass(frozen=True, slots=True)
class Live:
    """A session that holds: who it is, and what rides on the response or behind the request."""

    identity: Identity
    session: Session
    grant: Grant | None
    cookies: tuple[CookieChange, ...] = ()
    background: tuple[Need, ...] = ()
    claim: str = ""
    is_renewed: bool = False


Verdict: TypeAlias = Identity | Need | Reason


def access(context: Context) -> Forward | Refuse | Login | Need:
    """Decide a request for a route: forward, refuse, send to login, or name what is missing."""
    route = context.route
    assert route is not None
    if route.access == "public":
        return _forward(context, route, Reason.PUBLIC, None)
    credentials = present(context)
    if not isinstance(credentials, list):
        return refuse(context, credentials, bearer=True) if isinstance(credentials, Reason) else credentials
    bearer: BearerToken | None = None
    cookie: SessionCookie | None = None
    for each in credentials:
        if isinstance(each, BearerToken):
            bearer = each
        elif each.opened is None or route.admits(each.opened.session.provider):
            # whoever another provider vouches for is nobody here, and stays who they are elsewhere (R70)
            cookie = each
    if bearer is not None:
        return _with_bearer(context, route, bearer, cookie)
    if cookie is not None:
        return _with_session(context, route, cookie)
    if route.access == "optional":
        return _forward(context, route, Reason.ANONYMOUS, None)
    return unauthenticated(context, Reason.CREDENTIALS_MISSING)


def _with_bearer(
    context: Context, route: Route, bearer: BearerToken, cookie: SessionCookie | None
) -> Forward | Refuse | Login | Need:
    verdict = judge_bearer(context, route, bearer.token)
    if not isinstance(verdict, Identity):
        return refuse(context, verdict, bearer=True) if isinstance(verdict, Reason) else verdict
    if cookie is not None and cookie.opened is not None:
        other = cookie.opened.session
        if is_live(context, other) is None and (other.issuer, other.subject) != (
            verdict.issuer,
            verdict.subject,
        ):
            return refuse(context, Reason.CREDENTIALS_CONFLICT, bearer=True)
    return _allowed(context, route, verdict, None)


def _with_session(context: Context, route: Route, cookie: SessionCookie) -> Forward | Refuse | Login | Need:
    verdict = judge_session(context, cookie)
    if isinstance(verdict, Live):
        if context.sketch.websocket and not _comes_from_here(context, route):
            return replace(plain(context, Reason.ORIGIN_FORBIDDEN), identity=verdict.identity)
        if is_foreign(context, route):
            return replace(plain(context, Reason.ORIGIN_FORBIDDEN), identity=verdict.identity)
        return _allowed(context, route, verdict.identity, verdict)
    if not isinstance(verdict, Reason):
        return verdict
    if route.access == "optional":
        return _forward(context, route, Reason.ANONYMOUS, None)
    opened = cookie.opened
    is_own = opened is None or not context.knowledge.superseded(
        generations.replacement(opened.session.session_id)
    )
    if verdict in _SAY_WHY:
        return refuse(context, verdict, clear=is_own)
    return unauthenticated(context, verdict, clear=is_own and verdict not in _ALIVE)


def _comes_from_here(context: Context, route: Route) -> bool:
    # no CORS rule holds for a WebSocket, and the browser sends its cookies along whoever asks for it
    assert context.site is not None
    own = context.site.origin.encode()
    return may_connect(context.request.headers, own, route.websocket_origins)


def judge_bearer(context: Context, route: Route, token: str) -> Verdict:
    """Verify a bearer token against the key set of the provider that it claims; RFC 9068 section 4.

    A provider that the route does not admit is no issuer that is trusted there (R70).
    """
    knowledge = context.knowledge
    memo = knowledge.memory.tokens
    if (remembered := memo.get(token)) is not None:
        keys, identity, since = remembered
        if (
            route.admits(identity.provider)
            and keys is knowledge.keys.get(identity.provider)
            and since <= context.now < keys.stale_after
            and context.now < identity.expires_at
        ):
            return identity
    parsed = read(token)
    if not isinstance(parsed, Parsed):
        return parsed
    issuer = access_token.issuer_of(parsed)
    if isinstance(issuer, Reason):
        return issuer
    provider = knowledge.compiled.by_issuer.get(issuer)
    if provider is None or not route.admits(provider.name):
        return Reason.TOKEN_ISSUER
    verdict = _verified(context, provider, parsed, context.observed.client)
    if isinstance(verdict, Identity):
        current = knowledge.keys.get(provider.name)
        if current is not None:
            memo.put(token, (current, verdict, context.now))
    return verdict


def _verified(context: Context, provider: Provider, token: str | Parsed, by: str | None) -> Verdict:
    def check(keys: KeySet) -> Identity | UnknownKey | Reason:
        return access_token.check(token, provider, keys, context.now, is_own=by is None)

    return checked(context, provider, token, check, by=by)


def is_live(context: Context, session: Session) -> Reason | None:
    """Return why a session no longer holds, or None. Says nothing of its access token."""
    lifetimes = context.knowledge.compiled.settings.session
    if (over := context.knowledge.denylist.why_over(session, context.now)) is not None:
        return over
    if context.now >= session.ends_at or context.now - session.seen_at >= lifetimes.idle_lifetime:
        return Reason.SESSION_EXPIRED
    return None


def judge_session(context: Context, cookie: SessionCookie) -> Live | Need | Reason:
    """Judge a presented session; renew it where its access token is due or has expired.

    A request that presents an older generation goes on as the newest one known (the two-phase rotation).
    """
    opened = cookie.opened
    if opened is None:
        return cookie.gone
    settings = context.knowledge.compiled.settings.session
    session, grant, claim = opened.session, opened.grant, opened.claim
    found = generations.beyond(context.knowledge, session, grant, claim)
    renewed = found.outcome
    # before the denylist is asked: reuse puts the session there itself, and its own word says more
    if isinstance(renewed, SessionOver):
        return renewed.reason
    if (ended := is_live(context, session)) is not None:
        return ended
    phase = refresh.phase(session, grant is not None, settings, context.now)
    if renewed is not None and renewed.grant is not None:
        session, grant, claim = renewed.session, renewed.grant, found.claim
        phase = refresh.phase(session, has_grant=True, settings=settings, now=context.now)
    elif not generations.fit(session, grant):
        # what such a session says was true once: it is asked anew
        session, phase = generations.bare(session), "expired"
    if grant is not None and context.knowledge.superseded(claim):
        # another worker has made a newer one: what this one says may have been taken away by it
        phase = "expired"
    background: tuple[Need, ...] = ()
    if phase == "expired":
        if grant is None:
            return Reason.SESSION_EXPIRED
        outcome = _renewed_for_this(context, session)
        if outcome is None:
            return Refresh(claim, session, grant)
        if isinstance(outcome, SessionOver):
            return outcome.reason
        # a renewal that has just succeeded counts, however soon its access token expires
        session, grant, renewed, claim = outcome.session, outcome.grant, outcome, ""
    elif phase == "due" and grant is not None:
        background = (Refresh(claim, session, grant),)
    return _live(context, opened, Renewed(session, grant), claim, renewed is not None, background)


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
    claim: str,
    is_newer: bool,
    background: tuple[Need, ...],
) -> Live | Need | Reason:
    session, settings = current.session, context.knowledge.compiled.settings.session
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
    is_given = generations.may_be_given(context.knowledge, session, claim)
    if is_newer and is_given:
        changes = session_cookies(context.site, current, context.cookies, context.now)
    elif is_newer or background or context.now - session.seen_at <= settings.idle_lifetime / 10:
        pass
    elif opened.record:
        background = (Touch(opened.record, context.now, session),)
    elif is_given:
        changes = session_cookies(context.site, Renewed(session, None), context.cookies, context.now)
    if opened.grant is not None and (claims := opened.grant.unconfirmed):
        waiting = tuple(claim for claim in claims if not context.knowledge.confirmed(claim))
        if waiting:
            background = (*background, Confirm(waiting, session.ends_at))
    return Live(identity, opened.session, opened.grant, changes, background, opened.claim, is_newer)


def session_identity(context: Context, session: Session) -> Verdict:
    """Return who a session is; where its access token is a JWT, that is verified first."""
    provider = context.knowledge.compiled.providers[session.provider]
    claims, scopes = session.claims, session.scopes
    if provider.settings.access_token == "jwt":  # noqa: S105 - a kind of token
        # as long as the provider gave it: it came from its token endpoint, and not in a field of the request
        parsed = read(session.access_token or "", claim_sources.MOST_ACCESS_TOKEN)
        if not isinstance(parsed, Parsed):
            return parsed
        verdict = _verified(context, provider, parsed, None)
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
    return identity_of(session, claims_of(provider, claims), scopes)


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
    )


def whose(need: Need) -> Identity | None:
    """Return whose session a need is about, where it says so: for the record of a fault."""
    session = need.session if isinstance(need, Refresh) else None
    return None if session is None else identity_of(session, session.claims, session.scopes)


def session_cookies(
    site: Site, current: Renewed, sent: dict[str, str], now: float
) -> tuple[CookieChange, ...]:
    """Return the changes that give the browser this session; without a grant the refresh cookie stays."""
    if current.grant is not None and current.grant.handle:
        return (handle_cookie(site, current.session, current.grant.handle, sent, now),)
    session = replace(current.session, seen_at=now)
    max_age = max(1, int(session.ends_at - now))
    name = site.session_cookie
    changes = [
        CookieChange(
            name,
            Seal(site.purpose("session"), codec.encode_session(session)),
            max_age,
            cookies.presented(sent, name),
        )
    ]
    if current.grant is not None:
        name = site.refresh_cookie
        changes.append(
            CookieChange(
                name,
                Seal(site.purpose("refresh"), codec.encode_grant(current.grant)),
                max_age,
                cookies.presented(sent, name),
            )
        )
    return tuple(changes)


def handle_cookie(
    site: Site, session: Session, secret: str, sent: dict[str, str], now: float
) -> CookieChange:
    """Return the change that gives the browser the handle of a session that the store keeps."""
    name = site.session_cookie
    max_age = max(1, int(session.ends_at - now))
    handle = Handle(session.session_id, secret)
    return handle_change(name, site.purpose("handle"), handle, max_age, cookies.presented(sent, name))


def _allowed(
    context: Context, route: Route, identity: Identity, live: Live | None
) -> Forward | Refuse | Login:
    knowledge = context.knowledge
    deny = knowledge.compiled.settings.denylist
    if (route.when_stale or deny.when_stale) == "refuse" and not knowledge.denylist.is_fresh(
        context.now, deny.max_staleness
    ):
        return refuse(context, Reason.DENYLIST_STALE, identity=identity, bearer=live is None)
    if knowledge.denylist.judge(identity, context.now):
        return refuse(context, Reason.REVOKED, identity=identity, bearer=live is None, clear=live is not None)
    reason = policies.judge(identity, context.request, route.require, context.now)
    if reason is not None:
        return _forbidden(context, route, identity, reason, live)
    return _forward(context, route, Reason.AUTHENTICATED, identity, live)


def _forbidden(
    context: Context, route: Route, identity: Identity, reason: Reason, live: Live | None
) -> Refuse | Login:
    step_up = reason in (Reason.AUTHENTICATION_TOO_WEAK, Reason.AUTHENTICATION_TOO_OLD)
    acr_values, max_age = route.require.acr_values, route.require.max_age
    # a provider that cannot do what is asked for would be asked for ever
    may_help = step_up and not rounds.ended_just_now(context, max_age)
    if may_help and live is not None and _may_redirect(context, route):
        return begin(context, reason, provider=identity.provider, acr_values=acr_values, max_age=max_age)
    answer = refuse(context, reason, identity=identity, bearer=live is None)
    site = context.site
    return replace(
        answer,
        # whoever may not come in as this person may as another
        account_url=other_account(context, None, route.provider) if site and live else None,
        logout_url=f"{site.origin}{context.knowledge.compiled.settings.prefix}logout"
        if site and live
        else None,
        # who is known already gains nothing by logging in again; single sign-on would lead straight back
        login_url=answer.login_url if step_up else None,
        acr_values=acr_values if step_up else (),
        max_age=max_age if step_up else None,
        required_scopes=route.require.scopes if reason is Reason.SCOPE_MISSING else (),
        cookies=live.cookies if live is not None else (),
    )


def _may_redirect(context: Context, route: Route) -> bool:
    if context.site is None or context.request.method not in (b"GET", b"HEAD") or context.sketch.speculative:
        return False
    if route.unauthenticated == "auto":
        return context.navigation
    return route.unauthenticated == "login" and not context.scripted


def unauthenticated(context: Context, reason: Reason, *, clear: bool = False) -> Refuse | Login:
    """Nobody, or nobody any more: a navigation goes to login, everything else is told with 401."""
    route = context.route
    assert route is not None
    if _may_redirect(context, route):
        why = Reason.LOGIN_REQUIRED if reason is Reason.CREDENTIALS_MISSING else reason
        require = route.require
        return begin(
            context, why, provider=route.provider, acr_values=require.acr_values, max_age=require.max_age
        )
    return refuse(context, reason, clear=clear)


def _forward(
    context: Context, route: Route, reason: Reason, identity: Identity | None, live: Live | None = None
) -> Forward:
    lines = upstream_fields(
        context.sketch,
        context.observed,
        context.knowledge.compiled.rules,
        identity,
        pass_authorization=route.authorization == "pass",
    )
    target = context.target.path + context.target.query
    if route.replacement is not None:
        target = route.forwarded(context.target.path) + context.target.query
        lines += route.prefix_line
    # by position: keywords take twice as long, and each new token makes one
    return Forward(
        route,
        reason,
        target,
        lines,
        context.request_id,
        identity,
        live.session if live else None,
        live.grant if live else None,
        live.claim if live else "",
        live.cookies if live else (),
        live.background if live else (),
        context.site,
        context.cookies,
        live.is_renewed if live else False,
    )


def forward_preflight(context: Context, route: Route) -> Forward:
    """Let the upstream answer a CORS preflight, which carries no credentials by its nature."""
    return _forward(context, route, Reason.PREFLIGHT, None)
