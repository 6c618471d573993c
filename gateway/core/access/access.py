"""Who is calling, and may they? The way of a request that is meant for an upstream."""

from dataclasses import replace
from typing import Final

from gateway.core.access import generations, rounds, sending
from gateway.core.access.bearer import judge_bearer
from gateway.core.access.choosing import to_choose
from gateway.core.access.credentials import BearerToken, SessionCookie, present
from gateway.core.access.forgetting import forget, forget_session
from gateway.core.access.possession import judge_possession, use_up
from gateway.core.access.publishing import publish
from gateway.core.access.session import judge_session, why_over
from gateway.core.access.to_login import begin
from gateway.core.decision.answers import Answer, Forward, Live, Login, Refuse, Respond
from gateway.core.decision.context import Context
from gateway.core.decision.needs import Need
from gateway.core.decision.refusals import asking_for, login_url, other_account, plain, refuse
from gateway.core.headers.upstream import upstream_lines
from gateway.core.identity import Identity
from gateway.core.reasons import Reason
from gateway.core.rules import policies
from gateway.core.rules.origins import is_foreign
from gateway.core.rules.routes import Route
from gateway.core.rules.sends import Sends
from gateway.core.rules.websocket import may_connect

# these sessions were ended against somebody's will: a page says so instead of a silent new login
_SAY_WHY: Final = frozenset({Reason.REVOKED, Reason.SESSION_REUSED, Reason.SESSION_TOO_LARGE})

# these sessions hold: only what is known of them does not do now
_ALIVE: Final = frozenset({Reason.TOKEN_KEY_UNKNOWN, Reason.CLAIMS_TOO_OLD})


def access(context: Context, route: Route) -> Answer | Need:
    """Decide a request for a route: forward, refuse, send to login, or name what is missing."""
    if route.access == "public":
        if route.publishes is not None:
            return publish(context, route.publishes)
        return _forward(context, route, Reason.PUBLIC, None)
    found = present(context, route)
    if not isinstance(found, tuple):
        return refuse(context, found, bearer=True) if isinstance(found, Reason) else found
    bearer, cookie = found
    if bearer is not None:
        return _with_bearer(context, route, bearer, cookie)
    if cookie is not None:
        return _with_session(context, route, cookie)
    if route.access == "optional":
        return _forward(context, route, Reason.ANONYMOUS, None)
    return unauthenticated(context, Reason.CREDENTIALS_MISSING)


def _with_bearer(
    context: Context, route: Route, bearer: BearerToken, cookie: SessionCookie | None
) -> Answer | Need:
    verdict = judge_bearer(context, route, bearer)
    if not isinstance(verdict, Identity):
        return refuse(context, verdict, bearer=True) if isinstance(verdict, Reason) else verdict
    if cookie is not None and cookie.opened is not None:
        other = cookie.opened.session
        if why_over(context, other) is not None:
            forget_session(context)
        elif (other.issuer, other.subject) != (verdict.issuer, verdict.subject):
            return refuse(context, Reason.CREDENTIALS_CONFLICT, bearer=True)
    if verdict.binding is None:
        return _allowed(context, route, verdict, None)
    proof = judge_possession(context, bearer, verdict.binding)
    if isinstance(proof, Refuse):
        return proof
    found = _allowed(context, route, verdict, None)
    # last, so that nothing is used up by what is refused
    return found if proof is None or not isinstance(found, Forward) else use_up(context, proof) or found


def _with_session(context: Context, route: Route, cookie: SessionCookie) -> Answer | Need:
    verdict = judge_session(context, cookie)
    if isinstance(verdict, Live):
        if context.request.is_websocket and not _comes_from_here(context, route):
            return replace(plain(context, Reason.ORIGIN_FORBIDDEN), identity=verdict.identity)
        if is_foreign(context.request, route, context.knowledge.runtime.sites.values(), context.site):
            return replace(plain(context, Reason.ORIGIN_FORBIDDEN), identity=verdict.identity)
        return _allowed(context, route, verdict.identity, verdict)
    if not isinstance(verdict, Reason):
        return verdict
    if verdict not in _ALIVE:
        forget_session(context)
    if route.access == "optional":
        return _forward(context, route, Reason.ANONYMOUS, None)
    opened = cookie.opened
    is_own = opened is None or not context.knowledge.superseded(
        generations.replacement(opened.session.session_id)
    )
    if verdict in _SAY_WHY:
        return refuse(context, verdict, clear=is_own)
    if opened is not None and verdict in _ALIVE:
        return unauthenticated(context, verdict, provider=opened.session.provider)
    return unauthenticated(context, verdict, clear=is_own)


def _comes_from_here(context: Context, route: Route) -> bool:
    # no CORS rule holds for a WebSocket, and the browser sends its cookies along whoever asks for it
    assert context.site is not None
    own = context.site.origin.encode()
    return may_connect(context.request.headers, own, route.websocket_origins)


def _allowed(
    context: Context, route: Route, identity: Identity, live: Live | None
) -> Forward | Refuse | Login | Respond | Need:
    denylist, now = context.knowledge.denylist, context.now
    if route.most_staleness is not None and not denylist.is_fresh(now, route.most_staleness):
        return refuse(context, Reason.DENYLIST_STALE, identity=identity, bearer=live is None)
    cleared = identity.cleared
    # (an entry that has expired holds again where the clock is set back)
    if cleared is None or cleared[0] is not denylist or cleared[1] != denylist.version or now < cleared[2]:
        if denylist.judge(identity, now):
            forget(context)
            return refuse(
                context, Reason.REVOKED, identity=identity, bearer=live is None, clear=live is not None
            )
        identity.cleared = (denylist, denylist.version, now)
    require = route.require
    if require.checks and (require.each_time or require not in identity.passed):
        context.request.client = context.forwarded.client
        why = policies.refused(identity, context.request, require, now)
    else:
        why = None
    if why is not None:
        if route.access == "optional" and live is not None:
            # whom the policy of all routes leaves out is nobody here
            return _forward(context, route, Reason.ANONYMOUS, None)
        return _forbidden(context, route, identity, why, live)
    if route.sends is not None:
        return _sent(context, route, route.sends, identity, live)
    return _forward(context, route, Reason.AUTHENTICATED, identity, live)


def _sent(
    context: Context, route: Route, sends: Sends, identity: Identity, live: Live | None
) -> Forward | Refuse | Login | Respond | Need:
    """Forward with what this route's upstream is told of an identity, if that can be told."""
    told = sending.known(identity, sends, context.now)
    if told is None:
        found = sending.work_out(context, sends, identity)
        if found is Reason.ACCESS_TOKEN_MISSING:
            return _tokenless(context, route, identity, live)
        if isinstance(found, Reason):
            return _refused(context, route, identity, found, live)
        if not isinstance(found, sending.Told):
            return found
        told = found
        if told.behind is not None and live is not None:
            live = replace(live, background=(*live.background, told.behind))
    forward = _forward(context, route, Reason.AUTHENTICATED, None, live)
    forward.identity = identity
    forward.lines.extend(told.lines)
    return forward


def _tokenless(
    context: Context, route: Route, identity: Identity, live: Live | None
) -> Forward | Refuse | Login | Respond:
    """Answer where an upstream is to get the caller's access token, and there is none that holds."""
    if live is None:
        return refuse(context, Reason.ACCESS_TOKEN_MISSING, identity=identity, bearer=True)
    if route.access == "optional":
        return _forward(context, route, Reason.ANONYMOUS, None)
    return unauthenticated(context, Reason.ACCESS_TOKEN_MISSING, provider=identity.provider)


def _forbidden(
    context: Context, route: Route, identity: Identity, why: policies.Refused, live: Live | None
) -> Refuse | Login:
    reason = why.reason
    step_up = reason in (Reason.AUTHENTICATION_TOO_WEAK, Reason.AUTHENTICATION_TOO_OLD)
    lack = policies.lacking(identity, context.request, route.require, why, context.now)
    acr_values, max_age = lack.challenge.acr_values, lack.challenge.max_age
    # a provider that cannot do what is asked for would be asked for ever
    may_help = step_up and not rounds.ended_just_now(context, max_age)
    if may_help and live is not None and _may_redirect(context, route):
        return begin(context, reason, provider=identity.provider, acr_values=acr_values, max_age=max_age)
    return replace(
        _refused(context, route, identity, reason, live),
        # who is known already gains nothing by logging in again; single sign-on would lead straight back
        login_url=asking_for(login_url(context, identity.provider), acr_values, max_age) if step_up else None,
        acr_values=acr_values if step_up else (),
        max_age=max_age if step_up else None,
        required_scopes=lack.challenge.scopes if reason is Reason.SCOPE_MISSING else (),
        missing=lack.words,
    )


def _refused(context: Context, route: Route, identity: Identity, reason: Reason, live: Live | None) -> Refuse:
    """Refuse somebody who is known: who may not come in as this person may as another."""
    site = context.site
    prefix = context.knowledge.runtime.settings.prefix
    return replace(
        refuse(context, reason, identity=identity, bearer=live is None),
        account_url=other_account(context, None, route.provider) if site and live else None,
        logout_url=f"{site.origin}{prefix}logout" if site and live else None,
        login_url=None,
        contact=route.contact,
        cookies=live.cookies if live is not None else (),
    )


def _may_redirect(context: Context, route: Route) -> bool:
    if (
        context.site is None
        or not route.has_login
        or context.request.method not in (b"GET", b"HEAD")
        or context.request.is_speculative
    ):
        return False
    if route.unauthenticated == "auto":
        return context.navigation
    return route.unauthenticated == "login" and not context.scripted


def unauthenticated(
    context: Context, reason: Reason, *, clear: bool = False, provider: str | None = None
) -> Refuse | Login | Respond:
    """Nobody, or nobody any more: a navigation goes to login, everything else is told with 401.

    ``provider`` is whose session holds, but will not do; None where there is none.
    """
    route = context.route
    assert route is not None
    if _may_redirect(context, route):
        why = Reason.LOGIN_REQUIRED if reason is Reason.CREDENTIALS_MISSING else reason
        if provider is None and (chooser := to_choose(context, route, why)) is not None:
            return chooser
        require = route.require
        return begin(
            context,
            why,
            provider=provider or route.provider,
            acr_values=require.acr_values,
            max_age=require.max_age,
        )
    return refuse(context, reason, clear=clear, provider=provider)


def _forward(
    context: Context, route: Route, reason: Reason, identity: Identity | None, live: Live | None = None
) -> Forward:
    lines = upstream_lines(
        context.request,
        context.forwarded,
        context.knowledge.runtime.rules,
        identity,
        route.authorization == "pass",
    )
    if route.sends is not None and route.sends.fixed:
        lines.append(route.sends.fixed)
    if route.replacement is not None:
        target = route.forwarded(context.target.path) + context.target.query
        if route.prefix_line:
            lines.append(route.prefix_line)
    elif context.request.plain is not None:
        # it has one reading, and goes on as it came
        target = context.request.target
    else:
        target = context.target.path + context.target.query
    return Forward(context, route, reason, target, lines, identity, live)


def forward_preflight(context: Context, route: Route) -> Forward:
    """Let the upstream answer a CORS preflight, which carries no credentials by its nature."""
    return _forward(context, route, Reason.PREFLIGHT, None)
