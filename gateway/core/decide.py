"""``decide``: the one function that the proxy, and everything that asks instead of it, calls.

Pure and synchronous. What it lacks, it names as a ``Need``; the pipeline fetches that and asks again.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

from gateway.core.access import access, generations
from gateway.core.decision.allowance import allowance_of
from gateway.core.decision.answers import Answer, Forward, Login, Refuse, Respond
from gateway.core.decision.causes import Cause
from gateway.core.decision.context import Context, Knowledge
from gateway.core.decision.needs import Admit, Need
from gateway.core.decision.places import locate, may_be_raw
from gateway.core.decision.refusals import login_link, login_url, plain
from gateway.core.endpoints import asked, logout, provider_logout
from gateway.core.endpoints.callback import callback
from gateway.core.endpoints.joining import join
from gateway.core.endpoints.jwks import client_jwks, jwks
from gateway.core.endpoints.login import login
from gateway.core.endpoints.login_failure import interrupted
from gateway.core.endpoints.logo import logo
from gateway.core.endpoints.sessions import sessions
from gateway.core.endpoints.ticket import ticket
from gateway.core.endpoints.userinfo import userinfo
from gateway.core.headers.cookies import CookieChange
from gateway.core.headers.kinds import FETCH_SITE
from gateway.core.headers.loops import MOST_PASSES, passes
from gateway.core.headers.request import Request
from gateway.core.headers.rules import forwarded_of
from gateway.core.phrases import Phrase
from gateway.core.reasons import Reason
from gateway.core.rules.policies import named_methods
from gateway.core.rules.rate_limit import RateLimit
from gateway.core.rules.routes import Route
from gateway.core.runtime import RuntimeConfig
from gateway.core.sessions.cookies import session_cookies
from gateway.core.sessions.joining import JOIN, TICKET
from gateway.core.sessions.model import SessionOver
from gateway.syntax.targets import canonicalise

_ONCE: Final = frozenset((b"origin", b"access-control-request-method", b"access-control-request-headers"))

# all that browsers say in Sec-Fetch-Site (Fetch Metadata)
_FETCH_SITES: Final = frozenset((b"cross-site", b"none", b"same-origin", b"same-site"))

# answers of our own that renew the session which asks
_OF_SESSION: Final = frozenset(
    (
        Reason.USERINFO,
        Reason.TICKET_GIVEN,
        Reason.SESSIONS_SHOWN,
        Reason.SESSIONS_ENDED,
        Reason.NO_SUCH_SESSION,
    )
)

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

RAW_PATH_HINT: Final = Phrase.of("raw_path")

Endpoint: TypeAlias = Callable[[Context], Answer | Need]

ENDPOINTS: dict[bytes, Endpoint] = {
    b"login": login,
    b"callback": callback,
    b"logout": logout.logout,
    b"logged-out": logout.logged_out,
    b"backchannel-logout": provider_logout.backchannel,
    b"frontchannel-logout": provider_logout.frontchannel,
    b"userinfo": userinfo,
    b"sessions": sessions,
    b"jwks.json": jwks,
    b"logo": logo,
    b"logo-dark": logo,
    JOIN.encode(): join,
    TICKET.encode(): ticket,
}
# what is the same for everybody, wherever it is asked for
_ANYWHERE: Final = frozenset((jwks, client_jwks, logo))


def decide(request: Request, knowledge: Knowledge, now: float, request_id: str) -> Answer | Need:
    """Judge one request at ``now`` (epoch seconds): an answer, or the one fact that is missing."""
    context = Context(request, knowledge, now, request_id)
    forwarded = context.forwarded
    if forwarded.unreadable:
        if (asking := asked.asker_of(request, knowledge.runtime)) is not None:
            # it tells of the original in fields of its own
            return _asked(context, *asking)
        told = Phrase.of("forwarding_unreadable", what=forwarded.unreadable)
        return replace(plain(context, Reason.FORWARDING_UNREADABLE), detail=told)
    if request.loops and _has_looped(context):
        return plain(context, Reason.LOOP_DETECTED)
    route = context.route = knowledge.runtime.places.find(forwarded.host, request)
    if route is None:
        answer = _locate(context)
    elif route.rate_limit is None:
        # nothing that is judged by more than its path is known as a place
        answer = access.access(context, route)
    else:
        answer = _on_route(context, route)
    return _by_scheme(context, answer) if answer.__class__ is Login else answer


def _has_looped(context: Context) -> bool:
    values = tuple(line.value for line in context.request.loops)
    return passes(values, context.knowledge.runtime.rules.loop_names) >= MOST_PASSES


def _locate(context: Context) -> Answer | Need:
    """Judge a request of which it is not known yet where such paths lead."""
    request, runtime, host = context.request, context.knowledge.runtime, context.forwarded.host
    if request.target == b"*":
        return _options(context)
    found = locate(runtime, host, request.target, request.method)
    if found is None:
        if (asking := asked.asker_of(request, runtime)) is not None:
            # what follows is not read in the asking
            return _asked(context, *asking)
        hint = RAW_PATH_HINT if may_be_raw(runtime, request.target) else None
        return replace(plain(context, Reason.PATH_AMBIGUOUS), detail=hint)
    target, route = found
    context.target = target
    if request.method in (b"TRACE", b"CONNECT"):
        return plain(context, Reason.METHOD_UNSUPPORTED)
    if target.path.startswith(runtime.prefix):
        return _own(context, target.path[len(runtime.prefix) :])
    if route is None:
        # at the host where people log in there may be nothing else
        known = runtime.routes.knows(host) or context.site is not None
        return plain(context, Reason.ROUTE_UNKNOWN if known else Reason.HOST_UNKNOWN)
    context.route = route
    runtime.places.learn(host, target, request.method, route)
    return _on_route(context, route)


def _on_route(context: Context, route: Route) -> Answer | Need:
    """Decide a request for a route, and count it where that is limited: whoever is refused asks as well."""
    limit = route.rate_limit
    if limit is None:
        return _judge_on(context, route)
    if limit.by == "address":
        # before any signature is checked: what is refused must not cost more than what passes
        return _limited(context, route, limit, None) or _judge_on(context, route)
    found = _judge_on(context, route)
    if isinstance(found, (Forward, Refuse)):
        return _limited(context, route, limit, found) or found
    return found


def _limited(
    context: Context, route: Route, limit: RateLimit, found: Forward | Refuse | None
) -> Refuse | Need | None:
    """Return the refusal of one request too many, or the need that counts it; None lets it pass."""
    identity = None if found is None else found.identity
    allowance = allowance_of(context, limit, identity)
    if isinstance(allowance, Admit):
        return allowance
    if allowance.wait is None:
        return None
    # a session that was renewed for this request is not lost with it
    changes = found.cookies if isinstance(found, Forward) else ()
    return Refuse(
        Reason.RATE_LIMITED,
        route,
        identity,
        context.wants_html,
        retry_after=allowance.wait,
        cookies=changes,
    )


def _judge_on(context: Context, route: Route) -> Answer | Need:
    request, runtime = context.request, context.knowledge.runtime
    if runtime.routes.by_method and not all(
        _leads_to(runtime, context.forwarded.host, request.target, method) is route
        for method in named_methods(request)
    ):
        # the upstream might act on a method that another rule guards
        return plain(context, Reason.METHOD_UNSUPPORTED)
    if request.method == b"OPTIONS" and route.access != "public":
        answer = _preflight(context, route)
        if answer is not None:
            return answer
    return access.access(context, route)


def _options(context: Context) -> Answer:
    """Answer for the server as a whole (RFC 9110 section 9.3.7): what is asked of no path is on no route."""
    runtime = context.knowledge.runtime
    if context.request.method != b"OPTIONS":
        return plain(context, Reason.PATH_AMBIGUOUS)
    if not runtime.routes.knows(context.forwarded.host):
        return plain(context, Reason.HOST_UNKNOWN)
    methods = ", ".join((*_METHODS, *runtime.settings.extra_methods))
    return Respond(Reason.SERVER_OPTIONS, 204, headers=((b"Allow", methods.encode()),))


def _leads_to(runtime: RuntimeConfig, host: bytes, target: bytes, method: bytes) -> Route | None:
    found = locate(runtime, host, target, method)
    return None if found is None else found[1]


def _by_scheme(context: Context, login: Login) -> Answer:
    """Let a login begin only where its cookie will come back: browsers keep it over https alone.

    Where a trusted proxy says http all the same, a browser that sends Sec-Fetch-Site or a ``__Host-`` cookie
    of ours knows better. No redirect: the proxy would say http of that as well.
    """
    site = context.site
    if site is None or not site.secure or context.forwarded.proto == "https":
        return login
    if context.cookies or not _FETCH_SITES.isdisjoint(context.request.values(FETCH_SITE)):
        return replace(login, told_http=True)
    # for a browser that did come over http this is the way; for any other the proxy is to be mended first
    url = login_link(context, login.return_to, login.provider or None)
    return replace(plain(context, Reason.LOGIN_INSECURE), login_url=url, cause=Cause.NO_TLS)


def interrupted_login(request: Request, knowledge: Knowledge, now: float, request_id: str) -> Refuse | None:
    """Return what is told of a login whose callback met a fault, None where the request was for no callback.

    Its reason is the fault's to say (R86).
    """
    target, prefix = canonicalise(request.target), knowledge.runtime.prefix
    if target is None or not target.path.startswith(prefix):
        return None
    context = Context(request, knowledge, now, request_id)
    context.target = target
    if context.site is None or _endpoint(context, target.path[len(prefix) :]) is not callback:
        return None
    return interrupted(context)


def new_login(
    request: Request, knowledge: Knowledge, now: float, request_id: str, provider: str
) -> str | None:
    """Return where a person whose session cannot be renewed now may log in anew for this page (R85).

    The session is kept; a login at its ``provider`` that succeeds replaces it.
    """
    request = asked.meant(request)
    context = Context(request, knowledge, now, request_id)
    found = locate(knowledge.runtime, context.forwarded.host, request.target, request.method)
    if found is None:
        return None
    context.target, context.route = found
    return login_url(context, provider)


def route_of(request: Request, knowledge: Knowledge) -> Route | None:
    """Return the route that a request is for, None where there is none, or an endpoint of our own."""
    runtime = knowledge.runtime
    request = asked.meant(request)
    return _leads_to(runtime, forwarded_of(request, runtime.rules).host, request.target, request.method)


def wants_html(request: Request, knowledge: Knowledge) -> bool:
    """Tell whether a person's browser navigates here, rather than a script or an API client calling."""
    request.sort(knowledge.runtime.rules.request_lines)
    return request.wants_html


def _endpoint(context: Context, name: bytes) -> Endpoint | None:
    runtime = context.knowledge.runtime
    if name in runtime.by_callback:
        return callback
    return client_jwks if name in runtime.client_keys else ENDPOINTS.get(name)


def _own(context: Context, name: bytes) -> Answer | Need:
    if (asking := asked.asker_of(context.request, context.knowledge.runtime)) is not None:
        return _asked(context, *asking)
    endpoint = _endpoint(context, name)
    if endpoint is None:
        return plain(context, Reason.ROUTE_UNKNOWN)
    if context.site is None and endpoint not in _ANYWHERE:
        return plain(context, Reason.HOST_UNKNOWN)
    return endpoint(context)


def _asked(context: Context, asker: asked.Asker, rest: bytes) -> Answer | Need:
    """Decide for a proxy that asks: as if the request that it holds had come here."""
    knowledge, now = context.knowledge, context.now
    original = asked.original_of(context, asker, rest)
    if isinstance(original, Refuse):
        return asked.answered(context, asker, original, ())
    found = decide(original, knowledge, now, context.request_id)
    changes = due_cookies(found, knowledge, now) if isinstance(found, Forward) else ()
    return asked.answered(context, asker, found, changes)


def _preflight_fields(request: Request) -> dict[bytes, bytes] | None:
    """Return the fields of a CORS preflight as browsers send it; None for anything that could do more (R65).

    That is what has a body, names a method for the upstream to act on, or asks for another protocol.
    """
    fields: dict[bytes, bytes] = {}
    for name, value in request.headers:
        lower = name.lower()
        if lower in (b"transfer-encoding", b"upgrade", b"expect") or (lower in fields and lower in _ONCE):
            return None
        fields[lower] = value
    if fields.get(b"content-length", b"0").strip(b"0") or named_methods(request):
        return None
    return fields if b"origin" in fields and b"access-control-request-method" in fields else None


def _preflight(context: Context, route: Route) -> Answer | None:
    """Answer a CORS preflight (Fetch standard section 3.3); None lets the request go the usual way."""
    fields = _preflight_fields(context.request)
    if fields is None:
        return None
    origin, method = fields[b"origin"], fields[b"access-control-request-method"]
    if route.preflight == "forward":
        return access.forward_preflight(context, route)
    if route.preflight == "refuse":
        return plain(context, Reason.ORIGIN_FORBIDDEN)
    rules = route.preflight
    if origin.decode("latin-1") not in rules.origins or method.decode("latin-1") not in rules.methods:
        return plain(context, Reason.ORIGIN_FORBIDDEN)
    wanted = fields.get(b"access-control-request-headers", b"").decode("latin-1").lower()
    names = {name.strip() for name in wanted.split(",") if name.strip()}
    if not names <= {name.lower() for name in rules.headers}:
        return plain(context, Reason.ORIGIN_FORBIDDEN)
    headers = [
        (b"Access-Control-Allow-Origin", origin),
        (b"Access-Control-Allow-Methods", ", ".join(rules.methods).encode()),
        (b"Access-Control-Allow-Headers", ", ".join(rules.headers).encode()),
        (b"Access-Control-Max-Age", str(int(rules.max_age)).encode()),
        (b"Vary", b"Origin"),
    ]
    if rules.credentials:
        headers.append((b"Access-Control-Allow-Credentials", b"true"))
    return Respond(Reason.PREFLIGHT, 204, headers=tuple(headers), route=route)


def due_cookies(
    forward: Forward, knowledge: Knowledge, now: float, age: float = 0.0
) -> tuple[CookieChange, ...]:
    """Return the cookies that ride on this response: looked up when its head is sent.

    Only a request that itself presented the older generation gets the newer one (CVE-2024-51987), and only
    the newest that is known; none where the session was revoked or replaced meanwhile, or a newer one was
    made elsewhere. An answer that comes ``age`` seconds after its request gives none once that is half of
    ``rotation_grace``: the browser may have gone on, and would be taken for a thief with what it was given
    here (R75).
    """
    live, site = forward.live, forward.site
    if live is None or site is None or not (live.cookies or live.background):
        return ()
    if _is_late(knowledge, age):
        return ()
    kept, session = live.kept, live.session
    if kept is not None and kept.holds(knowledge, now):
        return kept.cookies(site, forward.sent, now)
    if knowledge.denylist.judge_session(session, now):
        return ()
    found = generations.beyond(knowledge, session, live.grant, live.rotation_id)
    if not generations.may_be_given(knowledge, session, found.rotation_id):
        return ()
    if found.outcome is None:
        # what it was decided by is forgotten, so nobody can tell whether it is the newest
        return () if live.is_renewed else live.cookies
    if isinstance(found.outcome, SessionOver) or knowledge.denylist.judge_session(found.outcome.session, now):
        return ()
    return session_cookies(site, found.outcome, forward.sent, now)


def timely_cookies(answer: Refuse | Respond, knowledge: Knowledge, age: float) -> tuple[CookieChange, ...]:
    """Return the cookies of an answer of our own: as ``due_cookies``, but of logins and logouts always."""
    is_of_session = answer.route is not None or answer.reason in _OF_SESSION
    if not is_of_session or not _is_late(knowledge, age):
        return answer.cookies
    return tuple(change for change in answer.cookies if change.value is None)


def _is_late(knowledge: Knowledge, age: float) -> bool:
    return age > knowledge.runtime.settings.session.rotation_grace / 2


__all__ = ["ENDPOINTS", "decide", "due_cookies", "new_login", "route_of", "timely_cookies"]
